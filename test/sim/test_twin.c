/* Nothing above io can tell the machine from the simulation: one program, which knows only io.h,
 * writes down all that it sees; it runs on the machine once, then in one simulated world after the
 * other, and has to write the same. */
#include "echo.h"
#include "runner.h"

#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TRANSCRIPT_MAX = 64 * 1024, TURNS_MAX = 1000 * 1000 };

/* One run of the program. */
struct play {
    struct io *io;
    char dir[64];
    struct buf seen;
    int waiting; /* for so many things */
};

#define SEE(play, ...) buf_append_format(&(play)->seen, __VA_ARGS__)

static void wait_all(struct play *play)
{
    for (int turns = 0; play->waiting; turns++) {
        CHECK(turns < TURNS_MAX && io_turn(play->io, 1000) >= 0, "it hangs after:\n%.*s",
              BYTES_ARG(buf_bytes(&play->seen)));
    }
}

/* ---- files ------------------------------------------------------------------------------- */

static const char *path(const struct play *play, const char *name)
{
    static char paths[2][128];
    static int next;
    char *text = paths[next ^= 1];
    snprintf(text, sizeof paths[0], "%s/%s", play->dir, name);
    return text;
}

static int see_name(void *context, const char *name)
{
    SEE((struct play *)context, " %s", name);
    return strcmp(name, "stop") == 0 ? ERR_CANCELLED : 0;
}

static void see_stat(struct play *play, const char *name)
{
    uint64_t size = 0, mtime_ns = 0;
    bool is_dir = false;
    int result = io_stat(play->io, path(play, name), &size, &mtime_ns, &is_dir);
    SEE(play, "stat %s %s %d %d\n", name, err_name(result), is_dir, is_dir ? 0 : (int)size);
}

static void try_open(struct play *play, const char *name, int flags)
{
    struct io_file file;
    int result = io_file_open(play->io, &file, path(play, name), flags);
    SEE(play, "open %s %d %s\n", name, flags, err_name(result));
    if (result == 0) io_file_close(&file);
}

static void play_file(struct play *play)
{
    struct io_file file;
    char text[100] = {0};
    char hello[] = "hello, world";
    struct iovec iov[] = {{hello, 7}, {hello, 0}, {hello + 7, 5}};
    int result = io_file_open(play->io, &file, path(play, "a"), IO_READ | IO_WRITE | IO_CREATE);
    SEE(play, "make %s\n", err_name(result));
    SEE(play, "write %s\n", err_name(io_file_write(&file, iov, 3, 600)));
    SEE(play, "size %d\n", (int)io_file_size(&file));
    SEE(play, "read %d", (int)io_file_read(&file, text, sizeof text, 598));
    SEE(play, " %d%d%s\n", text[0], text[1], text + 2);
    SEE(play, "past the end %d\n", (int)io_file_read(&file, text, sizeof text, 10000));
    SEE(play, "sync %s\n", err_name(io_file_sync(&file)));
    SEE(play, "allocate %s", err_name(io_file_allocate(&file, 5000)));
    SEE(play, " %d\n", (int)io_file_size(&file));
    SEE(play, "allocate less %s", err_name(io_file_allocate(&file, 50)));
    SEE(play, " %d\n", (int)io_file_size(&file));
    SEE(play, "truncate %s", err_name(io_file_truncate(&file, 605)));
    SEE(play, " %s", err_name(io_file_truncate(&file, 700)));
    SEE(play, " %d", (int)io_file_read(&file, text, 20, 600));
    SEE(play, " %s %d\n", text, (int)io_file_size(&file));
    io_file_close(&file);
}

static void play_names(struct play *play)
{
    struct io *io = play->io;
    try_open(play, "none", IO_READ);
    try_open(play, "a", IO_WRITE | IO_CREATE | IO_EXCLUSIVE);
    try_open(play, "none/b", IO_WRITE | IO_CREATE);
    try_open(play, "a/b", IO_READ);
    try_open(play, "a", 0);
    SEE(play, "mkdir %s", err_name(io_mkdir(io, path(play, "d"))));
    SEE(play, " %s", err_name(io_mkdir(io, path(play, "d"))));
    SEE(play, " %s", err_name(io_mkdir(io, path(play, "a"))));
    SEE(play, " %s\n", err_name(io_mkdir(io, path(play, "x/y"))));
    try_open(play, "d", IO_WRITE);
    try_open(play, "d/one", IO_WRITE | IO_CREATE);
    try_open(play, "d/Two", IO_WRITE | IO_CREATE);
    try_open(play, "d/zzz", IO_WRITE | IO_CREATE);
    SEE(play, "rename %s", err_name(io_rename(io, path(play, "a"), path(play, "d/three"))));
    SEE(play, " %s", err_name(io_rename(io, path(play, "a"), path(play, "d/three"))));
    SEE(play, " %s", err_name(io_rename(io, path(play, "d/one"), path(play, "d/three"))));
    SEE(play, " %s", err_name(io_rename(io, path(play, "d/Two"), path(play, "d"))));
    SEE(play, " %s", err_name(io_rename(io, path(play, "d"), path(play, "d/three"))));
    SEE(play, " %s\n", err_name(io_rename(io, path(play, "d"), path(play, "d/in"))));
    SEE(play, "list");
    SEE(play, ": %s\n", err_name(io_list_dir(io, path(play, "d"), see_name, play)));
    SEE(play, "rename %s\n", err_name(io_rename(io, path(play, "d/three"), path(play, "d/stop"))));
    SEE(play, "list");
    SEE(play, ": %s\n", err_name(io_list_dir(io, path(play, "d"), see_name, play)));
    SEE(play, "list: %s\n", err_name(io_list_dir(io, path(play, "none"), see_name, play)));
    see_stat(play, "d");
    see_stat(play, "d/stop");
    see_stat(play, "none");
    SEE(play, "sync_dir %s", err_name(io_sync_dir(io, path(play, "d"))));
    SEE(play, " %s\n", err_name(io_sync_dir(io, path(play, "none"))));
    SEE(play, "unlink %s", err_name(io_unlink(io, path(play, "d/stop"))));
    SEE(play, " %s", err_name(io_unlink(io, path(play, "d/stop"))));
    SEE(play, " %s", err_name(io_unlink(io, path(play, "d"))));
    SEE(play, " %s", err_name(io_unlink(io, path(play, "d/Two"))));
    SEE(play, " %s\n", err_name(io_unlink(io, path(play, "d/zzz"))));
}

/* ---- timers, tasks, jobs ----------------------------------------------------------------- */

struct timed {
    struct play *play;
    struct io_timer timer;
    struct io_task task;
    struct io_job job;
    int number;
    bool ran;
};

static void timer_done(struct io_timer *timer)
{
    struct timed *timed = CONTAINER_OF(timer, struct timed, timer);
    SEE(timed->play, "timer %d\n", timed->number);
    timed->play->waiting--;
}

static void task_run(struct io_task *task)
{
    struct timed *timed = CONTAINER_OF(task, struct timed, task);
    SEE(timed->play, "task %d\n", timed->number);
    timed->play->waiting--;
}

static void job_run(struct io_job *job)
{
    struct timed *timed = CONTAINER_OF(job, struct timed, job);
    struct io_file file;
    char text[] = "job";
    struct iovec iov = {text, 3};
    if (io_file_open(job->io, &file, path(timed->play, "job"), IO_WRITE | IO_CREATE) < 0) return;
    timed->ran = io_file_write(&file, &iov, 1, 0) == 0 && io_file_sync(&file) == 0;
    io_file_close(&file);
}

static void job_done(struct io_job *job)
{
    struct timed *timed = CONTAINER_OF(job, struct timed, job);
    SEE(timed->play, "job %d ran %d\n", timed->number, timed->ran);
    timed->play->waiting--;
}

static void play_time(struct play *play)
{
    struct timed timed[5];
    uint64_t began_ns = io_now_ns(play->io);
    for (int i = 0; i < 5; i++) {
        timed[i] = (struct timed){.play = play, .number = i};
        io_timer_init(&timed[i].timer, timer_done);
        io_task_init(&timed[i].task, task_run);
        timed[i].job = (struct io_job){.run = job_run, .done = job_done};
        io_timer_set(play->io, &timed[i].timer, (uint64_t)(150 - i * 25));
    }
    io_timer_cancel(play->io, &timed[1].timer);
    io_timer_set(play->io, &timed[2].timer, 200);
    play->waiting = 4;
    wait_all(play);
    SEE(play, "in time %d\n", io_now_ns(play->io) - began_ns >= 200 * 1000000);
    io_defer(play->io, &timed[4].task);
    for (int i = 0; i < 4; i++) io_post(play->io, &timed[i].task);
    io_post(play->io, &timed[0].task);
    io_task_cancel(play->io, &timed[2].task);
    play->waiting = 4;
    wait_all(play);
    io_job_submit(play->io, &timed[3].job);
    play->waiting = 1;
    wait_all(play);
    see_stat(play, "job");
    SEE(play, "unlink %s\n", err_name(io_unlink(play->io, path(play, "job"))));
}

/* ---- streams ----------------------------------------------------------------------------- */

static void see_client(struct play *play, const char *name, const struct io_addr *addr,
                       uint64_t bytes)
{
    static struct echo_client client;
    echo_client_start(&client, play->io, addr, bytes, false);
    for (int turns = 0; !client.done; turns++)
        CHECK(turns < TURNS_MAX && io_turn(play->io, 1000) >= 0, "client %s hangs", name);
    SEE(play, "%s: connected %d, received %d, right %d, ended %d, %s\n", name, client.connected,
        (int)client.received, !client.mismatch, client.ended, err_name(client.error));
}

static void play_echo(struct play *play, const char *name, const struct io_addr *addr)
{
    struct echo_server server, second;
    see_client(play, name, addr, 10);
    SEE(play, "listen %s\n", err_name(echo_server_start(&server, play->io, addr)));
    struct io_addr real = server.listener.addr;
    SEE(play, "twice %s\n", err_name(echo_server_start(&second, play->io, &real)));
    see_client(play, name, &real, 0);
    see_client(play, name, &real, 1);
    see_client(play, name, &real, 300 * 1000);
    for (int turns = 0; !list_empty(&server.connections) && turns < TURNS_MAX; turns++)
        CHECK(io_turn(play->io, 1000) >= 0);
    /* On the machine the second listener's question whether this one lives is a connection too. */
    if (addr->family != IO_UNIX) SEE(play, "accepted %d\n", server.accepted);
    SEE(play, "errors %d\n", server.errors);
    echo_server_stop(&server);
    see_client(play, name, &real, 10);
}

/* ---- closing ----------------------------------------------------------------------------- */

struct pair {
    struct play *play;
    struct io_listener listener;
    struct io_stream near, far;
    struct iovec iov;
    char *big, got[64];
};

static void far_closed(struct io_stream *stream)
{
    struct pair *pair = CONTAINER_OF(stream, struct pair, far);
    pair->play->waiting--;
}

static void far_received(struct io_stream *stream, int result)
{
    struct pair *pair = CONTAINER_OF(stream, struct pair, far);
    SEE(pair->play, "far received %d\n", result);
    pair->play->waiting--;
}

static void near_closed(struct io_stream *stream)
{
    struct pair *pair = CONTAINER_OF(stream, struct pair, near);
    SEE(pair->play, "near closed\n");
    pair->play->waiting--;
}

static void near_received(struct io_stream *stream, int result)
{
    struct pair *pair = CONTAINER_OF(stream, struct pair, near);
    SEE(pair->play, "near received %s\n", result > 0 ? "bytes" : err_name(result));
    if (result != ERR_CLOSED) pair->play->waiting--;
}

static void near_sent(struct io_stream *stream, int result)
{
    struct pair *pair = CONTAINER_OF(stream, struct pair, near);
    SEE(pair->play, "near sent %s\n", err_name(result));
    if (result != ERR_CLOSED) pair->play->waiting--;
}

static void near_connected(struct io_stream *stream, int result)
{
    struct pair *pair = CONTAINER_OF(stream, struct pair, near);
    SEE(pair->play, "near connected %s\n", err_name(result));
    pair->play->waiting--;
}

static void far_accepted(struct io_listener *listener)
{
    struct pair *pair = CONTAINER_OF(listener, struct pair, listener);
    io_accept(listener, &pair->far);
    io_listener_close(listener);
    struct io_addr peer;
    SEE(pair->play, "peer %s", err_name(io_stream_peer(&pair->far, &peer)));
    SEE(pair->play, " %d.%d.%d.%d\n", peer.ip[0], peer.ip[1], peer.ip[2], peer.ip[3]);
    pair->play->waiting--;
}

static void pair_open(struct pair *pair, struct play *play)
{
    struct io_addr addr = {.family = IO_IPV4, .ip = {127, 0, 0, 1}};
    *pair = (struct pair){.play = play};
    CHECK(io_listen(play->io, &pair->listener, &addr, NULL, far_accepted) == 0);
    addr = pair->listener.addr;
    play->waiting = 2;
    /* One after the other, so that the order in which they are seen is certain. */
    io_connect(play->io, &pair->near, &addr, near_connected);
    struct buf seen = play->seen;
    buf_init(&play->seen, TRANSCRIPT_MAX);
    wait_all(play);
    buf_release(&play->seen);
    play->seen = seen;
}

static void play_close(struct play *play)
{
    struct pair pair;
    enum { BIG = 64 * 1024 * 1024 };
    SEE(play, "close with both directions in flight\n");
    pair_open(&pair, play);
    pair.big = calloc(1, BIG);
    pair.iov = (struct iovec){pair.big, BIG};
    io_recv(&pair.near, pair.got, sizeof pair.got, near_received);
    io_send(&pair.near, &pair.iov, 1, near_sent);
    io_close(&pair.near, near_closed);
    play->waiting = 2;
    io_close(&pair.far, far_closed);
    wait_all(play);
    free(pair.big);

    SEE(play, "a receive that is taken back\n");
    pair_open(&pair, play);
    io_recv(&pair.near, NULL, 0, near_received);
    io_recv_cancel(&pair.near);
    pair.iov = (struct iovec){pair.got, 1};
    io_send(&pair.near, &pair.iov, 1, near_sent);
    play->waiting = 1;
    wait_all(play);
    io_recv(&pair.far, NULL, 0, far_received);
    play->waiting = 1;
    wait_all(play);
    io_recv(&pair.near, NULL, 0, near_received);
    io_close(&pair.far, far_closed);
    play->waiting = 2;
    wait_all(play);
    io_close(&pair.near, near_closed);
    play->waiting = 1;
    wait_all(play);
}

static void perform(struct play *play)
{
    buf_init(&play->seen, TRANSCRIPT_MAX);
    play_file(play);
    play_names(play);
    play_time(play);
    struct io_addr addr = {.family = IO_IPV4, .ip = {127, 0, 0, 1}, .port = 1};
    see_client(play, "nobody", &addr, 10);
    addr.port = 0;
    struct echo_server server;
    CHECK(echo_server_start(&server, play->io, &addr) == 0);
    addr = server.listener.addr;
    echo_server_stop(&server);
    play_echo(play, "tcp", &addr);
    addr = (struct io_addr){.family = IO_UNIX};
    snprintf(addr.path, sizeof addr.path, "%s/socket", play->dir);
    play_echo(play, "unix", &addr);
    play_close(play);
    CHECK(!play->seen.failed);
}

/* What the machine shows; made once, by the first seed. */
static const struct buf *on_the_machine(void)
{
    static struct play play;
    if (play.seen.data) return &play.seen;
    snprintf(play.dir, sizeof play.dir, "/tmp/dure-twin-XXXXXX");
    CHECK(mkdtemp(play.dir) && io_new(NULL, &play.io) == 0);
    perform(&play);
    io_free(play.io);
    rmdir(path(&play, "d"));
    rmdir(play.dir);
    return &play.seen;
}

static void twins_look_alike(struct sim *sim, uint64_t seed)
{
    const struct buf *expected = on_the_machine();
    struct play play = {.dir = "/tmp/twin"};
    play.io = sim_host_io(sim_host_new(sim, "twin"));
    CHECK(io_mkdir(play.io, "/tmp") == 0 && io_mkdir(play.io, play.dir) == 0);
    perform(&play);
    struct bytes want = buf_bytes(expected), got = buf_bytes(&play.seen);
    while (want.len || got.len) {
        struct bytes want_line = bytes_cut(&want, '\n'), got_line = bytes_cut(&got, '\n');
        CHECK(bytes_eq(want_line, got_line), "\n  machine: %.*s\n  world:   %.*s",
              BYTES_ARG(want_line), BYTES_ARG(got_line));
        runner_say("%.*s", BYTES_ARG(got_line));
    }
    buf_release(&play.seen);
    io_free(play.io);
}

RUNNER_MAIN({"twins_look_alike", twins_look_alike, .seeds = 200})
