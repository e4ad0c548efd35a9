/* dure init: a new system, or a new service in one, that runs as it is. */
#include "app/cli.h"
#include "app/commands.h"
#include "app/init_edit.h"
#include "app/init_files.h"
#include "app/self.h"
#include "run/load.h"
#include "wire/manifest_value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { MISTAKES_MAX = 1024 * 1024 };

/* ---- system ---- */

/* The last element of a path: what the system will be called. */
static const char *last_element(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int init_system(struct io *io, const char *dir)
{
    static const char first[] = "hello";
    char service_dir[PATH_MAX];
    struct error error = {0};
    const char *system = last_element(dir);
    if (!manifest_check_name(bytes_str(system), &error)) return cli_fail(EXIT_USAGE, &error);
    int len = snprintf(service_dir, sizeof service_dir, "%s/%s", dir, first);
    if (len >= PATH_MAX) return cli_usage("init", "the name is too long");
    int err = init_files_write(io, "system", dir, system, first, &error);
    if (!err) err = init_files_write(io, "python", service_dir, system, first, &error);
    if (err) return cli_fail(EXIT_FAILED, &error);
    printf("made the system %s; next:\n  dure up %s\n  curl http://127.0.0.1:8080/hello\n", system,
           dir);
    return EXIT_OK;
}

/* ---- service ---- */

struct new_service {
    struct io *io;
    const char *dir; /* of the system */
    const char *name, *lang;
    bool route;
    char folder[PATH_MAX], manifest[PATH_MAX]; /* its own; dure.yaml */
    size_t services, routes;                   /* how many there were before */
    struct buf text;                           /* dure.yaml, with it */
};

/* Reads files as they are, except dure.yaml, which is read as it will be. */
static int read_changed(void *context, const char *path, char **ret_data, size_t *ret_len)
{
    struct new_service *new = context;
    if (strcmp(last_element(path), "dure.yaml") != 0)
        return load_read_file(new->io, path, ret_data, ret_len);
    *ret_len = buf_len(&new->text);
    *ret_data = strndup(new->text.data, *ret_len);
    return *ret_data ? 0 : ERR_NOMEM;
}

/* The system must be whole before it is changed, and have no service of that name. */
static int check_before(struct new_service *new)
{
    struct arena arena, mistakes;
    struct errors errors;
    struct manifest manifest = {0};
    int code = EXIT_OK;
    arena_init(&arena, LOAD_ARENA_MAX);
    arena_init(&mistakes, MISTAKES_MAX);
    errors_init(&errors, &mistakes);
    if (load_system(new->io, new->dir, &arena, &errors, &manifest) != 0)
        code = cli_fail_manifest(&errors);
    for (size_t i = 0; !code && i < manifest.service_count; i++) {
        if (!bytes_eq(manifest.services[i]->name, bytes_str(new->name))) continue;
        struct error error = {0};
        error_set(&error, ERR_EXISTS, "the system has a service %s already", new->name);
        error_remedy(&error, "Choose another name.");
        code = cli_fail(EXIT_FAILED, &error);
    }
    if (!code) new->routes = manifest.system->gateway.route_count;
    new->services = manifest.service_count;
    arena_release(&arena);
    arena_release(&mistakes);
    return code;
}

/* Whether the changed dure.yaml means what was intended: one more service, and one more route. */
static bool check_after(struct new_service *new)
{
    struct arena arena, mistakes;
    struct errors errors;
    struct manifest manifest = {0};
    const struct load_source source = {read_changed, new};
    arena_init(&arena, LOAD_ARENA_MAX);
    arena_init(&mistakes, MISTAKES_MAX);
    errors_init(&errors, &mistakes);
    int err = load_system_from(new->io, &source, new->dir, &arena, &errors, &manifest);
    bool good = !err && manifest.service_count == new->services + 1 &&
                manifest.system->gateway.route_count ==
                    new->routes + new->route &&bytes_eq(manifest.services[new->services]->name,
                                                        bytes_str(new->name));
    arena_release(&arena);
    arena_release(&mistakes);
    return good;
}

static void print_lines(const struct new_service *new)
{
    fprintf(stderr,
            "dure: %s has a form that is not changed automatically. Add yourself:\n"
            "  services:\n    - path: %s\n",
            new->manifest, new->name);
    if (new->route)
        fprintf(stderr, "  gateway:\n    routes:\n      - path: /%s\n        to: %s\n", new->name,
                new->name);
}

/* Writes dure.yaml anew, whole or not at all. */
static int replace_manifest(struct new_service *new, struct error *error)
{
    char fresh[PATH_MAX + 8];
    snprintf(fresh, sizeof fresh, "%s.new", new->manifest);
    FILE *file = fopen(fresh, "wx");
    if (!file)
        return error_set(error, err_from_errno(errno), "%s cannot be made: %s", fresh,
                         strerror(errno));
    size_t len = buf_len(&new->text);
    bool written = fwrite(new->text.data, 1, len, file) == len;
    written = fclose(file) == 0 && written;
    int err = written ? io_rename(new->io, fresh, new->manifest) : ERR_IO;
    if (!err) return 0;
    io_unlink(new->io, fresh);
    return error_set(error, err, "%s cannot be written: %s", new->manifest, err_text(err));
}

/* Puts the service into dure.yaml, textually. */
static int add_to_system(struct new_service *new)
{
    struct error error = {0};
    char *data = NULL;
    size_t len;
    int err = load_read_file(new->io, new->manifest, &data, &len);
    if (!err) err = init_edit_add(bytes_make(data, len), new->name, new->route, &new->text);
    free(data);
    if (err || !check_after(new)) {
        print_lines(new);
        return EXIT_FAILED;
    }
    return replace_manifest(new, &error) == 0 ? EXIT_OK : cli_fail(EXIT_FAILED, &error);
}

static void print_next(const struct new_service *new)
{
    char include[PATH_MAX];
    bool c = strcmp(new->lang, "c") == 0;
    printf("made the service %s; next:\n", new->name);
    if (c && self_include_dir(new->io, include) != 0)
        printf("  the SDK is not installed beside this program: set C_INCLUDE_PATH to the folder\n"
               "  of dure/dure.h\n");
    if (c) printf("  dure build %s\n", new->dir);
    printf("  dure up %s      (if it is up already: dure apply --dir %s)\n", new->dir, new->dir);
    if (new->route) printf("  curl http://127.0.0.1:8080/%s\n", new->name);
}

static int init_service(struct new_service *new)
{
    struct error error = {0};
    if (!manifest_check_name(bytes_str(new->name), &error)) return cli_fail(EXIT_USAGE, &error);
    int folder = snprintf(new->folder, sizeof new->folder, "%s/%s", new->dir, new->name);
    int manifest = snprintf(new->manifest, sizeof new->manifest, "%s/dure.yaml", new->dir);
    if (folder >= PATH_MAX || manifest >= PATH_MAX) return cli_usage("init", "a name is too long");
    int code = check_before(new);
    if (code) return code;
    if (init_files_write(new->io, new->lang, new->folder, "", new->name, &error) != 0)
        return cli_fail(EXIT_FAILED, &error);
    buf_init(&new->text, YAML_SIZE_MAX);
    code = add_to_system(new);
    buf_release(&new->text);
    if (!code) print_next(new);
    return code;
}

/* ---- the command ---- */

int cmd_init(int argc, char **argv)
{
    const char *lang = NULL, *dir = ".";
    bool no_route = false;
    const struct cli_option options[] = {
        {"lang", 'l', NULL, &lang}, {"dir", 0, NULL, &dir}, {"no-route", 0, &no_route, NULL}};
    int left = cli_parse(argc, argv, options, sizeof options / sizeof *options);
    if (left < 0) return EXIT_USAGE;
    if (left != 2) return cli_usage("init", "say what to make, and its name");
    bool system = strcmp(argv[1], "system") == 0;
    if (!system && strcmp(argv[1], "service") != 0)
        return cli_usage("init", "makes a `system` or a `service`");
    if (!system && (!lang || strcmp(lang, "system") == 0 || !init_files_known(lang)))
        return cli_usage("init", "a service needs --lang c, --lang python or --lang node");
    struct io *io = cli_io();
    struct new_service new = {
        .io = io, .dir = dir, .name = argv[2], .lang = lang, .route = !no_route};
    int code = system ? init_system(io, argv[2]) : init_service(&new);
    io_free(io);
    return code;
}
