#include "jetstream/api_requests.h"

#define PAGE ",\"total\":0,\"offset\":0,\"limit\":0"
#define ANY_TOKENS 128

const struct api_request api_requests[] = {
    {"INFO", 0, 0, API_BODY_MAYBE, false, "account_info_response", NULL, api_account_info},

    {"STREAM.CREATE", 1, 1, API_BODY_OBJECT, true, "stream_create_response", NULL,
     api_stream_create},
    {"STREAM.UPDATE", 1, 1, API_BODY_OBJECT, true, "stream_update_response", NULL,
     api_stream_update},
    {"STREAM.DELETE", 1, 1, API_BODY_NONE, true, "stream_delete_response", NULL, api_stream_delete},
    {"STREAM.PURGE", 1, 1, API_BODY_MAYBE, true, "stream_purge_response", ",\"purged\":0",
     api_stream_purge},
    {"STREAM.INFO", 1, 1, API_BODY_MAYBE, false, "stream_info_response", PAGE, api_stream_info},
    {"STREAM.NAMES", 0, 0, API_BODY_MAYBE, false, "stream_names_response", PAGE ",\"streams\":null",
     api_stream_names},
    {"STREAM.LIST", 0, 0, API_BODY_MAYBE, false, "stream_list_response", PAGE ",\"streams\":null",
     api_stream_list},
    {"STREAM.SNAPSHOT", 1, 1, API_BODY_OBJECT, true, "stream_snapshot_response", NULL,
     api_stream_snapshot},
    {"STREAM.RESTORE", 1, 1, API_BODY_OBJECT, true, "stream_restore_response",
     ",\"deliver_subject\":\"\"", api_stream_restore},
    {"STREAM.LEADER.STEPDOWN", 1, 1, API_BODY_MAYBE, false, "stream_leader_stepdown_response", NULL,
     api_needs_cluster},
    {"STREAM.PEER.REMOVE", 1, 1, API_BODY_MAYBE, false, "stream_remove_peer_response", NULL,
     api_needs_cluster},
    {"STREAM.MSG.GET", 1, 1, API_BODY_OBJECT, false, "stream_msg_get_response", NULL,
     api_message_get},
    {"STREAM.MSG.DELETE", 1, 1, API_BODY_OBJECT, true, "stream_msg_delete_response", NULL,
     api_message_delete},

    {"CONSUMER.CREATE", 1, ANY_TOKENS, API_BODY_OBJECT, true, "consumer_create_response", NULL,
     api_consumer_create},
    {"CONSUMER.DURABLE.CREATE", 2, 2, API_BODY_OBJECT, true, "consumer_create_response", NULL,
     api_consumer_create_durable},
    {"CONSUMER.DELETE", 2, 2, API_BODY_NONE, true, "consumer_delete_response", NULL,
     api_consumer_delete},
    {"CONSUMER.PAUSE", 2, 2, API_BODY_MAYBE, true, "consumer_pause_response",
     ",\"paused\":false,\"pause_until\":\"0001-01-01T00:00:00Z\"", api_consumer_pause},
    {"CONSUMER.UNPIN", 2, 2, API_BODY_OBJECT, true, "consumer_unpin_response", NULL,
     api_consumer_unpin},
    {"CONSUMER.INFO", 2, 2, API_BODY_NONE, false, "consumer_info_response", NULL,
     api_consumer_info},
    {"CONSUMER.LEADER.STEPDOWN", 2, 2, API_BODY_MAYBE, false, "consumer_leader_stepdown_response",
     NULL, api_needs_cluster},
    {"CONSUMER.NAMES", 1, 1, API_BODY_MAYBE, false, "consumer_names_response",
     PAGE ",\"consumers\":[]", api_consumer_names},
    {"CONSUMER.LIST", 1, 1, API_BODY_MAYBE, false, "consumer_list_response",
     PAGE ",\"consumers\":[]", api_consumer_list},
};
const size_t api_request_count = sizeof api_requests / sizeof api_requests[0];
