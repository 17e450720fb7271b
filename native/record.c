/* See record.h.  Loads go through memcpy: records are not aligned.  The format is little endian. */
#define _GNU_SOURCE
#include "record.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <nmmintrin.h>
#define HAVE_SSE42_TARGET 1
#endif

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the log's format is written for little-endian machines"
#endif

#define POLYNOMIAL 0x82F63B78u

enum {
    BATCH_HEADER = 40,
    BATCH_CHAIN = 4,
    BATCH_SEQUENCE = 8,
    BATCH_DURABLE = 16,
    BATCH_LENGTH = 24,
    BATCH_COUNT = 32,
    BATCH_MAGIC = 36,
    RECORD_HEADER = 40,
    RECORD_DATA_CRC = 4,
    RECORD_LENGTH = 8,
    RECORD_GROUP = 12,
    RECORD_TYPE = 16,
    RECORD_KIND = 17,
    RECORD_SPARE = 18,
    RECORD_TERM = 24,
    RECORD_INDEX = 32
};
static const uint32_t MAGIC = 0x42445252u; /* "RRDB" */

static uint32_t get32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t get64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static void put32(uint8_t *at, uint32_t value) { memcpy(at, &value, sizeof value); }

static void put64(uint8_t *at, uint64_t value) { memcpy(at, &value, sizeof value); }

/* ---- CRC32C ---------------------------------------------------------------------------------- */

static uint32_t tables[8][256];

/* Filled when the library is loaded, before any thread can call in. */
__attribute__((constructor)) static void tables_fill(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) ? POLYNOMIAL : 0);
        tables[0][byte] = crc;
    }
    for (uint32_t byte = 0; byte < 256; byte++)
        for (int slice = 1; slice < 8; slice++)
            tables[slice][byte] = (tables[slice - 1][byte] >> 8) ^ tables[0][tables[slice - 1][byte] & 0xff];
}

uint32_t redraft_crc32c_table(uint32_t crc, const uint8_t *data, size_t length) {
    crc = ~crc;
    for (; length >= 8; data += 8, length -= 8) {
        uint64_t word = get64(data) ^ crc;
        crc = tables[7][word & 0xff] ^ tables[6][(word >> 8) & 0xff] ^ tables[5][(word >> 16) & 0xff] ^
              tables[4][(word >> 24) & 0xff] ^ tables[3][(word >> 32) & 0xff] ^ tables[2][(word >> 40) & 0xff] ^
              tables[1][(word >> 48) & 0xff] ^ tables[0][word >> 56];
    }
    for (; length > 0; data++, length--) crc = (crc >> 8) ^ tables[0][(crc ^ *data) & 0xff];
    return ~crc;
}

#ifdef HAVE_SSE42_TARGET
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *data, size_t length) {
    uint64_t wide = (uint32_t)~crc;
    for (; length >= 8; data += 8, length -= 8) wide = _mm_crc32_u64(wide, get64(data));
    crc = (uint32_t)wide;
    for (; length > 0; data++, length--) crc = _mm_crc32_u8(crc, *data);
    return ~crc;
}
#endif

uint32_t redraft_crc32c(uint32_t crc, const uint8_t *data, size_t length) {
#ifdef HAVE_SSE42_TARGET
    if (__builtin_cpu_supports("sse4.2")) return crc32c_sse42(crc, data, length);
#endif
    return redraft_crc32c_table(crc, data, length);
}

/* ---- one record, one batch ------------------------------------------------------------------- */

static uint32_t record_data_crc(const uint8_t *record, size_t data_length, uint32_t seed) {
    return redraft_crc32c(seed, record + RECORD_LENGTH, RECORD_HEADER - RECORD_LENGTH + data_length);
}

static uint32_t header_crc(const uint8_t *header, size_t length, uint32_t from) {
    return redraft_crc32c(from, header + 4, length - 4);
}

uint32_t redraft_batch_seal(uint8_t *batch, size_t length, uint32_t seed, uint32_t chain, uint64_t durable) {
    if (length < BATCH_HEADER) return chain;
    put32(batch + BATCH_CHAIN, chain);
    put64(batch + BATCH_DURABLE, durable);
    chain = header_crc(batch, BATCH_HEADER, seed);
    put32(batch, chain);
    size_t at = BATCH_HEADER;
    for (uint32_t left = get32(batch + BATCH_COUNT); left > 0; left--) {
        if (length - at < RECORD_HEADER) return chain;
        uint8_t *record = batch + at;
        size_t data_length = get32(record + RECORD_LENGTH);
        if (length - at - RECORD_HEADER < data_length) return chain;
        put32(record + RECORD_DATA_CRC, record_data_crc(record, data_length, seed));
        chain = header_crc(record, RECORD_HEADER, chain);
        put32(record, chain);
        at += RECORD_HEADER + data_length;
    }
    return chain;
}

static bool all_zero(const uint8_t *bytes, size_t length) {
    for (size_t at = 0; at < length; at++)
        if (bytes[at] != 0) return false;
    return true;
}

static int invalid(redraft_scan_state *state, size_t offset, int64_t group) {
    state->failed_offset = offset;
    state->failed_group = group;
    return REDRAFT_SCAN_INVALID;
}

/* One whole batch at `at`, its header checked already: its records go to the columns, or it is invalid. */
static int batch_take(const uint8_t *window, size_t at, redraft_scan_state *state) {
    const uint8_t *batch = window + at;
    size_t end = at + BATCH_HEADER + get64(batch + BATCH_LENGTH);
    size_t row = state->records;
    uint32_t chain = get32(batch);
    size_t place = at + BATCH_HEADER;
    for (uint32_t left = get32(batch + BATCH_COUNT); left > 0; left--) {
        if (end - place < RECORD_HEADER) return invalid(state, place, -1);
        const uint8_t *record = window + place;
        size_t data_length = get32(record + RECORD_LENGTH);
        chain = header_crc(record, RECORD_HEADER, chain);
        if (chain != get32(record)) return invalid(state, place, -1);
        uint32_t group = get32(record + RECORD_GROUP);
        if (end - place - RECORD_HEADER < data_length || !all_zero(record + RECORD_SPARE, RECORD_TERM - RECORD_SPARE) ||
            record_data_crc(record, data_length, state->seed) != get32(record + RECORD_DATA_CRC))
            return invalid(state, place, group);
        state->offsets[row] = place;
        state->lengths[row] = (uint32_t)data_length;
        state->groups[row] = group;
        state->types[row] = (uint16_t)(record[RECORD_TYPE] << 8 | record[RECORD_KIND]);
        state->terms[row] = get64(record + RECORD_TERM);
        state->indexes[row] = get64(record + RECORD_INDEX);
        row++;
        place += RECORD_HEADER + data_length;
    }
    if (end - place > 7 || !all_zero(window + place, end - place)) return invalid(state, place, -1);
    state->batch_offsets[state->batches] = at;
    state->batch_durables[state->batches] = get64(batch + BATCH_DURABLE);
    state->batch_records[state->batches] = row;
    state->batches++;
    state->records = row;
    state->chain = chain;
    state->sequence++;
    state->position = end;
    return REDRAFT_SCAN_MORE;
}

int redraft_batch_scan(const uint8_t *window, size_t length, redraft_scan_state *state) {
    state->records = 0;
    state->batches = 0;
    state->needed = BATCH_HEADER;
    for (;;) {
        if (state->bound != 0 && state->sequence >= state->bound) return REDRAFT_SCAN_BOUND;
        size_t at = state->position;
        if (length < BATCH_HEADER || at > length - BATCH_HEADER) {
            state->needed = BATCH_HEADER;
            return REDRAFT_SCAN_MORE;
        }
        const uint8_t *batch = window + at;
        if (all_zero(batch, BATCH_HEADER)) return REDRAFT_SCAN_END;
        uint64_t body = get64(batch + BATCH_LENGTH);
        uint32_t count = get32(batch + BATCH_COUNT);
        if (get32(batch + BATCH_MAGIC) != MAGIC || header_crc(batch, BATCH_HEADER, state->seed) != get32(batch) ||
            get32(batch + BATCH_CHAIN) != state->chain || get64(batch + BATCH_SEQUENCE) != state->sequence ||
            get64(batch + BATCH_DURABLE) >= state->sequence || body % 8 != 0 || body > (UINT64_C(1) << 48) ||
            count > state->records_max)
            return invalid(state, at, -1);
        if (length - at - BATCH_HEADER < body) {
            state->needed = BATCH_HEADER + body;
            return REDRAFT_SCAN_MORE;
        }
        if (state->batches == state->batches_max || state->records_max - state->records < count)
            return REDRAFT_SCAN_FULL;
        if (batch_take(window, at, state) == REDRAFT_SCAN_INVALID) return REDRAFT_SCAN_INVALID;
    }
}

int64_t redraft_claim_find(const uint8_t *window, size_t length, size_t position, uint32_t seed,
                           uint64_t durable, uint64_t bound) {
    for (size_t at = (position + 7) & ~(size_t)7; length >= BATCH_HEADER && at <= length - BATCH_HEADER; at += 8) {
        const uint8_t *batch = window + at;
        if (get32(batch + BATCH_MAGIC) != MAGIC || get64(batch + BATCH_DURABLE) < durable) continue;
        if (bound != 0 && get64(batch + BATCH_SEQUENCE) >= bound) continue;
        if (header_crc(batch, BATCH_HEADER, seed) == get32(batch)) return (int64_t)at;
    }
    return -1;
}

int64_t redraft_records_verify(const uint8_t *window, size_t length, uint32_t seed, const uint64_t *offsets,
                               size_t count) {
    for (size_t row = 0; row < count; row++) {
        uint64_t at = offsets[row];
        if (length < RECORD_HEADER || at > length - RECORD_HEADER) return (int64_t)row;
        size_t data_length = get32(window + at + RECORD_LENGTH);
        if (length - at - RECORD_HEADER < data_length) return (int64_t)row;
        if (record_data_crc(window + at, data_length, seed) != get32(window + at + RECORD_DATA_CRC))
            return (int64_t)row;
    }
    return -1;
}
