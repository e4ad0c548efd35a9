#include "sdk/src/blocking.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct job {
    struct list link;
    struct dure_ctx *ctx;
    int (*work)(void *argument);
    void *argument;
    int result;
    bool done; /* the loop's: it has been fetched */
};

struct blocking_pool {
    struct host *host;
    struct loop_watch watch; /* an eventfd that the threads write to */
    int event;
    size_t count; /* jobs queued or running; the loop's */
    pthread_t threads[BLOCKING_THREADS];
    size_t thread_count;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t more;
    struct list queue, finished;
    size_t queued;  /* jobs that no thread has taken */
    size_t waiting; /* threads that wait for a job */
    bool stop;
};

static struct job *next_job(struct blocking_pool *pool)
{
    struct list *link;
    while (!(link = list_pop(&pool->queue))) {
        if (pool->stop) return NULL;
        pool->waiting++;
        pthread_cond_wait(&pool->more, &pool->lock);
        pool->waiting--;
    }
    pool->queued--;
    return CONTAINER_OF(link, struct job, link);
}

static void *thread_main(void *argument)
{
    struct blocking_pool *pool = argument;
    struct job *job;
    pthread_mutex_lock(&pool->lock);
    while ((job = next_job(pool))) {
        pthread_mutex_unlock(&pool->lock);
        job->result = job->work(job->argument);
        pthread_mutex_lock(&pool->lock);
        list_push(&pool->finished, &job->link);
        uint64_t one = 1;
        ssize_t written = write(pool->event, &one, sizeof one);
        (void)written; /* cannot fail: the counter is far from its limit */
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void fetch_finished(struct loop_watch *watch, uint32_t events)
{
    struct blocking_pool *pool = CONTAINER_OF(watch, struct blocking_pool, watch);
    uint64_t count;
    ssize_t got = read(pool->event, &count, sizeof count);
    (void)got; /* nothing to read: somebody fetched it already */
    struct list finished, *link;
    list_init(&finished);
    pthread_mutex_lock(&pool->lock);
    list_splice(&finished, &pool->finished);
    pthread_mutex_unlock(&pool->lock);
    while ((link = list_pop(&finished))) {
        struct job *job = CONTAINER_OF(link, struct job, link);
        job->done = true;
        ctx_wake(job->ctx);
    }
}

/* One more thread when all are busy. The threads take no signals: those are the loop's. */
static int grow(struct blocking_pool *pool)
{
    if (pool->thread_count == BLOCKING_THREADS) return 0;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&pool->threads[pool->thread_count], NULL, thread_main, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed) pool->thread_count++;
    return pool->thread_count ? 0 : DURE_ENOMEM;
}

int dure_blocking(struct dure_ctx *ctx, int (*work)(void *argument), void *argument)
{
    struct blocking_pool *pool = ctx->tenant->host->blocking;
    if (ctx_check(ctx)) return ctx->stop;
    if (pool->count >= BLOCKING_QUEUE_MAX) return DURE_EFULL;
    struct job job = {.ctx = ctx, .work = work, .argument = argument};
    list_init(&job.link);
    pthread_mutex_lock(&pool->lock);
    bool idle = pool->waiting > pool->queued;
    pthread_mutex_unlock(&pool->lock);
    if (!idle && grow(pool)) return DURE_ENOMEM;
    pool->count++;
    pthread_mutex_lock(&pool->lock);
    list_push(&pool->queue, &job.link);
    pool->queued++;
    pthread_cond_signal(&pool->more);
    pthread_mutex_unlock(&pool->lock);
    while (!job.done) ctx_wait_uninterrupted(ctx);
    pool->count--;
    return job.result;
}

struct blocking_pool *blocking_new(struct host *host)
{
    struct blocking_pool *pool = calloc(1, sizeof *pool);
    if (!pool) return NULL;
    pool->host = host;
    pool->watch.ready = fetch_finished;
    list_init(&pool->queue);
    list_init(&pool->finished);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->more, NULL);
    pool->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (pool->event >= 0 && loop_watch(&host->loop, &pool->watch, pool->event, EPOLLIN) == 0)
        return pool;
    pool->watch.fd = -1;
    blocking_free(pool);
    return NULL;
}

void blocking_free(struct blocking_pool *pool)
{
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->more);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->thread_count; i++) pthread_join(pool->threads[i], NULL);
    loop_unwatch(&pool->host->loop, &pool->watch);
    if (pool->event >= 0) close(pool->event);
    pthread_cond_destroy(&pool->more);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
