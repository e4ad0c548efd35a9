/* Configurations as JSON, and what they may say and become. */
#include "stream/stream_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DEFAULTS_HEAD                                                                    \
    "\"retention\":\"limits\",\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,"    \
    "\"max_age\":0,\"max_msgs_per_subject\":-1,\"max_msg_size\":-1,\"discard\":\"old\"," \
    "\"storage\":\"file\",\"num_replicas\":1,"
#define DEFAULT_WINDOW "\"duplicate_window\":120000000000,"
#define DEFAULTS_TAIL                                                                        \
    "\"allow_direct\":false,\"mirror_direct\":false,\"sealed\":false,\"deny_delete\":false," \
    "\"deny_purge\":false,\"allow_rollup_hdrs\":false,\"consumer_limits\":{},"               \
    "\"allow_msg_ttl\":false,\"metadata\":{\"_dure.fsync\":\"each\"}}"

static struct stream_config *decode(const char *json)
{
    struct api_error refusal = {0};
    struct stream_config *config = NULL;
    int r = stream_config_decode(bytes_str(json), &config, &refusal);
    if (r < 0) fail_msg("%s: %d %s", json, api_error_number(refusal.kind), refusal.details);
    return config;
}

static void expect_json(const char *json, const char *expected)
{
    struct stream_config *config = decode(json), *again;
    struct buf out;
    buf_init(&out, SIZE_MAX);
    stream_config_encode(config, &out);
    buf_append_char(&out, '\0');
    assert_string_equal(buf_bytes(&out).data, expected);
    again = decode(buf_bytes(&out).data);
    assert_true(stream_config_equal(config, again));
    buf_release(&out);
    free(config);
    free(again);
}

static void defaults_are_filled_in(void **state)
{
    expect_json("{\"name\":\"S\"}",
                "{\"name\":\"S\",\"subjects\":[\"S\"]," DEFAULTS_HEAD DEFAULT_WINDOW
                "\"compression\":\"none\"," DEFAULTS_TAIL);
    expect_json("{\"name\":\"S\",\"subjects\":[\"a\",\"b.>\"],\"metadata\":{\"_nats.ver\":\"2\"}}",
                "{\"name\":\"S\",\"subjects\":[\"a\",\"b.>\"]," DEFAULTS_HEAD DEFAULT_WINDOW
                "\"compression\":\"none\"," DEFAULTS_TAIL);
    expect_json("{\"name\":\"S\",\"mirror\":{\"name\":\"M\",\"opt_start_seq\":7}}",
                "{\"name\":\"S\"," DEFAULTS_HEAD "\"mirror\":{\"name\":\"M\",\"opt_start_seq\":7},"
                "\"compression\":\"none\"," DEFAULTS_TAIL);
}

static void every_field_is_kept(void **state)
{
    static const char full[] =
        "{\"name\":\"S\",\"description\":\"d\",\"subjects\":[\"a.*\"],"
        "\"retention\":\"interest\",\"max_consumers\":3,\"max_msgs\":4,\"max_bytes\":5,"
        "\"max_age\":600000000000,\"max_msgs_per_subject\":7,\"max_msg_size\":8,"
        "\"discard\":\"new\",\"storage\":\"file\",\"num_replicas\":1,\"no_ack\":true,"
        "\"duplicate_window\":1000000000,"
        "\"placement\":{\"cluster\":\"c\",\"tags\":[\"t\"]},"
        "\"sources\":[{\"name\":\"O\",\"opt_start_time\":\"2026-11-21T09:34:22.5Z\","
        "\"subject_transforms\":[{\"src\":\"o.>\",\"dest\":\"a.>\"}]},"
        "{\"name\":\"P\",\"filter_subject\":\"p\"}],"
        "\"compression\":\"s2\",\"first_seq\":9,"
        "\"subject_transform\":{\"src\":\"a.*\",\"dest\":\"a.{{wildcard(1)}}\"},"
        "\"republish\":{\"src\":\"a.*\",\"dest\":\"r.{{wildcard(1)}}\",\"headers_only\":true},"
        "\"allow_direct\":true,\"mirror_direct\":true,\"discard_new_per_subject\":true,\"sealed\":"
        "false,\"deny_delete\":true,"
        "\"deny_purge\":false,\"allow_rollup_hdrs\":true,"
        "\"consumer_limits\":{\"inactive_threshold\":10,\"max_ack_pending\":11},"
        "\"allow_msg_ttl\":true,\"subject_delete_marker_ttl\":2000000000,"
        "\"metadata\":{\"_dure.fsync\":\"interval\",\"k\":\"v\"}}";
    expect_json(full, full);
}

static void mistakes_are_told(void **state)
{
    static const struct {
        const char *json;
        int number;
        const char *details;
    } rows[] = {
        {"", 10025, NULL},
        {"[]", 10025, "not an object at offset 0"},
        {"{\"name\":1}", 10025, NULL},
        {"{\"name\":\"a.b\"}", 10052, NULL},
        {"{\"name\":\"S\",\"retention\":\"none\"}", 10025, NULL},
        {"{\"name\":\"S\",\"num_replicas\":3}", 10074, NULL},
        {"{\"name\":\"S\",\"num_replicas\":9}", 10052, "maximum replicas is 5"},
        {"{\"name\":\"S\",\"subjects\":[\"a..b\"]}", 10052, "invalid subject"},
        {"{\"name\":\"S\",\"subjects\":[\"a\",\"a\"]}", 10052, "subject \"a\" overlaps with \"a\""},
        {"{\"name\":\"S\",\"subjects\":[\">\"]}", 10052,
         "capturing all subjects requires no-ack to be true"},
        {"{\"name\":\"S\",\"subjects\":[\"$JS.API.x\"]}", 10052, NULL},
        {"{\"name\":\"S\",\"max_age\":1}", 10052, "max age needs to be >= 100ms"},
        {"{\"name\":\"S\",\"max_age\":200000000,\"duplicate_window\":300000000}", 10052,
         "duplicates window can not be larger then max age"},
        {"{\"name\":\"S\",\"discard_new_per_subject\":true}", 10052, NULL},
        {"{\"name\":\"S\",\"deny_purge\":true,\"allow_rollup_hdrs\":true}", 10052,
         "roll-ups require the purge permission"},
        {"{\"name\":\"S\",\"subjects\":[\"a\"],\"mirror\":{\"name\":\"M\"}}", 10034, NULL},
        {"{\"name\":\"S\",\"sources\":[{\"name\":\"M\"}],\"mirror\":{\"name\":\"M\"}}", 10031,
         NULL},
        {"{\"name\":\"S\",\"mirror\":{\"name\":\"M\"},\"first_seq\":2}", 10143, NULL},
        {"{\"name\":\"S\",\"mirror\":{\"name\":\"M\"},\"first_seq\":2,\"subjects\":[\"a\"]}", 10143,
         NULL},
        {"{\"name\":\"S\",\"republish\":{\"src\":\">\",\"dest\":\"S\"},"
         "\"subject_transform\":{\"src\":\"a.*\",\"dest\":\"b.$2\"}}",
         10156, NULL},
        {"{\"name\":\"S\",\"sources\":[{\"name\":\"M\"},{\"name\":\"M\"}]}", 10140, NULL},
        {"{\"name\":\"S\",\"sources\":[{\"name\":\"a b\"}]}", 10141, NULL},
        {"{\"name\":\"S\",\"metadata\":{\"_dure.fsync\":\"often\"}}", 10025, NULL},
        {"{\"name\":\"S\",\"allow_atomic\":true}", 10052, NULL},
        {"{\"name\":\"S\",\"subject_transform\":{\"src\":\"a.*\",\"dest\":\"b.$2\"}}", 10156,
         "wildcard index out of range"},
        {"{\"name\":\"S\",\"republish\":{\"src\":\">\",\"dest\":\"S\"}}", 10052,
         "stream configuration for republish destination forms a cycle"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct api_error refusal = {0};
        struct stream_config *config;
        if (stream_config_decode(bytes_str(rows[i].json), &config, &refusal) == 0) {
            fail_msg("taken: %s", rows[i].json);
        }
        if (api_error_number(refusal.kind) != rows[i].number) {
            fail_msg("%s: %d %s", rows[i].json, api_error_number(refusal.kind), refusal.details);
        }
        if (rows[i].details) assert_string_equal(refusal.details, rows[i].details);
    }
}

static void updates_are_limited(void **state)
{
    static const struct {
        const char *from, *to;
        int number; /* 0: allowed */
    } rows[] = {
        {"\"max_msgs\":1", "\"max_msgs\":2,\"subjects\":[\"x\"]", 0},
        {"\"deny_delete\":true", "\"deny_delete\":false", 10052},
        {"\"deny_purge\":true", "\"deny_purge\":false", 10052},
        {"\"storage\":\"file\"", "\"storage\":\"memory\"", 10052},
        {"\"retention\":\"limits\"", "\"retention\":\"workqueue\"", 10052},
        {"\"retention\":\"limits\"", "\"retention\":\"interest\"", 0},
        {"\"sealed\":true", "\"sealed\":false", 10052},
        {"\"sealed\":false", "\"sealed\":true", 0},
        {"\"deny_delete\":true", "\"sealed\":true", 10052},
        {"\"deny_purge\":true", "\"deny_purge\":true,\"sealed\":true", 0},
        {"\"mirror\":{\"name\":\"A\"}", "\"mirror\":{\"name\":\"B\"}", 10055},
        {"\"allow_msg_ttl\":true", "\"allow_msg_ttl\":false", 10052},
        {"\"metadata\":{}", "\"metadata\":{\"_dure.fsync\":\"never\"}", 10052},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char from[256], to[256];
        struct api_error refusal = {0};
        snprintf(from, sizeof from, "{\"name\":\"S\",%s}", rows[i].from);
        snprintf(to, sizeof to, "{\"name\":\"S\",%s}", rows[i].to);
        struct stream_config *a = decode(from), *b = decode(to);
        int r = stream_config_may_become(a, b, &refusal);
        if ((r < 0) != (rows[i].number > 0) || api_error_number(refusal.kind) != rows[i].number) {
            fail_msg("%s -> %s: %d %s", from, to, api_error_number(refusal.kind), refusal.details);
        }
        free(a);
        free(b);
    }
}

static void sealing_closes_everything(void **state)
{
    struct stream_config *config = decode(
        "{\"name\":\"S\",\"sealed\":true,\"allow_rollup_hdrs\":true,\"max_age\":3600000000000}");
    stream_config_seal(config);
    assert_true(config->deny_delete && config->deny_purge && !config->allow_rollup);
    assert_int_equal(config->max_age_ns, 0);
    assert_int_equal(config->discard, STREAM_DISCARD_NEW);
    free(config);
}

/* Read again, as at a start: delete markers need what a sealed stream does not allow. */
static void what_is_sealed_stays_so(void **state)
{
    struct stream_config *config =
        decode("{\"name\":\"S\",\"sealed\":true,\"subject_delete_marker_ttl\":3600000000000}");
    stream_config_seal(config);
    struct stream_config *again = stream_config_copy(config);
    assert_non_null(again);
    assert_true(again->sealed && again->deny_delete && again->deny_purge && !again->allow_rollup);
    free(again);
    free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_filled_in),    cmocka_unit_test(every_field_is_kept),
        cmocka_unit_test(mistakes_are_told),         cmocka_unit_test(updates_are_limited),
        cmocka_unit_test(sealing_closes_everything), cmocka_unit_test(what_is_sealed_stays_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
