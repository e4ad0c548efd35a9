/* dure: the whole outside of a microservice system. This file is the command line's table; what
 * each command does is in cmd_*.c. `dure up` is the parent (run/parent.h), which starts `dure
 * worker` (worker.h), which does the rest. */
#include "app/cli.h"
#include "app/commands.h"
#include "app/worker.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

const struct command commands[] = {
    {"up", "[DIR]", "start the system of a folder and stay with it",
     "Reads DIR/dure.yaml and the service.yaml of each service, starts everything and shows how "
     "it\n"
     "is doing: a live table on a terminal, lines otherwise. Ctrl-C ends it gracefully, a second "
     "one\n"
     "at once. State lies in DIR/.dure.",
     cmd_up},
    {"down", "[--dir DIR]", "end a running system",
     "Every service finishes what it has, then gets SIGTERM, then SIGKILL.", cmd_down},
    {"apply", "[--dir DIR]", "deploy the manifests as they are now",
     "What changed is started beside what runs; traffic moves when all of it is healthy, and the "
     "old\n"
     "ends behind its last request. If the new does not become healthy nothing changes.",
     cmd_apply},
    {"status", "[--json] [--dir DIR]", "how every service is doing",
     "--json prints what a program reads.", cmd_status},
    {"logs", "[-f] [--json] [--dir DIR] [--last N] [SERVICE ...]", "what services print",
     "The last lines (--last, default 100) of the named services, or of all, in the order of "
     "time;\n"
     "-f goes on with what comes. The events of dure itself: dure logs dure.",
     cmd_logs},
    {"call", "[--dir DIR] [--data BODY] SERVICE METHOD PATH", "call a service on the internal road",
     "Prints the body; the status and the trace go to stderr. --data sends a body (@FILE: from a\n"
     "file, @-: from standard input). Ends with 5 when the status is 400 or more.",
     cmd_call},
    {"ask", "[--dir DIR] [--timeout 10s] SUBJECT [DATA]", "ask on the bus and print the answer",
     "Ends with 5 when nobody answers or the answer is an error.", cmd_ask},
    {"pub", "SUBJECT [TEXT | - | --lines] [--durable] [--id ID] [--header K:V] [--count N] ...",
     "publish a message, or many",
     "TEXT, with - all of standard input, with --lines each line of it. --durable waits until a "
     "stream has it on disk;\n"
     "--id stores it once, however often the command is repeated. --reply S, --sleep 1s between\n"
     "several (--count), --window N durable ones under way (256).",
     cmd_pub, true},
    {"sub", "SUBJECT ... [--queue GROUP] [--count N] [--wait 5s] [--raw] [--headers-only]",
     "print what comes on a subject",
     "Subjects may have wildcards: orders.*, orders.>. --queue shares them with others of the "
     "group.\n"
     "Ends after --count messages, when none came for --wait, or with Ctrl-C. --raw prints bodies\n"
     "only.",
     cmd_sub, true},
    {"req", "SUBJECT [TEXT | -] [--header K:V] [--timeout 5s] [--replies N]",
     "ask on a bus and print the answer",
     "Ends with 5 when nobody answers or the answer is an error.", cmd_req, true},
    {"queue", "ls | info | add | rm | next | dead | replay | purge-dead ...",
     "the work that waits in streams, and dead letters",
     "ls [STREAM]                         the queues (durable consumers) and how much waits\n"
     "info STREAM QUEUE                   one of them\n"
     "add STREAM QUEUE [--filter S] [--ack-wait D] [--max-deliver N] [--backoff D,D]\n"
     "    [--deliver all|new|last|SEQUENCE|TIME] [--ack explicit|all|none] [--max-pending N]\n"
     "    [--inactive D] [--headers-only] [--description TEXT]\n"
     "rm STREAM QUEUE [--force]\n"
     "next STREAM QUEUE [--count N] [--wait D] [--settle ack|nak|term|none] [--raw]\n"
     "dead [list | show LETTER] [--stream S] [--queue Q]      what was given up, and why\n"
     "replay LETTER | --all | --stream S [--queue Q]          store it again where it came from\n"
     "purge-dead --all | --stream S [--queue Q] [--force]     forget it\n"
     "pull is another name of next.",
     cmd_queue, true},
    {"stream", "ls | info | add | edit | rm | purge | get | view | rm-msg | backup | restore ...",
     "streams: what is kept of which subjects",
     "ls [--names]\n"
     "info STREAM\n"
     "add STREAM [--subjects S,S] [--retention limits|interest|workqueue]\n"
     "    [--storage file|memory] [--fsync each|interval|never] [--discard old|new]\n"
     "    [--max-age D] [--max-msgs N] [--max-bytes SIZE] [--max-msg-size SIZE]\n"
     "    [--max-msgs-per-subject N] [--max-consumers N] [--dupe-window D] [--replicas N]\n"
     "    [--mirror STREAM] [--source STREAM] [--compression none|s2] [--description TEXT]\n"
     "    [--no-direct] [--deny-delete] [--deny-purge] [--allow-rollup] [--allow-msg-ttl]\n"
     "edit STREAM [the same]     a limit of `unlimited` takes it away\n"
     "rm STREAM [--force]\n"
     "purge STREAM [--subject S] [--keep N | --before SEQUENCE] [--force]\n"
     "get STREAM SEQUENCE | STREAM --last SUBJECT\n"
     "view STREAM [--subject S] [--from first|last|last-per-subject|new|SEQUENCE|TIME]\n"
     "    [--count N] [--follow] [--raw]\n"
     "rm-msg STREAM SEQUENCE\n"
     "backup STREAM FILE         while it runs; restore FILE [STREAM] makes it anew\n"
     "create is another name of add.",
     cmd_stream, true},
    {"kv", "ls | add | get | put | create | update | del | purge | keys | watch | history ...",
     "values by key",
     "ls; status BUCKET; rm BUCKET [--force]\n"
     "add BUCKET [--history N] [--ttl D] [--max-value SIZE] [--max-bytes SIZE] [--replicas N]\n"
     "    [--storage file|memory] [--description TEXT]\n"
     "get BUCKET KEY [--revision N] [--raw]\n"
     "put BUCKET KEY VALUE|-            whatever it was\n"
     "create BUCKET KEY VALUE|-         only if it is not there\n"
     "update BUCKET KEY VALUE|- N       only if its revision is still N\n"
     "del, purge BUCKET KEY [--revision N]     purge forgets the history, too\n"
     "keys, watch BUCKET [PATTERN]; history BUCKET KEY\n"
     "info is another name of status.",
     cmd_kv, true},
    {"obj", "ls | add | rm | put | get | del | info | watch | seal ...", "files on the bus",
     "ls [BUCKET]\n"
     "add BUCKET [--ttl D] [--max-bytes SIZE] [--replicas N] [--storage file|memory]\n"
     "    [--description TEXT]\n"
     "rm BUCKET [--force]\n"
     "put BUCKET FILE|- [--name NAME] [--description TEXT] [--chunk SIZE]\n"
     "get BUCKET OBJECT [--output FILE|-] [--force]\n"
     "del BUCKET OBJECT; info BUCKET OBJECT; watch BUCKET; seal BUCKET [--force]",
     cmd_obj, true},
    {"bench", "[pub | pubsub | request | sync | async | pull | all] [--count N] [--size B] ...",
     "how fast a bus is for one client",
     "--count N messages (100000) of --size SIZE (128); --window N durable ones under way (256);\n"
     "--subject S; for durable ones --storage file|memory and --fsync each|interval|never. What "
     "is\n"
     "stored for it is removed again.",
     cmd_bench, true},
    {"trace", "[--json] [--dir DIR] [--last N] [TRACE]", "the last requests, each as a tree",
     "Shows the last N traces (default 10), or one by its id, with who called whom, how long each\n"
     "took, and what failed.",
     cmd_trace},
    {"check", "[DIR]", "look for mistakes in the manifests, change nothing",
     "All mistakes at once, each with its place and what to do. Ends with 3 when there are any.",
     cmd_check},
    {"build", "[DIR]", "build every service of a folder",
     "Runs each service's `build` command in its folder, in the order of dure.yaml, and stops at "
     "the\n"
     "first that fails. dure/dure.h is found by the C compiler as long as the SDK lies beside "
     "this\n"
     "program (C_INCLUDE_PATH is set for the commands).",
     cmd_build},
    {"init", "system NAME | service NAME --lang c|python|node [--dir DIR] [--no-route]",
     "make a new system, or a service in it",
     "`system` makes a folder NAME with a dure.yaml and a first service. `service` makes a folder\n"
     "with a working service and adds it to dure.yaml, with a route /NAME unless --no-route is "
     "said.\n"
     "Nothing is ever overwritten.",
     cmd_init},
    {"host", "MODULE.so ...", "run C modules in one process",
     "For services written with the SDK (dure.h). They listen on PORT, PORT+1, ...", cmd_host},
    {"bus",
     "[--listen ADDR:PORT] [--data DIR] [--config FILE] [--max-payload SIZE]\n"
     "         [--http ADDR:PORT] [--websocket ADDR:PORT]\n"
     "  bus move --from DIR|URL --to nats://... [--once] [--quiet 2s] [--replicas N]\n"
     "         [--creds FILE] [--ca FILE] [--cert FILE --key FILE] [--json]",
     "only the message bus",
     "A NATS server: default 127.0.0.1:4222. With --data, streams are kept there. FILE says the "
     "rest: users, accounts, TLS, limits (doc/bus.md).\n"
     "`bus move` copies everything to a NATS cluster while publishers run, and compares; run\n"
     "again, it goes on where it was.",
     cmd_bus},
    {"gateway", "--config FILE", "only the gateway, with upstreams from a file",
     "See doc/manifest.md for the file.", cmd_gateway},
    {"version", "[--json]", "which version this is", "", cmd_version},
    {"help", "[COMMAND]", "this, or more about one command", "", cmd_help},
};
const size_t command_count = sizeof commands / sizeof *commands;

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

static int unknown(const char *name)
{
    const char *names[sizeof commands / sizeof *commands];
    for (size_t i = 0; i < command_count; i++) names[i] = commands[i].name;
    const char *near = bytes_nearest(bytes_str(name), names, command_count);
    fprintf(stderr, "dure: there is no command '%s'", name);
    if (near) fprintf(stderr, ": did you mean `dure %s`?", near);
    fprintf(stderr, "\n  All commands: dure help\n");
    return EXIT_USAGE;
}

static void print_overview(void)
{
    printf("dure: the whole outside of a microservice system\n\n");
    for (size_t i = 0; i < command_count; i++)
        printf("  dure %-9s %s\n", commands[i].name, commands[i].summary);
    printf("\nThe first time: dure init system NAME, then dure up NAME.\n"
           "More about one: dure help COMMAND.\n");
}

int cmd_help(int argc, char **argv)
{
    if (argc < 2) {
        print_overview();
        return EXIT_OK;
    }
    const struct command *command = find(argv[1]);
    if (!command) return unknown(argv[1]);
    printf("dure %s %s\n\n%s.\n", command->name, command->arguments, command->summary);
    if (command->help[0]) printf("\n%s\n", command->help);
    if (command->of_bus)
        printf("\nWhere the bus is: --server URL[,URL], else $NATS_URL, else the system of this "
               "folder\n"
               "(--dir DIR). Who you are: --user, --password, --token, --creds FILE, --nkey FILE;\n"
               "--tls-ca, --tls-cert, --tls-key FILE, --tls-first. --timeout 5s of a request, "
               "--json.\n");
    return EXIT_OK;
}

/* A busy bus takes and gives back some MiB many times a second. By default the C library returns
 * such memory to the kernel at once, and getting it again costs more than all the rest. */
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
}

int main(int argc, char **argv)
{
    keep_memory();
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_overview();
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "worker") == 0) return worker_main(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_overview();
        return EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) return cmd_version(1, argv + 1);
    const struct command *command = find(argv[1]);
    if (!command) return unknown(argv[1]);
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--help") != 0 && strcmp(argv[i], "-h") != 0) continue;
        char *help[] = {argv[0], argv[1]};
        return cmd_help(2, help);
    }
    return command->run(argc - 1, argv + 1);
}
