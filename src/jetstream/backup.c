#include "jetstream/backup.h"

#include "base/jsonw.h"
#include "base/le.h"
#include "wire/snappy_frame.h"
#include "wire/tar.h"

#include <jansson.h>

/* seq:8 time_ns:8 subject:4 headers:4 payload:4, then the three. */
enum { MESSAGE_HEADER = 28, FEED_MAX = 256 << 20 };

/* ---- writing ---- */

void backup_put_meta(struct buf *file, uint64_t last_seq)
{
    struct jsonw json;
    jsonw_init(&json, file);
    jsonw_object(&json, NULL);
    jsonw_cstr(&json, "format", BACKUP_FORMAT);
    jsonw_u64(&json, "last_seq", last_seq);
    jsonw_object_end(&json);
}

void backup_put_message(struct buf *file, const struct stream_message *message)
{
    const struct message *m = &message->message;
    char header[MESSAGE_HEADER];
    le_put64(header, message->seq);
    le_put64(header + 8, message->time_ns);
    le_put32(header + 16, (uint32_t)m->subject.len);
    le_put32(header + 20, (uint32_t)m->headers.len);
    le_put32(header + 24, (uint32_t)m->payload.len);
    buf_append(file, bytes_make(header, sizeof header));
    buf_append(file, m->subject);
    buf_append(file, m->headers);
    buf_append(file, m->payload);
}

void backup_put_consumer(struct buf *file, const struct consumer *consumer)
{
    struct jsonw json;
    jsonw_init(&json, file);
    jsonw_object(&json, NULL);
    consumer_config_encode(consumer_config(consumer), &json, "config");
    jsonw_u64(&json, "ack_floor", consumer_info(consumer).ack_floor.stream_seq);
    jsonw_object_end(&json);
}

/* ---- reading ---- */

void backup_reader_init(struct backup_reader *reader)
{
    *reader = (struct backup_reader){0};
    buf_init(&reader->framed, FEED_MAX);
    buf_init(&reader->archive, FEED_MAX);
}

void backup_reader_release(struct backup_reader *reader)
{
    buf_release(&reader->framed);
    buf_release(&reader->archive);
}

int backup_reader_feed(struct backup_reader *reader, struct bytes bytes)
{
    buf_append(&reader->framed, bytes);
    return reader->framed.failed ? ERR_NOMEM : 0;
}

/* Unpacks the chunks that are whole. */
static int unframe(struct backup_reader *reader)
{
    struct bytes data;
    int64_t n;
    while ((n = snappy_frame_next(buf_bytes(&reader->framed), &data)) > 0) {
        buf_append(&reader->archive, data);
        buf_consume(&reader->framed, (size_t)n);
        if (reader->archive.failed) return ERR_NOMEM;
    }
    return (int)n;
}

/* The header of the next file: 1, or as backup_reader_next. */
static int read_header(struct backup_reader *reader)
{
    if (reader->ended || buf_len(&reader->archive) < TAR_BLOCK) return 0;
    int r = tar_read(buf_bytes(&reader->archive), reader->name, &reader->size);
    if (r <= 0) reader->name[0] = '\0';
    if (r == 0) reader->ended = true;
    if (r > 0 && reader->size > BACKUP_FILE_MAX) return ERR_TOO_BIG;
    if (r > 0) buf_consume(&reader->archive, TAR_BLOCK);
    return r;
}

int backup_reader_next(struct backup_reader *reader, struct bytes *ret_content)
{
    if (reader->begun) { /* the file before has been read */
        buf_consume(&reader->archive, (size_t)tar_room(reader->size));
        reader->begun = false;
        reader->name[0] = '\0';
    }
    int r = unframe(reader);
    if (r == 0 && !reader->name[0]) r = read_header(reader);
    if (r < 0 || !reader->name[0]) return r < 0 ? r : 0;
    if (buf_len(&reader->archive) < tar_room(reader->size)) return 0;
    *ret_content = bytes_head(buf_bytes(&reader->archive), (size_t)reader->size);
    reader->begun = true;
    return 1;
}

int backup_read_meta(struct bytes file, uint64_t *ret_last_seq)
{
    json_t *json = json_loadb(file.data, file.len, 0, NULL);
    const char *format = json_string_value(json_object_get(json, "format"));
    json_t *last = json_object_get(json, "last_seq");
    int r = format && strcmp(format, BACKUP_FORMAT) == 0 ? 0 : ERR_UNSUPPORTED;
    if (r == 0 && (!json_is_integer(last) || json_integer_value(last) < 0)) r = ERR_SYNTAX;
    *ret_last_seq = (uint64_t)json_integer_value(last);
    json_decref(json);
    return r;
}

int backup_read_message(struct bytes *file, struct stream_message *ret)
{
    if (!file->len) return 0;
    if (file->len < MESSAGE_HEADER) return ERR_SYNTAX;
    uint64_t subject = le_get32(file->data + 16), headers = le_get32(file->data + 20);
    uint64_t payload = le_get32(file->data + 24), all = subject + headers + payload;
    if (file->len - MESSAGE_HEADER < all) return ERR_SYNTAX;
    struct bytes rest = bytes_skip(*file, MESSAGE_HEADER);
    *ret = (struct stream_message){
        .seq = le_get64(file->data),
        .time_ns = le_get64(file->data + 8),
        .message = message_borrow(bytes_head(rest, subject), BYTES(""),
                                  bytes_head(bytes_skip(rest, subject), headers),
                                  bytes_head(bytes_skip(rest, subject + headers), payload)),
    };
    *file = bytes_skip(rest, all);
    return 1;
}
