/* Prints doc/manifest.md from the tables in wire/manifest_schema.c.
 *
 *   manifest_manual                 prints it
 *   manifest_manual --check FILE    fails when FILE says something else */
#include <stdio.h>

#include "wire/manifest.h"

enum { MANUAL_MAX = 1024 * 1024 };

static const char head[] =
    "<!-- Printed by tools/manifest_manual.c from src/wire/manifest_schema.c: change it there. "
    "-->\n"
    "# Manifests\n"
    "\n"
    "A system is a folder with a `dure.yaml`. It names the folders of the services; each of\n"
    "them has its own `service.yaml`, which belongs to the people who write the service.\n"
    "`dure check DIR` reads them all and says every mistake at once, with its place and what\n"
    "to do.\n"
    "\n"
    "```yaml\n"
    "# dure.yaml\n"
    "system: shop\n"
    "services:\n"
    "  - path: member\n"
    "  - path: catalog\n"
    "    scale: 2\n"
    "  - path: order\n"
    "    in: member            # as a module in member's process\n"
    "gateway:\n"
    "  listen: 127.0.0.1:8080\n"
    "  routes:\n"
    "    - path: /orders\n"
    "      to: order\n"
    "```\n"
    "\n"
    "```yaml\n"
    "# order/service.yaml\n"
    "name: order\n"
    "version: v1_20261121-1\n"
    "owner: team-order\n"
    "module: order.so\n"
    "build: make\n"
    "health: {path: /health}\n"
    "needs: [member, catalog]\n"
    "stores: [order.db]\n"
    "publishes: [order.placed]\n"
    "subscribes:\n"
    "  - subject: delivery.*\n"
    "    path: /events/delivery\n"
    "```\n"
    "\n"
    "## The notation\n"
    "\n"
    "YAML 1.2, one document a file, UTF-8, at most 1 MiB. A value is what its key says:\n"
    "`version: 1.10.0` and `owner: no` are texts. Keys that are not listed here, and keys\n"
    "given twice, are mistakes. `null`, `~` and nothing at all mean \"left out\". Anchors and\n"
    "aliases work; tags do not.\n"
    "\n"
    "| type | written as |\n"
    "|---|---|\n"
    "| true or false | `true`, `false`; nothing else |\n"
    "| a duration | a whole number and `ms`, `s`, `m` or `h`: `250ms`, `15s`, `5m` |\n"
    "| a size | a whole number of bytes; or with `KiB`, `MiB`, `GiB`, `kB`, `MB`, `GB` |\n"
    "| a list | `[a, b]`, or one `- a` a line |\n"
    "| a mapping | `{key: value}`, or one `key: value` a line |\n"
    "| a command | words, with quotes as in a shell; no shell reads it: no variables, no pipes |\n"
    "| an address | `127.0.0.1:8080`, `[::1]:8080`, `:8080` (all interfaces), `unix:/path` |\n";

static const char rules[] =
    "\n"
    "## What must fit together\n"
    "\n"
    "- Names of services are unique; `to`, `in` and `needs` name services of this system.\n"
    "  Services may need each other in a circle; they may not be placed in each other in a\n"
    "  circle.\n"
    "- Only modules can be placed in a process, and only in another module's; such a process\n"
    "  has as many instances as its host.\n"
    "- A store has one owner. A service with stores has one instance, unless it says\n"
    "  `share_stores: true`.\n"
    "- Two routes must not match the same requests. The most specific host wins, then the\n"
    "  longest path, then a method, then more headers.\n"
    "- A subject is answered by one service, and no durable event may have a subject that is\n"
    "  answered: the stream would acknowledge the request instead.\n"
    "- The gateway, the bus and the internal road listen on different addresses.\n";

static void print_manual(struct buf *out)
{
    buf_append_str(out, head);
    buf_append_str(out, "\n## dure.yaml\n");
    yaml_manual(&manifest_system_schema, out);
    buf_append_str(out, "\n## service.yaml\n");
    yaml_manual(&manifest_service_schema, out);
    buf_append_str(out, rules);
}

static bool file_says(const char *path, struct bytes text)
{
    static char content[MANUAL_MAX];
    FILE *file = fopen(path, "r");
    if (!file) return false;
    size_t len = fread(content, 1, sizeof content, file);
    fclose(file);
    return bytes_eq(bytes_make(content, len), text);
}

int main(int argc, char **argv)
{
    struct buf out;
    buf_init(&out, MANUAL_MAX);
    print_manual(&out);
    int status = out.failed;
    if (argc == 3 && strcmp(argv[1], "--check") == 0) {
        if (!file_says(argv[2], buf_bytes(&out))) {
            fprintf(stderr, "%s is out of date: manifest_manual > %s\n", argv[2], argv[2]);
            status = 1;
        }
    } else {
        fwrite(out.data + out.start, 1, buf_len(&out), stdout);
    }
    buf_release(&out);
    return status;
}
