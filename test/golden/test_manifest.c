/* Golden tests of what a person reads about a broken manifest: for each folder below ROOT/manifest,
 * loads it as a system and compares what is said with its expected.txt.
 *
 *   golden_manifest ROOT [CASE]            compares; one TAP line a case
 *   golden_manifest --write ROOT [CASE]    writes expected.txt anew; read the difference!
 *   golden_manifest --show DIR             prints what is said about DIR */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "run/load.h"

enum { OUTPUT_MAX = 1024 * 1024 };

struct golden {
    struct io *io;
    const char *root, *only;
    bool write;
    int cases, failed;
};

static void say(struct io *io, const char *dir, struct buf *out)
{
    struct arena arena;
    struct errors errors;
    struct manifest manifest;
    arena_init(&arena, LOAD_ARENA_MAX);
    errors_init(&errors, &arena);
    int err = load_system(io, dir, &arena, &errors, &manifest);
    if (!err) buf_append_str(out, "no mistake\n");
    errors_format(&errors, out);
    arena_release(&arena);
}

static void read_text(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "r");
    if (!file) return;
    char chunk[4096];
    for (size_t len; (len = fread(chunk, 1, sizeof chunk, file)) > 0;)
        buf_append(out, bytes_make(chunk, len));
    fclose(file);
}

static bool write_text(const char *path, struct bytes text)
{
    FILE *file = fopen(path, "w");
    if (!file) return false;
    bool whole = fwrite(text.data, 1, text.len, file) == text.len;
    return fclose(file) == 0 && whole;
}

/* In the case's folder, so that names in the output start there. */
static int run_case(void *context, const char *name)
{
    struct golden *golden = context;
    if (golden->only && strcmp(golden->only, name) != 0) return 0;
    if (chdir(golden->root) || chdir(name)) return ERR_NOT_FOUND;
    struct buf found, expected;
    buf_init(&found, OUTPUT_MAX);
    buf_init(&expected, OUTPUT_MAX);
    say(golden->io, ".", &found);
    if (golden->write) write_text("expected.txt", buf_bytes(&found));
    read_text("expected.txt", &expected);
    bool same = buf_len(&expected) > 0 && bytes_eq(buf_bytes(&found), buf_bytes(&expected));
    golden->cases++;
    golden->failed += !same;
    printf("%sok %d - %s\n", same ? "" : "not ", golden->cases, name);
    if (!same)
        printf("--- expected\n%.*s--- found\n%.*s---\n", BYTES_ARG(buf_bytes(&expected)),
               BYTES_ARG(buf_bytes(&found)));
    buf_release(&found);
    buf_release(&expected);
    return 0;
}

static int show(struct io *io, const char *dir)
{
    struct buf out;
    buf_init(&out, OUTPUT_MAX);
    say(io, dir, &out);
    printf("%.*s", BYTES_ARG(buf_bytes(&out)));
    buf_release(&out);
    return 0;
}

int main(int argc, char **argv)
{
    struct golden golden = {0};
    bool showing = argc > 2 && strcmp(argv[1], "--show") == 0;
    golden.write = argc > 2 && strcmp(argv[1], "--write") == 0;
    int first = golden.write || showing ? 2 : 1;
    if (argc <= first || io_new(NULL, &golden.io)) return 2;
    golden.only = argc > first + 1 ? argv[first + 1] : NULL;
    if (showing) {
        int status = show(golden.io, argv[first]);
        io_free(golden.io);
        return status;
    }
    char *root = realpath(argv[first], NULL), *cases = NULL;
    if (!root || asprintf(&cases, "%s/manifest", root) < 0) return 2;
    golden.root = cases;
    int err = io_list_dir(golden.io, cases, run_case, &golden);
    printf("1..%d\n", golden.cases);
    io_free(golden.io);
    free(cases);
    free(root);
    return err || golden.failed || golden.cases == 0;
}
