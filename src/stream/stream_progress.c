/* How far a stream has come with each of its sources. */
#include "stream/stream_impl.h"

#include "base/le.h"

#include <stdlib.h>

static struct stream_source_place *find(const struct stream *stream, uint64_t key)
{
    for (size_t i = 0; i < stream->progress.count; i++) {
        if (stream->progress.places[i].key == key) return &stream->progress.places[i];
    }
    return NULL;
}

static struct stream_source_place *claim(struct stream *stream, uint64_t key)
{
    struct stream_progress *progress = &stream->progress;
    struct stream_source_place *place = find(stream, key);
    if (place) return place;
    place = realloc(progress->places, (progress->count + 1) * sizeof *place);
    if (!place) return NULL;
    progress->places = place;
    place += progress->count++;
    *place = (struct stream_source_place){.key = key};
    return place;
}

uint64_t stream_source_last(const struct stream *stream, uint64_t key)
{
    const struct stream_source_place *place = find(stream, key);
    return place ? place->submitted : 0;
}

uint64_t stream_source_kept(const struct stream *stream, uint64_t key)
{
    const struct stream_source_place *place = find(stream, key);
    return place ? place->applied : 0;
}

int stream_source_submitted(struct stream *stream, const struct stream_origin *origin)
{
    struct stream_source_place *place = claim(stream, origin->key);
    if (!place) return ERR_NOMEM;
    if (origin->seq > place->submitted) place->submitted = origin->seq;
    return 0;
}

int stream_source_applied(struct stream *stream, const struct stream_origin *origin)
{
    int r = stream_source_submitted(stream, origin);
    if (r < 0) return r;
    struct stream_source_place *place = find(stream, origin->key);
    if (origin->seq > place->applied) place->applied = origin->seq;
    return 0;
}

void stream_source_lost(struct stream *stream)
{
    for (size_t i = 0; i < stream->progress.count; i++) {
        stream->progress.places[i].submitted = stream->progress.places[i].applied;
    }
}

static void put64(struct buf *out, uint64_t value)
{
    char bytes[8];
    le_put64(bytes, value);
    buf_append(out, bytes_make(bytes, sizeof bytes));
}

void stream_progress_encode(const struct stream *stream, struct buf *out)
{
    put64(out, stream->progress.count);
    for (size_t i = 0; i < stream->progress.count; i++) {
        put64(out, stream->progress.places[i].key);
        put64(out, stream->progress.places[i].applied);
    }
}

int stream_progress_decode(struct stream *stream, struct bytes *rest)
{
    if (rest->len < 8) return ERR_CORRUPT;
    uint64_t count = le_get64(rest->data);
    *rest = bytes_skip(*rest, 8);
    if (count > rest->len / 16) return ERR_CORRUPT;
    int r = 0;
    for (uint64_t i = 0; r == 0 && i < count; i++) {
        const struct stream_origin origin = {le_get64(rest->data), le_get64(rest->data + 8)};
        *rest = bytes_skip(*rest, 16);
        r = stream_source_applied(stream, &origin);
    }
    return r;
}
