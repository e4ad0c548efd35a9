#include <assert.h>

#include "monitor/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"subs", "a", ""};
    struct bytes query = bytes_make(data, size);
    char text[QUERY_TEXT_MAX + 1];
    for (size_t i = 0; i < 3; i++) {
        uint64_t number;
        bool truth;
        int r = query_text(query, names[i], text);
        assert(r || strlen(text) <= QUERY_TEXT_MAX);
        int as_number = query_u64(query, names[i], 7, &number);
        int as_truth = query_bool(query, names[i], &truth);
        if (r == ERR_NOT_FOUND) assert(!as_number && number == 7 && !as_truth && !truth);
        if (r && r != ERR_NOT_FOUND) assert(as_number == ERR_SYNTAX && as_truth == ERR_SYNTAX);
    }
    return 0;
}
