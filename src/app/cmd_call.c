/* The commands that send one message into a running system: call, ask. */
#include "app/admin_client.h"
#include "app/cli.h"
#include "app/commands.h"
#include "wire/yaml.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BODY_MAX = 64 * 1024 * 1024, ANSWER_MAX = 64 * 1024 * 1024, TARGET_MAX = 4096 };

/* --data TEXT, @FILE or @- (standard input), into a buffer that is initialised here. */
static int read_data(const char *data, struct buf *body)
{
    buf_init(body, BODY_MAX);
    if (!data) return EXIT_OK;
    if (data[0] != '@') {
        buf_append_str(body, data);
        return EXIT_OK;
    }
    FILE *file = strcmp(data, "@-") == 0 ? stdin : fopen(data + 1, "rb");
    size_t got = 0;
    while (file) {
        char *room = buf_reserve(body, 65536);
        got = room ? fread(room, 1, 65536, file) : 0;
        if (!got) break;
        buf_commit(body, got);
    }
    bool failed = !file || ferror(file) || body->failed;
    if (file && file != stdin) fclose(file);
    if (!failed) return EXIT_OK;
    fprintf(stderr, "dure: cannot read %s%s\n", data + 1,
            body->failed ? ": it is larger than 64 MiB" : "");
    return EXIT_FAILED;
}

/* Where the internal road of the running system is. */
static int find_road(const struct paths *paths, struct io_addr *ret_addr)
{
    struct buf answer;
    buf_init(&answer, ANSWER_MAX);
    int code = admin_ask(paths, "GET", "/status", BYTES(""), &answer);
    struct bytes text = buf_bytes(&answer);
    json_t *status = code ? NULL : json_loadb(text.data, text.len, 0, NULL);
    const char *road = json_string_value(json_object_get(status, "internal"));
    if (!code && (!road || io_addr_parse(bytes_str(road), ret_addr) != 0)) {
        fprintf(stderr, "dure: the running system is of another version\n");
        code = EXIT_FAILED;
    }
    json_decref(status);
    buf_release(&answer);
    return code;
}

static int send(const struct admin_request *request)
{
    struct buf answer;
    struct error error = {0};
    int status;
    buf_init(&answer, ANSWER_MAX);
    int err = admin_request(request, &status, &answer, &error);
    int code = EXIT_OK;
    if (err) {
        code = cli_fail(EXIT_FAILED, &error);
    } else {
        struct bytes text = buf_bytes(&answer);
        fwrite(text.data, 1, text.len, stdout);
        if (text.len && text.data[text.len - 1] != '\n') putchar('\n');
        fflush(stdout);
        if (status >= 400) code = EXIT_REMOTE;
        if (code || isatty(STDERR_FILENO)) fprintf(stderr, "status %d\n", status);
    }
    buf_release(&answer);
    return code;
}

int cmd_call(int argc, char **argv)
{
    const char *dir = NULL, *data = NULL, *type = "application/json";
    const struct cli_option options[] = {
        {"dir", 0, NULL, &dir}, {"data", 'd', NULL, &data}, {"type", 0, NULL, &type}};
    struct paths paths;
    int left = cli_parse(argc, argv, options, 3);
    if (left < 0) return EXIT_USAGE;
    if (left != 3 || argv[3][0] != '/')
        return cli_usage("call", "needs a service, a method, a path");
    int code = paths_find(dir, &paths);
    struct admin_request request = {.method = argv[2], .host = argv[1]};
    if (!code) code = find_road(&paths, &request.addr);
    if (code) return code;
    char target[TARGET_MAX];
    if (snprintf(target, sizeof target, "/%s%s", argv[1], argv[3]) >= (int)sizeof target)
        return cli_usage("call", "the path is too long");
    struct buf body;
    code = read_data(data, &body);
    request.target = target;
    request.body = buf_bytes(&body);
    request.content_type = data ? type : NULL;
    if (!code) code = send(&request);
    buf_release(&body);
    return code;
}

int cmd_ask(int argc, char **argv)
{
    const char *dir = NULL, *timeout = "10s";
    const struct cli_option options[] = {{"dir", 0, NULL, &dir}, {"timeout", 0, NULL, &timeout}};
    struct paths paths;
    uint32_t timeout_ms;
    int left = cli_parse(argc, argv, options, 2);
    if (left < 0) return EXIT_USAGE;
    if (left < 1 || left > 2) return cli_usage("ask", "needs a subject and at most one text");
    if (yaml_duration_parse(bytes_str(timeout), &timeout_ms) != 0)
        return cli_usage("ask", "--timeout needs a duration such as 2s or 500ms");
    int code = paths_find(dir, &paths);
    struct admin_request request = {.method = "POST", .timeout_ms = timeout_ms + 1000};
    if (!code) code = find_road(&paths, &request.addr);
    if (code) return code;
    char target[TARGET_MAX];
    if (snprintf(target, sizeof target, "/-/bus/request/%s?timeout=%ums", argv[1], timeout_ms) >=
        (int)sizeof target)
        return cli_usage("ask", "the subject is too long");
    struct buf body;
    code = read_data(left == 2 ? argv[2] : NULL, &body);
    request.target = target;
    request.body = buf_bytes(&body);
    request.content_type = left == 2 ? "application/json" : NULL;
    if (!code) code = send(&request);
    buf_release(&body);
    return code;
}
