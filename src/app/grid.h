/* grid: what commands print for people: tables, lists of facts, sizes, times. In colour, and with
 * what could steer a terminal taken out, when standard output is a terminal. */
#ifndef DURE_APP_GRID_H
#define DURE_APP_GRID_H

#include "base/bytes.h"

#include <stdint.h>
#include <stdio.h>

enum { GRID_COLUMNS_MAX = 12 };

/* Lines of cells, printed when all are known. */
struct grid {
    size_t columns, count, size;
    const char *titles[GRID_COLUMNS_MAX];
    uint32_t right; /* bit i: column i is of numbers */
    char **cells;   /* `count` of them, row after row */
};

/* Titles, NULL-ended, in capitals; those that begin with '>' are of numbers. */
void grid_init(struct grid *grid, const char *const *titles);
void grid_release(struct grid *grid);

/* The next cell of the row at hand; a row is full when it has all its columns. */
void grid_add(struct grid *grid, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints it; with no rows `nothing` instead. */
void grid_print(const struct grid *grid, const char *nothing);

/* "Subjects:  orders.>" */
void print_fact(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
void print_heading(const char *text);

/* Whether standard output is a terminal. */
bool print_is_terminal(void);

/* "\033[2m" and the like when it is one, else "". */
const char *print_colour(const char *escape);

/* A text from outside; control characters become '?' on a terminal (all but newline and tab). */
void print_text(FILE *out, struct bytes text);

enum { PRINT_TEXT = 48 };
const char *size_text(uint64_t bytes, char ret_text[PRINT_TEXT]);   /* "1.5 KiB" */
const char *duration_text(uint64_t ns, char ret_text[PRINT_TEXT]);  /* "1m30s", "250ms" */
const char *time_text(uint64_t wall_ns, char ret_text[PRINT_TEXT]); /* RFC 3339, or "never" */
const char *count_text(uint64_t count, char ret_text[PRINT_TEXT]);  /* "1,234,567" */

#endif
