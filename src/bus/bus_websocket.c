#include "bus/bus_websocket.h"

#include "bus/core.h"

#include <stdlib.h>

static int make(const struct bus_websocket_options *options, struct bus_websocket **ret_websocket)
{
    size_t count = 0;
    while (options && options->origins && options->origins[count]) count++;
    struct bus_websocket *made = calloc(1, sizeof *made + count * sizeof made->origins[0]);
    if (!made) return ERR_NOMEM;
    made->clear_text = options && options->clear_text;
    made->policy.same_origin = options && options->same_origin;
    made->policy.origins = made->origins;
    made->policy.origin_count = count;
    for (size_t i = 0; i < count; i++) {
        int r = upgrade_origin_parse(bytes_str(options->origins[i]), &made->origins[i]);
        if (!r) continue;
        free(made);
        return r;
    }
    *ret_websocket = made;
    return 0;
}

int bus_server_listen_websocket(struct bus_server *server, const struct io_addr *addr,
                                const struct bus_websocket_options *options,
                                struct io_addr *ret_addr)
{
    struct bus_websocket *websocket;
    int r = make(options, &websocket);
    if (r) return r;
    r = bus_server_listen_for(server, addr, NULL, websocket, ret_addr);
    if (r) free(websocket);
    return r;
}
