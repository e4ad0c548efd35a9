#include "jetstream/stream_origins.h"

#include "bus/subject.h"

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

static bool fits(struct streams *streams, const struct stream_config *config,
                 const struct stream_source *source)
{
    struct stream *stream = streams_find(streams, bytes_str(source->name));
    int64_t size = stream ? stream_config(stream)->max_msg_size : -1;
    return config->max_msg_size <= 0 || size <= 0 || config->max_msg_size >= size;
}

bool stream_origins_fit(struct streams *streams, const struct stream_config *config,
                        struct api_error *refusal)
{
    if (config->mirror && !fits(streams, config, config->mirror))
        return api_error_set(refusal, API_MIRROR_MAX_SIZE, NULL);
    for (size_t i = 0; i < config->source_count; i++) {
        if (!fits(streams, config, &config->sources[i]))
            return api_error_set(refusal, API_SOURCE_MAX_SIZE, NULL);
    }
    return true;
}
