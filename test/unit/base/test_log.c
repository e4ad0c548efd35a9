#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"

static char last[20000];
static int lines;
static bool full;

static bool sink(void *context, enum log_level level, struct bytes line)
{
    if (full) return false;
    assert_true(line.len < sizeof last);
    memcpy(last, line.data, line.len);
    last[line.len] = '\0';
    lines++;
    return true;
}

static uint64_t wall_ns(void *context)
{
    return 1795262400123000000; /* 2026-11-21T12:00:00.123Z */
}

static void test_event(void **state)
{
    struct log log = {LOG_INFO, sink, wall_ns, NULL, 0};
    lines = 0;
    LOG(&log, LOG_WARN, "ejected", LOG_S("service", "a\"b"), LOG_U("n", 3), LOG_I("i", -3),
        LOG_B("b", BYTES("x")), LOG_ERR(ERR_RESET));
    assert_string_equal(last, "{\"time\":\"2026-11-21T12:00:00.123Z\",\"level\":\"warn\","
                              "\"event\":\"ejected\",\"service\":\"a\\\"b\",\"n\":3,\"i\":-3,"
                              "\"b\":\"x\",\"error\":\"RESET\"}\n");
    LOG(&log, LOG_DEBUG, "below");
    LOG((struct log *)NULL, LOG_ERROR, "to nobody");
    assert_int_equal(lines, 1);
    LOG(&log, LOG_INFO, "bare");
    assert_string_equal(last, "{\"time\":\"2026-11-21T12:00:00.123Z\",\"level\":\"info\","
                              "\"event\":\"bare\"}\n");
    assert_int_equal(log.dropped, 0);
}

static void test_dropped_and_counted(void **state)
{
    struct log log = {LOG_DEBUG, sink, wall_ns, NULL, 0};
    char *huge = malloc(20000);
    assert_non_null(huge);
    memset(huge, 'x', 20000);
    lines = 0;
    full = true;
    LOG(&log, LOG_ERROR, "no room");
    full = false;
    assert_int_equal(log.dropped, 1);
    LOG(&log, LOG_ERROR, "too long", LOG_B("text", bytes_make(huge, 20000)));
    assert_int_equal(log.dropped, 2);
    assert_int_equal(lines, 0);
    free(huge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event),
        cmocka_unit_test(test_dropped_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
