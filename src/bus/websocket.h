/* websocket: WebSocket frames in a stream, as a filter (io/filter.h) of the server's side. Above it
 * flow the bytes of the messages' content; where one message ends and the next begins does not
 * matter there. What is sent is one binary message for each send.
 *
 *   - Pings are answered. A close is answered, and is the end of the stream (0); without one the
 *     end is ERR_RESET.
 *   - io_shutdown says close (1000) and leaves the connection open for the client's; io_close says
 *     it (1001) when the kernel takes it at once.
 *   - What is being sent must stay where it is until the send is done (io_send_taken is false until
 *     then), because its pieces are sent behind a frame's head. */
#ifndef DURE_BUS_WEBSOCKET_H
#define DURE_BUS_WEBSOCKET_H

#include "io/io.h"

/* Nothing may be in flight on the stream. Messages of more than max_message bytes are refused.
 * ERR_NOMEM. */
int websocket_begin(struct io_stream *stream, uint64_t max_message);

#endif
