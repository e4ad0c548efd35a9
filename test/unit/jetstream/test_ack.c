/* What clients say of messages that they got: acknowledgements of every kind, also of what they
 * never got. */
#include "delivery_test.h"

static void acknowledges(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    for (int i = 0; i < 6; i++) put(&t, "s.a", "x");
    make_consumer(&t, ",\"max_deliver\":3");
    ask(&t, NEXT, "6");
    await(&t, 6);
    say_of(&t, 0, "", "");
    say_of(&t, 1, "+ACK", "answer");
    await(&t, 7);
    expect_message(&t, 6, "answer", ""); /* when it is on the disk */
    assert_int_equal(info_of(&t).ack_floor.stream_seq, 2);
    assert_int_equal(info_of(&t).num_ack_pending, 4);
    say_of(&t, 1, "+ACK", "answer"); /* again */
    await(&t, 8);
    say_of(&t, 2, "-NAK", "");
    say_of(&t, 3, "-NAK {\"delay\": 30000000}", "");
    say_of(&t, 4, "+WPI", "");
    say_of(&t, 5, "+TERM no good", "");
    ask(&t, NEXT, "2");
    await(&t, 10);
    expect_reply(&t, 8, "$JS.ACK.S.c.2.3.7.", ".0");
    expect_reply(&t, 9, "$JS.ACK.S.c.2.4.8.", ".0");
    assert_int_equal(info_of(&t).num_redelivered, 2);
    assert_int_equal(info_of(&t).num_ack_pending, 3);
    say_of(&t, 8, "+NXT 1", "answer"); /* acknowledges, and asks for another */
    turns(&t, 5);
    assert_int_equal(info_of(&t).num_waiting, 1);
    put(&t, "s.b", "next");
    await(&t, 11);
    expect_message(&t, 10, "s.b", "next");
    for (int i = 0; i < TURNS_MAX && !streams_find(t.streams, BYTES("DEAD")); i++) {
        io_turn(t.io, 10);
    }
    assert_non_null(streams_find(t.streams, BYTES("DEAD")));
    struct message odd =
        message_borrow(BYTES("$JS.ACK.S.none.1.1.1.1.1"), BYTES(""), BYTES(""), BYTES(""));
    assert_int_equal(bus_publish(t.bus, &odd), 0);
    api_stop(&t);
}

static void the_last_delay_counts(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    put(&t, "s.a", "one");
    make_consumer(&t, "");
    ask(&t, NEXT, "1");
    await(&t, 1);
    say_of(&t, 0, "-NAK", "");
    say_of(&t, 0, "-NAK 1h", "");
    turns(&t, 5);
    ask(&t, NEXT, "{\"no_wait\":true}");
    await(&t, 2);
    expect_status(&t, 1, "404 No Messages");
    say_of(&t, 0, "-NAK", "");
    ask(&t, NEXT, "1");
    await(&t, 3);
    expect_message(&t, 2, "s.a", "one");
    api_stop(&t);
}

/* A server that has started anew may not have delivered it yet; then it will. */
static void what_was_not_delivered_is_not_acknowledged(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    put(&t, "s.a", "one");
    put(&t, "s.a", "two");
    make_consumer(&t, "");
    struct message early =
        message_borrow(BYTES("$JS.ACK.S.c.1.2.2.1.0"), BYTES("answer"), BYTES(""), BYTES("+ACK"));
    ask(&t, NEXT, "1");
    await(&t, 1);
    assert_int_equal(bus_publish(t.bus, &early), 1);
    turns(&t, 5);
    assert_int_equal(t.count, 1);
    ask(&t, NEXT, "1");
    await(&t, 2);
    expect_message(&t, 1, "s.a", "two");
    assert_int_equal(info_of(&t).num_ack_pending, 2);
    api_stop(&t);
}

/* A subject that names no sequence acknowledges nothing: above all not one whose number, cut to
 * 64 bits, would be that of a message. */
static void odd_sequences_are_not_acknowledged(void **state)
{
    static const char *const odd[] = {"$JS.ACK.S.c.1.18446744073709551617.1.1.0",
                                      "$JS.ACK.S.c.1.1x.1.1.0",
                                      "$JS.ACK.S.c.1.-1.1.1.0",
                                      "$JS.ACK.S.c.1.1",
                                      "$JS.ACK.S.c.1",
                                      "$JS.ACK.S.c"};
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    put(&t, "s.a", "one");
    make_consumer(&t, "");
    ask(&t, NEXT, "1");
    await(&t, 1);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct message ack = message_borrow(bytes_str(odd[i]), BYTES(""), BYTES(""), BYTES("+ACK"));
        assert_int_equal(bus_publish(t.bus, &ack), 0);
        assert_int_equal(info_of(&t).num_ack_pending, 1);
    }
    struct message ack = message_borrow(BYTES("$JS.ACK.S.c.1.0000000000000000001.1.1.0"), BYTES(""),
                                        BYTES(""), BYTES("+ACK"));
    assert_int_equal(bus_publish(t.bus, &ack), 1);
    assert_int_equal(info_of(&t).num_ack_pending, 0);
    api_stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledges),
        cmocka_unit_test(the_last_delay_counts),
        cmocka_unit_test(what_was_not_delivered_is_not_acknowledged),
        cmocka_unit_test(odd_sequences_are_not_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
