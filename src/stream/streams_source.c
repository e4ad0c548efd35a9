#include "stream/streams_source.h"

#include <stdlib.h>

enum {
    READ_AHEAD = 64 << 10,
    SCAN_BUDGET = 4096,
    AT_ONCE = 256, /* messages copied before others have their turn */
    RETRY_MS = 1000,
};

struct follower {
    struct streams *streams;
    struct stream *stream, *origin; /* origin NULL: there is none yet */
    struct stream_source source;    /* its texts are those of `config` */
    struct stream_config *config;   /* a copy */
    struct stream_mapper **mappers; /* one for each transform */
    uint64_t key;                   /* names this source in the stream's records */
    uint64_t next;                  /* where to look in the origin */
    uint64_t released;              /* what lies before it in the origin is not needed any more */
    uint64_t heard_ns;              /* when there was something from it; 0: never */
    struct stream_filter filter;
    struct stream_observer observer; /* of the origin */
    struct stream_observer kept;     /* of the stream itself */
    struct stream_interest interest; /* in the origin */
    struct stream_get get;
    struct io_task task;
    struct io_timer retry;
    bool mirror, getting, lost, dead;
    struct list link;
};

/* ---- how far it has come ---- */

/* The last of the origin's messages that its stream has been given. */
static uint64_t submitted(const struct follower *follower)
{
    const struct stream *stream = follower->stream;
    return follower->mirror ? stream->submitted_seq : stream_source_last(stream, follower->key);
}

static void resume(struct follower *follower)
{
    uint64_t last = submitted(follower);
    uint64_t start = follower->source.start_seq;
    if (!start && follower->source.start_time_ns && follower->origin) {
        start = stream_seq_at(follower->origin, follower->source.start_time_ns);
        if (!start) start = follower->origin->last_seq + 1;
    }
    follower->next = last + 1 > start ? last + 1 : start;
}

/* Up to where the origin's messages are durable here, or are not for it. */
static uint64_t copied(const struct follower *follower)
{
    const struct stream *stream = follower->stream;
    uint64_t durable =
        follower->mirror ? stream->last_seq : stream_source_kept(stream, follower->key);
    return submitted(follower) > durable || follower->lost ? durable : follower->next - 1;
}

static bool needs(struct stream_interest *interest, uint64_t seq, struct bytes subject)
{
    const struct follower *follower = CONTAINER_OF(interest, struct follower, interest);
    return seq > copied(follower) && stream_filter_matches(&follower->filter, subject);
}

/* An origin that keeps what is needed need not keep what is here. */
static void release(struct follower *follower)
{
    struct stream_entry entry;
    struct stream *origin = follower->origin;
    if (!origin || origin->config->retention == STREAM_RETENTION_LIMITS) return;
    uint64_t last = copied(follower);
    for (; follower->released <= last; follower->released = entry.seq + 1) {
        if (!stream_index_from(&origin->index, follower->released, &entry)) break;
        if (entry.seq > last) break;
        if (!stream_filter_matches(&follower->filter, entry.subject->name)) continue;
        stream_copied(origin, entry.seq);
    }
}

static void kept(struct stream_observer *observer, const struct stream_message *message)
{
    struct follower *follower = CONTAINER_OF(observer, struct follower, kept);
    if (!follower->dead) release(follower);
}

/* ---- copying ---- */

static const struct stream_mapper *mapper_for(const struct follower *follower, struct bytes subject)
{
    for (size_t i = 0; i < follower->source.transform_count; i++) {
        if (stream_mapper_matches(follower->mappers[i], subject)) return follower->mappers[i];
    }
    return NULL;
}

static bool is_full(const struct stream *stream)
{
    const struct stream_config *config = stream->config;
    if (config->discard != STREAM_DISCARD_NEW) return false;
    uint64_t messages = stream->index.count + stream->pending_messages;
    uint64_t bytes = stream->index.bytes + stream->pending_bytes;
    return (config->max_msgs > 0 && messages >= (uint64_t)config->max_msgs) ||
           (config->max_bytes > 0 && bytes >= (uint64_t)config->max_bytes);
}

static int submit_mirrored(struct follower *follower, const struct stream_message *message,
                           struct bytes subject)
{
    struct buf room;
    struct stream_record record = {
        .kind = STREAM_RECORD_MESSAGE,
        .seq = message->seq,
        .value = message->time_ns,
        .subject = subject,
        .payload = message->message.payload,
    };
    if (message->seq <= follower->stream->submitted_seq) return 0;
    int r = stream_headers_mirrored(message->message.headers, &room, &record.headers);
    if (r == 0) r = stream_submit_message(follower->stream, &record, BYTES(""));
    buf_release(&room);
    return r;
}

static int submit_sourced(struct follower *follower, const struct stream_message *message,
                          struct bytes subject)
{
    char room[STREAM_SUBJECT_MAX];
    struct buf headers;
    int r = stream_headers_sourced(message->message.headers, follower->source.name, message->seq,
                                   &headers);
    const struct stream_record record = {
        .kind = STREAM_RECORD_MESSAGE,
        .flags = STREAM_FLAG_SOURCED,
        .seq = follower->stream->submitted_seq + 1,
        .value = stream_now_ns(follower->stream),
        .origin = {follower->key, message->seq},
        .subject = stream_map_subject(follower->stream, subject, room),
        .headers = buf_bytes(&headers),
        .payload = message->message.payload,
    };
    if (r == 0) r = stream_submit_message(follower->stream, &record, BYTES(""));
    buf_release(&headers);
    return r;
}

/* Errors are for later; what cannot be mapped is left out. */
static int take(struct follower *follower, const struct stream_message *message)
{
    char room[STREAM_SUBJECT_MAX];
    size_t len;
    struct bytes subject = message->message.subject;
    const struct stream_mapper *mapper = mapper_for(follower, subject);
    if (mapper) {
        if (stream_mapper_map(mapper, subject, room, sizeof room, &len) < 0) return 0;
        subject = bytes_make(room, len);
    }
    follower->heard_ns = io_now_ns(follower->streams->io);
    if (is_full(follower->stream)) return ERR_FULL;
    return follower->mirror ? submit_mirrored(follower, message, subject)
                            : submit_sourced(follower, message, subject);
}

static void wake(struct follower *follower)
{
    if (!follower->dead && follower->origin) io_post(follower->streams->io, &follower->task);
}

static void follower_free(struct follower *follower)
{
    struct io *io = follower->streams->io;
    io_task_cancel(io, &follower->task);
    io_timer_cancel(io, &follower->retry);
    list_remove(&follower->link);
    stream_unobserve(&follower->observer);
    stream_unobserve(&follower->kept);
    stream_detach(&follower->interest, false);
    stream_get_release(&follower->get);
    stream_filter_release(&follower->filter);
    for (size_t i = 0; follower->mappers && i < follower->source.transform_count; i++) {
        stream_mapper_free(follower->mappers[i]);
    }
    free(follower->mappers);
    free(follower->config);
    free(follower);
}

static void wait_for_better(struct follower *follower)
{
    io_timer_set(follower->streams->io, &follower->retry, RETRY_MS);
}

static void got(struct stream_get *get, int result, const struct stream_message *message)
{
    struct follower *follower = CONTAINER_OF(get, struct follower, get);
    follower->getting = false;
    if (follower->dead) {
        follower_free(follower);
        return;
    }
    if (!follower->origin || follower->lost) return;
    if (get->stream != follower->origin) { /* gone, and another one has come in its place */
        wake(follower);
        return;
    }
    if (result == 0) result = take(follower, message);
    if (result < 0 && result != ERR_NOT_FOUND) {
        wait_for_better(follower);
        return;
    }
    follower->next = get->seq + 1;
    wake(follower);
}

/* Copies what needs no read, then reads. */
static void run(struct io_task *task)
{
    struct follower *follower = CONTAINER_OF(task, struct follower, task);
    struct stream_message message;
    uint64_t resume_at, seq = 0;
    if (follower->dead || follower->getting || follower->lost || !follower->origin ||
        follower->stream->closing) {
        return;
    }
    for (int i = 0; i < AT_ONCE; i++) {
        seq = stream_filter_next(&follower->filter, follower->next, SCAN_BUDGET, &resume_at);
        if (!seq && !resume_at) {
            release(follower);
            return;
        }
        if (!seq) {
            follower->next = resume_at;
            break;
        }
        if (!stream_get_held(follower->origin, &follower->get, seq, &message)) {
            follower->getting = true;
            stream_get(follower->origin, &follower->get, seq, got);
            return;
        }
        int r = take(follower, &message);
        message_done(&message.message);
        if (r < 0) {
            wait_for_better(follower);
            return;
        }
        follower->next = seq + 1;
    }
    wake(follower);
}

static void stored(struct stream_observer *observer, const struct stream_message *message)
{
    wake(CONTAINER_OF(observer, struct follower, observer));
}

static void retry(struct io_timer *timer)
{
    struct follower *follower = CONTAINER_OF(timer, struct follower, retry);
    if (follower->lost && follower->origin) resume(follower);
    follower->lost = false;
    wake(follower);
}

void streams_follow_again(struct streams *streams, struct stream *stream)
{
    LIST_EACH(&streams->followers, struct follower, link, follower) {
        if (follower->stream != stream || follower->dead) continue;
        follower->lost = true;
        wait_for_better(follower);
    }
}

/* ---- beginning and ending ---- */

static int open_filter(struct follower *follower)
{
    const struct stream_source *source = &follower->source;
    size_t count = source->transform_count;
    bool filtered = source->filter && *source->filter;
    if (filtered) {
        struct bytes one = bytes_str(source->filter);
        return stream_filter_init(&follower->filter, follower->origin, &one, 1);
    }
    struct bytes *patterns = count ? calloc(count, sizeof *patterns) : NULL;
    if (count && !patterns) return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        const char *src = source->transforms[i].src;
        patterns[i] = bytes_str(src && *src ? src : ">");
    }
    int r = stream_filter_init(&follower->filter, follower->origin, patterns, count);
    free(patterns);
    return r;
}

static void begin(struct follower *follower, struct stream *origin)
{
    follower->origin = origin;
    if (open_filter(follower) < 0) {
        follower->origin = NULL;
        return;
    }
    stream_observe(origin, &follower->observer);
    resume(follower);
    follower->released = 0;
    stream_attach(origin, &follower->interest);
    wake(follower);
}

static void let_go(struct follower *follower)
{
    stream_unobserve(&follower->observer);
    stream_detach(&follower->interest, false);
    stream_filter_release(&follower->filter);
    follower->origin = NULL;
}

static void end(struct follower *follower)
{
    follower->dead = true;
    stream_unobserve(&follower->kept);
    let_go(follower);
    if (!follower->getting) follower_free(follower);
}

/* FNV-1a; never 0. */
static uint64_t add_key(uint64_t key, const char *text)
{
    for (; text && *text; text++) key = (key ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return (key ^ 0xff) * UINT64_C(1099511628211);
}

static uint64_t key_of(const struct stream_source *source)
{
    uint64_t key = add_key(UINT64_C(14695981039346656037), source->name);
    key = add_key(key, source->filter);
    for (size_t i = 0; i < source->transform_count; i++) {
        key = add_key(key, source->transforms[i].src);
        key = add_key(key, source->transforms[i].dest);
    }
    return key ? key : 1;
}

static int make_mappers(struct follower *follower)
{
    size_t count = follower->source.transform_count;
    follower->mappers = calloc(count + 1, sizeof(struct stream_mapper *));
    int r = follower->mappers ? 0 : ERR_NOMEM;
    for (size_t i = 0; r == 0 && i < count; i++) {
        const struct stream_transform *transform = &follower->source.transforms[i];
        const char *why;
        r = stream_mapper_new(bytes_str(transform->src), bytes_str(transform->dest),
                              &follower->mappers[i], &why);
    }
    return r;
}

/* `index`: which of the sources; SIZE_MAX: the mirror. */
static int follow(struct streams *streams, struct stream *stream, size_t index)
{
    struct follower *follower = calloc(1, sizeof *follower);
    if (!follower) return ERR_NOMEM;
    follower->streams = streams;
    follower->stream = stream;
    follower->mirror = index == SIZE_MAX;
    follower->observer.stored = stored;
    follower->kept.stored = kept;
    follower->interest = (struct stream_interest){.needs = needs, .copies = true};
    list_init(&follower->observer.link);
    list_init(&follower->kept.link);
    list_init(&follower->link);
    list_push(&streams->followers, &follower->link);
    stream_get_init(&follower->get);
    follower->get.ahead_bytes = READ_AHEAD;
    io_task_init(&follower->task, run);
    io_timer_init(&follower->retry, retry);
    follower->config = stream_config_copy(stream->config);
    int r = follower->config ? 0 : ERR_NOMEM;
    if (r == 0) {
        follower->source =
            follower->mirror ? *follower->config->mirror : follower->config->sources[index];
        follower->key = key_of(&follower->source);
        r = make_mappers(follower);
    }
    if (r < 0) {
        follower_free(follower);
        return r;
    }
    stream_observe(stream, &follower->kept);
    struct stream *origin = streams_find(streams, bytes_str(follower->source.name));
    if (origin && origin != stream) begin(follower, origin);
    return 0;
}

static void end_all_of(struct streams *streams, const struct stream *stream)
{
    LIST_EACH(&streams->followers, struct follower, link, follower) {
        if (follower->stream == stream && !follower->dead) end(follower);
    }
}

int streams_follow(struct streams *streams, struct stream *stream)
{
    int r = 0;
    end_all_of(streams, stream);
    if (stream->config->mirror) r = follow(streams, stream, SIZE_MAX);
    for (size_t i = 0; r == 0 && i < stream->config->source_count; i++) {
        r = follow(streams, stream, i);
    }
    if (r < 0) end_all_of(streams, stream);
    return r;
}

void streams_unfollow(struct streams *streams, struct stream *stream)
{
    LIST_EACH(&streams->followers, struct follower, link, follower) {
        struct stream *origin = follower->origin;
        if (origin == stream) let_go(follower);
        if (follower->stream != stream || follower->dead) continue;
        end(follower);
        if (origin && origin != stream) stream_interest_changed(origin);
    }
}

void streams_origin_came(struct streams *streams, struct stream *origin)
{
    LIST_EACH(&streams->followers, struct follower, link, follower) {
        if (follower->dead || follower->origin || follower->stream == origin) continue;
        if (strcmp(follower->source.name, origin->name) == 0) begin(follower, origin);
    }
}

void streams_followers_free(struct streams *streams)
{
    LIST_EACH(&streams->followers, struct follower, link, follower) {
        follower->get.read.busy = false;
        follower_free(follower);
    }
}

/* ---- how it goes ---- */

bool streams_origin(const struct stream *stream, size_t index, struct streams_origin *ret)
{
    const struct streams *streams = stream->host->context;
    LIST_EACH(&streams->followers, struct follower, link, follower) {
        if (follower->stream != stream || follower->dead || index-- > 0) continue;
        bool open = follower->origin != NULL;
        uint64_t heard = follower->heard_ns, now = io_now_ns(streams->io);
        *ret = (struct streams_origin){
            .source = &follower->source,
            .there = open,
            .lag = open ? stream_filter_count(&follower->filter, follower->next) : 0,
            .active_ns = heard ? (int64_t)(now - heard) : -1,
        };
        return true;
    }
    return false;
}
