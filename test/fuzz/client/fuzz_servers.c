/* URLs that a person writes, and addresses that a server tells. */
#include "client/servers.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct servers servers;
    char text[1024];
    if (size >= sizeof text) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    servers = (struct servers){.backoff_min_ms = 1, .backoff_max_ms = 10};
    if (servers_parse(&servers, text, NULL) != 0) servers_parse(&servers, "a,b", NULL);
    servers_learn(&servers, bytes_str(text));
    for (size_t i = 0; i < servers.count; i++) {
        char shown[CLIENT_SERVER_TEXT];
        size_t len = server_format(&servers.list[i], shown, sizeof shown);
        assert(len == strlen(shown));
        servers_next(&servers, size);
    }
    return 0;
}
