/* pool: threads for what blocks. Two lists under one lock, and an eventfd that tells the loop when
 * the finished list stops being empty. The eventfd is watched edge-triggered and never read: each
 * write is an edge. */
#include "io/epoll.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct io_pool {
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    struct list waiting, finished; /* of struct io_job; under the lock */
    bool stop;                     /* under the lock */
    int done_fd;
    size_t in_flight; /* the loop's own count */
    int thread_count;
    pthread_t threads[];
};

static void tell_loop(struct io_pool *pool)
{
    uint64_t one = 1;
    ssize_t wrote;
    do wrote = write(pool->done_fd, &one, sizeof one);
    while (wrote < 0 && errno == EINTR);
    assert(wrote == sizeof one);
}

static void *work(void *context)
{
    struct io_pool *pool = context;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct list *link = list_pop(&pool->waiting);
        if (!link) {
            if (pool->stop) break;
            pthread_cond_wait(&pool->wanted, &pool->lock);
            continue;
        }
        pthread_mutex_unlock(&pool->lock);
        struct io_job *job = CONTAINER_OF(link, struct io_job, link);
        job->run(job);
        pthread_mutex_lock(&pool->lock);
        bool first = list_empty(&pool->finished);
        list_push(&pool->finished, &job->link);
        if (first) tell_loop(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Signals are the loop's business: the threads are started with all of them blocked. */
static int start_threads(struct io_pool *pool, int count)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int errnum = 0;
    while (!errnum && pool->thread_count < count) {
        errnum = pthread_create(&pool->threads[pool->thread_count], NULL, work, pool);
        if (!errnum) pool->thread_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return errnum == EAGAIN ? ERR_FULL : err_from_errno(errnum);
}

int io_pool_new(int threads, int done_fd, struct io_pool **ret_pool)
{
    assert(threads > 0);
    struct io_pool *pool = calloc(1, sizeof *pool + (size_t)threads * sizeof *pool->threads);
    if (!pool) return ERR_NOMEM;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wanted, NULL);
    list_init(&pool->waiting);
    list_init(&pool->finished);
    pool->done_fd = done_fd;
    int err = start_threads(pool, threads);
    if (err) {
        io_pool_free(pool);
        return err;
    }
    *ret_pool = pool;
    return 0;
}

void io_pool_free(struct io_pool *pool)
{
    if (!pool) return;
    assert(pool->in_flight == 0);
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->wanted);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->thread_count; i++) pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->wanted);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void io_pool_submit(struct io_pool *pool, struct io_job *job)
{
    pool->in_flight++;
    list_init(&job->link);
    pthread_mutex_lock(&pool->lock);
    list_push(&pool->waiting, &job->link);
    pthread_cond_signal(&pool->wanted);
    pthread_mutex_unlock(&pool->lock);
}

int io_pool_run_done(struct io_pool *pool)
{
    int ran = 0;
    struct list now;
    list_init(&now);
    pthread_mutex_lock(&pool->lock);
    list_splice(&now, &pool->finished);
    pthread_mutex_unlock(&pool->lock);
    for (struct list *link; (link = list_pop(&now)); ran++) {
        struct io_job *job = CONTAINER_OF(link, struct io_job, link);
        pool->in_flight--;
        job->done(job);
    }
    return ran;
}

void epoll_job_submit(struct io *io, struct io_job *job)
{
    io_pool_submit(epoll_of(io)->pool, job);
}
