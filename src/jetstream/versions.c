#include "jetstream/versions.h"

#include "bus/bus_server.h"
#include "jetstream/jetstream.h"

#include <stdlib.h>

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

struct stream_pair *versions_add(const struct stream_pair *pairs, size_t count,
                                 bool needs_first_level, size_t *ret_count)
{
    const struct stream_pair versions[] = {
        {"_nats.level", TEXT(JETSTREAM_API_LEVEL)},
        {"_nats.req.level", needs_first_level ? "1" : "0"},
        {"_nats.ver", BUS_NATS_VERSION},
    };
    struct stream_pair *all = malloc((count + 3) * sizeof *all);
    if (!all) return NULL;
    memcpy(all, versions, sizeof versions);
    if (count) memcpy(all + 3, pairs, count * sizeof *all);
    *ret_count = count + 3;
    return all;
}
