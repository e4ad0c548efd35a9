#include "app/stream_list.h"

#include "base/timestamp.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

typedef int each_info(struct dure_ctx *ctx, void *argument, const struct dure_json *info);

struct named {
    const char *name;
    const struct dure_json *info;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

/* One page into *ret_all; how many the server has goes to *ret_total. */
static int read_page(struct dure_ctx *ctx, const char *what, const char *member, const char *key,
                     struct named **all, size_t *count, int64_t *ret_total)
{
    struct dure_json *answer, *request = dure_json_object(ctx);
    dure_json_set_int(request, "offset", (int64_t)*count);
    int err = dure_api(ctx, what, request, 0, &answer);
    if (err) return err;
    struct dure_json *array = dure_json_get(answer, member);
    size_t got = dure_json_count(array);
    *ret_total = got ? dure_json_get_int(answer, "total", 0) : (int64_t)*count;
    struct named *more = realloc(*all, (*count + got + 1) * sizeof *more);
    if (!more) return DURE_ENOMEM;
    *all = more;
    for (size_t i = 0; i < got; i++) {
        const struct dure_json *info = dure_json_at(array, i);
        const char *name = dure_json_get_string(info, "name", NULL);
        if (!name) name = dure_json_get_string(dure_json_get(info, key), "name", "");
        (*all)[(*count)++] = (struct named){name, info};
    }
    return 0;
}

static int list(struct dure_ctx *ctx, const char *what, const char *member, const char *key,
                each_info *each, void *argument)
{
    struct named *all = NULL;
    size_t count = 0;
    int64_t total = 0;
    int err;
    do err = read_page(ctx, what, member, key, &all, &count, &total);
    while (!err && (int64_t)count < total);
    if (count) qsort(all, count, sizeof *all, by_name);
    for (size_t i = 0; i < count && !err; i++) err = each(ctx, argument, all[i].info);
    free(all);
    return err;
}

int stream_list(struct dure_ctx *ctx, each_info *each, void *argument)
{
    return list(ctx, "STREAM.LIST", "streams", "config", each, argument);
}

int consumer_list(struct dure_ctx *ctx, const char *stream, each_info *each, void *argument)
{
    const char *what = dure_format(ctx, "CONSUMER.LIST.%s", stream);
    return list(ctx, what, "consumers", "config", each, argument);
}

uint64_t json_time(const struct dure_json *json, const char *key)
{
    uint64_t time = 0;
    const char *text = dure_json_get_string(json, key, "");
    return timestamp_parse(bytes_str(text), &time) == 0 ? time : 0;
}

const char *json_joined(struct dure_ctx *ctx, const struct dure_json *array)
{
    const char *text = "";
    for (size_t i = 0; i < dure_json_count(array); i++)
        text = dure_format(ctx, "%s%s%s", text, i ? ", " : "",
                           dure_json_string(dure_json_at(array, i), "?"));
    return text ? text : "";
}

int confirm(const char *command, bool force, const char *format, ...)
{
    char question[256], answer[16] = "";
    va_list arguments;
    if (force) return EXIT_OK;
    va_start(arguments, format);
    vsnprintf(question, sizeof question, format, arguments);
    va_end(arguments);
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        fprintf(stderr, "dure %s: %s? Nobody is there to ask\n  say --force\n", command, question);
        return EXIT_USAGE;
    }
    fprintf(stderr, "%s? [y/N] ", question);
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return EXIT_OK;
    fprintf(stderr, "nothing was changed\n");
    return EXIT_FAILED;
}
