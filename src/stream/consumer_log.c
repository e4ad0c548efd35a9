/* The steps of a consumer's record as they are written; consumer_state.c reads them. */
#include "stream/consumer_state.h"

#include "base/le.h"
#include "base/varint.h"

void consumer_log_init(struct consumer_log *log)
{
    *log = (struct consumer_log){0};
    buf_init(&log->steps, SIZE_MAX);
}

void consumer_log_release(struct consumer_log *log)
{
    buf_release(&log->steps);
}

void consumer_log_clear(struct consumer_log *log)
{
    buf_clear(&log->steps);
    log->seq = log->consumer_seq = log->due_ns = 0;
    log->run.count = 0;
}

bool consumer_log_is_empty(const struct consumer_log *log)
{
    return log->run.count == 0 && buf_len(&log->steps) == 0 && !log->steps.failed;
}

/* ---- the numbers of a step, relative to those before ---- */

static void put_op(struct consumer_log *log, enum consumer_op op, uint64_t seq)
{
    buf_append_char(&log->steps, (char)op);
    varint_put_signed(&log->steps, (int64_t)(seq - log->seq));
    log->seq = seq;
}

static void put_consumer_seq(struct consumer_log *log, uint64_t consumer_seq)
{
    varint_put_signed(&log->steps, (int64_t)(consumer_seq - log->consumer_seq));
    log->consumer_seq = consumer_seq;
}

static void put_due(struct consumer_log *log, uint64_t due_ns)
{
    varint_put_signed(&log->steps, (int64_t)(due_ns - log->due_ns));
    log->due_ns = due_ns;
}

/* ---- runs ---- */

static void end_run(struct consumer_log *log)
{
    if (log->run.count == 0) return;
    put_op(log, log->run.op, log->run.seq);
    varint_put(&log->steps, log->run.count);
    if (log->run.op == CONSUMER_OP_DELIVER) {
        put_consumer_seq(log, log->run.consumer_seq);
        put_due(log, log->run.due_ns);
        log->consumer_seq += log->run.count - 1;
    }
    log->seq += log->run.count - 1;
    log->run.count = 0;
}

void consumer_log_deliver(struct consumer_log *log, uint64_t seq, uint64_t consumer_seq,
                          uint64_t due_ns)
{
    uint64_t count = log->run.count;
    if (count && count < CONSUMER_RUN_MAX && log->run.op == CONSUMER_OP_DELIVER &&
        seq == log->run.seq + count && consumer_seq == log->run.consumer_seq + count &&
        due_ns == log->run.due_ns) {
        log->run.count++;
        return;
    }
    end_run(log);
    log->run.op = CONSUMER_OP_DELIVER;
    log->run.seq = seq;
    log->run.count = 1;
    log->run.consumer_seq = consumer_seq;
    log->run.due_ns = due_ns;
}

void consumer_log_settle(struct consumer_log *log, uint64_t seq)
{
    uint64_t count = log->run.count;
    if (count && count < CONSUMER_RUN_MAX && log->run.op == CONSUMER_OP_SETTLE &&
        seq == log->run.seq + count) {
        log->run.count++;
        return;
    }
    end_run(log);
    log->run.op = CONSUMER_OP_SETTLE;
    log->run.seq = seq;
    log->run.count = 1;
}

/* ---- single steps ---- */

void consumer_log_start(struct consumer_log *log, uint64_t next_seq, uint64_t last_until)
{
    end_run(log);
    buf_append_char(&log->steps, CONSUMER_OP_START);
    varint_put(&log->steps, next_seq);
    varint_put(&log->steps, last_until);
}

void consumer_log_redeliver(struct consumer_log *log, const struct pending *one,
                            uint64_t consumer_seq)
{
    end_run(log);
    put_op(log, CONSUMER_OP_REDELIVER, one->seq);
    varint_put(&log->steps, one->attempts);
    put_consumer_seq(log, consumer_seq);
    put_due(log, one->due_ns);
}

void consumer_log_due(struct consumer_log *log, const struct pending *one)
{
    end_run(log);
    put_op(log, CONSUMER_OP_DUE, one->seq);
    put_due(log, one->due_ns);
    buf_append_char(&log->steps, one->place == PENDING_NAKED);
}

void consumer_log_die(struct consumer_log *log, const struct consumer_grave *grave)
{
    end_run(log);
    put_op(log, CONSUMER_OP_DIE, grave->seq);
    buf_append_char(&log->steps, grave->exceeded);
    varint_put(&log->steps, grave->reason_len);
    buf_append(&log->steps, bytes_make(grave->reason, grave->reason_len));
}

void consumer_log_bury(struct consumer_log *log, uint64_t seq)
{
    end_run(log);
    put_op(log, CONSUMER_OP_BURY, seq);
}

void consumer_log_keep(struct consumer_log *log, uint64_t seq)
{
    end_run(log);
    put_op(log, CONSUMER_OP_KEEP, seq);
}

void consumer_log_skip(struct consumer_log *log, uint64_t seq)
{
    end_run(log);
    put_op(log, CONSUMER_OP_SKIP, seq);
}

struct bytes consumer_log_steps(struct consumer_log *log)
{
    end_run(log);
    return buf_bytes(&log->steps);
}

/* ---- records ---- */

void consumer_record_header(enum consumer_record_kind kind, uint64_t time_ns,
                            char ret_header[CONSUMER_RECORD_HEADER])
{
    ret_header[0] = (char)kind;
    le_put64(ret_header + 1, time_ns);
}

int consumer_record_parse(struct bytes record, enum consumer_record_kind *ret_kind,
                          uint64_t *ret_time_ns, struct bytes *ret_rest)
{
    if (record.len < CONSUMER_RECORD_HEADER) return ERR_CORRUPT;
    unsigned kind = (unsigned char)record.data[0];
    if (kind != CONSUMER_RECORD_CONFIG && kind != CONSUMER_RECORD_STEPS) return ERR_CORRUPT;
    *ret_kind = (enum consumer_record_kind)kind;
    *ret_time_ns = le_get64(record.data + 1);
    *ret_rest = bytes_skip(record, CONSUMER_RECORD_HEADER);
    return 0;
}
