#include "base/base64.h"

#include "base/err.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

/* RFC 4648 section 10. */
static const char *const vectors[][2] = {{"", ""},
                                         {"f", "Zg=="},
                                         {"fo", "Zm8="},
                                         {"foo", "Zm9v"},
                                         {"foob", "Zm9vYg=="},
                                         {"fooba", "Zm9vYmE="},
                                         {"foobar", "Zm9vYmFy"}};

static void test_vectors(void **state)
{
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct buf out;
        char back[16];
        size_t len;
        buf_init(&out, 64);
        base64_append(&out, bytes_str(vectors[i][0]));
        assert_true(bytes_eq(buf_bytes(&out), bytes_str(vectors[i][1])));
        assert_int_equal(base64_decode(buf_bytes(&out), back, sizeof back, &len), 0);
        assert_true(bytes_eq(bytes_make(back, len), bytes_str(vectors[i][0])));
        buf_release(&out);
    }
}

static void test_alphabets(void **state)
{
    struct buf out;
    char back[4];
    size_t len;
    struct bytes bytes = BYTES("\xfb\xff\xfe\xff");
    buf_init(&out, 64);
    base64_append(&out, bytes);
    assert_true(bytes_eq(buf_bytes(&out), BYTES("+//+/w==")));
    buf_clear(&out);
    base64url_append(&out, bytes, false);
    assert_true(bytes_eq(buf_bytes(&out), BYTES("-__-_w")));
    assert_int_equal(base64_decode(buf_bytes(&out), back, 4, &len), 0);
    assert_true(bytes_eq(bytes_make(back, len), bytes));
    assert_int_equal(base64_decode(buf_bytes(&out), back, 3, &len), ERR_TOO_BIG);
    buf_clear(&out);
    base64url_append(&out, bytes, true);
    assert_true(bytes_eq(buf_bytes(&out), BYTES("-__-_w==")));
    buf_release(&out);
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "A", "AAAAA", "A===", "AB=", "A=B=", "AA=A", "A A=", "Zh==", "Zm9=", "===="};
    char back[16];
    size_t len;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(base64_decode(bytes_str(bad[i]), back, sizeof back, &len), ERR_SYNTAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_alphabets),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
