/* Whether a stream's messages would come back to it through mirrors and sources. */
#include "stream/streams_impl.h"

#include "bus/subject.h"

enum { BUDGET = 10000 }; /* streams that are looked at */

/* Whether something that the stream holds is taken from it by this source. */
static bool takes_from(const struct stream_source *source, const struct stream_config *config)
{
    const char *filter = source->filter;
    if (!filter || !*filter) return true;
    for (size_t i = 0; i < config->subject_count; i++) {
        if (subject_overlaps(bytes_str(config->subjects[i]), bytes_str(filter))) return true;
    }
    return false;
}

/* Whether messages of `end` come back to it by what this configuration takes from other streams.
 * `budget`: streams that may be looked at; when it is used up, the answer is yes. */
static bool leads_to(struct streams *streams, const struct stream_config *config,
                     const struct stream_config *end, unsigned *budget)
{
    size_t count = config->source_count + (config->mirror ? 1 : 0);
    for (size_t i = 0; i < count; i++) {
        const struct stream_source *source =
            i < config->source_count ? &config->sources[i] : config->mirror;
        if (strcmp(source->name, end->name) == 0) {
            if (takes_from(source, end)) return true;
            continue;
        }
        if (*budget == 0) return true;
        --*budget;
        const struct stream *stream = streams_find(streams, bytes_str(source->name));
        if (stream && leads_to(streams, stream->config, end, budget)) return true;
    }
    return false;
}

bool streams_circles(struct streams *streams, const struct stream_config *config)
{
    unsigned budget = BUDGET;
    return leads_to(streams, config, config, &budget);
}
