#include "app/init_files.h"

#include "base/buf.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

enum { TEXT_MAX = 64 * 1024 };

/* The file's name behind "KIND/", or NULL when it is of another kind. */
static const char *name_in(const struct scaffold_file *file, const char *kind)
{
    size_t len = strlen(kind);
    return strncmp(file->path, kind, len) == 0 && file->path[len] == '/' ? file->path + len + 1
                                                                         : NULL;
}

bool init_files_known(const char *kind)
{
    for (size_t i = 0; i < scaffold_file_count; i++)
        if (name_in(&scaffold_files[i], kind)) return true;
    return false;
}

/* Appends `text` with every `from` as `to`. */
static void replace(struct buf *out, struct bytes text, const char *from, const char *to)
{
    struct bytes pattern = bytes_str(from);
    while (text.len) {
        if (bytes_starts(text, pattern)) {
            buf_append_str(out, to);
            text = bytes_skip(text, pattern.len);
        } else {
            buf_append_char(out, text.data[0]);
            text = bytes_skip(text, 1);
        }
    }
}

static void make_path(struct buf *out, const char *dir, const char *file, const char *name)
{
    static const char dot[] = "dot_";
    buf_append_format(out, "%s/", dir);
    if (strncmp(file, dot, strlen(dot)) == 0) {
        buf_append_char(out, '.');
        file += strlen(dot);
    }
    replace(out, bytes_str(file), "NAME", name);
    buf_append_char(out, 0);
}

static int write_new(const char *path, struct bytes text, struct error *error)
{
    FILE *file = fopen(path, "wx");
    if (!file)
        return error_set(error, err_from_errno(errno), "%s cannot be made: %s", path,
                         strerror(errno));
    bool written = fwrite(text.data, 1, text.len, file) == text.len;
    if (fclose(file) != 0 || !written)
        return error_set(error, err_from_errno(errno), "%s cannot be written: %s", path,
                         strerror(errno));
    printf("  %s\n", path);
    return 0;
}

static int write_file(const struct scaffold_file *file, const char *dir, const char *kind,
                      const char *system, const char *name, struct error *error)
{
    struct buf path, with_name, text;
    buf_init(&path, PATH_MAX);
    buf_init(&with_name, TEXT_MAX);
    buf_init(&text, TEXT_MAX);
    make_path(&path, dir, name_in(file, kind), name);
    replace(&with_name, bytes_str(file->text), "@NAME@", name);
    replace(&text, buf_bytes(&with_name), "@SYSTEM@", system);
    int err = path.failed || with_name.failed || text.failed
                  ? error_set(error, ERR_TOO_BIG, "the path of %s is too long", name)
                  : write_new(path.data, buf_bytes(&text), error);
    buf_release(&path);
    buf_release(&with_name);
    buf_release(&text);
    return err;
}

/* With the permissions that the person's umask leaves, as mkdir(1) does; io_mkdir's are private. */
static int make_folder(struct io *io, const char *dir, struct error *error)
{
    uint64_t size, mtime_ns;
    if (io_stat(io, dir, &size, &mtime_ns, NULL) != ERR_NOT_FOUND) {
        error_remedy(error, "Choose another name; nothing is ever overwritten.");
        return error_set(error, ERR_EXISTS, "%s exists already", dir);
    }
    int err = io_mkdir(io, dir);
    if (err) return error_set(error, err, "%s cannot be made: %s", dir, err_text(err));
    mode_t mask = umask(0);
    umask(mask);
    if (chmod(dir, 0777 & ~mask) != 0)
        return error_set(error, err_from_errno(errno), "%s: %s", dir, strerror(errno));
    return 0;
}

int init_files_write(struct io *io, const char *kind, const char *dir, const char *system,
                     const char *name, struct error *error)
{
    int err = make_folder(io, dir, error);
    for (size_t i = 0; i < scaffold_file_count && !err; i++)
        if (name_in(&scaffold_files[i], kind))
            err = write_file(&scaffold_files[i], dir, kind, system, name, error);
    return err;
}
