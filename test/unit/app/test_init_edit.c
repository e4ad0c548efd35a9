/* Adding a service to the text of a dure.yaml: what is put in, and that nothing else changes. */
#include "app/init_edit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect(const char *before, bool route, const char *after)
{
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(init_edit_add(bytes_str(before), "new", route, &out), 0);
    buf_append_char(&out, 0);
    assert_string_equal(out.data, after);
    buf_release(&out);
}

static void refuse(const char *before)
{
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(init_edit_add(bytes_str(before), "new", true, &out), ERR_UNSUPPORTED);
    buf_release(&out);
}

static void test_behind_the_last_item_and_its_comments(void **state)
{
    expect("system: s\n"
           "services:   # all\n"
           "  - path: a\n"
           "    # in: b\n"
           "\n"
           "# the way in\n"
           "gateway:\n"
           "  routes:\n"
           "    - path: /a\n"
           "      to: a\n"
           "    # the last one\n"
           "  listen: :80\n",
           true,
           "system: s\n"
           "services:   # all\n"
           "  - path: a\n"
           "    # in: b\n"
           "  - path: new\n"
           "\n"
           "# the way in\n"
           "gateway:\n"
           "  routes:\n"
           "    - path: /a\n"
           "      to: a\n"
           "    # the last one\n"
           "    - path: /new\n"
           "      to: new\n"
           "  listen: :80\n");
}

static void test_items_as_far_left_as_their_key(void **state)
{
    expect("gateway:\n  routes:\n  - path: /a\n    to: a\nservices:\n- path: a\n", true,
           "gateway:\n  routes:\n  - path: /a\n    to: a\n  - path: /new\n    to: new\n"
           "services:\n- path: a\n- path: new\n");
}

static void test_what_is_not_there_is_made(void **state)
{
    expect("services:\n  - path: a\n", true,
           "services:\n  - path: a\n  - path: new\n\ngateway:\n  routes:\n    - path: /new\n"
           "      to: new\n");
    expect("services:\n  - path: a\ngateway:\n    listen: :80\n", true,
           "services:\n  - path: a\n  - path: new\ngateway:\n    listen: :80\n    routes:\n"
           "      - path: /new\n        to: new\n");
    expect("services:\n# none yet\n", false, "services:\n  - path: new\n# none yet\n");
}

static void test_a_comment_before_the_first_item(void **state)
{
    expect("services:\n      # first\n    - path: a\n", false,
           "services:\n      # first\n    - path: a\n    - path: new\n");
}

static void test_a_last_line_without_an_end(void **state)
{
    expect("services:\n  - path: a", true,
           "services:\n  - path: a\n  - path: new\n\ngateway:\n  routes:\n    - path: /new\n"
           "      to: new\n");
}

static void test_without_a_route_the_gateway_may_have_any_form(void **state)
{
    expect("services:\n  - path: a\ngateway: {listen: ':80'}\n", false,
           "services:\n  - path: a\n  - path: new\ngateway: {listen: ':80'}\n");
}

static void test_keys_of_the_same_name_elsewhere(void **state)
{
    expect(
        "env:\n  services:\n    - x\nservices:\n  - path: a\nservices2:\n  - b\n", false,
        "env:\n  services:\n    - x\nservices:\n  - path: a\n  - path: new\nservices2:\n  - b\n");
}

static void test_other_forms_are_refused(void **state)
{
    refuse("");
    refuse("system: s\n");
    refuse("services: [{path: a}]\n");
    refuse("services: &all\n  - path: a\n");
    refuse("services:\n  path: a\n");
    refuse("services:\n\t- path: a\n");
    refuse("services:\r\n  - path: a\r\n");
    refuse("services:\n  - path: a\ngateway: {listen: ':80'}\n");
    refuse("services:\n  - path: a\ngateway:\n  routes: []\n");
    refuse("services:\n  - path: a\ngateway:\n  routes: *other\n");
}

/* Whatever it makes of half a document, it keeps every byte of it. */
static void test_cut_at_every_byte(void **state)
{
    static const char whole[] = "services:\n  - path: a\n    # c\ngateway:\n  routes:\n    - path: "
                                "/a\n      to: a\n  listen: :80\n";
    for (size_t len = 0; len < sizeof whole; len++) {
        struct buf out;
        buf_init(&out, 4096);
        int err = init_edit_add(bytes_make(whole, len), "new", true, &out);
        assert_true(err == 0 || err == ERR_UNSUPPORTED);
        size_t kept = 0;
        for (size_t i = 0; !err && i < buf_len(&out) && kept < len; i++)
            kept += out.data[i] == whole[kept];
        if (!err) assert_int_equal(kept, len);
        buf_release(&out);
    }
}

static void test_a_full_buffer_is_told(void **state)
{
    struct buf out;
    buf_init(&out, 20);
    assert_int_equal(init_edit_add(BYTES("services:\n  - path: a\n"), "new", false, &out),
                     ERR_TOO_BIG);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_behind_the_last_item_and_its_comments),
        cmocka_unit_test(test_items_as_far_left_as_their_key),
        cmocka_unit_test(test_what_is_not_there_is_made),
        cmocka_unit_test(test_a_comment_before_the_first_item),
        cmocka_unit_test(test_a_last_line_without_an_end),
        cmocka_unit_test(test_without_a_route_the_gateway_may_have_any_form),
        cmocka_unit_test(test_keys_of_the_same_name_elsewhere),
        cmocka_unit_test(test_other_forms_are_refused),
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_a_full_buffer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
