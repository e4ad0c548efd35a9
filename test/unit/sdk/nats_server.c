#include "nats_server.h"
#include "program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Our own bus instead: $DURE_TEST_BUS is the program dure. */
static const char *own(void)
{
    return getenv("DURE_TEST_BUS");
}

static const char *binary(void)
{
    static const char *const places[] = {"/usr/sbin/nats-server", "/usr/bin/nats-server",
                                         "/usr/local/bin/nats-server"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (access(places[i], X_OK) == 0) return places[i];
    return NULL;
}

bool nats_server_exists(void)
{
    return own() || binary();
}

void nats_server_start(struct nats_server *server)
{
    char port[16];
    if (!server->port) {
        server->port = free_port();
        snprintf(server->dir, sizeof server->dir, "/tmp/dure-test-nats-XXXXXX");
        assert_non_null(mkdtemp(server->dir));
    }
    snprintf(port, sizeof port, "%d", server->port);
    fflush(NULL);
    server->pid = fork();
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        dup2(null, STDOUT_FILENO);
        close_range(3, ~0u, 0);
        char listen[32];
        snprintf(listen, sizeof listen, "127.0.0.1:%s", port);
        if (own())
            execl(own(), "dure", "bus", "--listen", listen, "--data", server->dir, (char *)NULL);
        execl(binary(), "nats-server", "-a", "127.0.0.1", "-p", port, "-js", "-sd", server->dir,
              server->config ? "-c" : (char *)NULL, server->config, (char *)NULL);
        _exit(127);
    }
    int fd = -1;
    for (int i = 0; i < 500 && (fd = client_connect(server->port)) < 0; i++) usleep(20000);
    assert_true(fd >= 0);
    close(fd);
}

void nats_server_kill(struct nats_server *server)
{
    if (!server->pid) return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

void nats_server_release(struct nats_server *server)
{
    char command[128];
    nats_server_kill(server);
    if (!server->port) return;
    snprintf(command, sizeof command, "%s", server->dir);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", command, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

/* ---- a bare client ------------------------------------------------------------------------------
 */

/* The next line with its CRLF. */
static size_t read_line(int fd, char *line, size_t size)
{
    size_t len = 0;
    while (len < 2 || line[len - 1] != '\n') {
        struct pollfd in = {.fd = fd, .events = POLLIN};
        if (poll(&in, 1, 10000) != 1) fail_msg("the bus says nothing");
        assert_true(len + 1 < size);
        assert_int_equal(recv(fd, line + len, 1, 0), 1);
        len++;
    }
    line[len] = '\0';
    return len;
}

int bare_connect(const struct nats_server *server)
{
    static char line[16384];
    int fd = client_connect(server->port);
    assert_true(fd >= 0);
    read_line(fd, line, sizeof line);
    client_send(fd, "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,"
                    "\"no_responders\":true}\r\nPING\r\n");
    read_line(fd, line, sizeof line);
    assert_string_equal(line, "PONG\r\n");
    return fd;
}

const char *bare_next(int fd)
{
    static char text[65536];
    for (;;) {
        size_t len = read_line(fd, text, sizeof text);
        if (strncmp(text, "PING", 4) == 0) client_send(fd, "PONG\r\n");
        if (strncmp(text, "MSG", 3) != 0 && strncmp(text, "HMSG", 4) != 0) continue;
        const char *size = strrchr(text, ' ');
        for (size_t left = strtoul(size, NULL, 10) + 2; left > 0; left--)
            assert_int_equal(recv(fd, text + len++, 1, MSG_WAITALL), 1);
        text[len] = '\0';
        return text;
    }
}

void bare_publish(int fd, const char *subject, const char *body)
{
    char text[4096];
    snprintf(text, sizeof text, "PUB %s %zu\r\n%s\r\n", subject, strlen(body), body);
    client_send(fd, text);
}

void bare_subscribe(int fd, const char *subject)
{
    char text[4096];
    snprintf(text, sizeof text, "SUB %s 77\r\nPING\r\n", subject);
    client_send(fd, text);
    read_line(fd, text, sizeof text);
    assert_string_equal(text, "PONG\r\n");
}

const char *bare_ask(int fd, const char *subject, const char *headers, const char *body)
{
    static int next;
    char text[8192], inbox[64], block[1024] = "";
    snprintf(inbox, sizeof inbox, "_INBOX.bare%d.%d", (int)getpid(), ++next);
    if (headers) snprintf(block, sizeof block, "NATS/1.0\r\n%s\r\n", headers);
    if (headers)
        snprintf(text, sizeof text, "SUB %s %d\r\nUNSUB %d 1\r\nHPUB %s %s %zu %zu\r\n%s%s\r\n",
                 inbox, next + 100, next + 100, subject, inbox, strlen(block),
                 strlen(block) + strlen(body), block, body);
    else
        snprintf(text, sizeof text, "SUB %s %d\r\nUNSUB %d 1\r\nPUB %s %s %zu\r\n%s\r\n", inbox,
                 next + 100, next + 100, subject, inbox, strlen(body), body);
    client_send(fd, text);
    return bare_next(fd);
}

bool bare_make_stream(int fd, const char *name, const char *subject)
{
    char api[128], body[512];
    snprintf(api, sizeof api, "$JS.API.STREAM.CREATE.%s", name);
    snprintf(
        body, sizeof body,
        "{\"name\":\"%s\",\"subjects\":[\"%s\"],\"storage\":\"file\",\"retention\":\"limits\"}",
        name, subject);
    const char *made = bare_ask(fd, api, NULL, body);
    assert_null(strstr(made, "\"error\""));
    return !strstr(made, "NATS/1.0 503");
}

int bare_stream_messages(int fd, const char *name)
{
    char api[128];
    snprintf(api, sizeof api, "$JS.API.STREAM.INFO.%s", name);
    const char *at = strstr(bare_ask(fd, api, NULL, ""), "\"messages\":");
    assert_non_null(at);
    return (int)strtol(at + 11, NULL, 10);
}
