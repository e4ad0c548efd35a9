/* dure build: runs each service's build command in its folder, one after the other. */
#include "app/cli.h"
#include "app/commands.h"
#include "app/self.h"
#include "run/deployment.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

extern char **environ;

enum { MISTAKES_MAX = 1024 * 1024, STOPPED_BY_SIGNAL = 128 };

struct build {
    struct io *io;
    const struct deployment *deployment;
    struct arena arena;      /* the environment, folders */
    const char *const *envp; /* of the commands */
    bool sdk_found;
    struct io_process process;
    struct io_signal interrupt, terminate;
    int status;  /* of the command that ran last, as of waitpid(2) */
    int stopped; /* the signal by which the person ended it; 0: none */
};

static void command_exited(struct io_process *process, int status)
{
    struct build *build = CONTAINER_OF(process, struct build, process);
    build->status = status;
    io_stop(build->io);
}

/* A command has a process group of its own, so the terminal's Ctrl-C does not reach it. */
static void told_to_stop(struct io_signal *watch)
{
    struct build *build = watch->signal == SIGINT ? CONTAINER_OF(watch, struct build, interrupt)
                                                  : CONTAINER_OF(watch, struct build, terminate);
    build->stopped = watch->signal;
    io_kill(&build->process, watch->signal);
}

/* The commands' environment: ours, and the folder of dure.h for the C compiler, behind what the
 * person has said about it. */
static int make_environment(struct build *build)
{
    static const char variable[] = "C_INCLUDE_PATH=";
    char include[PATH_MAX];
    build->sdk_found = self_include_dir(build->io, include) == 0;
    size_t count = 0, used = 0;
    while (environ[count]) count++;
    const char **envp = arena_alloc(&build->arena, (count + 2) * sizeof *envp);
    if (!envp) return ERR_NOMEM;
    const char *given = getenv("C_INCLUDE_PATH");
    for (size_t i = 0; i < count; i++)
        if (!build->sdk_found || strncmp(environ[i], variable, strlen(variable)) != 0)
            envp[used++] = environ[i];
    if (build->sdk_found)
        envp[used++] = arena_format(&build->arena, "%s%s%s%s", variable, given ? given : "",
                                    given ? ":" : "", include);
    envp[used] = NULL;
    build->envp = envp;
    return build->arena.failed ? ERR_NOMEM : 0;
}

static void explain(const struct build *build, const struct manifest_service *service,
                    const char *dir, struct error *error)
{
    int status = build->status;
    error_at(error, yaml_source_name(service->source), 0, 0);
    if (WIFSIGNALED(status))
        error_set(error, ERR_IO, "the build of %s was ended by signal %d (%s)", service->name.data,
                  WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        error_set(error, ERR_IO, "the build of %s failed with exit status %d", service->name.data,
                  WEXITSTATUS(status));
    if (manifest_is_module(service) && !build->sdk_found)
        error_remedy(error, "if dure/dure.h was not found: no SDK lies beside this program; "
                            "name its folder in C_INCLUDE_PATH");
    else
        error_remedy(error, "its output above says why; to try it alone: cd %s && %s", dir,
                     service->build.text.data);
}

/* Runs one command and waits for its end. */
static int run(struct build *build, size_t index, struct error *error)
{
    const struct manifest_service *service = build->deployment->manifest.services[index];
    const char *dir = deployment_service_dir(build->deployment, index, &build->arena);
    if (!dir) return error_set(error, ERR_NOMEM, "no memory to build %s", service->name.data);
    printf("building %s: %s\n", service->name.data, service->build.text.data);
    fflush(stdout);
    const struct io_spawn_options options = {
        .argv = service->build.argv, .envp = build->envp, .dir = dir, .die_signal = SIGKILL};
    int err = io_spawn(build->io, &build->process, &options, command_exited, error);
    if (err) {
        error_at(error, yaml_source_name(service->source), 0, 0);
        return err;
    }
    io_run(build->io);
    io_process_release(&build->process);
    if (build->status == 0) return 0;
    explain(build, service, dir, error);
    return ERR_IO;
}

static int build_all(struct build *build)
{
    const struct manifest *manifest = &build->deployment->manifest;
    size_t built = 0;
    struct error error = {0};
    if (make_environment(build) != 0) {
        error_set(&error, ERR_NOMEM, "no memory for the environment of the commands");
        return cli_fail(EXIT_FAILED, &error);
    }
    for (size_t i = 0; i < manifest->service_count; i++) {
        if (!manifest->services[i]->build.argc) continue;
        if (run(build, i, &error) != 0 || build->stopped)
            return build->stopped ? STOPPED_BY_SIGNAL + build->stopped
                                  : cli_fail(EXIT_FAILED, &error);
        built++;
    }
    printf("built %zu of %zu services; the others have no `build`\n", built,
           manifest->service_count);
    return EXIT_OK;
}

int cmd_build(int argc, char **argv)
{
    int left = cli_parse(argc, argv, NULL, 0);
    if (left < 0) return EXIT_USAGE;
    if (left > 1) return cli_usage("build", "takes one folder at most");
    struct build build = {.io = cli_io()};
    struct arena mistakes;
    struct errors errors;
    struct deployment *deployment = NULL;
    arena_init(&mistakes, MISTAKES_MAX);
    arena_init(&build.arena, MISTAKES_MAX);
    errors_init(&errors, &mistakes);
    int code;
    if (deployment_load(build.io, left ? argv[1] : ".", NULL, &errors, &deployment) != 0) {
        code = cli_fail_manifest(&errors);
    } else {
        build.deployment = deployment;
        io_signal_watch(build.io, &build.interrupt, SIGINT, told_to_stop);
        io_signal_watch(build.io, &build.terminate, SIGTERM, told_to_stop);
        code = build_all(&build);
        io_signal_release(build.io, &build.interrupt);
        io_signal_release(build.io, &build.terminate);
    }
    deployment_unref(deployment);
    arena_release(&build.arena);
    arena_release(&mistakes);
    io_free(build.io);
    return code;
}
