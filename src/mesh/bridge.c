#include "mesh/bridge.h"

#include "bus/subject.h"
#include "mesh/answers.h"
#include "mesh/events.h"
#include "mesh/publish.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEEP_DAYS = 7, SUBJECTS_TEXT_MAX = 64 * 1024 };

/* One delivery that a manifest asks for: events or requests of one subject to one service. */
struct link {
    struct list link; /* in bridge->links; in bridge->closing when its end is awaited */
    struct bridge *bridge;
    struct events *events; /* one of the two */
    struct answers *answers;
    bool wanted;
    bool open; /* it has its place in the stream */
    struct buf key;
};

struct bridge {
    struct bridge_options options;
    struct publish_context publish;
    struct callers callers;
    struct list links, closing;
    const struct manifest *manifest; /* what it is to be */
    struct io_task again;            /* configures once more, behind what was in the way */
    bool waits;                      /* something was in the way: a change, a link that closes */
    bool configuring;
    struct messaging_setup setup; /* of the stream */
    bool keeping;                 /* it is under way */
    struct buf kept, keeps;       /* the subjects that the stream has, and is to have */
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

/* What was in the way is gone. */
static void go_on(struct bridge *bridge)
{
    if (bridge->waits && !bridge->closed) io_post(bridge->options.io, &bridge->again);
}

static void tell_if_settled(struct bridge *bridge)
{
    void (*settled)(void *context) = bridge->settled;
    if (!settled || bridge->keeping || bridge->waits || bridge->configuring) return;
    if (!list_empty(&bridge->closing)) return;
    LIST_EACH(&bridge->links, struct link, link, link)
        if (!link->open) return;
    bridge->settled = NULL;
    settled(bridge->settled_context);
}

static void finish_if_done(struct bridge *bridge)
{
    if (!bridge->closed || !list_empty(&bridge->closing)) return;
    callers_release(&bridge->callers);
    buf_release(&bridge->kept);
    buf_release(&bridge->keeps);
    void (*done)(void *) = bridge->done;
    void *context = bridge->context;
    free(bridge);
    if (done) done(context);
}

static void complain(struct bridge *bridge, const char *reason)
{
    LOG(bridge->options.log, LOG_ERROR, "bridge_incomplete", LOG_S("reason", reason));
    if (bridge->options.incomplete) bridge->options.incomplete(bridge->options.context, reason);
}

static void configure_links(struct bridge *bridge);

static void stream_kept(struct messaging_setup *setup, int result, const struct error *error)
{
    struct bridge *bridge = CONTAINER_OF(setup, struct bridge, setup);
    bridge->keeping = false;
    if (result) {
        complain(bridge, error->message);
    } else {
        struct buf old = bridge->kept;
        bridge->kept = bridge->keeps;
        bridge->keeps = old;
    }
    if (bridge->waits)
        go_on(bridge);
    else if (!result)
        configure_links(bridge);
    tell_if_settled(bridge);
}

static void keep_stream(struct bridge *bridge, const char *const *subjects, size_t count)
{
    const struct messaging_stream stream = {
        .name = BRIDGE_STREAM,
        .subjects = subjects,
        .subject_count = count,
        .max_age_ns = (int64_t)KEEP_DAYS * 24 * 3600 * 1000000000,
    };
    int err = bridge->keeps.failed ? ERR_NOMEM
                                   : messaging_keep_stream(bridge->options.messaging,
                                                           &bridge->setup, &stream, stream_kept);
    bridge->keeping = !err;
    if (err) complain(bridge, err_text(err));
}

/* True: the stream is as it should be. Else what is to come comes when it is. What the stream holds
 * stays also when nobody wants it any more. */
static bool configure_stream(struct bridge *bridge)
{
    const char *subjects[BRIDGE_SUBJECTS_MAX + 1];
    size_t count = gather_subjects(bridge->manifest, subjects);
    if (!count) return true;
    if (count > BRIDGE_SUBJECTS_MAX) {
        char text[80];
        snprintf(text, sizeof text, "there are more than %d durable subjects", BRIDGE_SUBJECTS_MAX);
        complain(bridge, text);
        return false;
    }
    if (bridge->keeping) {
        bridge->waits = true;
        return false;
    }
    buf_clear(&bridge->keeps);
    for (size_t i = 0; i < count; i++) buf_append_format(&bridge->keeps, "%s ", subjects[i]);
    if (bytes_eq(buf_bytes(&bridge->keeps), buf_bytes(&bridge->kept))) return true;
    keep_stream(bridge, subjects, count);
    return false;
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

static void link_opened(void *context)
{
    struct link *link = context;
    link->open = true;
    tell_if_settled(link->bridge);
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
    int err = events_open(bridge->options.messaging, BRIDGE_STREAM, &bridge->callers,
                          bridge->options.log, &config, &link->events, error);
    if (err)
        link_close(bridge, link);
    else
        events_when_open(link->events, link_opened, link);
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
    link->open = true;
    int err = answers_open(bridge->options.messaging, &bridge->callers, bridge->options.log,
                           &config, &link->answers);
    if (err) {
        link_close(bridge, link);
        error_set(error, err, "cannot answer %s for %s: %s", answer->subject.data,
                  service->name.data, err_text(err));
    }
    return err;
}

static void want_service(struct bridge *bridge, const struct manifest *manifest,
                         const struct manifest_service *service)
{
    for (size_t i = 0; i < service->subscribe_count; i++) {
        struct error error = {0};
        if (want_events(bridge, manifest, service, &service->subscribes[i], &error) != 0)
            complain(bridge, error.message);
    }
    for (size_t i = 0; i < service->answer_count; i++) {
        struct error error = {0};
        if (want_answers(bridge, service, &service->answers[i], &error) != 0)
            complain(bridge, error.message);
    }
}

static void configure_links(struct bridge *bridge)
{
    const struct manifest *manifest = bridge->manifest;
    bridge->configuring = true;
    LIST_EACH(&bridge->links, struct link, link, link) link->wanted = false;
    for (size_t i = 0; i < manifest->service_count; i++)
        want_service(bridge, manifest, manifest->services[i]);
    LIST_EACH(&bridge->links, struct link, link, link)
        if (!link->wanted) link_close(bridge, link);
    bridge->configuring = false;
}

static void configure(struct bridge *bridge)
{
    bridge->waits = false;
    if (configure_stream(bridge)) configure_links(bridge);
    tell_if_settled(bridge);
}

static void configure_again(struct io_task *task)
{
    configure(CONTAINER_OF(task, struct bridge, again));
}

void bridge_configure(struct bridge *bridge, const struct manifest *manifest)
{
    bridge->manifest = manifest;
    configure(bridge);
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
    buf_init(&bridge->kept, SUBJECTS_TEXT_MAX);
    buf_init(&bridge->keeps, SUBJECTS_TEXT_MAX);
    bridge->publish = (struct publish_context){options->messaging, options->max_payload};
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
    if (bridge->keeping) messaging_setup_cancel(&bridge->setup);
    bridge->keeping = false;
    LIST_EACH(&bridge->links, struct link, link, link) link_close(bridge, link);
    finish_if_done(bridge);
}
