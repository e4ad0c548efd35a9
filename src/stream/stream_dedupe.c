#include "stream/stream_dedupe.h"

#include "base/err.h"

#include <stdlib.h>

void stream_dedupe_init(struct stream_dedupe *dedupe)
{
    map_init(&dedupe->ids, STREAM_DEDUPE_MAX + 1);
    list_init(&dedupe->list);
}

static void forget(struct stream_dedupe *dedupe, struct stream_id *id)
{
    map_remove(&dedupe->ids, id->id);
    list_remove(&id->link);
    free(id);
}

void stream_dedupe_release(struct stream_dedupe *dedupe)
{
    LIST_EACH(&dedupe->list, struct stream_id, link, id) forget(dedupe, id);
    map_release(&dedupe->ids);
}

void stream_dedupe_expire(struct stream_dedupe *dedupe, uint64_t before_ns)
{
    LIST_EACH(&dedupe->list, struct stream_id, link, id) {
        if (id->time_ns >= before_ns) return;
        forget(dedupe, id);
    }
}

struct stream_id *stream_dedupe_find(const struct stream_dedupe *dedupe, struct bytes id)
{
    return map_get(&dedupe->ids, id);
}

int stream_dedupe_add(struct stream_dedupe *dedupe, struct bytes id, uint64_t seq, uint64_t time_ns)
{
    struct stream_id *known = map_get(&dedupe->ids, id);
    if (known) {
        known->seq = seq;
        known->time_ns = time_ns;
        list_remove(&known->link);
        list_push(&dedupe->list, &known->link);
        return 0;
    }
    known = malloc(sizeof *known + id.len);
    if (!known) return ERR_NOMEM;
    memcpy(known + 1, id.data, id.len);
    known->id = bytes_make(known + 1, id.len);
    known->seq = seq;
    known->time_ns = time_ns;
    list_init(&known->link);
    if (map_put(&dedupe->ids, known->id, known, NULL) < 0) {
        free(known);
        return ERR_NOMEM;
    }
    list_push(&dedupe->list, &known->link);
    if (dedupe->ids.count > STREAM_DEDUPE_MAX) {
        forget(dedupe, CONTAINER_OF(dedupe->list.next, struct stream_id, link));
    }
    return 0;
}

void stream_dedupe_remove(struct stream_dedupe *dedupe, struct bytes id, uint64_t seq)
{
    struct stream_id *known = map_get(&dedupe->ids, id);
    if (known && known->seq == seq) forget(dedupe, known);
}
