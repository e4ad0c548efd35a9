#include "app/init_edit.h"

/* A line of the document, without its end. */
struct line {
    struct bytes text;
    size_t indent;
    bool blank, comment;
    size_t end; /* offset behind its newline */
};

static bool next_line(struct bytes document, size_t *at, struct line *ret_line)
{
    if (*at >= document.len) return false;
    struct bytes rest = bytes_skip(document, *at);
    size_t len = bytes_find(rest, '\n');
    struct bytes text = bytes_head(rest, len < rest.len ? len : rest.len);
    *at += text.len + (text.len < rest.len);
    size_t indent = 0;
    while (indent < text.len && text.data[indent] == ' ') indent++;
    *ret_line = (struct line){.text = bytes_skip(text, indent), .indent = indent, .end = *at};
    ret_line->blank = ret_line->text.len == 0;
    ret_line->comment = !ret_line->blank && ret_line->text.data[0] == '#';
    return true;
}

static bool is_item(const struct line *line)
{
    return bytes_eq(line->text, BYTES("-")) || bytes_starts(line->text, BYTES("- "));
}

/* "key:" alone, or with a comment behind it: what it stands for follows in the next lines. */
static bool opens(const struct line *line, struct bytes key)
{
    if (!bytes_starts(line->text, key)) return false;
    struct bytes rest = bytes_skip(line->text, key.len);
    if (!bytes_starts(rest, BYTES(":"))) return false;
    struct bytes value = bytes_trim(bytes_skip(rest, 1));
    return value.len == 0 || (value.data[0] == '#' && rest.data[1] == ' ');
}

/* The key itself, whatever stands behind it. */
static bool is_key(const struct line *line, struct bytes key)
{
    return bytes_starts(line->text, key) &&
           bytes_starts(bytes_skip(line->text, key.len), BYTES(":"));
}

/* Whether the line belongs to what a key at `indent` stands for. Items of a list may stand as far
 * left as their key. */
static bool within(const struct line *line, size_t indent)
{
    return line->indent > indent || (line->indent == indent && is_item(line));
}

/* What stands below a key: where it ends, and how far its first line is indented. */
struct block {
    bool found, other_form, has_child;
    size_t begin, end, indent, key_indent;
};

/* Finds the key among the direct children of document[from, to), and what is below it. */
static struct block find_block(struct bytes document, size_t from, size_t to, struct bytes key)
{
    struct block block = {0};
    struct line line;
    size_t at = from, children = 0;
    bool first = true;
    while (at < to && next_line(document, &at, &line)) {
        if (line.blank || (line.comment && !(block.found && line.indent > block.key_indent)))
            continue;
        if (first) children = line.indent;
        first = false;
        if (block.found) {
            if (!within(&line, block.key_indent)) break;
            if (!block.has_child && !line.comment) block.indent = line.indent;
            block.has_child |= !line.comment;
            block.end = line.end;
        } else if (line.indent == children && is_key(&line, key)) {
            block.found = true;
            block.other_form = !opens(&line, key);
            block.key_indent = line.indent;
            block.begin = block.end = line.end;
            block.indent = line.indent + 2;
        }
    }
    return block;
}

/* Whether what is below the key is a list with an item a line, or nothing at all. */
static bool is_list(struct bytes document, const struct block *block)
{
    struct line line;
    size_t at = block->begin;
    while (at < block->end && next_line(document, &at, &line)) {
        if (line.blank || line.comment) continue;
        return is_item(&line);
    }
    return true;
}

static void spaces(struct buf *out, size_t count)
{
    for (size_t i = 0; i < count; i++) buf_append_char(out, ' ');
}

static void put_route(struct buf *out, size_t indent, const char *name)
{
    spaces(out, indent);
    buf_append_format(out, "- path: /%s\n", name);
    spaces(out, indent);
    buf_append_format(out, "  to: %s\n", name);
}

/* Copies the document up to `to`; what was put in before it starts on a line of its own. */
static void copy_to(struct buf *out, struct bytes document, size_t *done, size_t to)
{
    struct bytes part = bytes_head(bytes_skip(document, *done), to - *done);
    buf_append(out, part);
    *done = to;
    struct bytes so_far = buf_bytes(out);
    if (so_far.len && !bytes_ends(so_far, BYTES("\n"))) buf_append_char(out, '\n');
}

/* What is to be put in, in the order of the document. */
struct insertion {
    size_t at, indent;
    enum { SERVICE, ROUTE, ROUTES, GATEWAY } what;
};

static void put(struct buf *out, const struct insertion *insertion, const char *name)
{
    size_t indent = insertion->indent;
    switch (insertion->what) {
    case SERVICE:
        spaces(out, indent);
        buf_append_format(out, "- path: %s\n", name);
        break;
    case GATEWAY:
        buf_append_str(out, "\ngateway:\n");
        indent = 2;
        /* fallthrough */
    case ROUTES:
        spaces(out, indent);
        buf_append_str(out, "routes:\n");
        indent += 2;
        /* fallthrough */
    case ROUTE: put_route(out, indent, name); break;
    }
}

static int place_service(struct bytes text, struct insertion *ret_insertion)
{
    struct block services = find_block(text, 0, text.len, BYTES("services"));
    if (!services.found || services.other_form || !is_list(text, &services)) return ERR_UNSUPPORTED;
    *ret_insertion = (struct insertion){services.end, services.indent, SERVICE};
    return 0;
}

static int place_route(struct bytes text, struct insertion *ret_insertion)
{
    struct block gateway = find_block(text, 0, text.len, BYTES("gateway"));
    if (!gateway.found) {
        *ret_insertion = (struct insertion){text.len, 0, GATEWAY};
        return 0;
    }
    if (gateway.other_form) return ERR_UNSUPPORTED;
    struct block routes = find_block(text, gateway.begin, gateway.end, BYTES("routes"));
    if (!routes.found) {
        *ret_insertion = (struct insertion){gateway.end, gateway.indent, ROUTES};
        return 0;
    }
    if (routes.other_form || !is_list(text, &routes)) return ERR_UNSUPPORTED;
    *ret_insertion = (struct insertion){routes.end, routes.indent, ROUTE};
    return 0;
}

int init_edit_add(struct bytes text, const char *name, bool route, struct buf *out)
{
    struct insertion insertions[2];
    size_t count = 1, done = 0;
    /* Tabs and carriage returns: a form that this does not know. */
    if (bytes_find(text, '\t') < text.len || bytes_find(text, '\r') < text.len)
        return ERR_UNSUPPORTED;
    int err = place_service(text, &insertions[0]);
    if (!err && route) err = place_route(text, &insertions[count++]);
    if (err) return err;
    if (count == 2 && insertions[1].at < insertions[0].at) {
        struct insertion first = insertions[1];
        insertions[1] = insertions[0];
        insertions[0] = first;
    }
    for (size_t i = 0; i < count; i++) {
        copy_to(out, text, &done, insertions[i].at);
        put(out, &insertions[i], name);
    }
    buf_append(out, bytes_skip(text, done));
    return out->failed ? ERR_TOO_BIG : 0;
}
