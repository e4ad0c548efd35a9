/* The keys of dure.yaml and service.yaml: the one place that says what they are called, what they
 * hold, their defaults and their meaning. doc/manifest.md is printed from here. */
#include "wire/manifest.h"

#include "wire/manifest_value.h"

#define AT(type, member) .at = offsetof(struct type, member)
#define LIST_AT(type, member, count) AT(type, member), .count_at = offsetof(struct type, count)

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS };

/* ---- service.yaml ---- */

static const struct yaml_field health_fields[] = {
    {.key = "path",
     .type = YAML_STRING,
     AT(manifest_health, path),
     .one_of = 1,
     .check = manifest_check_path,
     .example = "path: /health",
     .doc = "Healthy when `GET` of this path on `$PORT` is answered with 2xx."},
    {.key = "tcp",
     .type = YAML_BOOL,
     AT(manifest_health, tcp),
     .one_of = 1,
     .example = "tcp: true",
     .doc = "Healthy when `$PORT` accepts connections."},
    {.key = "bus",
     .type = YAML_BOOL,
     AT(manifest_health, bus),
     .one_of = 1,
     .example = "bus: true",
     .doc =
         "Healthy when it answers requests on `$SRV.PING.NAME.$DURE_INSTANCE`: for a service "
         "that does not listen on `$PORT`. The SDK answers by itself; with any other NATS client "
         "subscribe to it and reply with anything."},
    {.key = "interval",
     .type = YAML_DURATION,
     AT(manifest_health, interval_ms),
     .min = 100,
     .max = HOUR_MS,
     .fallback = "10s",
     .example = "interval: 10s",
     .doc = "Between two checks; while an instance starts it is checked every second at least."},
    {.key = "timeout",
     .type = YAML_DURATION,
     AT(manifest_health, timeout_ms),
     .min = 10,
     .max = 5 * MINUTE_MS,
     .fallback = "2s",
     .example = "timeout: 2s",
     .doc = "A check without an answer within this time has failed."},
    {.key = "failures",
     .type = YAML_INT,
     AT(manifest_health, failures),
     .min = 1,
     .max = 100,
     .fallback = "3",
     .example = "failures: 3",
     .doc = "Failed checks in a row after which an instance gets no more requests."},
    {.key = "successes",
     .type = YAML_INT,
     AT(manifest_health, successes),
     .min = 1,
     .max = 100,
     .fallback = "2",
     .example = "successes: 2",
     .doc = "Good checks in a row after which it gets requests again."},
    {0}};

static const struct yaml_schema health_schema = {"a health check", sizeof(struct manifest_health),
                                                 health_fields};

static const struct yaml_field subscription_fields[] = {
    {.key = "subject",
     .type = YAML_STRING,
     AT(manifest_subscription, subject),
     .required = true,
     .check = manifest_check_subject,
     .example = "subject: delivery.*",
     .doc = "Which events: `*` stands for one part between dots, `>` at the end for all that is "
            "below."},
    {.key = "path",
     .type = YAML_STRING,
     AT(manifest_subscription, path),
     .required = true,
     .check = manifest_check_path,
     .example = "path: /events/delivery",
     .doc = "Each event is sent as `POST` to this path of one instance (CloudEvents 1.0, HTTP "
            "binary mode); 2xx means done, anything else means again later."},
    {.key = "attempts",
     .type = YAML_INT,
     AT(manifest_subscription, attempts),
     .min = 1,
     .max = 1000,
     .fallback = "5",
     .example = "attempts: 5",
     .doc = "Deliveries of one event before it goes to the dead-letter stream."},
    {.key = "timeout",
     .type = YAML_DURATION,
     AT(manifest_subscription, timeout_ms),
     .min = 100,
     .max = HOUR_MS,
     .fallback = "30s",
     .example = "timeout: 30s",
     .doc = "A delivery without an answer within this time counts as failed."},
    {0}};

static const struct yaml_schema subscription_schema = {
    "a subscription", sizeof(struct manifest_subscription), subscription_fields};

static const struct yaml_field answer_fields[] = {
    {.key = "subject",
     .type = YAML_STRING,
     AT(manifest_answer, subject),
     .required = true,
     .check = manifest_check_subject,
     .example = "subject: payment.charge",
     .doc = "Which requests of the bus."},
    {.key = "path",
     .type = YAML_STRING,
     AT(manifest_answer, path),
     .required = true,
     .check = manifest_check_path,
     .example = "path: /charge",
     .doc = "Each request is sent as `POST` to this path of one instance; the body of the response "
            "is the reply."},
    {.key = "timeout",
     .type = YAML_DURATION,
     AT(manifest_answer, timeout_ms),
     .min = 10,
     .max = HOUR_MS,
     .fallback = "15s",
     .example = "timeout: 15s",
     .doc = "A request without a response within this time is answered with an error."},
    {0}};

static const struct yaml_schema answer_schema = {"an answer", sizeof(struct manifest_answer),
                                                 answer_fields};

static const struct yaml_field stop_fields[] = {
    {.key = "grace",
     .type = YAML_DURATION,
     AT(manifest_stop, grace_ms),
     .max = HOUR_MS,
     .fallback = "10s",
     .example = "grace: 10s",
     .doc =
         "From `SIGTERM`, when it gets no new requests and finishes those it has, to `SIGKILL`."},
    {0}};

static const struct yaml_schema stop_schema = {"a stop", sizeof(struct manifest_stop), stop_fields};

static const struct yaml_field service_fields[] = {
    {.key = "name",
     .type = YAML_STRING,
     AT(manifest_service, name),
     .required = true,
     .check = manifest_check_name,
     .example = "name: order",
     .doc = "The name by which others call it: `http://order/`. Lower-case letters, digits, "
            "hyphens."},
    {.key = "version",
     .type = YAML_STRING,
     AT(manifest_service, version_text),
     .required = true,
     .check = manifest_check_version,
     .example = "version: v1_20261121-1",
     .doc = "`vMAJOR_DATE-FIX` or `MAJOR.MINOR.PATCH`. A change in the last part must be "
            "compatible, a change in the first two may not be."},
    {.key = "owner",
     .type = YAML_STRING,
     AT(manifest_service, owner),
     .example = "owner: team-order",
     .doc = "Who is told when it fails or when what it needs changes."},
    {.key = "run",
     .type = YAML_STRING,
     AT(manifest_service, run.text),
     .one_of = 1,
     .example = "run: python3 main.py",
     .doc = "The command that starts it, in its folder: words with quotes as in a shell, but "
            "without a shell. It listens on `$PORT`, connects to `$NATS_URL`, or both."},
    {.key = "module",
     .type = YAML_STRING,
     AT(manifest_service, module),
     .one_of = 1,
     .check = manifest_check_module,
     .example = "module: order.so",
     .doc = "A module written with the C SDK, run by `dure host`, alone or with others in one "
            "process."},
    {.key = "build",
     .type = YAML_STRING,
     AT(manifest_service, build.text),
     .example = "build: make",
     .doc = "The command that builds it, in its folder."},
    {.key = "test",
     .type = YAML_STRING,
     AT(manifest_service, test.text),
     .example = "test: make check",
     .doc = "The command that tests it, in its folder."},
    {.key = "health",
     .type = YAML_STRUCT,
     AT(manifest_service, health),
     .schema = &health_schema,
     .example = "health: {path: /health}",
     .doc = "How it is seen to be well. Left out, it is `{tcp: true}`."},
    {.key = "needs",
     .type = YAML_STRINGS,
     LIST_AT(manifest_service, needs, need_count),
     .max = MANIFEST_SERVICES_MAX,
     .example = "needs: [member, catalog]",
     .check = manifest_check_name,
     .doc = "The services that it calls."},
    {.key = "stores",
     .type = YAML_STRINGS,
     LIST_AT(manifest_service, stores, store_count),
     .max = 64,
     .example = "stores: [order.db]",
     .check = manifest_check_file,
     .doc = "The database files that it owns, in its data folder `$DURE_DATA`; "
            "`$DATABASE_URL` names the first. A store has one owner in the whole system."},
    {.key = "share_stores",
     .type = YAML_BOOL,
     AT(manifest_service, share_stores),
     .fallback = "false",
     .example = "share_stores: true",
     .doc =
         "Several instances of it may have its stores open at once for good. Without it a service "
         "with stores has one instance; but while a new version takes over, the old and the new "
         "one both have them open, until the old one has answered what it had begun."},
    {.key = "publishes",
     .type = YAML_STRINGS,
     LIST_AT(manifest_service, publishes, publish_count),
     .max = 1024,
     .example = "publishes: [order.placed]",
     .check = manifest_check_subject,
     .doc = "The subjects of the durable events that it publishes: kept in the stream `EVENTS`, "
            "acknowledged when they are on the disk."},
    {.key = "subscribes",
     .type = YAML_STRUCTS,
     LIST_AT(manifest_service, subscribes, subscribe_count),
     .max = 1024,
     .schema = &subscription_schema,
     .example = "subscribes: [{subject: delivery.*, path: /events/delivery}]",
     .doc = "The durable events that it wants."},
    {.key = "answers",
     .type = YAML_STRUCTS,
     LIST_AT(manifest_service, answers, answer_count),
     .max = 1024,
     .schema = &answer_schema,
     .example = "answers: [{subject: payment.charge, path: /charge}]",
     .doc = "The requests of the bus that it answers over HTTP."},
    {.key = "env",
     .type = YAML_MAP,
     LIST_AT(manifest_service, env, env_count),
     .example = "env: {LOG_LEVEL: info}",
     .check = manifest_check_environment,
     .doc = "Environment variables. `PORT` and `DURE_*` are set by dure; other standard ones "
            "(`DATABASE_URL`, ...) can be set here instead."},
    {.key = "stop",
     .type = YAML_STRUCT,
     AT(manifest_service, stop),
     .schema = &stop_schema,
     .example = "stop: {grace: 10s}",
     .doc = "How it is stopped."},
    {0}};

const struct yaml_schema manifest_service_schema = {"a service", sizeof(struct manifest_service),
                                                    service_fields};

/* ---- dure.yaml ---- */

static const struct yaml_field deployment_fields[] = {
    {.key = "path",
     .type = YAML_STRING,
     AT(manifest_deployment, path),
     .required = true,
     .check = manifest_check_folder,
     .example = "path: order",
     .doc = "The folder that holds its `service.yaml`, relative to `dure.yaml`."},
    {.key = "name",
     .type = YAML_STRING,
     AT(manifest_deployment, name),
     .check = manifest_check_name,
     .example = "name: order",
     .doc = "The name that its `service.yaml` must have; for readers of this file, where the "
            "folder is called otherwise."},
    {.key = "scale",
     .type = YAML_INT,
     AT(manifest_deployment, scale),
     .min = 1,
     .max = MANIFEST_SCALE_MAX,
     .fallback = "1",
     .example = "scale: 2",
     .doc = "How many instances."},
    {.key = "in",
     .type = YAML_STRING,
     AT(manifest_deployment, in),
     .example = "in: member",
     .fallback = "alone",
     .doc = "The service in whose process it runs; both must be modules. `alone`: a process of its "
            "own."},
    {.key = "env",
     .type = YAML_MAP,
     LIST_AT(manifest_deployment, env, env_count),
     .example = "env: {LOG_LEVEL: debug}",
     .check = manifest_check_environment,
     .doc = "Environment variables in this system; stronger than those of its `service.yaml`."},
    {0}};

static const struct yaml_schema deployment_schema = {
    "an entry of `services`", sizeof(struct manifest_deployment), deployment_fields};

static const struct yaml_field route_fields[] = {
    {.key = "path",
     .type = YAML_STRING,
     AT(manifest_route, path),
     .required = true,
     .check = manifest_check_path,
     .example = "path: /orders",
     .doc =
         "Matches this path and all below it: `/orders` matches `/orders/7`, not `/orders2`. The "
         "most specific host wins, then the longest path, a method, more headers."},
    {.key = "to",
     .type = YAML_STRING,
     AT(manifest_route, to),
     .required = true,
     .check = manifest_check_name,
     .example = "to: order",
     .doc = "The service that answers."},
    {.key = "host",
     .type = YAML_STRING,
     AT(manifest_route, host),
     .check = manifest_check_host,
     .example = "host: shop.example.org",
     .doc = "Only requests for this host; \"*.example.org\" stands for all below."},
    {.key = "method",
     .type = YAML_STRINGS,
     LIST_AT(manifest_route, methods, method_count),
     .max = 16,
     .check = manifest_check_method,
     .example = "method: [GET, HEAD]",
     .doc = "Only requests with one of these methods."},
    {.key = "headers",
     .type = YAML_MAP,
     LIST_AT(manifest_route, headers, header_count),
     .max = 16,
     .check = manifest_check_header,
     .example = "headers: {X-Canary: \"1\"}",
     .doc = "Only requests that have all of these header fields with these values."},
    {.key = "rewrite",
     .type = YAML_STRING,
     AT(manifest_route, rewrite),
     .check = manifest_check_path,
     .example = "rewrite: /",
     .doc = "What the matched part of the path becomes before the service sees it. Left out, the "
            "path stays as it is."},
    {.key = "timeout",
     .type = YAML_DURATION,
     AT(manifest_route, timeout_ms),
     .min = 1,
     .max = HOUR_MS,
     .fallback = "15s",
     .example = "timeout: 15s",
     .doc = "Of a request with all its retries; then the client gets 504."},
    {.key = "retries",
     .type = YAML_INT,
     AT(manifest_route, retries),
     .max = 10,
     .fallback = "2",
     .example = "retries: 2",
     .doc = "How often an idempotent request that failed is tried again, on another instance where "
            "there is one."},
    {0}};

static const struct yaml_schema route_schema = {"a route", sizeof(struct manifest_route),
                                                route_fields};

static const struct yaml_field gateway_fields[] = {
    {.key = "listen",
     .type = YAML_STRING,
     AT(manifest_gateway, listen),
     .check = manifest_check_listen,
     .fallback = "127.0.0.1:8080",
     .example = "listen: 127.0.0.1:8080",
     .doc = "Where requests from outside come in. `:8080` listens on all interfaces."},
    {.key = "routes",
     .type = YAML_STRUCTS,
     LIST_AT(manifest_gateway, routes, route_count),
     .max = MANIFEST_ROUTES_MAX,
     .schema = &route_schema,
     .example = "routes: [{path: /orders, to: order}]",
     .doc = "Which request goes to which service. What no route matches is answered with 404."},
    {0}};

static const struct yaml_schema gateway_schema = {"the gateway", sizeof(struct manifest_gateway),
                                                  gateway_fields};

static const struct yaml_field bus_fields[] = {
    {.key = "listen",
     .type = YAML_STRING,
     AT(manifest_bus, listen),
     .check = manifest_check_listen,
     .fallback = "127.0.0.1:4222",
     .example = "listen: 127.0.0.1:4222",
     .doc = "Where NATS clients connect; services find it in `$NATS_URL`."},
    {.key = "max_payload",
     .type = YAML_BYTES,
     AT(manifest_bus, max_payload),
     .min = 1024,
     .max = 64 * 1024 * 1024,
     .fallback = "1MiB",
     .example = "max_payload: 1MiB",
     .doc = "The largest message; a client that sends a larger one is disconnected."},
    {0}};

static const struct yaml_schema bus_schema = {"the bus", sizeof(struct manifest_bus), bus_fields};

static const struct yaml_field internal_fields[] = {
    {.key = "listen",
     .type = YAML_STRING,
     AT(manifest_internal, listen),
     .check = manifest_check_listen,
     .fallback = "127.0.0.1:0",
     .example = "listen: 127.0.0.1:8081",
     .doc = "Where services call each other (`$DURE_HTTP`, `$http_proxy`). Port 0: any free one."},
    {0}};

static const struct yaml_schema internal_schema = {
    "the internal road", sizeof(struct manifest_internal), internal_fields};

static const struct yaml_field system_fields[] = {
    {.key = "system",
     .type = YAML_STRING,
     AT(manifest_system, name),
     .required = true,
     .check = manifest_check_name,
     .example = "system: shop",
     .doc = "The system's name."},
    {.key = "services",
     .type = YAML_STRUCTS,
     LIST_AT(manifest_system, deployments, deployment_count),
     .required = true,
     .max = MANIFEST_SERVICES_MAX,
     .schema = &deployment_schema,
     .example = "services: [{path: order}]",
     .doc = "Its services, in the order of their start."},
    {.key = "gateway",
     .type = YAML_STRUCT,
     AT(manifest_system, gateway),
     .schema = &gateway_schema,
     .example = "gateway: {listen: 127.0.0.1:8080}",
     .doc = "The way in from outside."},
    {.key = "bus",
     .type = YAML_STRUCT,
     AT(manifest_system, bus),
     .schema = &bus_schema,
     .example = "bus: {listen: 127.0.0.1:4222}",
     .doc = "The message bus."},
    {.key = "internal",
     .type = YAML_STRUCT,
     AT(manifest_system, internal),
     .schema = &internal_schema,
     .example = "internal: {listen: 127.0.0.1:8081}",
     .doc = "The road between services."},
    {.key = "env",
     .type = YAML_MAP,
     LIST_AT(manifest_system, env, env_count),
     .example = "env: {TZ: UTC}",
     .check = manifest_check_environment,
     .doc = "Environment variables of every service; weaker than those of a service."},
    {.key = "deploy_timeout",
     .type = YAML_DURATION,
     AT(manifest_system, deploy_timeout_ms),
     .min = 1000,
     .max = HOUR_MS,
     .fallback = "60s",
     .example = "deploy_timeout: 60s",
     .doc = "How long `dure apply` waits until everything new is healthy; then the new is taken "
            "away again."},
    {0}};

const struct yaml_schema manifest_system_schema = {"a system", sizeof(struct manifest_system),
                                                   system_fields};
