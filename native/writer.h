/* The log's writer thread: takes sealed-to-be batches in order, writes them, syncs, tells an eventfd.
 *
 * A native thread, so that neither its start nor its end waits for the interpreter's lock.  All that queued
 * while the last fdatasync ran goes out before the next.  The first failure is final: nothing is written
 * after it.  The twin is redraft/accel/pywriter.py.
 */
#ifndef REDRAFT_WRITER_H
#define REDRAFT_WRITER_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */

typedef struct redraft_writer redraft_writer;

/* Start the thread behind a batch that is durable: its sequence, and its chain; NULL when there is no memory. */
redraft_writer *redraft_writer_start(int event_fd, uint64_t durable, uint32_t chain);

/* Queue one batch for `offset` of `fd`; the chain starts anew when `restart` says that a segment begins here.
 * `batch` belongs to the writer until its sequence is durable or the writer failed and was stopped.
 * Returns 0, or ENOMEM. */
int redraft_writer_submit(redraft_writer *writer, int fd, uint64_t offset, uint8_t *batch, size_t length,
                          uint32_t seed, int restart);

/* The last sequence that is durable; and the errno of the failure that ended the writing, 0 for none. */
uint64_t redraft_writer_durable(redraft_writer *writer);
int redraft_writer_error(redraft_writer *writer);

/* Carry out what is queued, end the thread and free it; returns the error and stores the durable sequence. */
int redraft_writer_stop(redraft_writer *writer, uint64_t *durable);

/* cffi: end */

#endif
