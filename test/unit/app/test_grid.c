#include "app/grid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void sizes(void **state)
{
    char text[PRINT_TEXT];
    assert_string_equal(size_text(0, text), "0 B");
    assert_string_equal(size_text(1023, text), "1023 B");
    assert_string_equal(size_text(1024, text), "1.0 KiB");
    assert_string_equal(size_text(1536, text), "1.5 KiB");
    assert_string_equal(size_text(300000, text), "293 KiB");
    assert_string_equal(size_text(UINT64_MAX, text), "16777216 TiB");
}

static void durations(void **state)
{
    char text[PRINT_TEXT];
    const struct {
        uint64_t ns;
        const char *text;
    } cases[] = {{1500, "1.5us"},         {250000000, "250ms"},     {1000000000, "1s"},
                 {1250000000, "1.25s"},   {90000000000, "1m30s"},   {120000000000, "2m"},
                 {3600000000000, "1h"},   {5400000000000, "1h30m"}, {86400000000000, "1d"},
                 {604800000000000, "7d"}, {90000000000000, "1d1h"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(duration_text(cases[i].ns, text), cases[i].text);
}

static void counts_and_times(void **state)
{
    char text[PRINT_TEXT];
    assert_string_equal(count_text(0, text), "0");
    assert_string_equal(count_text(999, text), "999");
    assert_string_equal(count_text(1000, text), "1,000");
    assert_string_equal(count_text(1234567, text), "1,234,567");
    assert_string_equal(count_text(UINT64_MAX, text), "18,446,744,073,709,551,615");
    assert_string_equal(time_text(0, text), "never");
    assert_string_equal(time_text(1000000000, text), "1970-01-01T00:00:01.000Z");
}

/* What was printed while `print` ran. */
static char *printed(void (*print)(void))
{
    static char text[4096];
    FILE *file = tmpfile();
    fflush(stdout);
    int before = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    print();
    fflush(stdout);
    dup2(before, STDOUT_FILENO);
    close(before);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void print_table(void)
{
    static const char *const titles[] = {"NAME", ">COUNT", "WORDS", NULL};
    struct grid grid;
    grid_init(&grid, titles);
    grid_print(&grid, "nothing");
    grid_add(&grid, "a");
    grid_add(&grid, "%d", 1);
    grid_add(&grid, "%s", "");
    grid_add(&grid, "Zürich");
    grid_add(&grid, "%d", 12345);
    grid_add(&grid, "two words");
    grid_add(&grid, "unfinished");
    grid_print(&grid, "nothing");
    grid_release(&grid);
}

static void tables(void **state)
{
    assert_string_equal(printed(print_table), "nothing\n"
                                              "NAME        COUNT  WORDS\n"
                                              "a               1\n"
                                              "Zürich      12345  two words\n");
}

static void print_facts(void)
{
    print_heading("a stream");
    print_fact("subjects", "%s", "a.>");
}

static void facts(void **state)
{
    assert_string_equal(printed(print_facts), "a stream\n  subjects             a.>\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),  cmocka_unit_test(durations), cmocka_unit_test(counts_and_times),
        cmocka_unit_test(tables), cmocka_unit_test(facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
