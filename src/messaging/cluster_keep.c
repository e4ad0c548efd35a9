/* Streams in a cluster: made or changed until they are as this program wants them. */
#include "messaging/cluster.h"

#include "stream/consumer.h"
#include "stream/dead_letter.h"

#include <stdio.h>
#include <stdlib.h>

enum { NO_PEERS = 10005, NO_RESOURCES = 10023, STREAM_NOT_FOUND = 10059 };

static void begin(struct cluster_keep *keep);

static void end(struct cluster_keep *keep, int result, const struct error *error)
{
    cluster_keep_cancel(keep);
    keep->done(keep, result, error);
}

/* Not now: said once, then tried again and again. */
static void later(struct cluster_keep *keep, const char *reason)
{
    struct cluster *cluster = keep->cluster;
    if (!keep->told)
        LOG(cluster->log, LOG_WARN, "stream_waits", LOG_S("stream", keep->name),
            LOG_S("reason", reason));
    keep->told = true;
    io_timer_set(cluster->messaging.io, &keep->timer, CLUSTER_AGAIN_MS);
}

static void ask(struct cluster_keep *keep, const char *what, json_t *body,
                void (*done)(struct jsapi *api, int result, json_t *answer,
                             const struct error *error))
{
    char subject[320];
    snprintf(subject, sizeof subject, "STREAM.%s.%s", what, keep->name);
    int err = jsapi_ask(keep->cluster->client, &keep->api, subject, body, CLUSTER_API_MS, done);
    if (err) later(keep, err_text(err));
}

static void changed(struct jsapi *api, int result, json_t *answer, const struct error *error)
{
    struct cluster_keep *keep = CONTAINER_OF(api, struct cluster_keep, api);
    if (result &&
        (cluster_passes(result) || api->err_code == NO_PEERS || api->err_code == NO_RESOURCES))
        later(keep, error->message);
    else
        end(keep, result, error);
}

/* Whether `existing` says all that `wanted` does; of objects it may have more. */
static bool covers(const json_t *existing, json_t *wanted)
{
    const char *key;
    json_t *value;
    if (!json_is_object(wanted)) return json_equal(existing, wanted);
    json_object_foreach(wanted, key,
                        value) if (!covers(json_object_get(existing, key), value)) return false;
    return true;
}

json_t *cluster_merge(json_t *existing, json_t *wanted)
{
    if (covers(existing, wanted)) return NULL;
    json_t *config = json_deep_copy(existing);
    json_object_update_recursive(config, wanted);
    return config;
}

static void found(struct jsapi *api, int result, json_t *answer, const struct error *error)
{
    struct cluster_keep *keep = CONTAINER_OF(api, struct cluster_keep, api);
    if (api->err_code == STREAM_NOT_FOUND) {
        ask(keep, "CREATE", json_incref(keep->config), changed);
        return;
    }
    if (result && cluster_passes(result)) {
        later(keep, error->message);
        return;
    }
    json_t *config = result ? NULL : cluster_merge(json_object_get(answer, "config"), keep->config);
    if (config)
        ask(keep, "UPDATE", config, changed);
    else
        end(keep, result, error);
}

static void begin(struct cluster_keep *keep)
{
    json_object_set_new(keep->config, "num_replicas",
                        json_integer(cluster_replicas(keep->cluster)));
    ask(keep, "INFO", NULL, found);
}

static void timer_fired(struct io_timer *timer)
{
    begin(CONTAINER_OF(timer, struct cluster_keep, timer));
}

void cluster_keep(struct cluster *cluster, struct cluster_keep *keep, const char *name,
                  json_t *config,
                  void (*done)(struct cluster_keep *keep, int result, const struct error *error))
{
    *keep = (struct cluster_keep){.done = done, .cluster = cluster, .config = config};
    snprintf(keep->name, sizeof keep->name, "%s", name);
    json_object_set_new(config, "name", json_string(name));
    io_timer_init(&keep->timer, timer_fired);
    io_timer_set(cluster->messaging.io, &keep->timer, 0);
}

void cluster_keep_cancel(struct cluster_keep *keep)
{
    if (!keep->cluster) return;
    jsapi_cancel(&keep->api);
    io_timer_cancel(keep->cluster->messaging.io, &keep->timer);
    json_decref(keep->config);
    keep->config = NULL;
    keep->cluster = NULL;
}

/* ---- for the port ---------------------------------------------------------------------------- */

struct cluster_setup {
    struct messaging_setup *setup;
    struct cluster_keep keep;
};

static void setup_done(struct cluster_keep *keep, int result, const struct error *error)
{
    struct cluster_setup *of_engine = CONTAINER_OF(keep, struct cluster_setup, keep);
    struct messaging_setup *setup = of_engine->setup;
    struct error copy = *error;
    free(of_engine);
    setup->messaging = NULL;
    setup->done(setup, result, &copy);
}

int cluster_keep_stream(struct messaging *messaging, struct messaging_setup *setup,
                        const struct messaging_stream *stream)
{
    struct cluster *cluster = cluster_of(messaging);
    struct cluster_setup *of_engine = calloc(1, sizeof *of_engine);
    if (!of_engine) return ERR_NOMEM;
    int err = cluster_learn_subjects(cluster, stream);
    json_t *subjects = json_array();
    for (size_t i = 0; i < stream->subject_count; i++)
        json_array_append_new(subjects, json_string(stream->subjects[i]));
    json_t *config =
        json_pack("{s:o, s:s, s:s, s:I, s:b}", "subjects", subjects, "retention", "limits",
                  "storage", "file", "max_age", (json_int_t)stream->max_age_ns, "allow_direct", 1);
    if (stream->duplicate_window_ns)
        json_object_set_new(config, "duplicate_window", json_integer(stream->duplicate_window_ns));
    if (!config || err) {
        json_decref(config);
        free(of_engine);
        return ERR_NOMEM;
    }
    of_engine->setup = setup;
    setup->of_engine = of_engine;
    cluster_keep(cluster, &of_engine->keep, stream->name, config, setup_done);
    return 0;
}

void cluster_setup_cancel(struct messaging_setup *setup)
{
    struct cluster_setup *of_engine = setup->of_engine;
    cluster_keep_cancel(&of_engine->keep);
    free(of_engine);
}

/* ---- dead letters ---------------------------------------------------------------------------- */

static void dead_kept(struct cluster_keep *keep, int result, const struct error *error)
{
    struct cluster *cluster = CONTAINER_OF(keep, struct cluster, dead);
    cluster->dead_state = result ? DEAD_UNKNOWN : DEAD_THERE;
    if (result)
        LOG(cluster->log, LOG_ERROR, "dead_letters_without_stream",
            LOG_S("reason", error->message));
}

bool cluster_keep_dead(struct cluster *cluster)
{
    if (cluster->dead_state == DEAD_UNKNOWN) {
        json_t *config =
            json_pack("{s:[s], s:s, s:s, s:I, s:b}", "subjects", CONSUMER_DEAD_STREAM ".>",
                      "retention", "limits", "storage", "file", "duplicate_window",
                      (json_int_t)DEAD_LETTER_WINDOW_NS, "allow_direct", 1);
        cluster->dead_state = DEAD_KEEPING;
        cluster_keep(cluster, &cluster->dead, CONSUMER_DEAD_STREAM, config, dead_kept);
    }
    return cluster->dead_state == DEAD_THERE;
}
