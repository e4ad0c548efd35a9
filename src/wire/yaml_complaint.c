/* What is wrong with a document before it has any meaning: bytes that are no text, and the words
 * of libyaml, which were written for people who write parsers, put for people on call at night. */
#include "wire/yaml_tree.h"

/* Which place tells a person more: where the reader noticed, or where the broken thing began. */
enum place { NOTICED, BEGAN };

static const struct rule {
    const char *problem; /* how libyaml's words begin */
    enum place place;
    const char *message, *remedy;
} rules[] = {
    {"did not find expected key", NOTICED,
     "this line does not fit into the mapping it stands in: its indentation matches no line above, "
     "or a value before it has more text than YAML can take",
     "Indent it like its neighbours; put quotes around a value that starts with a quote, bracket "
     "or "
     "brace."},
    {"did not find expected '-' indicator", NOTICED,
     "this line does not fit into the list it stands in: it neither starts with `- ` nor belongs "
     "to "
     "the element above",
     "Start it with `- ` to make it an element, or indent it as deep as the element's first key."},
    {"mapping values are not allowed in this context", NOTICED, "no value can follow this `:`",
     "Check the indentation of this line and the one above; put quotes around a text with `: ` in "
     "it."},
    {"could not find expected ':'", BEGAN, "this line is no `key: value`: it has no `: `",
     "Write `key: value` with a space behind the colon, or `- value` for an element of a list."},
    {"block sequence entries are not allowed in this context", NOTICED,
     "a list cannot begin here, behind a key on the same line",
     "Put `- ` on a line of its own below the key, or write `key: [a, b]`."},
    {"did not find expected ',' or ']'", BEGAN, "this `[` has no `]`, or a `,` is missing in it",
     "Close the list with `]` and separate its elements by `, `."},
    {"did not find expected ',' or '}'", BEGAN, "this `{` has no `}`, or a `,` is missing in it",
     "Close the mapping with `}` and separate its entries by `, `."},
    {"found unexpected end of stream", BEGAN, "the text that begins with this quote never ends",
     "Close it with the same quote."},
    {"found unexpected document indicator", BEGAN,
     "the text that begins with this quote never ends", "Close it with the same quote."},
    {"found unknown escape character", NOTICED,
     "a text in double quotes has a `\\` that YAML does not know",
     "Write `\\\\` for a backslash, or use single quotes, in which `\\` is an ordinary character."},
    {"found character that cannot start any token", NOTICED,
     "no value can start with this character", "Put quotes around the text."},
    {"did not find expected node content", NOTICED, "a value is missing here",
     "Write the value, or remove the comma or bracket."},
    {"did not find expected <document start>", NOTICED,
     "the document has ended above, so nothing can follow",
     "Indent this line as part of what is above, or remove it."},
    {"did not find expected alphabetic or numeric character", NOTICED,
     "`&` and `*` at the start of a value name an anchor, and no name follows",
     "Put quotes around a text that starts with `&` or `*`."},
    {"found undefined tag handle", NOTICED, "tags (`!name`) mean nothing here",
     "Remove it, or put quotes around a text that starts with `!`."},
    {"did not find expected comment or line break", NOTICED,
     "behind `|` or `>` the text must start on the next line",
     "Put quotes around a text that starts with `|` or `>`."},
    {"found a tab character", NOTICED, "a tab cannot indent", "Use spaces."},
};

static struct bytes line_of(struct bytes text, int line)
{
    struct bytes found = {"", 0};
    for (int i = 0; i < line && text.data; i++) found = bytes_cut(&text, '\n');
    return found;
}

/* The column, from 1, of a tab among the line's indentation; 0: none. */
static int tab_column(struct bytes line)
{
    for (size_t i = 0; i < line.len && (line.data[i] == ' ' || line.data[i] == '\t'); i++)
        if (line.data[i] == '\t') return (int)i + 1;
    return 0;
}

/* A tab in the indentation makes libyaml stumble there or in the line behind it. */
static bool complain_of_tab(const struct yaml_complaint *complaint, const char *name,
                            struct error *error)
{
    int first = complaint->line > 1 ? complaint->line - 1 : 1;
    for (int line = first; line <= complaint->line; line++) {
        int column = tab_column(line_of(complaint->text, line));
        if (!column) continue;
        error_set(error, ERR_SYNTAX, "this line is indented with a tab, which YAML does not allow");
        error_at(error, name, line, column);
        error_remedy(error, "Replace the tab by spaces, as many as the neighbouring lines have.");
        return true;
    }
    return false;
}

void yaml_complain(const struct yaml_complaint *complaint, const char *name, struct error *error)
{
    if (complain_of_tab(complaint, name, error)) return;
    struct bytes problem = bytes_str(complaint->problem ? complaint->problem : "unreadable");
    const struct rule *rule = NULL;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0] && !rule; i++)
        if (bytes_starts(problem, bytes_str(rules[i].problem))) rule = &rules[i];
    bool began = rule && rule->place == BEGAN && complaint->context_line;
    struct bytes line = line_of(complaint->text, complaint->line);
    size_t at = (size_t)complaint->column - 1;
    bool odd_start = bytes_starts(problem, BYTES("found character that cannot start"));
    if (odd_start && at < line.len && line.data[at] > ' ')
        error_set(error, ERR_SYNTAX, "no value can start with `%c`", line.data[at]);
    else
        error_set(error, ERR_SYNTAX, "%s", rule ? rule->message : problem.data);
    error_remedy(error, "%s", rule ? rule->remedy : "Check the indentation and the quotes here.");
    error_at(error, name, began ? complaint->context_line : complaint->line,
             began ? complaint->context_column : complaint->column);
}

/* Bytes of the UTF-8 character at `at` (RFC 3629), 0 when it is none that YAML 1.2 allows. */
static size_t character_len(struct bytes text, size_t at)
{
    const unsigned char *c = (const unsigned char *)text.data + at;
    size_t left = text.len - at;
    if (c[0] < 0x80) {
        bool printable =
            (c[0] >= 0x20 && c[0] != 0x7f) || c[0] == '\t' || c[0] == '\n' || c[0] == '\r';
        return printable;
    }
    size_t len = c[0] >= 0xf0 ? 4 : c[0] >= 0xe0 ? 3 : 2;
    if (c[0] < 0xc2 || c[0] > 0xf4 || len > left) return 0;
    uint32_t code = c[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((c[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (c[i] & 0x3fu);
    }
    bool shortest = code >= (len == 2 ? 0x80u : len == 3 ? 0x800u : 0x10000u);
    bool allowed = code == 0x85 || (code >= 0xa0 && code <= 0xd7ff) ||
                   (code >= 0xe000 && code <= 0xfffd) || (code >= 0x10000 && code <= 0x10ffff);
    return shortest && allowed ? len : 0;
}

int yaml_text_check(struct bytes text, const char *name, struct errors *errors)
{
    if (text.len > YAML_SIZE_MAX) {
        struct error *error = errors_add(errors);
        error_at(error, name, 0, 0);
        error_remedy(error, "Check that this is the right file.");
        return error_set(error, ERR_TOO_BIG, "this file has %zu bytes; a manifest has at most %d",
                         text.len, YAML_SIZE_MAX);
    }
    int line = 1, column = 1;
    for (size_t at = 0, len; at < text.len; at += len, column++) {
        len = character_len(text, at);
        if (len == 0) {
            struct error *error = errors_add(errors);
            error_at(error, name, line, column);
            error_remedy(error, "Save it as text in UTF-8, or check that this is the right file.");
            return error_set(error, ERR_SYNTAX,
                             "this is no text: the byte 0x%02x here is not UTF-8 or is a control "
                             "character",
                             (unsigned char)text.data[at]);
        }
        if (text.data[at] == '\n') {
            line++;
            column = 0;
        }
    }
    return 0;
}
