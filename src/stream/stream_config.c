#include "stream/stream_config.h"

#include "bus/subject.h"

#include <assert.h>
#include <stdlib.h>

static const int64_t duplicate_window_default_ns = INT64_C(120000000000);

bool stream_name_valid(const char *name)
{
    size_t len = name ? strlen(name) : 0;
    if (len == 0 || len > STREAM_NAME_MAX) return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        if (c <= ' ' || c >= 127 || strchr(".*>/\\", c)) return false;
    }
    return true;
}

/* ---- copying: everything is laid out behind the struct. The first run only measures. ---- */

struct pack {
    char *at; /* NULL: measuring */
    size_t size;
};

static void *pack_take(struct pack *pack, size_t size)
{
    size_t aligned = (size + 7) & ~(size_t)7;
    char *at = pack->at;
    if (at) pack->at += aligned;
    pack->size += aligned;
    return at;
}

static const char *pack_str(struct pack *pack, const char *string)
{
    if (!string || !*string) return NULL;
    size_t size = strlen(string) + 1;
    char *at = pack_take(pack, size);
    return at ? memcpy(at, string, size) : NULL;
}

static const char *const *pack_strs(struct pack *pack, const char *const *strings, size_t count)
{
    const char **array = pack_take(pack, count * sizeof *array);
    for (size_t i = 0; i < count; i++) {
        const char *copy = pack_str(pack, strings[i]);
        if (array) array[i] = copy;
    }
    return array;
}

static const struct stream_transform *pack_transforms(struct pack *pack,
                                                      const struct stream_transform *transforms,
                                                      size_t count)
{
    if (!transforms || count == 0) return NULL;
    struct stream_transform *array = pack_take(pack, count * sizeof *array);
    for (size_t i = 0; i < count; i++) {
        const struct stream_transform copy = {pack_str(pack, transforms[i].src),
                                              pack_str(pack, transforms[i].dest)};
        if (array) array[i] = copy;
    }
    return array;
}

static const struct stream_source *pack_sources(struct pack *pack,
                                                const struct stream_source *sources, size_t count)
{
    if (!sources || count == 0) return NULL;
    struct stream_source *array = pack_take(pack, count * sizeof *array);
    for (size_t i = 0; i < count; i++) {
        struct stream_source copy = sources[i];
        copy.name = pack_str(pack, sources[i].name);
        copy.filter = pack_str(pack, sources[i].filter);
        copy.transforms = pack_transforms(pack, sources[i].transforms, sources[i].transform_count);
        if (array) array[i] = copy;
    }
    return array;
}

static const struct stream_pair *pack_pairs(struct pack *pack, const struct stream_pair *pairs,
                                            size_t count)
{
    if (!pairs || count == 0) return NULL;
    struct stream_pair *array = pack_take(pack, count * sizeof *array);
    for (size_t i = 0; i < count; i++) {
        const char *value = pairs[i].value;
        const struct stream_pair copy = {pack_str(pack, pairs[i].key), pack_str(pack, value)};
        if (array) array[i] = (struct stream_pair){copy.key, copy.value ? copy.value : ""};
    }
    return array;
}

/* Mirrors and what only has sources need no subjects; everything else has its name. */
static bool named_by_default(const struct stream_config *config)
{
    return config->subject_count == 0 && !config->mirror && config->source_count == 0;
}

static void pack_all(struct pack *pack, const struct stream_config *config,
                     struct stream_config *ret)
{
    bool by_name = named_by_default(config);
    ret->subject_count = by_name ? 1 : config->subject_count;
    ret->name = pack_str(pack, config->name);
    ret->description = pack_str(pack, config->description);
    ret->subjects = pack_strs(pack, by_name ? &config->name : config->subjects, ret->subject_count);
    ret->placement = pack_str(pack, config->placement);
    ret->transform = pack_transforms(pack, config->transform, 1);
    ret->republish = pack_transforms(pack, config->republish, 1);
    ret->mirror = pack_sources(pack, config->mirror, 1);
    ret->sources = pack_sources(pack, config->sources, config->source_count);
    ret->metadata = pack_pairs(pack, config->metadata, config->metadata_count);
    ret->schema = pack_str(pack, config->schema);
}

/* ---- defaults ---- */

void stream_config_seal(struct stream_config *config)
{
    if (!config->sealed) return;
    config->max_age_ns = 0;
    config->discard = STREAM_DISCARD_NEW;
    config->deny_delete = config->deny_purge = true;
    config->allow_rollup = false;
}

static void fill_in(struct stream_config *config)
{
    int64_t *limits[] = {&config->max_msgs, &config->max_bytes, &config->max_msgs_per_subject,
                         &config->max_msg_size, &config->max_consumers};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        if (*limits[i] <= 0) *limits[i] = -1;
    }
    config->num_replicas = 1;
    if (config->max_age_ns < 0) config->max_age_ns = 0;
    if (config->subject_delete_marker_ttl_ns > 0) {
        config->allow_msg_ttl = true;
        if (!config->sealed) { /* which takes no markers any more */
            config->allow_rollup = true;
            config->deny_purge = false;
        }
    }
    if (config->duplicate_window_ns > 0 || config->mirror || config->source_count) return;
    config->duplicate_window_ns = duplicate_window_default_ns;
    if (config->max_age_ns > 0 && config->max_age_ns < config->duplicate_window_ns) {
        config->duplicate_window_ns = config->max_age_ns;
    }
}

struct stream_config *stream_config_copy(const struct stream_config *config)
{
    static_assert(sizeof *config % 8 == 0, "what follows is aligned");
    struct pack pack = {NULL, sizeof *config};
    struct stream_config scratch = *config;
    pack_all(&pack, config, &scratch);
    struct stream_config *copy = malloc(pack.size);
    if (!copy) return NULL;
    *copy = *config;
    pack = (struct pack){(char *)(copy + 1), 0};
    pack_all(&pack, config, copy);
    fill_in(copy);
    return copy;
}

/* ---- comparing ---- */

bool stream_config_equal(const struct stream_config *a, const struct stream_config *b)
{
    struct buf x, y;
    buf_init(&x, SIZE_MAX);
    buf_init(&y, SIZE_MAX);
    stream_config_encode(a, &x);
    stream_config_encode(b, &y);
    bool equal = !x.failed && !y.failed && bytes_eq(buf_bytes(&x), buf_bytes(&y));
    buf_release(&x);
    buf_release(&y);
    return equal;
}

/* ---- subjects ---- */

bool stream_config_captures(const struct stream_config *config, struct bytes subject)
{
    for (size_t i = 0; i < config->subject_count; i++) {
        if (subject_matches(bytes_str(config->subjects[i]), subject)) return true;
    }
    return false;
}

bool stream_config_overlaps(const struct stream_config *a, const struct stream_config *b)
{
    for (size_t i = 0; i < a->subject_count; i++) {
        for (size_t j = 0; j < b->subject_count; j++) {
            if (subject_overlaps(bytes_str(a->subjects[i]), bytes_str(b->subjects[j]))) return true;
        }
    }
    return false;
}
