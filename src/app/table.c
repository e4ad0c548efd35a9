/* The table of `dure up` and `dure status`: made from the status as JSON, so that both ends of the
 * admin socket show the same. */
#include "app/status.h"

#include <jansson.h>
#include <stdio.h>

enum { COLUMNS = 8, CELL_MAX = 160 };

static const char *const titles[COLUMNS] = {"SERVICE", "VERSION", "PLACEMENT", "INSTANCES",
                                            "HEALTH",  "RPS",     "P99",       "RESTARTS"};

struct row {
    char cells[COLUMNS][CELL_MAX];
    const char *colour;
    const char *reason; /* "": all is well */
};

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static long long number_of(json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static void duration_text(long long us, char *text, size_t size)
{
    if (us <= 0)
        snprintf(text, size, "-");
    else if (us < 1000)
        snprintf(text, size, "%lld us", us);
    else if (us < 100000)
        snprintf(text, size, "%.1f ms", (double)us / 1e3);
    else
        snprintf(text, size, "%.2f s", (double)us / 1e6);
}

static void fill_row(struct row *row, json_t *service)
{
    long long up = number_of(service, "up"), wanted = number_of(service, "wanted");
    double rps = json_number_value(json_object_get(service, "rps"));
    const char *placement = text_of(service, "placement");
    bool alone = strcmp(placement, "alone") == 0;
    snprintf(row->cells[0], CELL_MAX, "%.60s", text_of(service, "service"));
    snprintf(row->cells[1], CELL_MAX, "%.60s", text_of(service, "version"));
    snprintf(row->cells[2], CELL_MAX, "%s%.60s", alone ? "" : "in ", placement);
    snprintf(row->cells[3], CELL_MAX, "%lld/%lld", up, wanted);
    snprintf(row->cells[4], CELL_MAX, "%.20s", text_of(service, "health"));
    snprintf(row->cells[5], CELL_MAX, rps < 10 ? "%.1f" : "%.0f", rps);
    duration_text(number_of(service, "p99_us"), row->cells[6], CELL_MAX);
    snprintf(row->cells[7], CELL_MAX, "%lld", number_of(service, "restarts"));
    row->colour = up >= wanted ? "\033[32m" : up > 0 ? "\033[33m" : "\033[31m";
    row->reason = up >= wanted ? "" : text_of(service, "reason");
}

/* Appends `text`, at most `columns` characters of it, and a newline. Escapes do not count. */
static void put_line(struct buf *out, const char *text, unsigned columns)
{
    unsigned shown = 0;
    for (const char *at = text; *at; at++) {
        if (*at == '\033') {
            const char *end = strchr(at, 'm');
            if (!end) break;
            buf_append(out, bytes_make(at, (size_t)(end - at) + 1));
            at = end;
            continue;
        }
        bool starts_character = ((unsigned char)*at & 0xC0) != 0x80;
        if (starts_character && columns && shown >= columns) continue;
        shown += starts_character;
        buf_append_char(out, *at);
    }
    buf_append_char(out, '\n');
}

static void put_row(struct buf *out, const struct row *row, const size_t *widths, unsigned columns,
                    bool colour)
{
    struct buf line;
    buf_init(&line, 8192);
    for (size_t i = 0; i < COLUMNS; i++) {
        bool paint = colour && i == 4 && row->colour;
        bool number = i == 3 || i >= 5;
        if (paint) buf_append_str(&line, row->colour);
        buf_append_format(&line, number ? "%*s" : "%-*s", (int)widths[i], row->cells[i]);
        if (paint) buf_append_str(&line, "\033[0m");
        buf_append_str(&line, "  ");
    }
    if (row->reason && row->reason[0]) buf_append_str(&line, row->reason);
    while (buf_len(&line) && line.data[line.end - 1] == ' ') line.end--;
    buf_append_char(&line, '\0');
    put_line(out, line.failed ? "" : line.data, columns);
    buf_release(&line);
}

static void put_head(struct buf *out, json_t *status, unsigned columns, bool colour)
{
    char line[1024];
    bool deploying = json_is_true(json_object_get(status, "deploying"));
    bool starting = json_is_true(json_object_get(status, "starting"));
    snprintf(line, sizeof line, "%s%.100s%s  %s%.100s  bus %.300s%s", colour ? "\033[1m" : "",
             text_of(status, "system"), colour ? "\033[0m" : "",
             starting ? "starting" : "gateway http://", text_of(status, "gateway"),
             text_of(status, "bus"), deploying && !starting ? "  deploying" : "");
    put_line(out, line, columns);
    json_t *cluster = json_object_get(status, "cluster");
    if (cluster) {
        snprintf(line, sizeof line, "bus: %.40s to %.100s, %lld servers, %lld replicas%s%.160s",
                 text_of(cluster, "state"), text_of(cluster, "server"),
                 (long long)json_integer_value(json_object_get(cluster, "servers")),
                 (long long)json_integer_value(json_object_get(cluster, "replicas")),
                 text_of(cluster, "reason")[0] ? ": " : "", text_of(cluster, "reason"));
        put_line(out, line, columns);
    }
    buf_append_char(out, '\n');
}

int status_table(struct bytes json, unsigned columns, bool colour, struct buf *out)
{
    json_t *status = json_loadb(json.data, json.len, 0, NULL);
    json_t *services = json_object_get(status, "services");
    static struct row rows[1 + STATUS_SERVICES_MAX];
    size_t widths[COLUMNS] = {0}, count = 1, i;
    json_t *service;
    if (!json_is_array(services)) {
        json_decref(status);
        return ERR_SYNTAX;
    }
    rows[0] = (struct row){.reason = ""};
    for (size_t c = 0; c < COLUMNS; c++) snprintf(rows[0].cells[c], CELL_MAX, "%s", titles[c]);
    json_array_foreach(services, i, service)
    {
        if (count <= STATUS_SERVICES_MAX) fill_row(&rows[count++], service);
    }
    for (size_t r = 0; r < count; r++)
        for (size_t c = 0; c < COLUMNS; c++)
            if (strlen(rows[r].cells[c]) > widths[c]) widths[c] = strlen(rows[r].cells[c]);
    put_head(out, status, columns, colour);
    for (size_t r = 0; r < count; r++) put_row(out, &rows[r], widths, columns, colour);
    json_decref(status);
    return out->failed ? ERR_NOMEM : 0;
}
