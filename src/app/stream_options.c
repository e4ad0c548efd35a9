#include "app/stream_options.h"

void stream_options_list(struct stream_options *o, struct cli_option ret[STREAM_OPTIONS])
{
    const struct cli_option all[STREAM_OPTIONS] = {
        {"subjects", 0, NULL, NULL, &o->subjects},
        {"description", 0, NULL, &o->description, NULL},
        {"retention", 0, NULL, &o->retention, NULL},
        {"discard", 0, NULL, &o->discard, NULL},
        {"storage", 0, NULL, &o->storage, NULL},
        {"fsync", 0, NULL, &o->fsync, NULL},
        {"compression", 0, NULL, &o->compression, NULL},
        {"max-msgs", 0, NULL, &o->max_messages, NULL},
        {"max-bytes", 0, NULL, &o->max_bytes, NULL},
        {"max-age", 0, NULL, &o->max_age, NULL},
        {"max-msg-size", 0, NULL, &o->max_size, NULL},
        {"max-msgs-per-subject", 0, NULL, &o->max_per_subject, NULL},
        {"max-consumers", 0, NULL, &o->max_consumers, NULL},
        {"dupe-window", 0, NULL, &o->duplicates, NULL},
        {"replicas", 0, NULL, &o->replicas, NULL},
        {"mirror", 0, NULL, &o->mirror, NULL},
        {"source", 0, NULL, NULL, &o->sources},
        {"no-direct", 0, &o->no_direct, NULL, NULL},
        {"deny-delete", 0, &o->deny_delete, NULL, NULL},
        {"deny-purge", 0, &o->deny_purge, NULL, NULL},
        {"allow-rollup", 0, &o->allow_rollup, NULL, NULL},
        {"allow-msg-ttl", 0, &o->allow_ttl, NULL, NULL},
    };
    memcpy(ret, all, sizeof all);
}

/* ---- values ---- */

static int put_choice(const char *command, const char *option, const char *text,
                      const char *const *choices, struct dure_json *config, const char *key)
{
    if (!text) return 0;
    size_t count = 0;
    for (; choices[count]; count++)
        if (strcmp(text, choices[count]) == 0) {
            dure_json_set_string(config, key, text);
            return 0;
        }
    fprintf(stderr, "dure %s: --%s needs", command, option);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%s %s", i == 0 ? "" : i + 1 == count ? " or" : ",", choices[i]);
    const char *near = bytes_nearest(bytes_str(text), choices, count);
    fprintf(stderr, ", not '%s'", text);
    if (near) fprintf(stderr, " (did you mean %s?)", near);
    fprintf(stderr, "\n");
    return -1;
}

/* "unlimited" is -1 on the wire. */
static bool unlimited(const char *text)
{
    return strcmp(text, "unlimited") == 0 || strcmp(text, "-1") == 0;
}

static int put_limit(const char *command, const char *option, const char *text,
                     struct dure_json *config, const char *key,
                     int (*parse)(const char *, const char *, const char *, uint64_t *),
                     int64_t none)
{
    uint64_t value = 0;
    if (!text) return 0;
    if (unlimited(text)) {
        dure_json_set_int(config, key, none);
        return 0;
    }
    if (parse(command, option, text, &value) != 0) return -1;
    dure_json_set_int(config, key, (int64_t)value);
    return 0;
}

/* "a.>,b" and several options. */
static void put_list(struct dure_ctx *ctx, const struct cli_list *list, struct dure_json *config,
                     const char *key)
{
    struct dure_json *array = dure_json_array(ctx);
    for (size_t i = 0; i < list->count; i++) {
        struct bytes rest = bytes_str(list->values[i]);
        while (rest.data) {
            struct bytes one = bytes_trim(bytes_cut(&rest, ','));
            dure_json_set_string(array, NULL, dure_copy(ctx, one.data, one.len));
        }
    }
    if (list->count) dure_json_set(config, key, array);
}

static void put_text(struct dure_json *config, const char *key, const char *text)
{
    if (text) dure_json_set_string(config, key, text);
}

static void put_flag(struct dure_json *config, const char *key, bool flag)
{
    if (flag) dure_json_set_bool(config, key, true);
}

/* ---- streams ---- */

static void put_origins(const struct stream_options *o, struct dure_ctx *ctx,
                        struct dure_json *config)
{
    struct dure_json *array = dure_json_array(ctx);
    for (size_t i = 0; i < o->sources.count; i++) {
        struct dure_json *source = dure_json_object(ctx);
        dure_json_set_string(source, "name", o->sources.values[i]);
        dure_json_set(array, NULL, source);
    }
    if (o->sources.count) dure_json_set(config, "sources", array);
    if (!o->mirror) return;
    struct dure_json *mirror = dure_json_object(ctx);
    dure_json_set_string(mirror, "name", o->mirror);
    dure_json_set(config, "mirror", mirror);
}

static int put_fsync(const struct stream_options *o, const char *command, struct dure_ctx *ctx,
                     struct dure_json *config)
{
    static const char *const choices[] = {"each", "interval", "never", NULL};
    if (!o->fsync) return 0;
    struct dure_json *metadata = dure_json_get(config, "metadata");
    if (!metadata) metadata = dure_json_object(ctx);
    if (put_choice(command, "fsync", o->fsync, choices, metadata, STREAM_FSYNC) != 0) return -1;
    dure_json_set(config, "metadata", metadata);
    return 0;
}

static int put_limits(const struct stream_options *o, const char *command, struct dure_json *config)
{
    int bad = put_limit(command, "max-msgs", o->max_messages, config, "max_msgs", bus_number, -1);
    bad |= put_limit(command, "max-bytes", o->max_bytes, config, "max_bytes", bus_bytes, -1);
    bad |= put_limit(command, "max-age", o->max_age, config, "max_age", bus_duration, 0);
    bad |= put_limit(command, "max-msg-size", o->max_size, config, "max_msg_size", bus_bytes, -1);
    bad |= put_limit(command, "max-msgs-per-subject", o->max_per_subject, config,
                     "max_msgs_per_subject", bus_number, -1);
    bad |= put_limit(command, "max-consumers", o->max_consumers, config, "max_consumers",
                     bus_number, -1);
    bad |= put_limit(command, "dupe-window", o->duplicates, config, "duplicate_window",
                     bus_duration, 0);
    bad |= put_limit(command, "replicas", o->replicas, config, "num_replicas", bus_number, 1);
    return bad;
}

int stream_options_apply(const struct stream_options *o, const char *command, struct dure_ctx *ctx,
                         struct dure_json *config)
{
    static const char *const retentions[] = {"limits", "interest", "workqueue", NULL};
    static const char *const discards[] = {"old", "new", NULL};
    static const char *const storages[] = {"file", "memory", NULL};
    static const char *const compressions[] = {"none", "s2", NULL};
    int bad = put_choice(command, "retention", o->retention, retentions, config, "retention");
    bad |= put_choice(command, "discard", o->discard, discards, config, "discard");
    bad |= put_choice(command, "storage", o->storage, storages, config, "storage");
    bad |= put_choice(command, "compression", o->compression, compressions, config, "compression");
    bad |= put_limits(o, command, config);
    bad |= put_fsync(o, command, ctx, config);
    put_list(ctx, &o->subjects, config, "subjects");
    put_text(config, "description", o->description);
    put_origins(o, ctx, config);
    put_flag(config, "deny_delete", o->deny_delete);
    put_flag(config, "deny_purge", o->deny_purge);
    put_flag(config, "allow_rollup_hdrs", o->allow_rollup);
    put_flag(config, "allow_msg_ttl", o->allow_ttl);
    if (o->no_direct) dure_json_set_bool(config, "allow_direct", false);
    return bad;
}

/* ---- consumers ---- */

void consumer_options_list(struct consumer_options *o, struct cli_option ret[CONSUMER_OPTIONS])
{
    const struct cli_option all[CONSUMER_OPTIONS] = {
        {"filter", 0, NULL, NULL, &o->filters},
        {"description", 0, NULL, &o->description, NULL},
        {"deliver", 0, NULL, &o->deliver, NULL},
        {"ack", 0, NULL, &o->ack, NULL},
        {"ack-wait", 0, NULL, &o->ack_wait, NULL},
        {"max-deliver", 0, NULL, &o->max_deliver, NULL},
        {"max-pending", 0, NULL, &o->max_pending, NULL},
        {"inactive", 0, NULL, &o->inactive, NULL},
        {"backoff", 0, NULL, NULL, &o->backoff},
        {"headers-only", 0, &o->headers_only, NULL, NULL},
    };
    memcpy(ret, all, sizeof all);
}

static int put_backoff(const struct consumer_options *o, const char *command, struct dure_ctx *ctx,
                       struct dure_json *config)
{
    struct dure_json *array = dure_json_array(ctx);
    for (size_t i = 0; i < o->backoff.count; i++) {
        struct bytes rest = bytes_str(o->backoff.values[i]);
        while (rest.data) {
            struct bytes one = bytes_trim(bytes_cut(&rest, ','));
            uint64_t ns = 0;
            if (bus_duration(command, "backoff", dure_copy(ctx, one.data, one.len), &ns) != 0)
                return -1;
            dure_json_set_int(array, NULL, (int64_t)ns);
        }
    }
    if (o->backoff.count) dure_json_set(config, "backoff", array);
    return 0;
}

/* Where it begins: a word, a sequence, or a time. */
static int put_deliver(const struct consumer_options *o, const char *command,
                       struct dure_json *config)
{
    static const char *const words[] = {"all", "last", "new", "last_per_subject", NULL};
    uint64_t sequence;
    if (!o->deliver) {
        dure_json_set_string(config, "deliver_policy", "all");
        return 0;
    }
    if (bytes_to_u64(bytes_str(o->deliver), INT64_MAX, &sequence) == 0) {
        dure_json_set_string(config, "deliver_policy", "by_start_sequence");
        dure_json_set_int(config, "opt_start_seq", (int64_t)sequence);
        return 0;
    }
    if (strchr(o->deliver, 'T')) {
        dure_json_set_string(config, "deliver_policy", "by_start_time");
        dure_json_set_string(config, "opt_start_time", o->deliver);
        return 0;
    }
    return put_choice(command, "deliver", o->deliver, words, config, "deliver_policy");
}

int consumer_options_apply(const struct consumer_options *o, const char *command,
                           struct dure_ctx *ctx, struct dure_json *config)
{
    static const char *const acks[] = {"explicit", "all", "none", NULL};
    int bad = put_choice(command, "ack", o->ack ? o->ack : "explicit", acks, config, "ack_policy");
    bad |= put_deliver(o, command, config);
    bad |= put_limit(command, "ack-wait", o->ack_wait, config, "ack_wait", bus_duration, 0);
    bad |= put_limit(command, "max-deliver", o->max_deliver, config, "max_deliver", bus_number, -1);
    bad |= put_limit(command, "max-pending", o->max_pending, config, "max_ack_pending", bus_number,
                     -1);
    bad |=
        put_limit(command, "inactive", o->inactive, config, "inactive_threshold", bus_duration, 0);
    bad |= put_backoff(o, command, ctx, config);
    if (o->filters.count == 1 && !strchr(o->filters.values[0], ','))
        put_text(config, "filter_subject", o->filters.values[0]);
    else
        put_list(ctx, &o->filters, config, "filter_subjects");
    put_text(config, "description", o->description);
    put_flag(config, "headers_only", o->headers_only);
    return bad;
}
