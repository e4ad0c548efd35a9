#include "work.h"

#include <stdlib.h>

struct nats_server work_server;
static char failure[1024];
static int streams = -1; /* not known yet */

void work_failed(const char *file, int line, const char *what, struct dure_ctx *ctx, int err)
{
    if (failure[0]) return;
    snprintf(failure, sizeof failure, "%s:%d: %s%s%s (%s)", file, line, what, err ? ": " : "",
             err ? dure_error_name(err) : "", dure_reason(ctx));
}

int work_begin(void **state)
{
    if (nats_server_exists()) nats_server_start(&work_server);
    return 0;
}

int work_end(void **state)
{
    if (work_server.port) nats_server_release(&work_server);
    return 0;
}

int work_run_options(struct dure_run_options options, dure_handler *work, void *argument)
{
    char url[64];
    if (!work_server.port) {
        print_message("no nats-server on this machine: skipped\n");
        skip();
    }
    snprintf(url, sizeof url, "nats://127.0.0.1:%d", work_server.port);
    if (!options.urls) options.urls = url;
    if (!options.timeout_ms) options.timeout_ms = 60000;
    failure[0] = '\0';
    int err = dure_run(&options, work, argument);
    if (failure[0]) fail_msg("%s", failure);
    return err;
}

void work_run(dure_handler *work, void *argument)
{
    assert_int_equal(work_run_options((struct dure_run_options){0}, work, argument), 0);
}

static int look_for_streams(struct dure_ctx *ctx)
{
    int err = dure_api(ctx, "INFO", NULL, 5000, NULL);
    streams = !err;
    return err == DURE_ENOSTREAM ? 0 : err;
}

void work_run_streams(dure_handler *work, void *argument)
{
    if (streams < 0) work_run(look_for_streams, NULL);
    if (!streams) {
        print_message("this bus has no JetStream API: skipped\n");
        skip();
    }
    work_run(work, argument);
}

int work_make_stream(struct dure_ctx *ctx, const char *name, const char *subject)
{
    struct dure_json *request = dure_json_object(ctx), *subjects = dure_json_array(ctx);
    const char *remove = dure_format(ctx, "STREAM.DELETE.%s", name);
    const char *create = dure_format(ctx, "STREAM.CREATE.%s", name);
    int err = dure_api(ctx, remove, NULL, 0, NULL);
    if (err && err != DURE_ENOTFOUND) return err;
    dure_json_set_string(request, "name", name);
    dure_json_set_string(subjects, NULL, subject);
    dure_json_set(request, "subjects", subjects);
    return dure_api(ctx, create, request, 0, NULL);
}
