#include "program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MS = 15000 };

static void become(const struct dure_module *module, const char *const *paths,
                   const char *const *env)
{
    static char name[] = "host";
    char *argv[PROGRAM_TENANTS_MAX + 2] = {name};
    int argc = 1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close_range(3, ~0u, 0);
    setenv("PORT", "0", 1);
    unsetenv("NATS_URL");
    unsetenv("DURE_HTTP");
    for (; env && *env; env++) putenv((char *)*env);
    for (; paths && paths[argc - 1]; argc++) argv[argc] = (char *)paths[argc - 1];
    exit(module ? dure_main(module, 1, argv) : dure_host_main(argc, argv));
}

void program_spawn(struct program *program, const struct dure_module *module,
                   const char *const *paths, const char *const *env)
{
    int log[2];
    *program = (struct program){0};
    program->log = calloc(1, PROGRAM_LOG_MAX + 1);
    assert_int_equal(pipe2(log, O_CLOEXEC), 0);
    fflush(NULL);
    program->pid = fork();
    assert_true(program->pid >= 0);
    if (program->pid == 0) {
        dup2(log[1], STDERR_FILENO);
        become(module, paths, env);
    }
    close(log[1]);
    fcntl(log[0], F_SETFL, O_NONBLOCK);
    program->log_fd = log[0];
}

void program_poll_log(struct program *program)
{
    ssize_t got;
    while (program->log_len < PROGRAM_LOG_MAX &&
           (got = read(program->log_fd, program->log + program->log_len,
                       PROGRAM_LOG_MAX - program->log_len)) > 0)
        program->log_len += (size_t)got;
    program->log[program->log_len] = '\0';
}

static int occurrences(const char *text, const char *part)
{
    int count = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) count++;
    return count;
}

void program_wait_log(struct program *program, const char *text, int count)
{
    for (int waited = 0; waited < WAIT_MS; waited += 10) {
        program_poll_log(program);
        if (occurrences(program->log, text) >= count) return;
        struct pollfd in = {.fd = program->log_fd, .events = POLLIN};
        if (poll(&in, 1, 10) == 1 && !(in.revents & POLLIN)) break;
    }
    fprintf(stderr, "%s", program->log);
    fail_msg("the log does not say %s", text);
}

void program_start(struct program *program, const struct dure_module *module,
                   const char *const *paths, int tenants, const char *const *env)
{
    static const char event[] = "\"event\":\"started\"", key[] = "\"port\":";
    program_spawn(program, module, paths, env);
    program_wait_log(program, event, tenants);
    const char *at = program->log;
    while (program->port_count < tenants && (at = strstr(at, event))) {
        at = strstr(at, key);
        assert_non_null(at);
        program->ports[program->port_count++] = (int)strtol(at + strlen(key), NULL, 10);
    }
}

int program_wait(struct program *program)
{
    int status = 0;
    pid_t pid = 0;
    for (int waited = 0; waited < WAIT_MS && pid == 0; waited += 5) {
        program_poll_log(program);
        pid = waitpid(program->pid, &status, WNOHANG);
        if (pid == 0) usleep(5000);
    }
    if (pid == 0) {
        kill(program->pid, SIGKILL);
        waitpid(program->pid, &status, 0);
        fprintf(stderr, "%s", program->log);
        fail_msg("the program does not end");
    }
    program_poll_log(program);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    if (code < 0) fprintf(stderr, "%s", program->log);
    close(program->log_fd);
    free(program->log);
    program->log = NULL;
    return code;
}

int program_stop(struct program *program)
{
    kill(program->pid, SIGTERM);
    return program_wait(program);
}

/* ---- a client ----------------------------------------------------------------------------------
 */

int client_connect(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    assert_true(fd >= 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0) return fd;
    close(fd);
    return -1;
}

void client_send_bytes(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
        if (sent < 0) return; /* the test will see what came back */
        at += sent;
        len -= (size_t)sent;
    }
}

void client_send(int fd, const char *text)
{
    client_send_bytes(fd, text, strlen(text));
}

/* One byte at a time is slow and simple. False: closed. */
static bool read_byte(int fd, char *ret_byte)
{
    struct pollfd in = {.fd = fd, .events = POLLIN};
    if (poll(&in, 1, WAIT_MS) != 1) fail_msg("no answer");
    return recv(fd, ret_byte, 1, 0) == 1;
}

bool client_response(int fd, struct response *ret_response)
{
    struct response *r = ret_response;
    size_t len = 0;
    memset(r, 0, sizeof *r);
    while (len < 4 || memcmp(r->head + len - 4, "\r\n\r\n", 4) != 0) {
        assert_true(len + 1 < sizeof r->head);
        if (!read_byte(fd, &r->head[len])) return false;
        len++;
    }
    assert_memory_equal(r->head, "HTTP/1.1 ", 9);
    r->status = (int)strtol(r->head + 9, NULL, 10);
    const char *length = strcasestr(r->head, "\r\nContent-Length:");
    size_t want = length ? strtoul(length + 17, NULL, 10) : 0;
    assert_true(want < sizeof r->body);
    while (r->len < want) {
        if (!read_byte(fd, &r->body[r->len])) return false;
        r->len++;
    }
    return true;
}

bool client_closed(int fd)
{
    char byte;
    struct pollfd in = {.fd = fd, .events = POLLIN};
    return poll(&in, 1, WAIT_MS) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

struct response *client_request(int port, const char *method, const char *target, const char *extra,
                                const char *body)
{
    static struct response response;
    char text[16384];
    int fd = client_connect(port);
    assert_true(fd >= 0);
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: test\r\nContent-Length: %zu\r\n%s\r\n%s",
             method, target, body ? strlen(body) : 0, extra ? extra : "", body ? body : "");
    client_send(fd, text);
    assert_true(client_response(fd, &response));
    close(fd);
    return &response;
}

int client_get(int port, const char *target)
{
    return client_request(port, "GET", target, NULL, NULL)->status;
}

int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return ntohs(at.sin_port);
}
