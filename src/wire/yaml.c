/* Binding: walks the table and the tree side by side. Every function reports what it finds and goes
 * on, so that one reading finds all mistakes; whether there were any is asked at the end. */
#include "wire/yaml.h"

#include <assert.h>
#include <stdio.h>

#include "wire/yaml_scalar.h"

enum { FIELDS_MAX = 64, TEXT_MAX = 160 };

struct place {
    const void *member; /* NULL: free slot */
    int line, column;
};

struct yaml_source {
    const char *name;
    struct place *places; /* open addressing, half full at most */
    size_t size;          /* a power of two */
};

struct binder {
    struct arena *arena;
    struct errors *errors;
    struct yaml_source *source;
};

/* ---- places ---- */

static struct place *find_place(const struct yaml_source *source, const void *member)
{
    uint64_t hash = (uint64_t)(uintptr_t)member * 0x9e3779b97f4a7c15u;
    size_t at = (size_t)(hash >> 32) & (source->size - 1);
    while (source->places[at].member && source->places[at].member != member)
        at = (at + 1) & (source->size - 1);
    return &source->places[at];
}

static void put_place(struct binder *binder, const void *member, const struct yaml_node *node)
{
    *find_place(binder->source, member) = (struct place){member, node->line, node->column};
}

bool yaml_given(const struct yaml_source *source, const void *member)
{
    return find_place(source, member)->member;
}

const char *yaml_source_name(const struct yaml_source *source)
{
    return source->name;
}

struct error *yaml_error(const struct yaml_source *source, const void *member,
                         struct errors *errors)
{
    const struct place *place = find_place(source, member);
    struct error *error = errors_add(errors);
    error_at(error, source->name, place->line, place->column);
    return error;
}

static struct yaml_source *new_source(const char *name, size_t weight, struct arena *arena)
{
    struct yaml_source *source = arena_alloc(arena, sizeof *source);
    if (!source) return NULL;
    source->name = arena_copy(arena, bytes_str(name));
    for (source->size = 16; source->size < 2 * weight;) source->size *= 2;
    source->places = arena_array(arena, source->size, sizeof *source->places);
    return source->name && source->places ? source : NULL;
}

/* ---- mistakes ---- */

static struct error *error_at_node(struct binder *binder, const struct yaml_node *node)
{
    struct error *error = errors_add(binder->errors);
    error_at(error, binder->source->name, node->line, node->column);
    return error;
}

static void fail_kind(struct binder *binder, const struct yaml_field *field,
                      const struct yaml_node *node)
{
    char wanted[TEXT_MAX], found[TEXT_MAX];
    yaml_type_describe(field, wanted, sizeof wanted);
    yaml_node_describe(node, found, sizeof found);
    struct error *error = error_at_node(binder, node);
    error_set(error, ERR_INVALID, "`%s` must be %s, not %s", field->key, wanted, found);
    bool one = field->type == YAML_STRINGS && node->kind == YAML_KIND_SCALAR && !node->quoted;
    if (one)
        error_remedy(error, "Write `%s: [%.*s]`.", field->key, BYTES_ARG(yaml_shown(node->text)));
    else if (field->example)
        error_remedy(error, "Write, for example: `%s`.", field->example);
}

static const struct yaml_field *find_field(const struct yaml_schema *schema, struct bytes key)
{
    for (const struct yaml_field *field = schema->fields; field->key; field++)
        if (bytes_eq(key, bytes_str(field->key))) return field;
    return NULL;
}

/* Returns the field that was meant, or NULL. */
static const struct yaml_field *fail_unknown(struct binder *binder,
                                             const struct yaml_schema *schema,
                                             const struct yaml_node *key)
{
    const char *names[FIELDS_MAX];
    size_t count = 0;
    for (; schema->fields[count].key; count++) names[count] = schema->fields[count].key;
    struct error *error = error_at_node(binder, key);
    error_set(error, ERR_INVALID, "%s has no key `%.*s`", schema->name,
              BYTES_ARG(yaml_shown(key->text)));
    const char *near = bytes_nearest(key->text, names, count);
    if (near) {
        error_remedy(error, "Did you mean `%s`?", near);
        return find_field(schema, bytes_str(near));
    }
    char known[sizeof error->remedy] = "";
    size_t used = 0;
    for (size_t i = 0; i < count && used < sizeof known; i++)
        used +=
            (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", names[i]);
    error_remedy(error, "Known keys: %s.", known);
    return NULL;
}

/* What a mapping has for each field of its schema: the key's node. */
struct keys {
    const struct yaml_node *given[FIELDS_MAX];
    const struct yaml_node *empty[FIELDS_MAX]; /* the key is there, and no value */
    bool meant[FIELDS_MAX];                    /* by an unknown key, which was reported */
};

static void check_required(struct binder *binder, const struct yaml_schema *schema,
                           const struct yaml_field *field, const struct yaml_node *node,
                           const struct keys *keys)
{
    size_t index = (size_t)(field - schema->fields);
    if (keys->given[index] || keys->meant[index]) return;
    const struct yaml_node *key = keys->empty[index];
    struct error *error = error_at_node(binder, key ? key : node);
    if (key)
        error_set(error, ERR_INVALID, "`%s` has no value", field->key);
    else
        error_set(error, ERR_INVALID, "%s needs `%s`, which is not given", schema->name,
                  field->key);
    error_remedy(error, key ? "Write, for example: `%s`." : "Add it, for example: `%s`.",
                 field->example);
}

/* Of the fields that share field->one_of, exactly one must be among `given`. Reports once, at the
 * group's first field. */
static void check_one_of(struct binder *binder, const struct yaml_schema *schema,
                         const struct yaml_field *field, const struct yaml_node *node,
                         const struct keys *keys)
{
    const struct yaml_field *fields = schema->fields, *first = NULL, *second = NULL;
    char names[TEXT_MAX] = "", examples[TEXT_MAX] = "";
    size_t used = 0, written = 0;
    bool meant = false;
    for (const struct yaml_field *f = fields; f->key; f++) {
        if (f->one_of != field->one_of) continue;
        if (f < field) return;
        if (keys->given[f - fields]) *(first ? &second : &first) = f;
        meant |= keys->meant[f - fields];
        used +=
            (size_t)snprintf(names + used, sizeof names - used, "%s`%s`", used ? ", " : "", f->key);
        written += (size_t)snprintf(examples + written, sizeof examples - written, "%s`%s`",
                                    written ? " or " : "", f->example);
        assert(used < sizeof names && written < sizeof examples);
    }
    if (!first && !meant) {
        struct error *error = error_at_node(binder, node);
        error_set(error, ERR_INVALID, "%s needs one of %s, and has none", schema->name, names);
        error_remedy(error, "Add %s.", examples);
    } else if (second) {
        const struct yaml_node *one = keys->given[first - fields],
                               *two = keys->given[second - fields];
        bool swapped =
            two->line < one->line || (two->line == one->line && two->column < one->column);
        struct error *error = error_at_node(binder, swapped ? one : two);
        error_set(error, ERR_INVALID, "%s has `%s` and `%s`, but only one of %s can be given",
                  schema->name, first->key, second->key, names);
        error_remedy(error, "Keep the one that you mean.");
    }
}

/* ---- values ---- */

static void bind_struct(struct binder *binder, const struct yaml_schema *schema,
                        const struct yaml_node *node, void *value);
static void set_defaults(const struct yaml_schema *schema, void *value);

static void bind_scalar(struct binder *binder, const struct yaml_field *field,
                        const struct yaml_node *node, void *member)
{
    struct error wrong = {0};
    int err = yaml_scalar_store(field, node, member, &wrong);
    if (!err) {
        put_place(binder, member, node);
        return;
    }
    struct error *error = error_at_node(binder, node);
    error_set(error, err, "%s", wrong.message);
    error_remedy(error, "%s", wrong.remedy);
}

/* Whether it is a list or mapping, as the field wants, and within the field's limit. */
static bool check_collection(struct binder *binder, const struct yaml_field *field,
                             const struct yaml_node *node)
{
    bool map = field->type == YAML_MAP;
    if (node->kind != (map ? YAML_KIND_MAPPING : YAML_KIND_LIST)) {
        fail_kind(binder, field, node);
        return false;
    }
    size_t count = map ? node->count / 2 : node->count;
    if (!field->max || count <= field->max) return true;
    struct error *error = error_at_node(binder, node);
    error_set(error, ERR_TOO_BIG, "`%s` has %zu elements; it can have %zu at most", field->key,
              count, (size_t)field->max);
    error_remedy(error, "Split the system, or ask less of it.");
    return false;
}

static void bind_strings(struct binder *binder, const struct yaml_field *field,
                         const struct yaml_node *node, char *value)
{
    if (!check_collection(binder, field, node)) return;
    struct bytes *items = arena_array(binder->arena, node->count, sizeof *items);
    if (!items) return;
    struct yaml_field element = *field;
    element.type = YAML_STRING;
    size_t count = 0;
    for (size_t i = 0; i < node->count; i++) {
        bind_scalar(binder, &element, node->items[i], &items[count]);
        if (items[count].len) count++;
    }
    *(struct bytes **)(value + field->at) = items;
    *(size_t *)(value + field->count_at) = count;
    put_place(binder, value + field->at, node);
}

static void bind_pair(struct binder *binder, const struct yaml_field *field,
                      const struct yaml_node *key, const struct yaml_node *node,
                      struct yaml_pair *pair)
{
    char found[TEXT_MAX];
    struct error wrong = {0};
    if (node->kind != YAML_KIND_SCALAR || yaml_node_is_null(node)) {
        yaml_node_describe(node, found, sizeof found);
        error_set(&wrong, ERR_INVALID, "`%.*s` in `%s` must be a text, not %s",
                  BYTES_ARG(yaml_shown(key->text)), field->key, found);
        error_remedy(&wrong, "Write a text; \"\" is the empty one.");
    } else if (key->text.len == 0 || (field->check && !field->check(key->text, &wrong))) {
        if (key->text.len == 0) {
            error_set(&wrong, ERR_INVALID, "`%s` has an empty key", field->key);
            error_remedy(&wrong, "Write the name before the `:`.");
        }
        node = key;
    } else {
        *pair = (struct yaml_pair){key->text, node->text};
        put_place(binder, &pair->key, node);
        return;
    }
    struct error *error = error_at_node(binder, node);
    error_set(error, ERR_INVALID, "%s", wrong.message);
    error_remedy(error, "%s", wrong.remedy);
}

static void bind_map(struct binder *binder, const struct yaml_field *field,
                     const struct yaml_node *node, char *value)
{
    if (!check_collection(binder, field, node)) return;
    struct yaml_pair *pairs = arena_array(binder->arena, node->count / 2, sizeof *pairs);
    if (!pairs) return;
    size_t count = 0;
    for (size_t i = 0; i < node->count; i += 2) {
        bind_pair(binder, field, node->items[i], node->items[i + 1], &pairs[count]);
        if (pairs[count].key.len) count++;
    }
    *(struct yaml_pair **)(value + field->at) = pairs;
    *(size_t *)(value + field->count_at) = count;
    put_place(binder, value + field->at, node);
}

static void bind_structs(struct binder *binder, const struct yaml_field *field,
                         const struct yaml_node *node, char *value)
{
    if (!check_collection(binder, field, node)) return;
    char *items = arena_array(binder->arena, node->count, field->schema->size);
    if (!items) return;
    for (size_t i = 0; i < node->count; i++)
        bind_struct(binder, field->schema, node->items[i], items + i * field->schema->size);
    *(void **)(value + field->at) = items;
    *(size_t *)(value + field->count_at) = node->count;
    put_place(binder, value + field->at, node);
}

static bool has_member_at_start(const struct yaml_schema *schema)
{
    for (const struct yaml_field *field = schema->fields; field->key; field++)
        if (field->at == 0) return true;
    return false;
}

static void bind_field(struct binder *binder, const struct yaml_field *field,
                       const struct yaml_node *node, char *value)
{
    switch (field->type) {
    case YAML_STRINGS: bind_strings(binder, field, node, value); break;
    case YAML_MAP: bind_map(binder, field, node, value); break;
    case YAML_STRUCTS: bind_structs(binder, field, node, value); break;
    case YAML_STRUCT:
        bind_struct(binder, field->schema, node, value + field->at);
        if (!has_member_at_start(field->schema)) put_place(binder, value + field->at, node);
        break;
    default: bind_scalar(binder, field, node, value + field->at); break;
    }
}

static void bind_struct(struct binder *binder, const struct yaml_schema *schema,
                        const struct yaml_node *node, void *value)
{
    set_defaults(schema, value);
    if (node->kind == YAML_KIND_SCALAR && schema->shorthand) {
        bind_field(binder, find_field(schema, bytes_str(schema->shorthand)), node, value);
        return;
    }
    if (node->kind != YAML_KIND_MAPPING) {
        char found[TEXT_MAX];
        yaml_node_describe(node, found, sizeof found);
        struct error *error = error_at_node(binder, node);
        error_set(error, ERR_INVALID, "%s must be a mapping (`key: value`), not %s", schema->name,
                  found);
        error_remedy(error, "Write, for example: `%s`.", schema->fields[0].example);
        return;
    }
    struct keys keys = {0};
    for (size_t i = 0; i < node->count; i += 2) {
        const struct yaml_field *field = find_field(schema, node->items[i]->text);
        if (!field) {
            field = fail_unknown(binder, schema, node->items[i]);
            if (field) keys.meant[field - schema->fields] = true;
        } else if (yaml_node_is_null(node->items[i + 1])) {
            keys.empty[field - schema->fields] = node->items[i];
        } else {
            keys.given[field - schema->fields] = node->items[i];
            bind_field(binder, field, node->items[i + 1], value);
        }
    }
    for (const struct yaml_field *field = schema->fields; field->key; field++) {
        if (field->required) check_required(binder, schema, field, node, &keys);
        if (field->one_of) check_one_of(binder, schema, field, node, &keys);
    }
}

/* ---- defaults ---- */

static void set_defaults(const struct yaml_schema *schema, void *value)
{
    for (const struct yaml_field *field = schema->fields; field->key; field++) {
        assert(field - schema->fields < FIELDS_MAX);
        void *member = (char *)value + field->at;
        if (field->type == YAML_STRUCT)
            set_defaults(field->schema, member);
        else if (field->type == YAML_STRING)
            *(struct bytes *)member = bytes_str("");
        if (!field->fallback) continue;
        struct yaml_node node = {.kind = YAML_KIND_SCALAR, .text = bytes_str(field->fallback)};
        int err = yaml_scalar_store(field, &node, member, NULL);
        assert(err == 0);
        (void)err;
    }
}

/* ---- the document ---- */

static int first_code(const struct errors *errors, size_t before)
{
    if (errors_total(errors) == before) return 0;
    return before < errors->count ? errors->items[before].code : ERR_INVALID;
}

static int bind_root(const struct yaml_schema *schema, const struct yaml_node *root,
                     struct binder *binder, void **ret_value)
{
    void *value = arena_alloc(binder->arena, schema->size);
    if (!value) return ERR_NOMEM;
    bind_struct(binder, schema, root, value);
    if (root->kind == YAML_KIND_MAPPING || (root->kind == YAML_KIND_SCALAR && schema->shorthand))
        *ret_value = value;
    return binder->arena->failed ? ERR_NOMEM : 0;
}

int yaml_bind(const struct yaml_schema *schema, struct bytes text, const char *name,
              struct arena *arena, struct errors *errors, void **ret_value,
              const struct yaml_source **ret_source)
{
    size_t before = errors_total(errors);
    *ret_value = NULL;
    *ret_source = NULL;
    struct yaml_node *root;
    int err = yaml_tree_parse(text, name, arena, errors, &root);
    if (err) return err;
    struct binder binder = {arena, errors, new_source(name, root->weight, arena)};
    err = binder.source ? bind_root(schema, root, &binder, ret_value) : ERR_NOMEM;
    if (err) {
        struct error *error = errors_add(errors);
        error_at(error, name, 0, 0);
        error_set(error, err, "out of memory while reading this file");
        *ret_value = NULL;
        return err;
    }
    *ret_source = binder.source;
    return first_code(errors, before);
}
