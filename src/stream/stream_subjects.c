#include "stream/stream_subjects.h"

#include <stdlib.h>

enum { FIRST_SIZE = 64 };

void stream_subjects_init(struct stream_subjects *subjects)
{
    *subjects = (struct stream_subjects){0};
    map_init(&subjects->names, UINT32_MAX - 1);
}

void stream_subjects_release(struct stream_subjects *subjects)
{
    size_t cursor = 0;
    for (struct stream_subject *s; (s = map_next(&subjects->names, &cursor));) free(s);
    map_release(&subjects->names);
    free(subjects->numbered);
    free(subjects->free_numbers);
    stream_subjects_init(subjects);
}

struct stream_subject *stream_subjects_find(const struct stream_subjects *subjects,
                                            struct bytes name)
{
    return map_get(&subjects->names, name);
}

/* A number for a new subject; there is room to give every number back. */
static int take_number(struct stream_subjects *subjects, uint32_t *ret_number)
{
    if (subjects->free_count > 0) {
        *ret_number = subjects->free_numbers[--subjects->free_count];
        return 0;
    }
    uint32_t number = (uint32_t)subjects->names.count + 1;
    if (number >= subjects->size) {
        size_t size = subjects->size ? subjects->size * 2 : FIRST_SIZE;
        struct stream_subject **numbered =
            realloc(subjects->numbered, size * sizeof(struct stream_subject *));
        if (!numbered) return ERR_NOMEM;
        memset(numbered + subjects->size, 0,
               (size - subjects->size) * sizeof(struct stream_subject *));
        subjects->numbered = numbered;
        uint32_t *free_numbers = realloc(subjects->free_numbers, size * sizeof *free_numbers);
        if (free_numbers) subjects->free_numbers = free_numbers;
        if (!free_numbers) return ERR_NOMEM;
        subjects->memory +=
            (size - subjects->size) * (sizeof(struct stream_subject *) + sizeof *free_numbers);
        subjects->size = size;
    }
    *ret_number = number;
    return 0;
}

static size_t size_of(struct bytes name)
{
    return sizeof(struct stream_subject) + name.len + sizeof(struct map_entry);
}

struct stream_subject *stream_subjects_claim(struct stream_subjects *subjects, struct bytes name)
{
    struct stream_subject *subject = map_get(&subjects->names, name);
    if (subject) return subject;
    subject = calloc(1, sizeof *subject + name.len);
    if (!subject) return NULL;
    char *copy = (char *)(subject + 1);
    memcpy(copy, name.data, name.len);
    subject->name = bytes_make(copy, name.len);
    uint32_t number;
    if (take_number(subjects, &number) < 0) {
        free(subject);
        return NULL;
    }
    if (map_put(&subjects->names, subject->name, subject, NULL) < 0) {
        if (subjects->numbered[number] == NULL && number <= subjects->names.count)
            subjects->free_numbers[subjects->free_count++] = number;
        free(subject);
        return NULL;
    }
    subject->number = number;
    subject->serial = subjects->next_serial++;
    subjects->numbered[number] = subject;
    subjects->memory += size_of(name);
    return subject;
}

void stream_subjects_drop(struct stream_subjects *subjects, struct stream_subject *subject)
{
    if (subject->count || subject->pending) return;
    map_remove(&subjects->names, subject->name);
    subjects->numbered[subject->number] = NULL;
    subjects->free_numbers[subjects->free_count++] = subject->number;
    subjects->memory -= size_of(subject->name);
    free(subject);
}
