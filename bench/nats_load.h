/* nats_load: a NATS client's connection for the load generator, and the endless repetition of
 * frames that one side sends and the other expects. */
#ifndef DURE_BENCH_NATS_LOAD_H
#define DURE_BENCH_NATS_LOAD_H

#include "load.h"

struct link {
    int fd;
    bool writable; /* the kernel took all of the last send */
    char *in, *out;
    size_t in_len, in_size;
    size_t out_len, out_size;
    unsigned id;
    size_t at;         /* subscriber: where in the expected repetition it is */
    uint64_t received; /* subscriber: bytes of frames */
    uint64_t start_ns; /* requester: of the request under way */
};

/* Connects to a port or a Unix socket (load_connect_to) and waits until the server answers. */
struct link *link_new(const char *address, size_t in_size);

/* Sends whole lines and waits until the server has taken them. Only while blocking. */
void link_command(struct link *link, const char *lines, size_t len);

/* From now on nothing waits. */
void link_nonblock(struct link *link);

/* Room for `len` bytes of what goes out; who fills it in adds to out_len. */
char *link_reserve(struct link *link, size_t len);

/* Appends to what goes out; link_flush sends what the kernel takes. */
void link_put(struct link *link, const void *data, size_t len);
void link_flush(struct link *link);

/* Reads once; false when nothing came. The end of the connection ends the run. */
bool link_fill(struct link *link);

/* Answers a PING, takes PONG and +OK, ends the run on -ERR or anything that is no control line.
 * Returns the length of the line at `at` of the input, or 0 when it is not whole. */
size_t link_control(struct link *link, size_t at);

/* Drops the first `len` bytes of the input. */
void link_drop(struct link *link, size_t len);

struct link_message {
    const char *reply; /* NULL: none */
    int reply_len;
    const char *payload; /* NULL: it was another line */
    size_t payload_len;
    bool status; /* an HMSG: nothing else has headers here */
};

/* One frame at `at` of the input: its length, or 0 when it is not whole. */
size_t link_message(struct link *link, size_t at, struct link_message *ret_message);

/* ---- frames, repeated without end -------------------------------------------------------- */

/* A cycle of frames, written several times in a row so that a large read is compared at once. */
struct frames {
    char *bytes;
    size_t len;   /* of all repetitions */
    size_t cycle; /* bytes of one */
    unsigned count;
    size_t *starts; /* of each frame of the cycle */
};

void frames_init(struct frames *frames, unsigned count, size_t max_len);
void frames_add(struct frames *frames, const char *head, char fill, size_t payload_len);

/* Repeats the cycle until there are `min_len` bytes. */
void frames_repeat(struct frames *frames, size_t min_len);

/* Compares all input of a subscriber with what must come next. Control lines may stand between
 * frames. A byte that differs ends the run. */
void link_expect(struct link *link, const struct frames *frames);

#endif
