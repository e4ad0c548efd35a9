#include "bus/responses.h"

#include <stdlib.h>

struct response {
    struct list link;
    uint64_t since_ms;
    int64_t count;
    size_t len;
    char subject[];
};

static struct bytes key_of(const struct response *response)
{
    return bytes_make(response->subject, response->len);
}

static void drop(struct responses *responses, struct response *response)
{
    map_remove(&responses->replies, key_of(response));
    list_remove(&response->link);
    free(response);
}

static bool is_over(const struct responses *responses, const struct response *response,
                    uint64_t now_ms)
{
    return responses->ttl_ms >= 0 && now_ms - response->since_ms > (uint64_t)responses->ttl_ms;
}

static struct response *oldest(const struct responses *responses)
{
    if (list_empty(&responses->order)) return NULL;
    return CONTAINER_OF(responses->order.next, struct response, link);
}

void responses_init(struct responses *responses, int64_t max, int64_t ttl_ms)
{
    map_init(&responses->replies, RESPONSES_MAX);
    list_init(&responses->order);
    responses->max = max;
    responses->ttl_ms = ttl_ms;
}

void responses_release(struct responses *responses)
{
    struct response *response;
    while ((response = oldest(responses))) drop(responses, response);
    map_release(&responses->replies);
}

void responses_expect(struct responses *responses, struct bytes reply, uint64_t now_ms)
{
    struct response *response;
    while ((response = oldest(responses)) && is_over(responses, response, now_ms))
        drop(responses, response);
    if ((response = map_get(&responses->replies, reply))) drop(responses, response);
    if (responses->replies.count >= RESPONSES_MAX) drop(responses, oldest(responses));
    response = calloc(1, sizeof *response + reply.len);
    if (!response) return;
    response->since_ms = now_ms;
    response->len = reply.len;
    memcpy(response->subject, reply.data, reply.len);
    list_init(&response->link);
    if (map_put(&responses->replies, key_of(response), response, NULL))
        free(response);
    else
        list_push(&responses->order, &response->link);
}

bool responses_take(struct responses *responses, struct bytes subject, uint64_t now_ms)
{
    struct response *response = map_get(&responses->replies, subject);
    if (!response) return false;
    bool allowed = !is_over(responses, response, now_ms) &&
                   (responses->max < 0 || response->count < responses->max);
    response->count++;
    if (!allowed || response->count == responses->max) drop(responses, response);
    return allowed;
}
