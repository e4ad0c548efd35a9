/* dure trace: the last requests, each as a tree of who called whom.
 *
 *     POST /orders  201  12.4 ms  order            4bf92f3577b34da6a3ce929d0e0e4736
 *     |- GET /members/7  200  1.1 ms  member
 *     `- payment.charge  3.2 ms  bus
 *        `- POST /charge  200  2.9 ms  payment  */
#include "app/admin_client.h"
#include "app/cli.h"
#include "app/commands.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ANSWER_MAX = 16 * 1024 * 1024, DEPTH_MAX = 64, INDENT = 3 };

struct drawing {
    json_t *spans;
    bool colour;
    bool more[DEPTH_MAX]; /* whether the branch at this depth goes on below */
};

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool has_span(json_t *spans, const char *id)
{
    size_t i;
    json_t *span;
    json_array_foreach(spans, i, span) if (strcmp(text_of(span, "span"), id) == 0) return true;
    return false;
}

/* Whether this span stands below `parent`; "": whether it is a root, with a parent not seen here.
 */
static bool is_below(const struct drawing *drawing, json_t *span, const char *parent)
{
    const char *above = text_of(span, "parent");
    if (parent[0]) return strcmp(above, parent) == 0;
    return !above[0] || !has_span(drawing->spans, above);
}

static json_t *next_below(const struct drawing *drawing, const char *parent, size_t *cursor)
{
    while (*cursor < json_array_size(drawing->spans)) {
        json_t *span = json_array_get(drawing->spans, (*cursor)++);
        if (is_below(drawing, span, parent)) return span;
    }
    return NULL;
}

static void print_duration(long long us)
{
    if (us < 1000)
        printf("%lld us", us);
    else if (us < 1000000)
        printf("%.1f ms", (double)us / 1e3);
    else
        printf("%.2f s", (double)us / 1e6);
}

static void print_span(const struct drawing *drawing, json_t *span, int depth)
{
    for (int i = 1; i < depth; i++) printf("%s", drawing->more[i] ? "│  " : "   ");
    if (depth) printf("%s", drawing->more[depth] ? "├─ " : "└─ ");
    bool failed = json_is_true(json_object_get(span, "failed"));
    long long status = (long long)json_integer_value(json_object_get(span, "status"));
    long long attempts = (long long)json_integer_value(json_object_get(span, "attempts"));
    if (failed && drawing->colour) printf("\033[31m");
    printf("%s  ", text_of(span, "name"));
    if (status) printf("%lld  ", status);
    print_duration((long long)json_integer_value(json_object_get(span, "duration_us")));
    printf("  %s", text_of(span, "service"));
    if (text_of(span, "instance")[0]) printf(" (%s)", text_of(span, "instance"));
    if (attempts > 1) printf("  %lld attempts", attempts);
    if (failed)
        printf("  failed%s%s", text_of(span, "error")[0] ? ": " : "", text_of(span, "error"));
    if (failed && drawing->colour) printf("\033[0m");
}

static void print_below(struct drawing *drawing, const char *parent, int depth, const char *suffix)
{
    size_t cursor = 0;
    if (depth >= DEPTH_MAX) return;
    json_t *next = next_below(drawing, parent, &cursor);
    while (next) {
        json_t *span = next;
        next = next_below(drawing, parent, &cursor);
        drawing->more[depth] = next != NULL;
        print_span(drawing, span, depth);
        printf("%s\n", suffix);
        const char *id = text_of(span, "span");
        /* A span that names itself as its parent would never end. */
        if (id[0] && strcmp(id, parent) != 0) print_below(drawing, id, depth + 1, "");
    }
}

static void print_traces(json_t *traces)
{
    /* The newest last, where the eye is on a terminal. */
    for (size_t i = json_array_size(traces); i-- > 0;) {
        json_t *trace = json_array_get(traces, i);
        struct drawing drawing = {.spans = json_object_get(trace, "spans"),
                                  .colour = isatty(STDOUT_FILENO)};
        char suffix[64];
        snprintf(suffix, sizeof suffix, "  %.40s", text_of(trace, "trace"));
        print_below(&drawing, "", 0, suffix);
        if (i) printf("\n");
    }
    if (!json_array_size(traces)) printf("no request has been seen yet\n");
}

int cmd_trace(int argc, char **argv)
{
    bool json = false;
    const char *dir = NULL, *last = "10";
    const struct cli_option options[] = {
        {"json", 0, &json, NULL}, {"dir", 0, NULL, &dir}, {"last", 'n', NULL, &last}};
    struct paths paths;
    int left = cli_parse(argc, argv, options, 3);
    if (left < 0) return EXIT_USAGE;
    if (left > 1) return cli_usage("trace", "takes one trace id at most");
    uint64_t count;
    if (bytes_to_u64(bytes_str(last), 200, &count) != 0 || !count)
        return cli_usage("trace", "--last needs a number from 1 to 200");
    int code = paths_find(dir, &paths);
    if (code) return code;
    char target[256];
    snprintf(target, sizeof target, "/trace?last=%u%s%.64s", left ? 1 : (unsigned)count,
             left ? "&id=" : "", left ? argv[1] : "");
    struct buf answer;
    buf_init(&answer, ANSWER_MAX);
    code = admin_ask(&paths, "GET", target, BYTES(""), &answer);
    struct bytes text = buf_bytes(&answer);
    if (!code && json) printf("%.*s\n", BYTES_ARG(text));
    if (!code && !json) {
        json_t *document = json_loadb(text.data, text.len, 0, NULL);
        print_traces(json_object_get(document, "traces"));
        json_decref(document);
    }
    buf_release(&answer);
    return code;
}
