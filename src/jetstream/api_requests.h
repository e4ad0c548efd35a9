/* api_requests: the functions behind the table of requests, by the file that holds them. */
#ifndef DURE_JETSTREAM_API_REQUESTS_H
#define DURE_JETSTREAM_API_REQUESTS_H

#include "jetstream/api.h"
#include "stream/consumer.h"

/* api_account.c */
void api_account_info(struct api_call *call);
void api_needs_cluster(struct api_call *call); /* what one server alone has no answer to */

/* api_stream.c */
void api_stream_create(struct api_call *call);
void api_stream_update(struct api_call *call);
void api_stream_delete(struct api_call *call);
void api_stream_purge(struct api_call *call);

/* api_stream_info.c */
void api_stream_info(struct api_call *call);
void api_stream_names(struct api_call *call);
void api_stream_list(struct api_call *call);

/* snapshot.c, restore.c */
void api_stream_snapshot(struct api_call *call);
void api_stream_restore(struct api_call *call);

/* api_message.c */
void api_message_get(struct api_call *call);
void api_message_delete(struct api_call *call);

/* api_consumer.c */
void api_consumer_create(struct api_call *call);
void api_consumer_create_durable(struct api_call *call);
void api_consumer_delete(struct api_call *call);
void api_consumer_pause(struct api_call *call);
void api_consumer_unpin(struct api_call *call);

/* api_consumer_info.c */

/* The consumer that the subject names; NULL: the call has been failed. */
struct consumer *api_consumer(struct api_call *call);

/* Answers with what there is to tell of a consumer. */
void api_consumer_answer(struct api_call *call, const struct consumer *consumer);

void api_consumer_info(struct api_call *call);
void api_consumer_names(struct api_call *call);
void api_consumer_list(struct api_call *call);

#endif
