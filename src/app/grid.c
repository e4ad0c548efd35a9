#include "app/grid.h"

#include "base/timestamp.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- tables ---- */

void grid_init(struct grid *grid, const char *const *titles)
{
    *grid = (struct grid){0};
    for (; titles[grid->columns]; grid->columns++) {
        const char *title = titles[grid->columns];
        assert(grid->columns < GRID_COLUMNS_MAX);
        if (*title == '>') grid->right |= 1u << grid->columns;
        grid->titles[grid->columns] = *title == '>' ? title + 1 : title;
    }
}

void grid_release(struct grid *grid)
{
    for (size_t i = 0; i < grid->count; i++) free(grid->cells[i]);
    free(grid->cells);
    *grid = (struct grid){0};
}

void grid_add(struct grid *grid, const char *format, ...)
{
    va_list arguments;
    if (grid->count == grid->size) {
        size_t size = grid->size ? grid->size * 2 : 64;
        char **cells = realloc(grid->cells, size * sizeof *cells);
        if (!cells) return;
        grid->cells = cells;
        grid->size = size;
    }
    va_start(arguments, format);
    char *cell = NULL;
    if (vasprintf(&cell, format, arguments) < 0) cell = strdup("");
    va_end(arguments);
    if (cell) grid->cells[grid->count++] = cell;
}

/* Characters, not bytes. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++) width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static void print_cell(const struct grid *grid, size_t column, const char *text, size_t width)
{
    size_t pad = width - width_of(text);
    bool right = grid->right >> column & 1;
    if (column) printf("  ");
    if (right) printf("%*s", (int)pad, "");
    print_text(stdout, bytes_str(text));
    if (!right) printf("%*s", (int)pad, "");
}

/* Without the blanks that nobody sees: what is left of the line's last cells. */
static void print_line(const struct grid *grid, const char *const *cells, const size_t *widths)
{
    size_t count = grid->columns;
    while (count > 1 && !*cells[count - 1]) count--;
    for (size_t c = 0; c < count; c++) {
        bool right = grid->right >> c & 1;
        print_cell(grid, c, cells[c], c + 1 == count && !right ? width_of(cells[c]) : widths[c]);
    }
    printf("\n");
}

void grid_print(const struct grid *grid, const char *nothing)
{
    size_t widths[GRID_COLUMNS_MAX];
    assert(grid->columns);
    if (!grid->count) {
        printf("%s\n", nothing);
        return;
    }
    for (size_t c = 0; c < grid->columns; c++) widths[c] = width_of(grid->titles[c]);
    for (size_t i = 0; i < grid->count; i++) {
        size_t width = width_of(grid->cells[i]), c = i % grid->columns;
        if (width > widths[c]) widths[c] = width;
    }
    printf("%s", print_colour("\033[1m"));
    print_line(grid, grid->titles, widths);
    printf("%s", print_colour("\033[0m"));
    for (size_t i = 0; i + grid->columns <= grid->count; i += grid->columns)
        print_line(grid, (const char *const *)grid->cells + i, widths);
}

/* ---- facts ---- */

bool print_is_terminal(void)
{
    static int terminal = -1;
    if (terminal < 0) terminal = isatty(STDOUT_FILENO);
    return terminal;
}

const char *print_colour(const char *escape)
{
    return print_is_terminal() && !getenv("NO_COLOR") ? escape : "";
}

void print_fact(const char *name, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printf("  %-20s ", name);
    print_text(stdout, bytes_str(text));
    printf("\n");
}

void print_heading(const char *text)
{
    printf("%s", print_colour("\033[1m"));
    print_text(stdout, bytes_str(text));
    printf("%s\n", print_colour("\033[0m"));
}

void print_text(FILE *out, struct bytes text)
{
    if (!print_is_terminal() || out != stdout) {
        fwrite(text.data, 1, text.len, out);
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool steers = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F;
        fputc(steers ? '?' : c, out);
    }
}

/* ---- values ---- */

const char *size_text(uint64_t bytes, char ret_text[PRINT_TEXT])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit < 4; unit++) value /= 1024;
    snprintf(ret_text, PRINT_TEXT, unit && value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return ret_text;
}

const char *duration_text(uint64_t ns, char ret_text[PRINT_TEXT])
{
    uint64_t ms = ns / 1000000, s = ms / 1000;
    if (ns < 1000000)
        snprintf(ret_text, PRINT_TEXT, "%.1fus", (double)ns / 1e3);
    else if (ms < 1000 || (ms % 1000 && s < 60))
        snprintf(ret_text, PRINT_TEXT, ms % 1000 && s ? "%.2fs" : "%.0fms",
                 ms % 1000 && s ? (double)ms / 1e3 : (double)ms);
    else if (s < 60)
        snprintf(ret_text, PRINT_TEXT, "%llus", (unsigned long long)s);
    else if (s < 3600)
        snprintf(ret_text, PRINT_TEXT, s % 60 ? "%llum%llus" : "%llum", (unsigned long long)s / 60,
                 (unsigned long long)s % 60);
    else if (s < 86400)
        snprintf(ret_text, PRINT_TEXT, s % 3600 ? "%lluh%llum" : "%lluh",
                 (unsigned long long)s / 3600, (unsigned long long)s % 3600 / 60);
    else
        snprintf(ret_text, PRINT_TEXT, s % 86400 ? "%llud%lluh" : "%llud",
                 (unsigned long long)s / 86400, (unsigned long long)s % 86400 / 3600);
    return ret_text;
}

const char *time_text(uint64_t wall_ns, char ret_text[PRINT_TEXT])
{
    char text[TIMESTAMP_TEXT];
    if (!wall_ns) return "never";
    timestamp_format(wall_ns, text);
    snprintf(ret_text, PRINT_TEXT, "%s", text);
    return ret_text;
}

const char *count_text(uint64_t count, char ret_text[PRINT_TEXT])
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count), at = 0;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0) ret_text[at++] = ',';
        ret_text[at++] = digits[i];
    }
    ret_text[at] = '\0';
    return ret_text;
}
