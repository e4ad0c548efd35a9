/* manifest_value: what a single value of a manifest must look like. Private to wire/manifest. The
 * checks are of type yaml_check: false with message and remedy. */
#ifndef DURE_WIRE_MANIFEST_VALUE_H
#define DURE_WIRE_MANIFEST_VALUE_H

#include "wire/yaml.h"

yaml_check manifest_check_name;        /* a DNS label (RFC 1123): it becomes a host name */
yaml_check manifest_check_version;     /* manifest_version_parse */
yaml_check manifest_check_folder;      /* a path on the disk */
yaml_check manifest_check_file;        /* a path below a folder: relative, no `..` */
yaml_check manifest_check_module;      /* a file that ends with .so */
yaml_check manifest_check_path;        /* an absolute URL path (RFC 3986 section 3.3) */
yaml_check manifest_check_host;        /* a host name, or "*." and one */
yaml_check manifest_check_method;      /* RFC 9110 section 9, RFC 5789 */
yaml_check manifest_check_header;      /* RFC 9110 section 5.1 */
yaml_check manifest_check_listen;      /* what io_addr_parse takes */
yaml_check manifest_check_bus_url;     /* nats://, tls:// and unix: URLs, divided by commas */
yaml_check manifest_check_subject;     /* a NATS pattern */
yaml_check manifest_check_environment; /* POSIX, section 8.1; not what dure sets itself */

/* of the bus (manifest_bus_value.c) */
yaml_check manifest_check_pattern;      /* a pattern of any subject */
yaml_check manifest_check_subscription; /* the same, or "pattern queue" */
yaml_check manifest_check_user_key;     /* a public nkey */
yaml_check manifest_check_operator;     /* a public nkey or a JWT */
yaml_check manifest_check_jwt;          /* the form only */
yaml_check manifest_check_account;      /* a name that can be a folder's */
yaml_check manifest_check_socket;       /* the path of a Unix socket */
yaml_check manifest_check_endpoint;     /* "host:port" */
yaml_check manifest_check_origin;       /* "https://host[:port]" */

/* Whether two valid paths are written for the same folder. */
bool manifest_same_folder(struct bytes a, struct bytes b);

/* The port of a valid listen address; -1: none (unix:). */
int manifest_listen_port(struct bytes listen);

/* Whether there is a subject that both valid patterns stand for. */
bool manifest_subjects_overlap(struct bytes a, struct bytes b);

#endif
