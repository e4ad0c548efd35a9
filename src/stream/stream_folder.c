#include "stream/stream_folder.h"

#include <inttypes.h>
#include <stdio.h>

enum { ID = 16, NAME_PART = 200 };

void stream_folder_name(struct io *io, const char *name, char ret_folder[STREAM_FOLDER])
{
    snprintf(ret_folder, STREAM_FOLDER, "%.*s.%0*" PRIx64, NAME_PART, name, ID, io_random_u64(io));
}

bool stream_folder_parse(const char *folder, struct bytes *ret_name)
{
    struct bytes rest = bytes_str(folder);
    *ret_name = bytes_cut(&rest, '.');
    if (ret_name->len == 0 || ret_name->len > NAME_PART || rest.len != ID) return false;
    for (size_t i = 0; i < rest.len; i++) {
        char c = rest.data[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) return false;
    }
    return true;
}
