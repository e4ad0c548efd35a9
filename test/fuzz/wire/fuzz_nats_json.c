/* CONNECT and INFO: what is read is written again and then reads the same. */
#include "wire/nats.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_connect(struct bytes json)
{
    struct nats_connect connect, again;
    struct buf out;
    nats_connect_init(&connect);
    if (nats_connect_parse(json, &connect)) return;
    if (connect.jwt.len &&
        (connect.jwt.data < json.data || connect.jwt.data + connect.jwt.len > json.data + json.len))
        abort();
    buf_init(&out, 1 << 20);
    nats_connect_write(&out, &connect);
    nats_connect_init(&again);
    if (out.failed || nats_connect_parse(buf_bytes(&out), &again)) abort();
    if (again.verbose != connect.verbose || again.protocol != connect.protocol) abort();
    buf_release(&out);
}

static void check_info(struct bytes json)
{
    struct nats_info info, again;
    struct buf out;
    if (nats_info_parse(json, &info)) return;
    if (info.connect_url_count > NATS_URLS_MAX) abort();
    buf_init(&out, 1 << 20);
    nats_info_write(&out, &info);
    if (out.failed || nats_info_parse(buf_bytes(&out), &again)) abort();
    if (again.client_id != info.client_id || again.port != info.port) abort();
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_connect(bytes_make(data, size));
    check_info(bytes_make(data, size));
    return 0;
}
