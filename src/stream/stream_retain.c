/* Who needs a stream's messages. With retention by limits nobody is asked. */
#include "stream/stream_impl.h"

void stream_attach(struct stream *stream, struct stream_interest *interest)
{
    interest->stream = stream;
    stream->users++;
}

void stream_detach(struct stream_interest *interest, bool forgotten)
{
    if (!interest->stream) return;
    interest->stream->users--;
    interest->stream = NULL;
}

void stream_acked(struct stream_interest *interest, uint64_t seq)
{
}

void stream_interest_known(struct stream *stream)
{
}
