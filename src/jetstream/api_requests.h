/* api_requests: the functions behind the table of requests, by the file that holds them. */
#ifndef DURE_JETSTREAM_API_REQUESTS_H
#define DURE_JETSTREAM_API_REQUESTS_H

#include "jetstream/api.h"

/* api_account.c */
void api_account_info(struct api_call *call);

/* api_stream.c */
void api_stream_create(struct api_call *call);
void api_stream_update(struct api_call *call);
void api_stream_delete(struct api_call *call);
void api_stream_purge(struct api_call *call);

/* api_stream_info.c */
void api_stream_info(struct api_call *call);
void api_stream_names(struct api_call *call);
void api_stream_list(struct api_call *call);

/* api_message.c */
void api_message_get(struct api_call *call);
void api_message_delete(struct api_call *call);

#endif
