/* A worker for the tests of the parent: speaks the control channel and nothing else.
 *
 *     fake_worker DIR       notes each hello in DIR/hellos; without children it spawns one; answers
 *                           connections to the gateway's socket with its pid; ends when told to,
 *                           after its children
 *     fake_worker DIR die   ends at once
 *     fake_worker DIR deaf  never does as it is told */
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONTROL = 3, GATEWAY = 4 };

static int children;
static bool stopping;

static void note(const char *dir, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/hellos", dir);
    FILE *file = fopen(path, "a");
    fprintf(file, "%s\n", text);
    fclose(file);
}

static void tell(json_t *object)
{
    json_dumpfd(object, CONTROL, JSON_COMPACT);
    if (write(CONTROL, "\n", 1) != 1) _exit(9);
    json_decref(object);
}

static void spawn(const char *id, const char *script)
{
    children++;
    tell(json_pack("{s:s, s:s, s:[s, s, s], s:[s], s:s, s:s, s:{s:i}}", "op", "spawn", "id", id,
                   "argv", "/bin/sh", "-c", script, "env", "PATH=/usr/bin:/bin", "dir", "/", "log",
                   "shop", "tag", "index", 7));
}

static void end_children(void)
{
    stopping = true;
    tell(json_pack("{s:s, s:s, s:i}", "op", "kill", "id", "c1", "signal", 15));
    if (!children) exit(0);
}

static void on_hello(const char *dir, json_t *hello)
{
    char *text = json_dumps(hello, JSON_COMPACT);
    note(dir, text);
    free(text);
    children = (int)json_array_size(json_object_get(hello, "children"));
    if (!children) spawn("c1", "echo begun; sleep 1000 & exec sleep 1000");
    tell(json_pack("{s:s, s:{s:i}}", "op", "keep", "what", "pid", (int)getpid()));
    tell(json_pack("{s:s}", "op", "ready"));
}

static void on_line(const char *dir, const char *line, bool deaf)
{
    json_t *object = json_loads(line, 0, NULL);
    const char *op = json_string_value(json_object_get(object, "op"));
    if (!op) _exit(8);
    if (strcmp(op, "hello") == 0) on_hello(dir, object);
    if (strcmp(op, "stop") == 0 && !deaf) end_children();
    if (strcmp(op, "exit") == 0) {
        children--;
        tell(json_pack("{s:s, s:s}", "op", "say", "text", "a child has ended"));
        if (stopping && !children) exit(0);
    }
    json_decref(object);
}

static void answer(void)
{
    char text[32];
    int fd = accept(GATEWAY, NULL, NULL);
    if (fd < 0) return;
    int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (write(fd, text, (size_t)len) != len) _exit(7);
    close(fd);
}

int main(int argc, char **argv)
{
    bool deaf = argc > 2 && strcmp(argv[2], "deaf") == 0;
    if (argc > 2 && !deaf) return 1;
    fcntl(CONTROL, F_SETFL, 0);
    printf("worker begun\n");
    fflush(stdout);
    FILE *control = fdopen(dup(CONTROL), "r");
    setvbuf(control, NULL, _IONBF, 0); /* so that poll knows of every line */
    static char line[65536];
    for (;;) {
        struct pollfd fds[] = {{CONTROL, POLLIN, 0}, {GATEWAY, POLLIN, 0}};
        poll(fds, 2, -1);
        if (fds[1].revents) answer();
        if (!fds[0].revents) continue;
        if (!fgets(line, sizeof line, control)) return 2;
        on_line(argv[1], line, deaf);
    }
}
