/* What became of a request: counted, and told to whoever keeps records. */
#include "proxy/request.h"

void record(struct request *r)
{
    struct proxy *proxy = r->proxy;
    const struct http_exchange *down = r->down;
    struct access_event event = {
        .side = r->side,
        .status = down->head_sent ? r->status : 0,
        .error = r->error,
        .attempts = r->attempts,
        .bytes_in = down->received,
        .bytes_out = down->sent,
        .begin_wall_ns = r->begin_wall_ns,
        .duration_ns = io_now_ns(proxy->io) - r->begin_ns,
        .wait_ns = r->wait_ns,
        .upstream_ns = r->upstream_ns,
        .trace = r->trace,
    };
    if (r->service) traffic_count(r->service, &event);
    if (r->route_traffic) traffic_count(r->route_traffic, &event);
    if (!proxy->options.access) return;

    event.method = down->in.method_name;
    event.host = down->in.authority;
    event.path = down->in.path;
    event.route = r->route ? r->route->name : BYTES("");
    event.service = r->cluster ? r->cluster->name : BYTES("");
    event.version = event.instance = event.address = BYTES("");
    if (r->endpoint) {
        event.version = r->endpoint->version;
        event.instance = r->endpoint->instance;
        event.address = r->endpoint->address;
    }
    event.caller = r->caller.len ? r->caller : BYTES("");
    if (http_exchange_peer(down, &event.peer)) event.peer = (struct io_addr){.family = IO_UNIX};
    proxy->options.access(proxy->options.context, &event);
}
