/* See writer.h. */
#define _GNU_SOURCE
#include "writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record.h"

typedef struct job {
    struct job *next;
    int fd;
    int restart;
    uint64_t offset;
    uint8_t *batch;
    size_t length;
    uint32_t seed;
} job;

struct redraft_writer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t queued;
    job *first, *last; /* under the lock */
    int stopping;      /* under the lock */
    _Atomic uint64_t durable;
    _Atomic int error;
    int event_fd;
    uint32_t chain; /* the thread's own */
};

static void tell(redraft_writer *writer) {
    const uint64_t one = 1;
    while (write(writer->event_fd, &one, sizeof one) < 0 && errno == EINTR) continue;
}

static int write_all(int fd, const uint8_t *bytes, size_t length, uint64_t offset) {
    while (length > 0) {
        ssize_t wrote = pwrite(fd, bytes, length, (off_t)offset);
        if (wrote < 0) {
            if (errno == EINTR) continue;
            return errno;
        }
        if (wrote == 0) return EIO;
        bytes += wrote;
        length -= (size_t)wrote;
        offset += (uint64_t)wrote;
    }
    return 0;
}

static int sync_up_to(redraft_writer *writer, int fd, uint64_t sequence) {
    while (fdatasync(fd) < 0)
        if (errno != EINTR) return errno;
    atomic_store(&writer->durable, sequence);
    return 0;
}

/* Write all of a queue's jobs, one sync per file: a batch in a later file says what was durable before it. */
static int carry_out(redraft_writer *writer, const job *jobs) {
    uint64_t sequence = 0;
    int error = 0;
    for (const job *each = jobs; each != NULL && error == 0; each = each->next) {
        if (each->restart) writer->chain = each->seed;
        writer->chain =
            redraft_batch_seal(each->batch, each->length, each->seed, writer->chain, atomic_load(&writer->durable));
        memcpy(&sequence, each->batch + 8, sizeof sequence);
        error = write_all(each->fd, each->batch, each->length, each->offset);
        if (error == 0 && (each->next == NULL || each->next->fd != each->fd))
            error = sync_up_to(writer, each->fd, sequence);
    }
    return error;
}

static void *run(void *argument) {
    redraft_writer *writer = argument;
    pthread_mutex_lock(&writer->lock);
    for (;;) {
        while (writer->first == NULL && !writer->stopping) pthread_cond_wait(&writer->queued, &writer->lock);
        job *jobs = writer->first;
        if (jobs == NULL) break;
        writer->first = writer->last = NULL;
        pthread_mutex_unlock(&writer->lock);
        if (atomic_load(&writer->error) == 0) {
            int error = carry_out(writer, jobs);
            if (error != 0) atomic_store(&writer->error, error);
            tell(writer);
        }
        while (jobs != NULL) {
            job *next = jobs->next;
            free(jobs);
            jobs = next;
        }
        pthread_mutex_lock(&writer->lock);
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

redraft_writer *redraft_writer_start(int event_fd, uint64_t durable, uint32_t chain) {
    redraft_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) return NULL;
    writer->event_fd = event_fd;
    writer->chain = chain;
    atomic_init(&writer->durable, durable);
    atomic_init(&writer->error, 0);
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->queued, NULL);
    sigset_t all, before; /* signals are the interpreter's: this thread takes none */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&writer->thread, NULL, run, writer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        pthread_cond_destroy(&writer->queued);
        pthread_mutex_destroy(&writer->lock);
        free(writer);
        return NULL;
    }
    return writer;
}

int redraft_writer_submit(redraft_writer *writer, int fd, uint64_t offset, uint8_t *batch, size_t length,
                          uint32_t seed, int restart) {
    job *added = malloc(sizeof *added);
    if (added == NULL) return ENOMEM;
    *added = (job){.fd = fd, .restart = restart, .offset = offset, .batch = batch, .length = length, .seed = seed};
    pthread_mutex_lock(&writer->lock);
    if (writer->last != NULL)
        writer->last->next = added;
    else
        writer->first = added;
    writer->last = added;
    pthread_cond_signal(&writer->queued);
    pthread_mutex_unlock(&writer->lock);
    return 0;
}

uint64_t redraft_writer_durable(redraft_writer *writer) { return atomic_load(&writer->durable); }

int redraft_writer_error(redraft_writer *writer) { return atomic_load(&writer->error); }

int redraft_writer_stop(redraft_writer *writer, uint64_t *durable) {
    pthread_mutex_lock(&writer->lock);
    writer->stopping = 1;
    pthread_cond_signal(&writer->queued);
    pthread_mutex_unlock(&writer->lock);
    pthread_join(writer->thread, NULL);
    int error = atomic_load(&writer->error);
    *durable = atomic_load(&writer->durable);
    pthread_cond_destroy(&writer->queued);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
    return error;
}
