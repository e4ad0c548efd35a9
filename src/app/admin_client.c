#include "app/admin_client.h"

#include "app/admin.h"
#include "app/cli.h"
#include "http/client.h"

#include <jansson.h>
#include <stdio.h>

enum { TIMEOUT_MS = 120000 };

struct asking {
    struct io *io;
    struct http http;
    struct http_client *client;
    const struct admin_request *request;
    struct buf *answer;
    int status, result;
    bool ended;
};

static void end(struct asking *asking, int result)
{
    asking->result = result;
    asking->ended = true;
    io_stop(asking->io);
}

static void piece_read(struct http_exchange *x, int result, struct bytes piece)
{
    struct asking *asking = x->context;
    if (result >= 0) buf_append(asking->answer, piece);
    if (result == HTTP_MORE) http_read(x, piece_read);
}

static void response(struct http_exchange *x)
{
    struct asking *asking = x->context;
    asking->status = x->in.status;
    http_read(x, piece_read);
}

static void closed(struct http_exchange *x, int result)
{
    struct asking *asking = x->context;
    end(asking, result ? result : (asking->answer->failed ? ERR_TOO_BIG : 0));
}

static void connected(struct http_client *client, int result)
{
    struct asking *asking = http_client_context(client);
    const struct admin_request *request = asking->request;
    if (result) {
        end(asking, result);
        return;
    }
    struct http_exchange *x = http_client_begin(client, response);
    if (!x) {
        end(asking, ERR_NOMEM);
        return;
    }
    x->context = asking;
    x->closed = closed;
    http_head_request(&x->out, bytes_str(request->method), bytes_str(request->target));
    http_head_add(&x->out, BYTES("Host"), bytes_str(request->host ? request->host : "dure"));
    if (request->content_type)
        http_head_add(&x->out, BYTES("Content-Type"), bytes_str(request->content_type));
    int err = http_send_head(x, request->body.len);
    if (!err && request->body.len) http_write(x, request->body, true, NULL);
    if (err) end(asking, err);
}

int admin_request(const struct admin_request *request, int *ret_status, struct buf *answer,
                  struct error *error)
{
    struct asking asking = {.io = cli_io(), .request = request, .answer = answer};
    struct http_client_options options = {
        .response_timeout_ms = request->timeout_ms ? request->timeout_ms : TIMEOUT_MS,
    };
    http_init(&asking.http, asking.io, NULL);
    int err = http_client_new(&asking.http, &options, &asking, &asking.client);
    if (!err) {
        http_client_connect(asking.client, &request->addr, connected);
        err = io_run(asking.io);
        http_client_close(asking.client);
        while (io_turn(asking.io, 0) > 0) {
        } /* let the connection go */
    }
    if (!err) err = asking.result;
    *ret_status = asking.status;
    http_release(&asking.http);
    io_free(asking.io);
    if (!err) return 0;
    char where[IO_ADDR_TEXT];
    io_addr_format(&request->addr, where, sizeof where);
    return error_set(error, err, "%s %s at %s: %s", request->method, request->target, where,
                     err_text(err));
}

/* The detail of a problem document, or the whole answer. */
static void tell_problem(int status, const struct buf *answer)
{
    struct bytes text = buf_bytes(answer);
    json_t *problem = json_loadb(text.data, text.len, 0, NULL);
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    if (detail)
        fprintf(stderr, "dure: %.*s\n", BYTES_ARG(bytes_trim(bytes_str(detail))));
    else
        fprintf(stderr, "dure: the system answered with status %d\n%.*s\n", status,
                BYTES_ARG(text));
    json_decref(problem);
}

int admin_ask(const struct paths *paths, const char *method, const char *target, struct bytes body,
              struct buf *answer)
{
    struct admin_request request = {.method = method, .target = target, .body = body};
    if (body.len) request.content_type = "application/json";
    request.addr.family = IO_UNIX;
    snprintf(request.addr.path, sizeof request.addr.path, "%s", paths->admin);
    struct error error = {0};
    int status;
    int err = admin_request(&request, &status, answer, &error);
    if (err == ERR_NOT_FOUND || err == ERR_REFUSED) {
        error_set(&error, err, "no system is up in %s", paths->dir);
        error_remedy(&error, "Start it with: dure up %s", paths->dir);
        return cli_fail(EXIT_NOT_RUNNING, &error);
    }
    if (err) return cli_fail(EXIT_FAILED, &error);
    if (status < 400) return EXIT_OK;
    tell_problem(status, answer);
    return status == ADMIN_MISTAKES ? EXIT_MANIFEST : EXIT_FAILED;
}
