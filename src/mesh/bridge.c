#include "mesh/bridge.h"

#include "bus/subject.h"
#include "mesh/answers.h"
#include "mesh/events.h"
#include "mesh/publish.h"

#include <stdlib.h>

enum { KEEP_DAYS = 7 };

/* One delivery that a manifest asks for: events or requests of one subject to one service. */
struct link {
    struct list link; /* in bridge->links; in bridge->closing when its end is awaited */
    struct bridge *bridge;
    struct events *events; /* one of the two */
    struct answers *answers;
    bool wanted;
    struct buf key;
};

struct bridge {
    struct bridge_options options;
    struct publish_context publish;
    struct callers callers;
    struct list links, closing;
    const struct manifest *manifest; /* what it is to be */
    struct io_task again;            /* configures once more, behind what was in the way */
    bool waits;                      /* something was in the way: an update, a link that closes */
    struct stream *stream;           /* NULL: no service has durable subjects yet */
    struct stream_op update;         /* of the stream's subjects */
    bool updating;
    bool closed;
    void (*done)(void *context);
    void *context;
    void (*settled)(void *context); /* NULL: nobody waits for it */
    void *settled_context;
};

/* ---- the stream's subjects ---- */

/* The smallest set of patterns that covers all that the manifest names: none of them lies within
 * another. Returns how many, or one more than a stream may have; the strings belong to the
 * manifest.
 */
static size_t add_subject(const char **subjects, size_t count, struct bytes subject)
{
    if (count > BRIDGE_SUBJECTS_MAX) return count;
    for (size_t i = 0; i < count; i++)
        if (subject_contains(bytes_str(subjects[i]), subject)) return count;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!subject_contains(subject, bytes_str(subjects[i]))) subjects[kept++] = subjects[i];
    subjects[kept++] = subject.data;
    return kept;
}

static size_t gather_subjects(const struct manifest *manifest, const char **subjects)
{
    size_t count = 0;
    for (size_t i = 0; i < manifest->service_count; i++) {
        const struct manifest_service *service = manifest->services[i];
        for (size_t j = 0; j < service->publish_count; j++)
            count = add_subject(subjects, count, service->publishes[j]);
        for (size_t j = 0; j < service->subscribe_count; j++)
            count = add_subject(subjects, count, service->subscribes[j].subject);
    }
    return count;
}

static bool same_subjects(const struct stream_config *config, const char *const *subjects,
                          size_t count)
{
    if (config->subject_count != count) return false;
    for (size_t i = 0; i < count; i++)
        if (!bytes_eq(bytes_str(config->subjects[i]), bytes_str(subjects[i]))) return false;
    return true;
}

/* What was in the way is gone. */
static void go_on(struct bridge *bridge)
{
    if (bridge->waits && !bridge->closed) io_post(bridge->options.io, &bridge->again);
}

static void tell_if_settled(struct bridge *bridge)
{
    void (*settled)(void *context) = bridge->settled;
    if (!settled || bridge->updating || bridge->waits || !list_empty(&bridge->closing)) return;
    bridge->settled = NULL;
    settled(bridge->settled_context);
}

static void finish_if_done(struct bridge *bridge)
{
    if (!bridge->closed || bridge->updating || !list_empty(&bridge->closing)) return;
    callers_release(&bridge->callers);
    void (*done)(void *) = bridge->done;
    void *context = bridge->context;
    free(bridge);
    if (done) done(context);
}

static void updated(struct stream_op *op, int result)
{
    struct bridge *bridge = CONTAINER_OF(op, struct bridge, update);
    bridge->updating = false;
    if (result) {
        char reason[256];
        api_error_text(&op->refusal, reason, sizeof reason);
        LOG(bridge->options.log, LOG_ERROR, "events_stream_not_updated", LOG_ERR(result),
            LOG_S("reason", reason));
    }
    go_on(bridge);
    tell_if_settled(bridge);
    finish_if_done(bridge);
}

static int configure_stream(struct bridge *bridge, const struct manifest *manifest,
                            struct error *error)
{
    const char *subjects[BRIDGE_SUBJECTS_MAX + 1];
    size_t count = gather_subjects(manifest, subjects);
    bridge->stream = streams_find(bridge->options.streams, BYTES(BRIDGE_STREAM));
    struct stream_config config = {
        .name = BRIDGE_STREAM,
        .subjects = subjects,
        .subject_count = count,
        .max_age_ns = (int64_t)KEEP_DAYS * 24 * 3600 * 1000000000,
    };
    if (count > BRIDGE_SUBJECTS_MAX)
        return error_set(error, ERR_FULL, "there are more than %d durable subjects",
                         BRIDGE_SUBJECTS_MAX);
    if (!count) return 0; /* what the stream holds stays until it is wanted again */
    if (!bridge->stream) {
        struct api_error refusal = {0};
        int r = streams_add(bridge->options.streams, &config, &bridge->stream, &refusal);
        return r ? api_error_tell(&refusal, r, error) : 0;
    }
    if (same_subjects(stream_config(bridge->stream), subjects, count)) return 0;
    if (bridge->updating) {
        bridge->waits = true;
        return 0;
    }
    bridge->updating = true;
    stream_update(bridge->stream, &bridge->update, &config, updated);
    return 0;
}

/* ---- deliveries ---- */

static void link_free(struct link *link)
{
    list_remove(&link->link);
    buf_release(&link->key);
    free(link);
}

static void events_closed(void *context)
{
    struct link *link = context;
    struct bridge *bridge = link->bridge;
    link_free(link);
    go_on(bridge);
    tell_if_settled(bridge);
    finish_if_done(bridge);
}

static void link_close(struct bridge *bridge, struct link *link)
{
    answers_close(link->answers);
    if (!link->events) {
        link_free(link);
        return;
    }
    list_remove(&link->link);
    list_push(&bridge->closing, &link->link);
    events_close(link->events, events_closed, link);
}

static struct link *find_in(struct list *links, struct bytes key)
{
    LIST_EACH(links, struct link, link, link)
        if (bytes_eq(buf_bytes(&link->key), key)) return link;
    return NULL;
}

/* The link of this key, wanted from now on. *ret_new: it has no delivery yet. */
static struct link *link_want(struct bridge *bridge, struct buf *key, bool *ret_new)
{
    struct link *link = key->failed ? NULL : find_in(&bridge->links, buf_bytes(key));
    *ret_new = !link;
    if (link || key->failed) {
        buf_release(key);
    } else {
        link = calloc(1, sizeof *link);
        if (!link) {
            buf_release(key);
            return NULL;
        }
        link->bridge = bridge;
        link->key = *key;
        list_push(&bridge->links, &link->link);
    }
    if (link) link->wanted = true;
    return link;
}

static int want_events(struct bridge *bridge, const struct manifest *manifest,
                       const struct manifest_service *service,
                       const struct manifest_subscription *subscription, struct error *error)
{
    struct buf key;
    bool is_new;
    buf_init(&key, 4096);
    buf_append_format(&key, "event %s %s", service->name.data, subscription->subject.data);
    if (find_in(&bridge->closing, buf_bytes(&key))) {
        buf_release(&key);
        bridge->waits = true; /* its consumer can be opened again when it is closed */
        return 0;
    }
    struct link *link = link_want(bridge, &key, &is_new);
    if (!link) return error_set(error, ERR_NOMEM, "out of memory");
    struct events_config config = {
        .system = manifest->system->name,
        .service = service->name,
        .subject = subscription->subject,
        .path = subscription->path,
        .attempts = subscription->attempts,
        .timeout_ms = subscription->timeout_ms,
    };
    if (!is_new) return events_update(link->events, &config);
    int err = events_open(bridge->options.streams, bridge->stream, &bridge->callers,
                          bridge->options.log, &config, &link->events, error);
    if (err) link_close(bridge, link);
    return err;
}

static int want_answers(struct bridge *bridge, const struct manifest_service *service,
                        const struct manifest_answer *answer, struct error *error)
{
    struct buf key;
    bool is_new;
    buf_init(&key, 4096);
    buf_append_format(&key, "answer %s %s", service->name.data, answer->subject.data);
    struct link *link = link_want(bridge, &key, &is_new);
    if (!link) return error_set(error, ERR_NOMEM, "out of memory");
    struct answers_config config = {
        .service = service->name,
        .subject = answer->subject,
        .path = answer->path,
        .timeout_ms = answer->timeout_ms,
    };
    if (!is_new) return answers_update(link->answers, &config);
    int err = answers_open(bridge->options.bus, &bridge->callers, bridge->options.log, &config,
                           &link->answers);
    if (err) {
        link_close(bridge, link);
        error_set(error, err, "cannot answer %s for %s: %s", answer->subject.data,
                  service->name.data, err_text(err));
    }
    return err;
}

static int want_service(struct bridge *bridge, const struct manifest *manifest,
                        const struct manifest_service *service, struct error *error)
{
    int first = 0;
    for (size_t i = 0; i < service->subscribe_count; i++) {
        int err =
            want_events(bridge, manifest, service, &service->subscribes[i], first ? NULL : error);
        if (err && !first) first = err;
    }
    for (size_t i = 0; i < service->answer_count; i++) {
        int err = want_answers(bridge, service, &service->answers[i], first ? NULL : error);
        if (err && !first) first = err;
    }
    return first;
}

static int configure(struct bridge *bridge, struct error *error)
{
    const struct manifest *manifest = bridge->manifest;
    int first = configure_stream(bridge, manifest, error);
    if (first) return first;
    LIST_EACH(&bridge->links, struct link, link, link) link->wanted = false;
    for (size_t i = 0; i < manifest->service_count; i++) {
        int err = want_service(bridge, manifest, manifest->services[i], first ? NULL : error);
        if (err && !first) first = err;
    }
    LIST_EACH(&bridge->links, struct link, link, link)
        if (!link->wanted) link_close(bridge, link);
    return first;
}

static void configure_again(struct io_task *task)
{
    struct bridge *bridge = CONTAINER_OF(task, struct bridge, again);
    struct error error = {0};
    bridge->waits = false;
    if (configure(bridge, &error) != 0)
        LOG(bridge->options.log, LOG_ERROR, "bridge_incomplete", LOG_S("reason", error.message));
    tell_if_settled(bridge);
}

int bridge_configure(struct bridge *bridge, const struct manifest *manifest, struct error *error)
{
    bridge->manifest = manifest;
    bridge->waits = false;
    return configure(bridge, error);
}

void bridge_when_settled(struct bridge *bridge, void (*settled)(void *context), void *context)
{
    bridge->settled = settled;
    bridge->settled_context = context;
    tell_if_settled(bridge);
}

/* ---- life ---- */

int bridge_new(const struct bridge_options *options, struct bridge **ret_bridge)
{
    struct bridge *bridge = calloc(1, sizeof *bridge);
    if (!bridge) return ERR_NOMEM;
    bridge->options = *options;
    list_init(&bridge->links);
    list_init(&bridge->closing);
    io_task_init(&bridge->again, configure_again);
    bridge->publish =
        (struct publish_context){options->bus, options->streams, options->max_payload};
    callers_init(&bridge->callers, options->http, &options->road);
    int err = proxy_handle(options->proxy, BYTES(PUBLISH_PREFIX), publish_handle, &bridge->publish);
    if (!err)
        err = proxy_handle(options->proxy, BYTES(REQUEST_PREFIX), publish_handle_request,
                           &bridge->publish);
    if (err)
        free(bridge);
    else
        *ret_bridge = bridge;
    return err;
}

void bridge_close(struct bridge *bridge, void (*done)(void *context), void *context)
{
    if (!bridge) {
        if (done) done(context);
        return;
    }
    bridge->closed = true;
    bridge->settled = NULL;
    bridge->done = done;
    bridge->context = context;
    io_task_cancel(bridge->options.io, &bridge->again);
    LIST_EACH(&bridge->links, struct link, link, link) link_close(bridge, link);
    finish_if_done(bridge);
}
