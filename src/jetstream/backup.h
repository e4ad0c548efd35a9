/* backup: what a stream's backup consists of: a tar archive in Snappy's framing (not compressed),
 * as clients expect it who look into it on its way.
 *
 *     meta.inf         {"format":"dure.backup.1","last_seq":N}
 *     msgs/N.blk       messages in order, of about BACKUP_BLOCK bytes
 *     obs/NAME.inf     {"config":{ConsumerConfig},"ack_floor":N} */
#ifndef DURE_JETSTREAM_BACKUP_H
#define DURE_JETSTREAM_BACKUP_H

#include "base/buf.h"
#include "stream/consumer.h"

#define BACKUP_FORMAT "dure.backup.1"

enum {
    BACKUP_BLOCK = 256 << 10,
    BACKUP_FILE_MAX = 80 << 20, /* of one file: a block with the largest message in it */
};

/* ---- writing ---- */

void backup_put_meta(struct buf *file, uint64_t last_seq);
void backup_put_message(struct buf *file, const struct stream_message *message);
void backup_put_consumer(struct buf *file, const struct consumer *consumer);

/* ---- reading ---- */

/* A backup that is read as its bytes come. */
struct backup_reader {
    struct buf framed, archive;
    bool begun; /* a chunk has been read */
    bool ended; /* the archive has */
    char name[260];
    uint64_t size; /* of the file at hand; name is "" where there is none */
};

void backup_reader_init(struct backup_reader *reader);
void backup_reader_release(struct backup_reader *reader);

/* Takes more bytes. ERR_NOMEM. */
int backup_reader_feed(struct backup_reader *reader, struct bytes bytes);

/* The next file that is whole: 1, its name (in reader->name) and content, good until the next call;
 * 0: more bytes are needed, or it has ended. ERR_CORRUPT, ERR_SYNTAX, ERR_UNSUPPORTED (a backup of
 * another server), ERR_TOO_BIG. */
int backup_reader_next(struct backup_reader *reader, struct bytes *ret_content);

/* The format must be ours: ERR_UNSUPPORTED. ERR_SYNTAX. */
int backup_read_meta(struct bytes file, uint64_t *ret_last_seq);

/* Takes a message off the front of the file: 1, 0 at the end, ERR_SYNTAX. */
int backup_read_message(struct bytes *file, struct stream_message *ret);

#endif
