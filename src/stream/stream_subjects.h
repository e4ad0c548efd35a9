/* stream_subjects: the subjects that a stream holds messages of (or is about to), by name and by a
 * small number that stands for them in the index. A subject lives as long as a message of it does,
 * or a publish to it is under way. */
#ifndef DURE_STREAM_STREAM_SUBJECTS_H
#define DURE_STREAM_STREAM_SUBJECTS_H

#include "base/err.h"
#include "base/map.h"

/* Messages that are not to be seen yet are kept under their subject with this byte in front, which
 * no subject can begin with. */
#define STREAM_SUBJECT_HIDDEN '\1'

struct stream_subject {
    struct bytes name;                    /* stands behind the struct */
    uint64_t first, last, count;          /* of the messages that are held */
    uint64_t pending_last;                /* the last sequence given to it, durable or not */
    uint32_t pending;                     /* publishes under way */
    uint32_t number;                      /* from 1 */
    uint32_t serial;                      /* tells it from an earlier one of the same number */
    uint32_t digest_chunk, digest_number; /* stream_digest.c: its number in that chunk */
};

struct stream_subjects {
    struct map names;                 /* of struct stream_subject */
    struct stream_subject **numbered; /* NULL: free */
    size_t size, held;                /* held: with messages that can be seen */
    uint32_t *free_numbers;
    size_t free_count, free_size;
    uint32_t next_serial;
    size_t memory; /* bytes */
};

void stream_subjects_init(struct stream_subjects *subjects);
void stream_subjects_release(struct stream_subjects *subjects);

/* The subject, or NULL. */
struct stream_subject *stream_subjects_find(const struct stream_subjects *subjects,
                                            struct bytes name);

/* The subject, made if it is new; NULL: no memory. */
struct stream_subject *stream_subjects_claim(struct stream_subjects *subjects, struct bytes name);

/* Lets go of a subject that has neither messages nor publishes under way. */
void stream_subjects_drop(struct stream_subjects *subjects, struct stream_subject *subject);

static inline struct stream_subject *stream_subjects_at(const struct stream_subjects *subjects,
                                                        uint32_t number)
{
    return subjects->numbered[number];
}

static inline bool stream_subject_hidden(const struct stream_subject *subject)
{
    return subject->name.data[0] == STREAM_SUBJECT_HIDDEN;
}

#endif
