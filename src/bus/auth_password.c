#include "bus/auth_password.h"

#include <crypt.h>
#include <stdlib.h>

struct auth_password {
    struct io_job job;
    struct auth_queue *queue;
    struct list link;
    void (*done)(void *context, bool fits); /* NULL: nobody waits any more */
    void *context;
    char *said, *hash;
    bool fits;
};

static void start_next(struct auth_queue *queue);

static void password_free(struct auth_password *password)
{
    list_remove(&password->link);
    if (password->said) explicit_bzero(password->said, strlen(password->said));
    if (password->hash) explicit_bzero(password->hash, strlen(password->hash));
    free(password->said);
    free(password->hash);
    free(password);
}

/* On a thread. */
static void run(struct io_job *job)
{
    struct auth_password *password = CONTAINER_OF(job, struct auth_password, job);
    struct crypt_data *data = calloc(1, sizeof *data);
    const char *made =
        data ? crypt_rn(password->said, password->hash, data, (int)sizeof *data) : NULL;
    password->fits = made && strcmp(made, password->hash) == 0;
    if (data) explicit_bzero(data, sizeof *data);
    free(data);
}

static void job_done(struct io_job *job)
{
    struct auth_password *password = CONTAINER_OF(job, struct auth_password, job);
    struct auth_queue *queue = password->queue;
    void (*done)(void *context, bool fits) = password->done;
    void *context = password->context;
    bool fits = password->fits;
    password_free(password);
    queue->running = NULL;
    if (done) done(context, fits);
    start_next(queue);
    if (!queue->running) queue->idle(queue);
}

static void start_next(struct auth_queue *queue)
{
    struct list *link = queue->running ? NULL : list_pop(&queue->waiting);
    if (!link) return;
    queue->running = CONTAINER_OF(link, struct auth_password, link);
    io_job_submit(queue->io, &queue->running->job);
}

void auth_queue_init(struct auth_queue *queue, struct io *io,
                     void (*idle)(struct auth_queue *queue))
{
    *queue = (struct auth_queue){.io = io, .idle = idle};
    list_init(&queue->waiting);
}

void auth_queue_release(struct auth_queue *queue)
{
    struct list *link;
    while ((link = list_pop(&queue->waiting)))
        password_free(CONTAINER_OF(link, struct auth_password, link));
    if (queue->running) password_free(queue->running);
    queue->running = NULL;
}

struct auth_password *auth_password_check(struct auth_queue *queue, const char *said,
                                          const char *hash, void (*done)(void *context, bool fits),
                                          void *context)
{
    struct auth_password *password = calloc(1, sizeof *password);
    if (!password) return NULL;
    list_init(&password->link);
    password->queue = queue;
    password->done = done;
    password->context = context;
    password->said = strdup(said);
    password->hash = strdup(hash);
    password->job = (struct io_job){.run = run, .done = job_done};
    if (!password->said || !password->hash) {
        password_free(password);
        return NULL;
    }
    list_push(&queue->waiting, &password->link);
    start_next(queue);
    return password;
}

void auth_password_cancel(struct auth_password *password)
{
    password->done = NULL;
    if (password->queue->running != password) password_free(password);
}
