/* The request of a direct get, from arbitrary bytes: the first line is what stands behind the
 * subject's fixed part, the rest the payload. */
#include "jetstream/direct_request.h"

#include <assert.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes payload = bytes_make(data, size), line = bytes_cut(&payload, '\n');
    char subject[256];
    int len = snprintf(subject, sizeof subject, "$JS.API.DIRECT.GET.%.*s",
                       (int)(line.len < 200 ? line.len : 200), line.data);
    struct message message =
        message_borrow(bytes_make(subject, (size_t)len), BYTES("r"), BYTES(""), payload);
    struct direct_request request;
    int status = 0;
    const char *words = direct_request_read(&request, &message, &status);
    if (words) {
        assert(status == 408 || status == 412);
    } else {
        assert(request.seq || request.last.len || request.next.len || request.many_count ||
               request.by_time);
    }
    direct_request_release(&request);
    return 0;
}
