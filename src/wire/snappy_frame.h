/* snappy_frame: the framing format of Snappy (google/snappy, framing_format.txt), which S2 reads
 * too, with chunks that are not compressed. Pure. */
#ifndef DURE_WIRE_SNAPPY_FRAME_H
#define DURE_WIRE_SNAPPY_FRAME_H

#include "base/buf.h"
#include "base/err.h"

enum { SNAPPY_FRAME_DATA_MAX = 65536 };

/* Begins a stream. */
void snappy_frame_begin(struct buf *out);

/* Appends the data, in as many chunks as it needs. */
void snappy_frame_put(struct buf *out, struct bytes data);

/* Reads the chunk at the start of `in`. Returns how many bytes it takes, and what it holds (empty
 * for what is passed over); 0: it is not yet whole; ERR_CORRUPT: its checksum is wrong; ERR_SYNTAX;
 * ERR_UNSUPPORTED: it is compressed. */
int64_t snappy_frame_next(struct bytes in, struct bytes *ret_data);

#endif
