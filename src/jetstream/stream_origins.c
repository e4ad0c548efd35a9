#include "jetstream/stream_origins.h"

#include "bus/subject.h"

enum { CHAIN_MAX = 64 }; /* streams between a message's first place and its last */

bool stream_subjects_distinct(const struct stream_config *config, struct api_error *refusal)
{
    for (size_t i = 0; i < config->subject_count; i++) {
        for (size_t j = i + 1; j < config->subject_count; j++) {
            const char *a = config->subjects[i], *b = config->subjects[j];
            if (!subject_overlaps(bytes_str(a), bytes_str(b))) continue;
            return api_error_set(refusal, API_STREAM_INVALID_CONFIG,
                                 "subject \"%.80s\" overlaps with \"%.80s\"", a, b);
        }
    }
    return true;
}

/* Whether what this stream holds may come to be among what is taken from it under `filter`. */
static bool holds(const struct stream_config *config, const char *filter)
{
    if (!filter || !*filter || !subject_is_pattern(bytes_str(filter))) return true;
    for (size_t i = 0; i < config->subject_count; i++) {
        if (subject_overlaps(bytes_str(config->subjects[i]), bytes_str(filter))) return true;
    }
    return false;
}

/* Whether messages of `end` come into `config`, over at most `depth` streams. */
static bool comes_from(struct streams *streams, const struct stream_config *config,
                       const struct stream_config *end, int depth)
{
    size_t count = config->source_count + (config->mirror != NULL);
    for (size_t i = 0; i < count; i++) {
        const struct stream_source *source = config->mirror ? config->mirror : &config->sources[i];
        if (strcmp(source->name, end->name) == 0) {
            if (holds(end, source->filter)) return true;
            continue;
        }
        struct stream *stream = streams_find(streams, bytes_str(source->name));
        if (!stream) continue;
        if (!depth || comes_from(streams, stream_config(stream), end, depth - 1)) return true;
    }
    return false;
}

static bool fits(struct streams *streams, const struct stream_config *config,
                 const struct stream_source *source)
{
    struct stream *stream = streams_find(streams, bytes_str(source->name));
    int64_t size = stream ? stream_config(stream)->max_msg_size : -1;
    return config->max_msg_size <= 0 || size <= 0 || config->max_msg_size >= size;
}

bool stream_origins_right(struct streams *streams, const struct stream_config *config,
                          struct api_error *refusal)
{
    if (config->mirror && !fits(streams, config, config->mirror))
        return api_error_set(refusal, API_MIRROR_MAX_SIZE, NULL);
    for (size_t i = 0; i < config->source_count; i++) {
        if (!fits(streams, config, &config->sources[i]))
            return api_error_set(refusal, API_SOURCE_MAX_SIZE, NULL);
    }
    if (comes_from(streams, config, config, CHAIN_MAX))
        return api_error_set(refusal, API_STREAM_INVALID_CONFIG, "detected cycle");
    return true;
}
