#include "app/bus_client.h"

#include "app/admin_client.h"
#include "app/paths.h"
#include "base/base64.h"
#include "base/timestamp.h"
#include "wire/yaml.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

enum { OPTIONS_MAX = 48, URL_MAX = 1024, ANSWER_MAX = 16 << 20, CONNECT_MS = 5000 };

/* ---- options ---- */

int bus_client_parse(struct bus_client *client, int argc, char **argv, const struct cli_option *own,
                     size_t own_count)
{
    const struct cli_option common[] = {
        {"server", 's', NULL, &client->server, NULL},
        {"dir", 0, NULL, &client->dir, NULL},
        {"user", 0, NULL, &client->user, NULL},
        {"password", 0, NULL, &client->password, NULL},
        {"token", 0, NULL, &client->token, NULL},
        {"creds", 0, NULL, &client->creds, NULL},
        {"nkey", 0, NULL, &client->nkey, NULL},
        {"tls-ca", 0, NULL, &client->ca, NULL},
        {"tls-cert", 0, NULL, &client->cert, NULL},
        {"tls-key", 0, NULL, &client->key, NULL},
        {"tls-first", 0, &client->tls_first, NULL, NULL},
        {"timeout", 0, NULL, &client->timeout, NULL},
        {"json", 0, &client->json, NULL, NULL},
    };
    struct cli_option all[OPTIONS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < own_count && count < OPTIONS_MAX; i++) all[count++] = own[i];
    for (size_t i = 0; i < sizeof common / sizeof *common && count < OPTIONS_MAX; i++)
        all[count++] = common[i];
    int left = cli_parse(argc, argv, all, count);
    if (left < 0) return -1;
    const char *timeout = client->timeout ? client->timeout : getenv("NATS_TIMEOUT");
    uint64_t ns = 5000000000;
    if (timeout && bus_duration(argv[0], "timeout", timeout, &ns) != 0) return -1;
    client->timeout_ms = ns < 1000000 ? 1 : (uint32_t)(ns / 1000000);
    return left;
}

/* `option`: its name, or in capitals that of an argument ("SEQUENCE"). */
static int wrong(const char *command, const char *option, const char *what, const char *text)
{
    const char *dashes = *option >= 'A' && *option <= 'Z' ? "" : "--";
    fprintf(stderr, "dure %s: %s%s needs %s, not '%s'\n", command, dashes, option, what, text);
    return -1;
}

int bus_number(const char *command, const char *option, const char *text, uint64_t *ret)
{
    if (!text || bytes_to_u64(bytes_str(text), INT64_MAX, ret) == 0) return 0;
    return wrong(command, option, "a number", text);
}

int bus_storage(const char *command, const char *text, bool *ret_memory)
{
    *ret_memory = text && strcmp(text, "memory") == 0;
    if (!text || *ret_memory || strcmp(text, "file") == 0) return 0;
    return wrong(command, "storage", "file or memory", text);
}

/* Days and minutes too, which the manifest's durations may lack: "7d". */
int bus_duration(const char *command, const char *option, const char *text, uint64_t *ret_ns)
{
    uint32_t ms;
    uint64_t days;
    if (!text) return 0;
    struct bytes value = bytes_str(text);
    if (bytes_ends(value, BYTES("d")) &&
        bytes_to_u64(bytes_head(value, value.len - 1), 36500, &days) == 0) {
        *ret_ns = days * 86400 * UINT64_C(1000000000);
        return 0;
    }
    if (yaml_duration_parse(value, &ms) != 0)
        return wrong(command, option, "a duration such as 500ms, 30s, 5m, 2h or 7d", text);
    *ret_ns = ms * UINT64_C(1000000);
    return 0;
}

int bus_bytes(const char *command, const char *option, const char *text, uint64_t *ret_bytes)
{
    if (!text || bytes_to_u64(bytes_str(text), INT64_MAX, ret_bytes) == 0) return 0;
    if (yaml_bytes_parse(bytes_str(text), ret_bytes) == 0) return 0;
    return wrong(command, option, "a size such as 4096, 64KiB or 1GiB", text);
}

int bus_headers(const char *command, const struct cli_list *list, const char **headers)
{
    size_t n = 0;
    for (size_t i = 0; i < list->count; i++) {
        char *name = strdup(list->values[i]); /* lives as long as the program */
        char *colon = name ? strchr(name, ':') : NULL;
        if (!colon || colon == name) {
            free(name);
            return wrong(command, "header", "a name and a value as in Colour:blue",
                         list->values[i]);
        }
        *colon++ = '\0';
        while (*colon == ' ') colon++;
        headers[n++] = name;
        headers[n++] = colon;
    }
    headers[n] = NULL;
    return 0;
}

/* ---- finding the bus ---- */

/* The bus of the system that runs in this folder, if one does. */
static bool find_running(const char *dir, char url[URL_MAX])
{
    struct paths paths;
    char path[PATH_MAX];
    struct buf answer;
    if (cli_system_dir(dir, path) != 0 || paths_init(&paths, path) != 0) return false;
    if (access(paths.admin, F_OK) != 0) return false;
    struct admin_request request = {.method = "GET", .target = "/status", .timeout_ms = 2000};
    char addr[sizeof paths.admin + 8];
    snprintf(addr, sizeof addr, "unix:%s", paths.admin);
    if (io_addr_parse(bytes_str(addr), &request.addr) != 0) return false;
    int status = 0;
    buf_init(&answer, ANSWER_MAX);
    int err = admin_request(&request, &status, &answer, NULL);
    json_t *json = err ? NULL : json_loadb(buf_bytes(&answer).data, buf_len(&answer), 0, NULL);
    const char *bus = json_string_value(json_object_get(json, "bus"));
    if (bus) snprintf(url, URL_MAX, "%s", bus);
    json_decref(json);
    buf_release(&answer);
    return bus != NULL;
}

static const char *find_bus(const struct bus_client *client, char url[URL_MAX])
{
    const char *said = client->server ? client->server : client->dir ? NULL : getenv("NATS_URL");
    if (said && *said) return said;
    if (find_running(client->dir, url)) return url;
    return client->dir ? NULL : "nats://127.0.0.1:4222";
}

/* ---- running ---- */

struct run {
    bus_work *check, *work;
    void *argument;
};

static int connect_and_work(struct dure_ctx *ctx)
{
    struct run *run = dure_argument(ctx);
    int err = run->check ? run->check(ctx, run->argument) : 0;
    if (err) return err;
    err = dure_connect(ctx, CONNECT_MS);
    if (err) return bus_fail(ctx, err, "cannot connect to the bus");
    err = run->work(ctx, run->argument);
    return err < 0 ? bus_fail(ctx, err, "it did not work") : err;
}

int bus_client_run(const struct bus_client *client, bus_work *work, void *argument)
{
    char url[URL_MAX] = "";
    struct run run = {client->check, work, argument};
    const char *found = find_bus(client, url);
    if (!found) {
        fprintf(stderr, "dure: no system is up in %s\n  start it: dure up %s\n", client->dir,
                client->dir);
        return EXIT_NOT_RUNNING;
    }
    const struct dure_run_options options = {
        .name = "dure cli",
        .urls = found,
        .user = client->user,
        .password = client->password,
        .token = client->token,
        .creds = client->creds,
        .nkey = client->nkey,
        .ca = client->ca,
        .cert = client->cert,
        .key = client->key,
        .tls_first = client->tls_first,
        .request_ms = client->timeout_ms,
    };
    int code = dure_run(&options, connect_and_work, &run);
    fflush(stdout);
    if (code >= 0) return code;
    fprintf(stderr,
            "dure: '%s' is not the address of a bus\n"
            "  write it as nats://HOST:PORT, tls://HOST:PORT or unix:PATH\n",
            found);
    return EXIT_USAGE;
}

/* ---- what went wrong ---- */

static const char *remedy_of(int err, int code, const char *reason)
{
    if (strcmp(reason, "bucket not found") == 0)
        return "dure kv ls and dure obj ls show the buckets";
    if (strcmp(reason, "the bucket is there, with other settings") == 0)
        return "dure kv status shows them; dure kv rm takes the bucket away";
    switch (code) { /* JetStream's */
    case 10014: return "dure queue ls shows the queues";
    case 10058: return "dure stream info shows its settings, dure stream edit changes them";
    case 10059: return "dure stream ls shows the streams";
    case 10065: return "dure stream ls shows which stream has these subjects";
    default: break;
    }
    switch (err) {
    case DURE_EUNREACHABLE:
        return "start one (dure up, dure bus), or say where it is: --server nats://HOST:PORT";
    case DURE_EDENIED: return "say who you are: --user and --password, --token, --creds or --nkey";
    case DURE_ENOSTREAM:
        return "dure stream ls shows the streams and their subjects; a bus without --data keeps "
               "none";
    case DURE_ETIMEOUT: return "wait longer with --timeout";
    case DURE_ENOBODY: return "start who answers it; dure sub SUBJECT shows what is asked";
    case DURE_EINVALID:
        return *reason ? NULL
                       : "subjects are words with dots between them, without blanks; * and > stand "
                         "in patterns only, and not in names of streams, queues and buckets";
    default: return NULL;
    }
}

static enum exit_code code_of(int err)
{
    switch (err) {
    case DURE_EUNREACHABLE: return EXIT_NOT_RUNNING;
    case DURE_EREMOTE:
    case DURE_ENOBODY: return EXIT_REMOTE;
    default: return EXIT_FAILED;
    }
}

int bus_fail(struct dure_ctx *ctx, int err, const char *format, ...)
{
    char what[512];
    va_list arguments;
    if (err == DURE_ECLOSED) return 130; /* interrupted: as a shell says it */
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    const char *reason = dure_reason(ctx), *remedy = remedy_of(err, dure_reason_code(ctx), reason);
    bus_progress_end();
    fflush(stdout);
    fprintf(stderr, "dure: %s: %s\n", what, *reason ? reason : dure_error_text(err));
    if (remedy) fprintf(stderr, "  %s\n", remedy);
    return code_of(err);
}

/* ---- bodies ---- */

static int read_input(struct dure_ctx *ctx, struct buf *body)
{
    for (;;) {
        char *room = buf_reserve(body, 65536);
        if (!room) return DURE_ETOOBIG;
        int64_t got = dure_read(ctx, STDIN_FILENO, room, 65536, 0);
        if (got <= 0) return (int)got;
        buf_commit(body, (size_t)got);
    }
}

int bus_body(struct dure_ctx *ctx, const char *text, struct buf *body)
{
    enum { BODY_MAX = 64 << 20 };
    buf_init(body, BODY_MAX);
    if (!text || strcmp(text, "-") != 0) {
        buf_append_str(body, text ? text : "");
        return EXIT_OK;
    }
    int err = read_input(ctx, body);
    return err ? bus_fail(ctx, err, "cannot read standard input") : EXIT_OK;
}

/* ---- printing ---- */

void bus_put_headers(struct jsonw *json, const struct dure_headers *headers)
{
    const char *name, *value, *other;
    jsonw_object(json, "headers");
    for (size_t i = 0; dure_headers_at(headers, i, &name, &value); i++) {
        bool first = true;
        for (size_t j = 0; j < i && first; j++)
            first = !dure_headers_at(headers, j, &other, &value) || strcmp(other, name) != 0;
        if (!first) continue;
        jsonw_array(json, name);
        for (size_t j = i; dure_headers_at(headers, j, &other, &value); j++)
            if (strcmp(other, name) == 0) jsonw_cstr(json, NULL, value);
        jsonw_array_end(json);
    }
    jsonw_object_end(json);
}

static bool is_utf8(struct bytes data)
{
    json_t *text = json_stringn(data.data, data.len);
    bool valid = text && !memchr(data.data, '\0', data.len);
    json_decref(text);
    return valid;
}

void bus_put_data(struct jsonw *json, struct bytes data)
{
    if (is_utf8(data)) {
        jsonw_str(json, "data", data);
        return;
    }
    struct buf text;
    buf_init(&text, data.len * 2 + 16);
    base64_append(&text, data);
    jsonw_str(json, "data_base64", buf_bytes(&text));
    buf_release(&text);
}

static void print_json_message(const struct dure_message *message)
{
    struct buf line;
    struct jsonw json;
    char time[TIMESTAMP_TEXT];
    buf_init(&line, 256 << 20);
    jsonw_init(&json, &line);
    jsonw_object(&json, NULL);
    jsonw_cstr(&json, "subject", message->subject);
    if (*message->reply && !message->stream) jsonw_cstr(&json, "reply", message->reply);
    if (message->stream) {
        timestamp_format_ns(message->time_ns, time);
        jsonw_cstr(&json, "stream", message->stream);
        jsonw_u64(&json, "sequence", message->sequence);
        jsonw_cstr(&json, "time", time);
    }
    if (message->deliveries && message->consumer)
        jsonw_u64(&json, "deliveries", message->deliveries);
    bus_put_headers(&json, message->headers);
    bus_put_data(&json, bytes_make(message->body, message->len));
    jsonw_object_end(&json);
    bus_print_line(&line);
    buf_release(&line);
}

void bus_print_message(const struct dure_message *message, uint64_t number, bool json)
{
    const char *name, *value;
    char time[PRINT_TEXT];
    if (json) {
        print_json_message(message);
        return;
    }
    printf("%s#%llu%s %s", print_colour("\033[2m"), (unsigned long long)number,
           print_colour("\033[0m\033[1m"), message->subject);
    printf("%s", print_colour("\033[0m\033[2m"));
    if (message->stream) printf("  %s", time_text(message->time_ns, time));
    if (message->deliveries > 1) printf("  delivery %llu", (unsigned long long)message->deliveries);
    if (*message->reply && !message->stream) printf("  reply to %s", message->reply);
    printf("%s\n", print_colour("\033[0m"));
    for (size_t i = 0; dure_headers_at(message->headers, i, &name, &value); i++) {
        printf("%s", print_colour("\033[36m"));
        print_text(stdout, bytes_str(name));
        printf("%s: ", print_colour("\033[0m"));
        print_text(stdout, bytes_str(value));
        printf("\n");
    }
    print_text(stdout, bytes_make(message->body, message->len));
    printf("\n\n");
}

void bus_print_line(struct buf *line)
{
    buf_append_char(line, '\n');
    if (!line->failed) fwrite(buf_bytes(line).data, 1, buf_len(line), stdout);
    buf_clear(line);
}

void bus_print_json(struct dure_ctx *ctx, const struct dure_json *json)
{
    const char *text = dure_json_text(ctx, json, NULL);
    printf("%s\n", text ? text : "null");
}

/* ---- progress ---- */

/* Work that is over in a moment shows none. */
enum { PROGRESS_AFTER_MS = 500, PROGRESS_EACH_MS = 100 };

static bool progress_shown;

void bus_progress(const char *what, uint64_t done, uint64_t total)
{
    static uint64_t due_ns;
    char text[PRINT_TEXT], all[PRINT_TEXT];
    uint64_t now = dure_now_ns();
    if (!due_ns) due_ns = now + PROGRESS_AFTER_MS * UINT64_C(1000000);
    if (now < due_ns || !isatty(STDERR_FILENO)) return;
    due_ns = now + PROGRESS_EACH_MS * UINT64_C(1000000);
    progress_shown = true;
    if (total)
        fprintf(stderr, "\r\033[K%s %s of %s (%u %%)", what, count_text(done, text),
                count_text(total, all), (unsigned)(100.0 * (double)done / (double)total));
    else
        fprintf(stderr, "\r\033[K%s %s", what, count_text(done, text));
}

void bus_progress_end(void)
{
    if (progress_shown) fprintf(stderr, "\r\033[K");
    progress_shown = false;
}
