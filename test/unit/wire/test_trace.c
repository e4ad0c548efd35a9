#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "guard.h"
#include "wire/trace.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static struct guard guard;

struct parent_case {
    const char *text;
    bool valid;
};

static const struct parent_case parents[] = {
    {"00-" TRACE "-" SPAN "-01", true},
    {"00-" TRACE "-" SPAN "-00", true},
    {"00-" TRACE "-" SPAN "-ff", true},
    {"01-" TRACE "-" SPAN "-01", true},
    {"cc-" TRACE "-" SPAN "-01", true},
    {"cc-" TRACE "-" SPAN "-01-what-the-future-brings", true},
    {"cc-" TRACE "-" SPAN "-01-", true},
    {"fe-" TRACE "-" SPAN "-01", true},
    {"", false},
    {"00", false},
    {"ff-" TRACE "-" SPAN "-01", false},
    {"00-" TRACE "-" SPAN "-01-", false},
    {"00-" TRACE "-" SPAN "-01-x", false},
    {"00-" TRACE "-" SPAN "-01.", false},
    {"01-" TRACE "-" SPAN "-01.x", false},
    {"01-" TRACE "-" SPAN "-010", false},
    {"00-" TRACE "-" SPAN "-0", false},
    {"00-" TRACE "-" SPAN "-0g", false},
    {"00-" TRACE "-" SPAN "-0A", false},
    {"00-" TRACE "-" SPAN "_01", false},
    {"00-" TRACE "." SPAN "-01", false},
    {"00." TRACE "-" SPAN "-01", false},
    {"0-" TRACE "-" SPAN "-01", false},
    {"000-" TRACE "-" SPAN "-01", false},
    {"0x-" TRACE "-" SPAN "-01", false},
    {"FE-" TRACE "-" SPAN "-01", false},
    {" 00-" TRACE "-" SPAN "-01", false},
    {"00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01", false},
    {"00-" TRACE "-B7AD6B7169203331-01", false},
    {"00-00000000000000000000000000000000-" SPAN "-01", false},
    {"00-" TRACE "-0000000000000000-01", false},
    {"00-0af7651916cd43dd8448eb211c80319-" SPAN "-001", false},
    {"00-" TRACE "-b7ad6b716920333-001", false},
    {"00-0af7651916cd43dd8448eb211c80319x-" SPAN "-01", false},
};

static void parses_traceparent(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof parents / sizeof *parents; i++) {
        struct trace_parent parent;
        struct bytes text = bytes_str(parents[i].text);
        int err = trace_parent_parse(guard_bytes(&guard, text), &parent);
        if (err != (parents[i].valid ? 0 : ERR_SYNTAX))
            fail_msg("\"%s\": %d", parents[i].text, err);
        for (size_t cut = 0; cut < text.len && cut < TRACE_PARENT_TEXT; cut++)
            assert_int_equal(
                trace_parent_parse(guard_bytes(&guard, bytes_head(text, cut)), &parent),
                ERR_SYNTAX);
    }
}

static void formats_what_it_parsed(void **state)
{
    (void)state;
    struct trace_parent parent;
    char text[TRACE_PARENT_TEXT];
    assert_int_equal(trace_parent_parse(BYTES("cc-" TRACE "-" SPAN "-ff-x"), &parent), 0);
    trace_parent_format(&parent, text);
    /* Our version, and no flags that it does not know. */
    assert_memory_equal(text, "00-" TRACE "-" SPAN "-03", TRACE_PARENT_TEXT);
    struct trace_id id;
    struct span_id span;
    assert_int_equal(trace_id_parse(BYTES(TRACE), &id), 0);
    assert_int_equal(span_id_parse(BYTES(SPAN), &span), 0);
    assert_int_equal(span_id_parse(BYTES(TRACE), &span), ERR_SYNTAX);
    assert_int_equal(trace_id_parse(BYTES(SPAN), &id), ERR_SYNTAX);
    assert_false(trace_id_is_zero(&id) || span_id_is_zero(&span));
}

static void ids_come_from_the_bytes_given(void **state)
{
    (void)state;
    uint8_t random[TRACE_RANDOM];
    for (size_t i = 0; i < sizeof random; i++) random[i] = (uint8_t)(i + 1);
    struct trace first, below, child;
    char text[TRACE_PARENT_TEXT];
    trace_start(&first, random);
    trace_format(&first, text);
    assert_memory_equal(text, "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-03",
                        TRACE_PARENT_TEXT);
    assert_true(span_id_is_zero(&first.parent));
    struct trace_parent parent;
    assert_int_equal(trace_parent_parse(BYTES("00-" TRACE "-" SPAN "-00"), &parent), 0);
    trace_continue(&below, &parent, random);
    trace_format(&below, text);
    assert_memory_equal(text, "00-" TRACE "-1112131415161718-00", TRACE_PARENT_TEXT);
    assert_memory_equal(below.parent.bytes, parent.span.bytes, 8);
    trace_child(&child, &below, random);
    assert_memory_equal(child.parent.bytes, below.span.bytes, 8);
    assert_memory_equal(child.id.bytes, below.id.bytes, 16);
    /* Even bytes that are all zero make a valid id. */
    memset(random, 0, sizeof random);
    trace_start(&first, random);
    assert_false(trace_id_is_zero(&first.id) || span_id_is_zero(&first.span));
}

/* What an intake makes of the headers, as "trace|state"; up to three of each. */
static void take(const char *const *traceparents, const char *const *tracestates, bool continued,
                 const char *state_out)
{
    static const uint8_t random[TRACE_RANDOM] = {7};
    struct trace_intake intake;
    struct trace trace;
    trace_intake_init(&intake);
    for (; *traceparents; traceparents++)
        trace_intake_parent(&intake, guard_bytes(&guard, bytes_str(*traceparents)));
    for (; *tracestates; tracestates++)
        trace_intake_state(&intake, guard_bytes(&guard, bytes_str(*tracestates)));
    assert_int_equal(trace_intake_finish(&intake, random, &trace), continued);
    assert_int_equal(trace.id.bytes[0], continued ? 0x0a : 7);
    struct bytes out = trace_intake_state_out(&intake);
    if (!bytes_eq(out, bytes_str(state_out)))
        fail_msg("\"%.*s\", expected \"%s\"", BYTES_ARG(out), state_out);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})
#define GOOD LIST("00-" TRACE "-" SPAN "-01")

static void takes_headers_in(void **state)
{
    (void)state;
    take(LIST(), LIST(), false, "");
    take(LIST(), LIST("a=1"), false, "");
    take(LIST("bad"), LIST("a=1"), false, "");
    take(GOOD, LIST(), true, "");
    take(GOOD, LIST("a=1"), true, "a=1");
    take(GOOD, LIST("a=1,b=2"), true, "a=1,b=2");
    take(GOOD, LIST("a=1 \t, \tb=2 ,, "), true, "a=1,b=2");
    take(GOOD, LIST("a=1", "b=2,c=3", "d=4"), true, "a=1,b=2,c=3,d=4");
    take(GOOD, LIST(""), true, "");
    take(GOOD, LIST("", "a=1"), true, "a=1");
    take(GOOD, LIST("a=1", "bad"), true, "");
    take(LIST("00-" TRACE "-" SPAN "-01", "00-" TRACE "-" SPAN "-01"), LIST("a=1"), false, "");
    take(LIST("bad", "00-" TRACE "-" SPAN "-01"), LIST("a=1"), false, "");
}

static void checks_tracestate(void **state)
{
    (void)state;
    static const char *const good[] = {
        "a=1",     "0=1",      "a_-*/0=x", "tenant@system=1", "1t@s=!\"#$%&'()*+-./:;<>?@[]^_`{|}~",
        "a=1,a=2", "a=in side"};
    static const char *const bad[] = {"a",      "=1",     "a=",     "A=1",   "a.b=1",  "_a=1",
                                      "a =1",   "a=1=2",  "@a=1",   "a@=1",  "a@@b=1", "a@b@c=1",
                                      "a@1b=1", "a=\x01", "a=\x80", "a b=1", "*a=1",   "a@B=1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        take(GOOD, LIST(good[i]), true, good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        take(GOOD, LIST("ok=1", bad[i]), true, "");
}

static void tracestate_has_limits(void **state)
{
    (void)state;
    char text[1024];
    size_t len = 0;
    for (int i = 0; i < 32; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%sk%d=1", i ? "," : "", i);
    take(GOOD, LIST(text), true, text);
    snprintf(text + len, sizeof text - len, ",more=1");
    take(GOOD, LIST(text), true, "");

    /* key 256, value 256; tenant 241, system 14; 512 in all */
    snprintf(text, sizeof text, "%0256d=1", 0);
    take(GOOD, LIST(text), true, text);
    snprintf(text, sizeof text, "%0257d=1", 0);
    take(GOOD, LIST(text), true, "");
    snprintf(text, sizeof text, "k=%0256d", 0);
    take(GOOD, LIST(text), true, text);
    snprintf(text, sizeof text, "k=%0257d", 0);
    take(GOOD, LIST(text), true, "");
    snprintf(text, sizeof text, "%0241d@s%013d=1", 0, 0);
    take(GOOD, LIST(text), true, text);
    snprintf(text, sizeof text, "%0242d@s%012d=1", 0, 0);
    take(GOOD, LIST(text), true, "");
    snprintf(text, sizeof text, "%0240d@s%014d=1", 0, 0);
    take(GOOD, LIST(text), true, "");
    snprintf(text, sizeof text, "a=%0254d,b=%0253d", 0, 0);
    assert_int_equal(strlen(text), 512);
    take(GOOD, LIST(text), true, text);
    snprintf(text, sizeof text, "a=%0254d,b=%0254d", 0, 0);
    take(GOOD, LIST(text), true, "");
}

static int setup(void **state)
{
    (void)state;
    guard_init(&guard, 4096);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    guard_release(&guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_traceparent),
        cmocka_unit_test(formats_what_it_parsed),
        cmocka_unit_test(ids_come_from_the_bytes_given),
        cmocka_unit_test(takes_headers_in),
        cmocka_unit_test(checks_tracestate),
        cmocka_unit_test(tracestate_has_limits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
