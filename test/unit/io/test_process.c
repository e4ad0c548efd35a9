#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

static const char *const env[] = {"PATH=/nonexistent:/usr/bin:/bin", "COLOR=red", NULL};

struct watched {
    struct io_process process;
    int status, exits, kill_inside;
    bool pid_was_ours; /* nobody else could have got the pid when `exited` ran */
};

static struct watched watched;

static void exited(struct io_process *process, int status)
{
    struct watched *of = CONTAINER_OF(process, struct watched, process);
    of->status = status;
    of->exits++;
    of->pid_was_ours = kill(process->pid, 0) == 0;
    of->kill_inside = io_kill(process, SIGKILL);
}

/* What a stream brings until its end, as text. */
struct output {
    struct io_stream stream;
    char text[8192];
    size_t len;
    bool ended;
};

static void output_done(struct io_stream *stream, int result)
{
    struct output *output = CONTAINER_OF(stream, struct output, stream);
    if (result <= 0) {
        output->ended = true;
        return;
    }
    assert_true(output->len + (size_t)result < sizeof output->text);
    memcpy(output->text + output->len, io_recv_data(stream), (size_t)result);
    output->len += (size_t)result;
    output->text[output->len] = '\0';
    io_recv(stream, NULL, 0, output_done);
}

static void read_all(struct output *output)
{
    output->len = 0;
    output->text[0] = '\0';
    output->ended = false;
    io_recv(&output->stream, NULL, 0, output_done);
}

static struct output out, err_out;

/* Runs a shell command with both outputs read, until it has exited and they have ended. */
static void run_shell(const char *command, struct io_spawn_options *options)
{
    const char *const argv[] = {"sh", "-c", command, NULL};
    struct error error;
    watched = (struct watched){0};
    options->argv = argv;
    if (!options->envp) options->envp = env;
    options->out = &out.stream;
    options->err = &err_out.stream;
    assert_int_equal(io_spawn(io, &watched.process, options, exited, &error), 0);
    read_all(&out);
    read_all(&err_out);
    TURN_UNTIL(watched.exits && out.ended && err_out.ended);
    io_close(&out.stream, NULL);
    io_close(&err_out.stream, NULL);
}

static int count_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void test_exit_status_and_outputs(void **state)
{
    int before = count_fds();
    run_shell("echo to out; echo to err >&2; exit 42", &(struct io_spawn_options){0});
    assert_true(WIFEXITED(watched.status));
    assert_int_equal(WEXITSTATUS(watched.status), 42);
    assert_string_equal(out.text, "to out\n");
    assert_string_equal(err_out.text, "to err\n");
    run_shell("exit 0", &(struct io_spawn_options){0});
    assert_int_equal(watched.status, 0);
    run_shell("kill -TERM $$", &(struct io_spawn_options){0});
    assert_true(WIFSIGNALED(watched.status));
    assert_int_equal(WTERMSIG(watched.status), SIGTERM);
    settle();
    assert_int_equal(count_fds(), before); /* nothing leaks */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD); /* nor is a zombie left */
}

static void test_one_pipe_for_both_outputs(void **state)
{
    const char *const argv[] = {"sh", "-c", "echo one; echo two >&2; echo three", NULL};
    struct io_spawn_options options = {
        .argv = argv, .envp = env, .out = &out.stream, .err = &out.stream};
    watched = (struct watched){0};
    assert_int_equal(io_spawn(io, &watched.process, &options, exited, NULL), 0);
    read_all(&out);
    TURN_UNTIL(watched.exits && out.ended);
    assert_string_equal(out.text, "one\ntwo\nthree\n");
    io_close(&out.stream, NULL);
}

static void test_surroundings_of_the_child(void **state)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaction(SIGUSR2, &ignore, &before);
    sigprocmask(SIG_BLOCK, &set, NULL);
    run_shell("pwd; echo $COLOR $HOME; cat; ps -o pgid= -p $$ | tr -d ' '; echo $$;"
              "grep -E 'Sig(Blk|Ign)' /proc/self/status | tr -d '\\t'; ls /proc/self/fd | wc -w",
              &(struct io_spawn_options){.dir = "/usr"});
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    sigaction(SIGUSR2, &before, NULL);
    char expected[256];
    snprintf(expected, sizeof expected,
             "/usr\nred\n%d\n%d\nSigBlk:0000000000000000\nSigIgn:0000000000000000\n4\n",
             watched.process.pid, watched.process.pid);
    assert_string_equal(out.text, expected); /* 4: 0, 1, 2 and the folder that ls reads */
    assert_string_equal(err_out.text, "");
}

/* Spawns bash (dash's redirections know one digit) with these descriptors and reads its output. */
static void run_with_fds(const char *command, const struct io_fd_map *maps, size_t count)
{
    const char *const argv[] = {"bash", "-c", command, NULL};
    struct io_spawn_options options = {
        .argv = argv, .envp = env, .out = &out.stream, .fds = maps, .fd_count = count};
    watched = (struct watched){0};
    assert_int_equal(io_spawn(io, &watched.process, &options, exited, NULL), 0);
    read_all(&out);
    TURN_UNTIL(watched.exits && out.ended);
    io_close(&out.stream, NULL);
}

/* Puts a pipe that holds `text` at descriptor `fd`, which exec would not close. */
static void put_text(const char *text, int fd)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], text, strlen(text)), strlen(text));
    close(fds[1]);
    assert_int_equal(dup2(fds[0], fd), fd);
    close(fds[0]);
}

static void test_descriptors_are_handed_over(void **state)
{
    put_text("must not be seen", 97);
    put_text("from a\n", 98);
    put_text("from b\n", 99);
    /* Crossed over, so that a naive dup2 would lose one of the two. */
    struct io_fd_map crossed[] = {{98, 99}, {99, 98}, {98, 60}};
    run_with_fds("cat <&98; cat <&99; cat <&60; ls /proc/self/fd | tr '\\n' ' '", crossed, 3);
    assert_string_equal(out.text, "from b\nfrom a\n0 1 2 3 60 98 99 ");
    /* At each of the first free numbers, which are those that copies on the way would take. */
    int first = dup(0);
    close(first);
    for (int number = first; number < first + 12; number++) {
        put_text("from a\n", 98);
        put_text("from b\n", 99);
        struct io_fd_map low[] = {{98, number}, {99, 98}};
        char command[64];
        snprintf(command, sizeof command, "cat <&%d; cat <&98", number);
        run_with_fds(command, low, 2);
        assert_string_equal(out.text, "from a\nfrom b\n");
    }
    for (int fd = 97; fd <= 99; fd++) close(fd);
}

static void test_bad_descriptors(void **state)
{
    const char *const argv[] = {"true", NULL};
    struct io_fd_map bad = {999, 3}, negative = {0, -1};
    struct io_spawn_options options = {.argv = argv, .envp = env, .fds = &bad, .fd_count = 1};
    struct error error;
    assert_int_equal(io_spawn(io, &watched.process, &options, exited, &error), ERR_CLOSED);
    assert_string_equal(error.message, "cannot hand descriptors to \"true\": Bad file descriptor");
    options.fds = &negative;
    assert_int_equal(io_spawn(io, &watched.process, &options, exited, &error), ERR_INVALID);
    options.fd_count = 65;
    assert_int_equal(io_spawn(io, &watched.process, &options, exited, &error), ERR_TOO_BIG);
}

static void expect_failure(const char *program, const char *dir, int expected_err,
                           const char *message, bool has_remedy)
{
    const char *const argv[] = {program, NULL};
    struct io_spawn_options options = {
        .argv = argv, .envp = env, .dir = dir, .out = &out.stream, .err = &err_out.stream};
    struct error error = {0};
    int before = count_fds();
    assert_int_equal(io_spawn(io, &watched.process, &options, exited, &error), expected_err);
    assert_string_equal(error.message, message);
    assert_int_equal(error.remedy[0] != '\0', has_remedy);
    assert_int_equal(count_fds(), before);
    assert_int_equal(io_kill(&watched.process, SIGTERM), ERR_NOT_FOUND);
    assert_int_equal(io_spawn(io, &watched.process, &options, exited, NULL), expected_err);
}

static void make_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void test_program_that_cannot_run(void **state)
{
    char folder[64], path[80], message[320];
    watched = (struct watched){0};
    expect_failure("no-such-program", NULL, ERR_NOT_FOUND,
                   "cannot run \"no-such-program\": no such program in PATH "
                   "(/nonexistent:/usr/bin:/bin)",
                   true);
    expect_failure("/no/such", NULL, ERR_NOT_FOUND,
                   "cannot run \"/no/such\": it or its interpreter does not exist", true);
    expect_failure("sh", "/no/dir", ERR_NOT_FOUND,
                   "cannot run \"sh\" in folder \"/no/dir\": No such file or directory", true);
    expect_failure("", NULL, ERR_INVALID, "cannot run a program without a name", false);
    expect_failure("/etc", NULL, ERR_DENIED, "cannot run \"/etc\": it may not be executed", true);

    make_folder(folder);
    snprintf(path, sizeof path, "%s/f", folder);
    make_file(path, "echo no first line\n", 0755);
    snprintf(message, sizeof message, "cannot run \"%s\": not a program for this machine", path);
    expect_failure(path, NULL, ERR_INVALID, message, true);
    make_file(path, "#!/no/interpreter\n", 0755);
    snprintf(message, sizeof message, "cannot run \"%s\": it or its interpreter does not exist",
             path);
    expect_failure(path, NULL, ERR_NOT_FOUND, message, true);
    chmod(path, 0644);
    snprintf(message, sizeof message, "cannot run \"%s\": it may not be executed", path);
    expect_failure(path, NULL, ERR_DENIED, message, true);
    unlink(path);
    rmdir(folder);
    settle();
    assert_int_equal(watched.exits, 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_program_is_found_relative_to_the_folder(void **state)
{
    char folder[64], path[80];
    make_folder(folder);
    snprintf(path, sizeof path, "%s/f", folder);
    make_file(path, "#!/bin/sh\nexit 7\n", 0755);
    const char *const names[] = {"./f", "f"};
    const char *const here[] = {"PATH=/nonexistent::/bin", NULL}; /* the empty element: here */
    for (int i = 0; i < 2; i++) {
        const char *const argv[] = {names[i], NULL};
        struct io_spawn_options options = {.argv = argv, .envp = here, .dir = folder};
        watched = (struct watched){0};
        assert_int_equal(io_spawn(io, &watched.process, &options, exited, NULL), 0);
        TURN_UNTIL(watched.exits);
        assert_int_equal(WEXITSTATUS(watched.status), 7);
    }
    unlink(path);
    rmdir(folder);
}

/* ---- groups ------------------------------------------------------------------------------ */

static void test_kill_reaches_the_whole_group(void **state)
{
    const char *const argv[] = {"sh", "-c", "sleep 100 & sleep 100 & echo ready; wait", NULL};
    struct io_spawn_options options = {.argv = argv, .envp = env, .out = &out.stream};
    watched = (struct watched){0};
    assert_int_equal(io_spawn(io, &watched.process, &options, exited, NULL), 0);
    read_all(&out);
    TURN_UNTIL(out.len);
    assert_int_equal(io_kill(&watched.process, 0), 0);
    assert_int_equal(io_kill(&watched.process, SIGTERM), 0);
    TURN_UNTIL(watched.exits && out.ended); /* the pipe ends only when the sleepers are gone too */
    assert_int_equal(WTERMSIG(watched.status), SIGTERM);
    assert_int_equal(io_kill(&watched.process, SIGTERM), ERR_NOT_FOUND);
    io_close(&out.stream, NULL);
}

static void test_rest_of_the_group_can_be_killed_in_exited(void **state)
{
    const char *const argv[] = {"sh", "-c", "sleep 100 & exit 3", NULL};
    struct io_spawn_options options = {.argv = argv, .envp = env, .out = &out.stream};
    watched = (struct watched){0};
    assert_int_equal(io_spawn(io, &watched.process, &options, exited, NULL), 0);
    read_all(&out);
    TURN_UNTIL(watched.exits && out.ended);
    assert_true(watched.pid_was_ours);
    assert_int_equal(watched.kill_inside, 0);
    assert_int_equal(WEXITSTATUS(watched.status), 3);
    io_close(&out.stream, NULL);
}

static int starts;

static void start_again(struct io_process *process, int status)
{
    const char *const argv[] = {"true", NULL};
    struct io_spawn_options options = {.argv = argv, .envp = env};
    assert_int_equal(status, 0);
    if (++starts < 3)
        assert_int_equal(io_spawn(io, process, &options, start_again, NULL), 0);
    else
        memset(process, 0xee, sizeof *process);
}

static void test_process_may_start_again_in_exited(void **state)
{
    starts = -1;
    start_again(&watched.process, 0);
    TURN_UNTIL(starts == 3);
    settle();
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

static void test_die_signal(void **state)
{
#ifdef __SANITIZE_THREAD__
    skip(); /* it ends a process that makes threads after a fork */
#endif
    struct error error;
    int fds[2];
    char byte;
    assert_int_equal(pipe(fds), 0);
    pid_t middle = fork();
    if (middle == 0) { /* a process that starts a child and dies */
        struct io *own;
        struct io_process process;
        const char *const argv[] = {"sleep", "100", NULL};
        struct io_fd_map map = {fds[1], 5};
        struct io_spawn_options options = {
            .argv = argv, .envp = env, .fds = &map, .fd_count = 1, .die_signal = SIGKILL};
        if (io_new(NULL, &own) || io_spawn(own, &process, &options, exited, &error)) _exit(1);
        _exit(0);
    }
    int status;
    close(fds[1]);
    assert_int_equal(waitpid(middle, &status, 0), middle);
    assert_int_equal(status, 0);
    assert_int_equal(read(fds[0], &byte, 1), 0); /* the sleeper, who held the other end, is gone */
    close(fds[0]);
}

/* ---- watching ---------------------------------------------------------------------------- */

static void test_watch_of_a_foreign_process(void **state)
{
    int fds[2];
    pid_t grandchild;
    assert_int_equal(pipe(fds), 0);
    pid_t middle = fork();
    if (middle == 0) {
        grandchild = fork();
        if (grandchild == 0) {
            sleep(100);
            _exit(0);
        }
        if (write(fds[1], &grandchild, sizeof grandchild) != sizeof grandchild) _exit(1);
        _exit(0);
    }
    assert_int_equal(waitpid(middle, NULL, 0), middle);
    assert_int_equal(read(fds[0], &grandchild, sizeof grandchild), sizeof grandchild);
    watched = (struct watched){0};
    assert_int_equal(io_process_watch(io, &watched.process, grandchild, exited), 0);
    settle();
    assert_int_equal(watched.exits, 0);
    assert_int_equal(io_kill(&watched.process, SIGKILL), 0); /* leads no group: alone */
    TURN_UNTIL(watched.exits);
    assert_int_equal(watched.status, -1);
    assert_int_equal(watched.kill_inside, ERR_NOT_FOUND);
    close(fds[0]);
    close(fds[1]);
}

static void test_watch_of_a_child_and_of_nobody(void **state)
{
    pid_t child = fork();
    if (child == 0) _exit(9);
    watched = (struct watched){0};
    assert_int_equal(io_process_watch(io, &watched.process, child, exited), 0);
    TURN_UNTIL(watched.exits);
    assert_int_equal(WEXITSTATUS(watched.status), 9);
    assert_int_equal(io_process_watch(io, &watched.process, child, exited), ERR_NOT_FOUND);
    assert_int_equal(io_process_watch(io, &watched.process, 0, exited), ERR_INVALID);
}

static void test_released_process_goes_on(void **state)
{
    const char *const argv[] = {"sleep", "100", NULL};
    struct io_spawn_options options = {.argv = argv, .envp = env};
    watched = (struct watched){0};
    assert_int_equal(io_spawn(io, &watched.process, &options, exited, NULL), 0);
    pid_t pid = watched.process.pid;
    io_process_release(&watched.process);
    io_process_release(&watched.process);
    assert_int_equal(io_kill(&watched.process, SIGKILL), ERR_NOT_FOUND);
    assert_int_equal(kill(pid, 0), 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    settle();
    assert_int_equal(watched.exits, 0);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, make_loop, free_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(test_exit_status_and_outputs),
        WITH_LOOP(test_one_pipe_for_both_outputs),
        WITH_LOOP(test_surroundings_of_the_child),
        WITH_LOOP(test_descriptors_are_handed_over),
        WITH_LOOP(test_bad_descriptors),
        WITH_LOOP(test_program_that_cannot_run),
        WITH_LOOP(test_program_is_found_relative_to_the_folder),
        WITH_LOOP(test_kill_reaches_the_whole_group),
        WITH_LOOP(test_rest_of_the_group_can_be_killed_in_exited),
        WITH_LOOP(test_process_may_start_again_in_exited),
        WITH_LOOP(test_die_signal),
        WITH_LOOP(test_watch_of_a_foreign_process),
        WITH_LOOP(test_watch_of_a_child_and_of_nobody),
        WITH_LOOP(test_released_process_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
