#include "store_model.h"

#include "runner.h"
#include "store/wal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The payload of append `number`: its number, then bytes that follow from it. */
static size_t payload_fill(uint32_t number, char *payload)
{
    uint64_t x = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
    size_t len = (x >> 40) % 4 == 0 ? (x >> 20) % MODEL_PAYLOAD_MAX : (x >> 20) % 80;
    if (len < 4) len = 4;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = x ^ (i * UINT64_C(0xff51afd7ed558ccd));
        memcpy(payload + i, &word, len - i < 8 ? len - i : 8);
    }
    memcpy(payload, &number, 4);
    return len;
}

/* The number of the append with this payload; the content must be exactly its own. */
static uint32_t payload_check(const struct model *model, const struct journal_record *record)
{
    uint32_t number = UINT32_MAX;
    char expected[MODEL_PAYLOAD_MAX];
    CHECK(record->payload.len >= 4, "%s: record %" PRIu64 " has %zu bytes", model->dir, record->seq,
          record->payload.len);
    memcpy(&number, record->payload.data, 4);
    CHECK(number < model->append_count, "%s: record %" PRIu64 " was never appended", model->dir,
          record->seq);
    size_t len = payload_fill(number, expected);
    CHECK(bytes_eq(record->payload, bytes_make(expected, len)), "%s: content of %" PRIu64,
          model->dir, record->seq);
    return number;
}

static uint32_t *kept_at(struct model *model, uint64_t seq)
{
    if (seq >= model->kept_size) {
        uint64_t size = model->kept_size ? model->kept_size * 2 : 64;
        while (size <= seq) size *= 2;
        model->kept = realloc(model->kept, size * sizeof *model->kept);
        CHECK(model->kept, "memory");
        memset(model->kept + model->kept_size, 0, (size - model->kept_size) * sizeof *model->kept);
        model->kept_size = size;
    }
    return &model->kept[seq];
}

static void appended(void *context, const struct journal_record *record, int result)
{
    struct model *model = context;
    uint32_t number = payload_check(model, record);
    struct append *append = &model->appends[number];
    CHECK(append->seq == record->seq, "%s: acknowledged as %" PRIu64, model->dir, record->seq);
    CHECK(append->fate == FATE_PENDING, "%s: acknowledged twice", model->dir);
    model->pending--;
    if (result < 0) {
        append->fate = result == ERR_NO_SPACE ? FATE_REFUSED : FATE_UNKNOWN;
        return;
    }
    CHECK(record->seq == model->last_kept + 1, "%s: acknowledged out of order", model->dir);
    append->fate = FATE_KEPT;
    *kept_at(model, record->seq) = number + 1;
    model->last_kept = record->seq;
    if (sim_now_ns(model->sim) != model->batch_time_ns) model->batch_first = record->seq;
    model->batch_time_ns = sim_now_ns(model->sim);
}

static void damaged(void *context, const char *file, uint64_t seq)
{
    struct model *model = context;
    model->damages++;
    snprintf(model->damaged_file, sizeof model->damaged_file, "%s", file);
}

/* Records that were recovered without an acknowledgement count as kept from now on. */
static int recovered(void *context, const struct journal_record *record)
{
    struct model *model = context;
    uint32_t number = payload_check(model, record);
    struct append *append = &model->appends[number];
    if (model->recovering) {
        CHECK(record->seq == model->recovering + 1, "%s: a gap before %" PRIu64, model->dir,
              record->seq);
        CHECK(number > model->recovering_number, "%s: %" PRIu64 " comes from before a crash",
              model->dir, record->seq);
    }
    model->recovering = record->seq;
    model->recovering_number = number;
    CHECK(append->seq == record->seq, "%s: found as %" PRIu64, model->dir, record->seq);
    CHECK(append->fate != FATE_REFUSED, "%s: %" PRIu64 " had been refused", model->dir,
          record->seq);
    CHECK(append->fate != FATE_REMOVED, "%s: %" PRIu64 " had been removed", model->dir,
          record->seq);
    uint32_t *kept = kept_at(model, record->seq);
    bool known = record->seq <= model->last_kept && *kept;
    CHECK(!known || *kept == number + 1, "%s: %" PRIu64 " has changed", model->dir, record->seq);
    *kept = number + 1;
    return 0;
}

/* What was found is durable from now on, whether it had been acknowledged or not. */
static void adopt(struct model *model, uint64_t may_lose_from)
{
    uint64_t last = journal_last(model->journal), first = journal_first(model->journal);
    CHECK(model->recovering == last || (!model->recovering && last == first - 1),
          "%s: last is %" PRIu64, model->dir, last);
    CHECK(last >= model->last_kept || last + 1 >= may_lose_from,
          "%s: acknowledged up to %" PRIu64 ", found up to %" PRIu64, model->dir, model->last_kept,
          last);
    CHECK(first <= model->trimmed, "%s: first is %" PRIu64 ", kept from %" PRIu64, model->dir,
          first, model->trimmed);
    for (uint32_t i = 0; i < model->append_count; i++) {
        struct append *append = &model->appends[i];
        if (append->fate == FATE_PENDING) append->fate = FATE_UNKNOWN;
    }
    for (uint64_t seq = last + 1; seq <= model->last_kept; seq++) *kept_at(model, seq) = 0;
    model->last_kept = last;
    model->pending = 0;
    model->batch_first = last + 1;
}

void model_check_snapshot(struct model *model, struct io *io)
{
    struct buf data;
    uint64_t covers = 0;
    struct error error = {0};
    buf_init(&data, 1 << 20);
    int r = journal_snapshot_read(io, model->dir, &data, &covers, &error);
    CHECK(r != ERR_CORRUPT, "snapshot: %s", error.message);
    if (r == 0) {
        char expected[32];
        int len = snprintf(expected, sizeof expected, "state at %" PRIu64, covers);
        CHECK(bytes_eq(buf_bytes(&data), bytes_make(expected, (size_t)len)), "snapshot content");
        CHECK(covers >= model->snapshot_acknowledged && covers <= model->snapshot_submitted,
              "%s: snapshot covers %" PRIu64 " not %" PRIu64 " to %" PRIu64, model->dir, covers,
              model->snapshot_acknowledged, model->snapshot_submitted);
        model->snapshot_acknowledged = covers;
    } else if (r == ERR_NOT_FOUND) {
        CHECK(model->snapshot_acknowledged == 0, "%s: the snapshot of %" PRIu64 " is gone",
              model->dir, model->snapshot_acknowledged);
    }
    buf_release(&data);
}

/* It is gone for good; the next one has another folder. */
static void vanish(struct model *model)
{
    model->removing = false;
    for (uint32_t i = 0; i < model->append_count; i++) model->appends[i].fate = FATE_REMOVED;
    if (model->kept_size) memset(model->kept, 0, model->kept_size * sizeof *model->kept);
    model->last_kept = model->pending = 0;
    model->trimmed = 1;
    model->snapshot_acknowledged = model->snapshot_submitted = 0;
    char *dot = strchr(model->dir, '.');
    if (!dot) dot = model->dir + strlen(model->dir);
    snprintf(dot, 16, ".%u", ++model->removals);
}

static void removed(void *context, int result)
{
    struct model *model = context;
    if (result == 0) vanish(model);
    model->told = true;
}

int model_remove(struct model *model)
{
    CHECK(!model->journal, "open");
    model->removing = true;
    model->told = false;
    return wal_remove(model->options.wal, model->dir, removed, model);
}

/* Whether it was removed when it was being removed: then it is not there at all. */
static int find(struct model *model, struct io *io, struct error *error)
{
    model->options.must_exist = model->removing;
    int r = journal_open(io, &model->options, &model->journal, error);
    model->options.must_exist = false;
    if (r != ERR_NOT_FOUND || sim_host_crashed(model->host)) return r;
    vanish(model);
    return journal_open(io, &model->options, &model->journal, error);
}

int model_open(struct model *model, struct io *io, struct error *error, uint64_t may_lose_from)
{
    /* What is remembered of sequences that were never acknowledged must not bind the recovery. */
    for (uint64_t seq = model->last_kept + 1; seq < model->kept_size; seq++) model->kept[seq] = 0;
    model->recovering = 0;
    int r = find(model, io, error);
    if (r < 0 || sim_host_crashed(model->host)) return r;
    model->removing = false;
    adopt(model, may_lose_from);
    if (model->snapshot_acknowledged != UINT64_MAX) model_check_snapshot(model, io);
    return 0;
}

void model_free_journal(struct model *model)
{
    journal_free(model->journal);
    model->journal = NULL;
    model->read.busy = false; /* its job died with the host */
    journal_read_release(&model->read);
    journal_read_init(&model->read);
    model->reading = false;
}

static void read_done(struct journal_read *read, int result)
{
    struct model *model = read->context;
    model->reading = false;
    if (result < 0) {
        CHECK(result != ERR_CORRUPT || model->forgetful, "%s: reading %" PRIu64, model->dir,
              model->read_seq);
        return;
    }
    struct journal_record record;
    uint64_t seq = model->read_seq;
    for (; journal_read_next(read, &record); seq++) {
        CHECK(record.seq == seq, "read %" PRIu64 " for %" PRIu64, record.seq, seq);
        CHECK(*kept_at(model, seq) == payload_check(model, &record) + 1, "read another %" PRIu64,
              seq);
        model->records_read++;
    }
    CHECK(seq > model->read_seq, "read nothing");
}

static void snapshot_done(void *context, uint64_t covers, int result)
{
    struct model *model = context;
    if (result < 0) return;
    model->snapshot_acknowledged = covers;
    model->snapshots++;
}

static struct append *new_append(struct model *model)
{
    if (model->append_count == model->append_size) {
        model->append_size = model->append_size ? model->append_size * 2 : 64;
        model->appends = realloc(model->appends, model->append_size * sizeof *model->appends);
        CHECK(model->appends, "memory");
    }
    return &model->appends[model->append_count++];
}

void model_append(struct model *model)
{
    uint64_t count = 1 + sim_random_below(model->sim, 12);
    for (uint64_t i = 0; i < count; i++) {
        char payload[MODEL_PAYLOAD_MAX];
        size_t len = payload_fill(model->append_count, payload);
        size_t cut = sim_random_below(model->sim, len + 1);
        struct iovec parts[] = {{payload, cut}, {payload + cut, len - cut}};
        uint64_t seq;
        int r = journal_append(model->journal, parts, 2, &seq);
        if (r < 0) {
            CHECK(r == ERR_FULL || r == ERR_IO || r == ERR_NO_SPACE, "append: %s", err_name(r));
            return;
        }
        CHECK(seq == model->last_kept + model->pending + 1, "%s: sequence %" PRIu64, model->dir,
              seq);
        *new_append(model) = (struct append){seq, FATE_PENDING};
        model->pending++;
    }
}

static void read_some(struct model *model, uint64_t first, uint64_t last)
{
    if (model->reading || last < first) return;
    model->read.done = read_done;
    model->read.context = model;
    model->read_seq = first + sim_random_below(model->sim, last - first + 1);
    model->reading = journal_read_start(model->journal, &model->read, model->read_seq,
                                        sim_random_below(model->sim, 4000)) == 0;
}

static void trim_some(struct model *model, uint64_t first, uint64_t last)
{
    if (last < first || sim_random_below(model->sim, 3)) return;
    uint64_t keep = first + sim_random_below(model->sim, last - first + 1);
    if (keep > model->trimmed) model->trimmed = keep;
    journal_trim(model->journal, keep);
    if (keep % 4 == 0) journal_roll(model->journal);
    CHECK(journal_first(model->journal) <= keep, "trimmed too much");
    model->trims++;
}

static void write_snapshot(struct model *model, uint64_t last)
{
    if (sim_random_below(model->sim, 3)) return;
    char data[32];
    int len = snprintf(data, sizeof data, "state at %" PRIu64, last);
    struct bytes bytes = bytes_make(data, (size_t)len);
    if (journal_snapshot_write(model->journal, bytes, last, snapshot_done) == 0) {
        model->snapshot_submitted = last;
    }
}

void model_act(struct model *model)
{
    uint64_t last = journal_last(model->journal), first = journal_first(model->journal);
    switch (sim_random_below(model->sim, 8)) {
    case 0: read_some(model, first, last); break;
    case 1: trim_some(model, first, last); break;
    case 2: write_snapshot(model, last); break;
    default: model_append(model);
    }
}

void model_init(struct model *model, struct sim *sim, struct sim_host *host, const char *dir,
                const struct journal_options *options)
{
    *model = (struct model){.sim = sim, .host = host, .options = *options, .trimmed = 1};
    snprintf(model->dir, sizeof model->dir, "%s", dir);
    model->options.dir = model->dir;
    model->options.context = model;
    model->options.recovered = recovered;
    model->options.appended = appended;
    model->options.damaged = damaged;
    model->options.record_max = MODEL_PAYLOAD_MAX;
    journal_read_init(&model->read);
}

void model_release(struct model *model)
{
    journal_free(model->journal);
    model->read.busy = false;
    journal_read_release(&model->read);
    free(model->appends);
    free(model->kept);
}
