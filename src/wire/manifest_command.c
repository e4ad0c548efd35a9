#include "wire/manifest.h"

enum { COMMAND_MAX = 16 * 1024 };

struct splitter {
    struct bytes text;
    size_t at;
    char *out; /* where the next character of the word goes; words end with NUL */
    const char **argv;
    size_t argc;
    struct error *error;
};

static int refuse_shell(struct splitter *splitter, char c)
{
    error_set(splitter->error, ERR_SYNTAX,
              "this command has `%c` at character %zu, which only a shell understands; it is run "
              "without one",
              c, splitter->at + 1);
    error_remedy(splitter->error,
                 c == '$' || c == '~' || c == '*' || c == '?'
                     ? "Read the variable in your program, quote it, or write sh -c '...'."
                     : "Put it into quotes, or write: sh -c '...'.");
    return ERR_SYNTAX;
}

static int refuse_open(struct splitter *splitter, const char *what)
{
    error_set(splitter->error, ERR_SYNTAX, "this command ends within %s", what);
    error_remedy(splitter->error, "Close the quote; write \\\\ for a backslash.");
    return ERR_SYNTAX;
}

/* All up to the closing quote, as it is. */
static int take_single(struct splitter *splitter)
{
    struct bytes rest = bytes_skip(splitter->text, splitter->at + 1);
    size_t len = bytes_find(rest, '\'');
    if (len == rest.len) return refuse_open(splitter, "a single quote (')");
    memcpy(splitter->out, rest.data, len);
    splitter->out += len;
    splitter->at += len + 2;
    return 0;
}

/* POSIX 2.2.3: a backslash quotes $ ` " \ and itself stays before anything else. */
static int take_double(struct splitter *splitter)
{
    struct bytes text = splitter->text;
    for (splitter->at++; splitter->at < text.len; splitter->at++) {
        char c = text.data[splitter->at];
        if (c == '"') {
            splitter->at++;
            return 0;
        }
        if (c == '$' || c == '`') return refuse_shell(splitter, c);
        if (c == '\\' && splitter->at + 1 < text.len) {
            char next = text.data[splitter->at + 1];
            if (next == '\\' || next == '"' || next == '$' || next == '`') {
                c = next;
                splitter->at++;
            }
        }
        *splitter->out++ = c;
    }
    return refuse_open(splitter, "a double quote (\")");
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Whether an unquoted character has a meaning in a shell that nothing here gives it. */
static bool is_shell(char c, bool starts_word)
{
    return (c && strchr("|&;<>()$`*?[]{}", c)) || (starts_word && (c == '~' || c == '#'));
}

static int take_word(struct splitter *splitter)
{
    const char *start = splitter->out;
    size_t first = splitter->at;
    int err = 0;
    while (!err && splitter->at < splitter->text.len) {
        char c = splitter->text.data[splitter->at];
        if (is_space(c)) break;
        if (c == '\'') {
            err = take_single(splitter);
        } else if (c == '"') {
            err = take_double(splitter);
        } else if (is_shell(c, splitter->at == first)) {
            err = refuse_shell(splitter, c);
        } else {
            if (c == '\\' && ++splitter->at == splitter->text.len)
                return refuse_open(splitter, "a backslash");
            *splitter->out++ = splitter->text.data[splitter->at++];
        }
    }
    *splitter->out++ = 0;
    if (!err && splitter->argc == MANIFEST_WORDS_MAX) {
        error_remedy(splitter->error, "Put it into a script.");
        return error_set(splitter->error, ERR_TOO_BIG, "this command has more than %d words",
                         MANIFEST_WORDS_MAX);
    }
    if (!err) splitter->argv[splitter->argc++] = start;
    return err;
}

int manifest_command_parse(struct bytes text, struct arena *arena,
                           struct manifest_command *ret_command, struct error *error)
{
    if (text.len > COMMAND_MAX) {
        error_remedy(error, "Put it into a script.");
        return error_set(error, ERR_TOO_BIG, "this command has more than %d bytes", COMMAND_MAX);
    }
    if (text.len && memchr(text.data, 0, text.len))
        return error_set(error, ERR_SYNTAX, "this command contains a NUL character");
    struct splitter splitter = {.text = text, .error = error};
    /* No word is longer than its notation, and its NUL stands for the space behind it. */
    splitter.out = arena_alloc(arena, text.len + 1);
    splitter.argv = arena_array(arena, MANIFEST_WORDS_MAX + 1, sizeof *splitter.argv);
    if (!splitter.out || !splitter.argv) return error_set(error, ERR_NOMEM, "out of memory");
    for (;;) {
        while (splitter.at < text.len && is_space(text.data[splitter.at])) splitter.at++;
        if (splitter.at == text.len) break;
        int err = take_word(&splitter);
        if (err) return err;
    }
    if (splitter.argc == 0) {
        error_remedy(error, "Write a program and its arguments.");
        return error_set(error, ERR_SYNTAX, "this command has no word in it");
    }
    if (strchr(splitter.argv[0], '=')) {
        error_remedy(error, "Set variables under `env:`.");
        return error_set(error, ERR_SYNTAX, "the command's first word `%.*s` sets a variable",
                         BYTES_ARG(yaml_shown(bytes_str(splitter.argv[0]))));
    }
    ret_command->text = text;
    ret_command->argv = splitter.argv;
    ret_command->argc = splitter.argc;
    return 0;
}
