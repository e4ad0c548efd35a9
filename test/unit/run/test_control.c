#include "run/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct end {
    struct control control;
    int messages, closed;
    char last[64];
    json_int_t number;
};

static struct io *io;
static struct end ends[2];

static void on_message(struct control *control, const char *op, json_t *object)
{
    struct end *end = control->owner;
    end->messages++;
    snprintf(end->last, sizeof end->last, "%s", op);
    end->number = json_integer_value(json_object_get(object, "n"));
}

static void on_closed(struct control *control, int err)
{
    struct end *end = control->owner;
    end->closed++;
}

static int setup(void **state)
{
    int pair[2];
    memset(ends, 0, sizeof ends);
    if (io_new(NULL, &io) != 0 || io_socket_pair(pair) != 0) return -1;
    for (int i = 0; i < 2; i++)
        if (control_open(&ends[i].control, io, pair[i], &ends[i], on_message, on_closed) != 0)
            return -1;
    return 0;
}

static int teardown(void **state)
{
    for (int i = 0; i < 2; i++) control_close(&ends[i].control);
    for (int turns = 0; turns < 100 && !(ends[0].closed && ends[1].closed); turns++)
        io_turn(io, 10);
    io_free(io);
    return ends[0].closed == 1 && ends[1].closed == 1 ? 0 : -1;
}

static void turn_until(int *counter, int value)
{
    for (int turns = 0; turns < 10000 && *counter < value; turns++) io_turn(io, 100);
    assert_int_equal(*counter, value);
}

static void messages_arrive_whole_and_in_order(void **state)
{
    for (int i = 1; i <= 5000; i++) {
        assert_int_equal(control_send(&ends[0].control, json_pack("{s:s, s:i}", "op", "x", "n", i)),
                         0);
        if (i % 100 == 0) io_turn(io, 0);
    }
    turn_until(&ends[1].messages, 5000);
    assert_int_equal(ends[1].number, 5000);
    assert_string_equal(ends[1].last, "x");
}

static void both_ends_speak(void **state)
{
    control_send(&ends[0].control, json_pack("{s:s}", "op", "ping"));
    control_send(&ends[1].control, json_pack("{s:s}", "op", "pong"));
    turn_until(&ends[0].messages, 1);
    turn_until(&ends[1].messages, 1);
    assert_string_equal(ends[0].last, "pong");
    assert_string_equal(ends[1].last, "ping");
}

static void a_big_message_arrives(void **state)
{
    size_t size = CONTROL_LINE_MAX - 100;
    char *text = malloc(size + 1);
    memset(text, 'a', size);
    text[size] = 0;
    assert_int_equal(
        control_send(&ends[0].control, json_pack("{s:s, s:s}", "op", "big", "t", text)), 0);
    free(text);
    turn_until(&ends[1].messages, 1);
}

static void what_is_no_message_closes_the_channel(const char *bytes)
{
    ssize_t written = write(ends[0].control.stream.fd, bytes, strlen(bytes));
    assert_int_equal(written, strlen(bytes));
    turn_until(&ends[1].closed, 1);
    assert_int_equal(ends[1].messages, 0);
    assert_int_equal(control_send(&ends[1].control, json_pack("{s:s}", "op", "x")), ERR_CLOSED);
}

static void garbage_closes(void **state)
{
    what_is_no_message_closes_the_channel("hello\n");
}

static void a_message_without_op_closes(void **state)
{
    what_is_no_message_closes_the_channel("{\"n\":1}\n");
}

static void too_much_for_a_slow_reader_is_refused_whole(void **state)
{
    char text[65536];
    memset(text, 'b', sizeof text - 1);
    text[sizeof text - 1] = 0;
    int sent = 0, err = 0;
    for (; sent < 1000 && !err; sent++)
        err = control_send(&ends[0].control, json_pack("{s:s, s:s}", "op", "x", "t", text));
    assert_int_equal(err, ERR_FULL);
    turn_until(&ends[1].messages, sent - 1); /* and what was taken arrives */
}

static void the_other_end_going_is_told_once(void **state)
{
    control_close(&ends[0].control);
    turn_until(&ends[1].closed, 1);
}

/* The other side would take it for a broken protocol, and the worker would be lost for one big
 * manifest. */
static void what_is_longer_than_a_line_is_refused_here(void **state)
{
    char *text = malloc(CONTROL_LINE_MAX + 1);
    memset(text, 'x', CONTROL_LINE_MAX);
    text[CONTROL_LINE_MAX] = 0;
    assert_int_equal(
        control_send(&ends[0].control, json_pack("{s:s, s:s}", "op", "keep", "what", text)),
        ERR_TOO_BIG);
    text[CONTROL_LINE_MAX - 100] = 0;
    assert_int_equal(
        control_send(&ends[0].control, json_pack("{s:s, s:s}", "op", "keep", "what", text)), 0);
    assert_int_equal(control_send(&ends[0].control, json_pack("{s:s}", "op", "last")), 0);
    free(text);
    turn_until(&ends[1].messages, 2);
    assert_string_equal(ends[1].last, "last");
    assert_int_equal(ends[1].closed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_arrive_whole_and_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(both_ends_speak, setup, teardown),
        cmocka_unit_test_setup_teardown(a_big_message_arrives, setup, teardown),
        cmocka_unit_test_setup_teardown(garbage_closes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_without_op_closes, setup, teardown),
        cmocka_unit_test_setup_teardown(too_much_for_a_slow_reader_is_refused_whole, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_longer_than_a_line_is_refused_here, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_other_end_going_is_told_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
