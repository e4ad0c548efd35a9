#include "http/head.h"

#include "wire/http1_write.h"

static void note(struct http_head *head, int err)
{
    if (err && !head->error) head->error = err;
}

void http_head_request(struct http_head *head, struct bytes method, struct bytes target)
{
    buf_clear(&head->text);
    head->error = 0;
    head->status = 0;
    head->method = http1_method_find(method);
    note(head, http1_write_request(&head->text, method, target));
}

void http_head_response(struct http_head *head, int status)
{
    buf_clear(&head->text);
    head->error = 0;
    head->status = status;
    note(head, http1_write_status(&head->text, status, (struct bytes){NULL, 0}));
}

void http_head_add(struct http_head *head, struct bytes name, struct bytes value)
{
    note(head, http1_write_header(&head->text, name, value));
}

void http_head_copy(struct http_head *head, const struct http1_header *header)
{
    http1_write_parsed(&head->text, header);
}

void http_head_copy_all(struct http_head *head, const struct http1_head *from, uint64_t except)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct http1_header *header = &from->headers[i];
        if (header->id && (except >> header->id & 1)) continue;
        if (!http1_hop_by_hop(from, header)) http1_write_parsed(&head->text, header);
    }
}
