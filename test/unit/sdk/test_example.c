/* The example of dure.h, in its three forms: module, program with libdure.so, with libdure.a. */
#include "program.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void as_a_module(void **state)
{
    static const char *const paths[] = {MODULES "/example.so", NULL};
    struct program p;
    program_start(&p, NULL, paths, 1, NULL);
    assert_int_equal(client_get(p.ports[0], "/items/7"), 503); /* nobody knows the price */
    assert_int_equal(program_stop(&p), 0);
}

static void as_a_program(const char *path)
{
    char port[16];
    int number = free_port(), fd = -1, status;
    snprintf(port, sizeof port, "%d", number);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        setenv("PORT", port, 1);
        unsetenv("NATS_URL");
        execl(path, path, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 500 && (fd = client_connect(number)) < 0; i++) usleep(10000);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(client_get(number, "/health"), 200);
    assert_int_equal(client_get(number, "/items/7"), 503);
    kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void as_a_program_with_the_shared_library(void **state)
{
    as_a_program(MODULES "/example");
}

static void as_a_program_with_the_static_library(void **state)
{
    as_a_program(MODULES "/example_static");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_a_module),
        cmocka_unit_test(as_a_program_with_the_shared_library),
        cmocka_unit_test(as_a_program_with_the_static_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
