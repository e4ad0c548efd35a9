/* Subjects: what is valid, and matching against a matcher that is too simple to be wrong. */
#include "bus/subject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_valid(void **state)
{
    static const struct {
        const char *text;
        bool pattern, literal;
    } cases[] = {
        {"a", true, true},      {"a.b.c", true, true},    {"$JS.API.X", true, true},
        {"a*", true, true},     {"*a.>b", true, true},    {"a.*", true, false},
        {"*", true, false},     {">", true, false},       {"a.>", true, false},
        {"*.*.>", true, false}, {"", false, false},       {".", false, false},
        {"a.", false, false},   {".a", false, false},     {"a..b", false, false},
        {">.a", false, false},  {"a.>.b", false, false},  {"a b", false, false},
        {"a\t", false, false},  {"a\r\nb", false, false}, {"\x7f", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes text = bytes_str(cases[i].text);
        if (subject_is_pattern(text) != cases[i].pattern ||
            subject_is_literal(text) != cases[i].literal)
            fail_msg("\"%s\"", cases[i].text);
    }
    assert_false(subject_is_pattern(bytes_make("a\0b", 3)));
}

static void test_matches(void **state)
{
    static const struct {
        const char *pattern, *subject;
        bool matches;
    } cases[] = {
        {"a", "a", true},       {"a", "b", false},        {"a", "a.b", false},
        {"a.b", "a", false},    {"*", "a", true},         {"*", "a.b", false},
        {">", "a", true},       {">", "a.b.c", true},     {"a.>", "a", false},
        {"a.>", "a.b.c", true}, {"a.*.c", "a.b.c", true}, {"a.*.c", "a.b.d", false},
        {"*.*", "a.b", true},   {"*.b.>", "a.b", false},  {"*.b.>", "a.b.c", true},
        {"a*", "ab", false},    {"a*", "a*", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (subject_matches(bytes_str(cases[i].pattern), bytes_str(cases[i].subject)) !=
            cases[i].matches)
            fail_msg("%s %s", cases[i].pattern, cases[i].subject);
}

/* All subjects of up to three tokens over {a, b}, and all patterns over {a, b, *, >}. */
enum { SUBJECTS = 2 + 4 + 8, PATTERNS_MAX = 4 + 16 + 64 };

static size_t make_all(const char *letters, char out[][8], bool patterns)
{
    size_t count = 0, base = strlen(letters);
    for (size_t len = 1, total = base; len <= 3; len++, total *= base) {
        for (size_t n = 0; n < total; n++) {
            char text[8];
            size_t rest = n, at = 0;
            for (size_t i = 0; i < len; i++, rest /= base) {
                if (i) text[at++] = '.';
                text[at++] = letters[rest % base];
            }
            text[at] = '\0';
            if (patterns && !subject_is_pattern(bytes_str(text))) continue;
            memcpy(out[count++], text, at + 1);
        }
    }
    return count;
}

/* Overlap and containment mean what they say about the set of matching subjects. Over two letters
 * and three tokens the sets are big enough to tell every two patterns of two tokens apart. */
static void test_sets(void **state)
{
    static char subjects[SUBJECTS][8], patterns[PATTERNS_MAX][8];
    size_t subject_count = make_all("ab", subjects, false);
    size_t pattern_count = make_all("ab*>", patterns, true);
    assert_int_equal(subject_count, SUBJECTS);
    for (size_t i = 0; i < pattern_count; i++) {
        for (size_t j = 0; j < pattern_count; j++) {
            struct bytes a = bytes_str(patterns[i]), b = bytes_str(patterns[j]);
            bool overlaps = false, contains = true;
            for (size_t s = 0; s < subject_count; s++) {
                bool in_a = subject_matches(a, bytes_str(subjects[s]));
                bool in_b = subject_matches(b, bytes_str(subjects[s]));
                overlaps = overlaps || (in_a && in_b);
                contains = contains && (in_a || !in_b);
            }
            if (subject_overlaps(a, b) != overlaps)
                fail_msg("overlap of %s and %s", patterns[i], patterns[j]);
            /* "a.b.>" and the like match nothing of up to three tokens but their own three. */
            if (subject_contains(a, b) && !contains)
                fail_msg("%s does not contain %s", patterns[i], patterns[j]);
            if (a.len <= 3 && b.len <= 3 && subject_contains(a, b) != contains)
                fail_msg("%s contains %s", patterns[i], patterns[j]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
