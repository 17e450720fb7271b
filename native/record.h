/* The log's bytes: CRC32C, sealing a batch before it is written, decoding and checking what is read.
 *
 * The format's grammar stands in redraft/accel/pyrecord.py, the twin and specification of this file.
 * Nothing here knows files, segments' names or what an entry means.
 */
#ifndef REDRAFT_RECORD_H
#define REDRAFT_RECORD_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */

/* CRC32C (Castagnoli) of `length` bytes, going on from `crc` (0 to begin).  SSE4.2 where the CPU has it. */
uint32_t redraft_crc32c(uint32_t crc, const uint8_t *data, size_t length);
/* The same by table: the fallback, visible so that tests can hold it against the other. */
uint32_t redraft_crc32c_table(uint32_t crc, const uint8_t *data, size_t length);

/* Fill in checksums, chain and durable point of one batch, in place; returns the chain for the next. */
uint32_t redraft_batch_seal(uint8_t *batch, size_t length, uint32_t seed, uint32_t chain, uint64_t durable);

enum {
    REDRAFT_SCAN_MORE = 0,    /* the batch at `position` goes on behind the window: `needed` bytes of it */
    REDRAFT_SCAN_FULL = 1,    /* the columns are full: take them and call again */
    REDRAFT_SCAN_END = 2,     /* zeros where a batch header would stand */
    REDRAFT_SCAN_BOUND = 3,   /* the next sequence is the bound */
    REDRAFT_SCAN_INVALID = 4  /* the bytes at `failed_offset` are no valid continuation */
};

/* State of a walk over batches, and the columns it fills; one column element a record or a batch. */
typedef struct {
    size_t position;
    uint32_t seed;
    uint32_t chain;
    uint64_t sequence; /* expected next */
    uint64_t bound;    /* stop before this sequence; 0 is no bound */
    uint64_t needed;
    size_t failed_offset;
    int64_t failed_group; /* -1 unknown */
    size_t records_max, records;
    uint64_t *offsets;
    uint32_t *lengths;
    uint32_t *groups;
    uint16_t *types; /* type << 8 | kind */
    uint64_t *terms;
    uint64_t *indexes;
    size_t batches_max, batches;
    uint64_t *batch_offsets;
    uint64_t *batch_durables;
    uint64_t *batch_records; /* records of this call up to and with this batch */
} redraft_scan_state;

int redraft_batch_scan(const uint8_t *window, size_t length, redraft_scan_state *state);

/* Offset (a multiple of 8, from `position`) of the first batch header that is valid by itself, has a sequence
 * below `bound` (0: any) and claims that at least `durable` was durable; -1 when there is none. */
int64_t redraft_claim_find(const uint8_t *window, size_t length, size_t position, uint32_t seed,
                           uint64_t durable, uint64_t bound);

/* Check `count` records at `offsets` by their own checksums: position of the first bad one, or -1. */
int64_t redraft_records_verify(const uint8_t *window, size_t length, uint32_t seed, const uint64_t *offsets,
                               size_t count);

/* cffi: end */

#endif
