#include "scan.h"

#include <stdlib.h>
#include <string.h>

enum { COMMANDS_MAX = 1024, BUCKETS = 4096, NAME_BYTES_MAX = 32 };
enum { LINE_BYTES_MAX = 65536, SLOTS = 16384, BULK_BYTES_MIN = 6 };
enum { OK = 0, INLINE = 1, BAD_COUNT = 2, BIG_COUNT = 3, BAD_TYPE = 4, BAD_BULK = 5, BIG_BULK = 6 };
enum { MORE = -1, INVALID = -2, TOO_BIG = -3 };
enum { NO_KEY = -1, SEVERAL = -2 };
enum { LOOSE = 1 << 16 }; /* added to the id of a request that ends a line or a bulk with other than CR LF */
enum { SLOW = 0, WRITE = 2 };
enum { COMMAND_STRIDE = 6, PART_STRIDE = 5 };
enum { CONSUMED, STATUS, NEEDED, COUNT, GROUP, WRITES, LAST_ID, CURSOR, LEFT };

struct command {
    char name[NAME_BYTES_MAX];
    int32_t size, kind, arity, first_key, last_key, step;
};

struct redraft_commands {
    uint16_t crc16[256];
    int16_t buckets[BUCKETS]; /* position + 1; 0 is empty */
    int32_t count;
    struct command commands[COMMANDS_MAX];
};

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

static uint32_t bucket_of(const char *name, int64_t size) {
    uint32_t hash = 2166136261u;
    for (int64_t i = 0; i < size; i++) hash = (hash ^ (uint8_t)lower(name[i])) * 16777619u;
    return (hash ^ (hash >> 15)) % BUCKETS;
}

redraft_commands *redraft_commands_new(void) {
    redraft_commands *table = calloc(1, sizeof *table);
    if (!table) return NULL;
    for (uint32_t i = 0; i < 256; i++) { /* CRC-16/XMODEM: x^16 + x^12 + x^5 + 1, from 0 */
        uint32_t crc = i << 8;
        for (int bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
        table->crc16[i] = (uint16_t)crc;
    }
    return table;
}

void redraft_commands_free(redraft_commands *table) { free(table); }

int redraft_commands_add(redraft_commands *table, const char *name, int64_t size, int32_t kind, int32_t arity,
                         int32_t first_key, int32_t last_key, int32_t step) {
    if (table->count == COMMANDS_MAX || size < 1 || size > NAME_BYTES_MAX) return -1;
    struct command *command = &table->commands[table->count];
    for (int64_t i = 0; i < size; i++) command->name[i] = lower(name[i]);
    command->size = (int32_t)size;
    command->kind = kind;
    command->arity = arity;
    command->first_key = first_key;
    command->last_key = last_key;
    command->step = step > 0 ? step : 1;
    uint32_t at = bucket_of(name, size);
    while (table->buckets[at]) at = (at + 1) % BUCKETS;
    table->buckets[at] = (int16_t)(table->count + 1);
    return table->count++;
}

static int32_t find_command(const redraft_commands *table, const char *name, int64_t size) {
    if (size < 1 || size > NAME_BYTES_MAX) return -1;
    for (uint32_t at = bucket_of(name, size); table->buckets[at]; at = (at + 1) % BUCKETS) {
        const struct command *command = &table->commands[table->buckets[at] - 1];
        if (command->size != size) continue;
        int64_t i = 0;
        while (i < size && lower(name[i]) == command->name[i]) i++;
        if (i == size) return table->buckets[at] - 1;
    }
    return -1;
}

static int32_t slot_of(const redraft_commands *table, const char *key, int64_t size) {
    const char *open = memchr(key, '{', (size_t)size);
    if (open) {
        const char *tag = open + 1;
        const char *close = memchr(tag, '}', (size_t)(key + size - tag));
        if (close && close > tag) {
            key = tag;
            size = close - tag;
        }
    }
    uint32_t crc = 0;
    for (int64_t i = 0; i < size; i++) crc = (crc << 8 & 0xffff) ^ table->crc16[(crc >> 8) ^ (uint8_t)key[i]];
    return (int32_t)(crc & (SLOTS - 1));
}

/* The decimal between `at` and CR LF, without leading zeros or '+', as Redis's string2ll has it. */
static int read_number(const char *data, int64_t at, int64_t size, int64_t *value, int64_t *next) {
    int64_t p = at;
    int negative = p < size && data[p] == '-';
    p += negative;
    int64_t digits = p, number = 0;
    while (p < size && p - digits < 18 && data[p] >= '0' && data[p] <= '9') number = number * 10 + (data[p++] - '0');
    if (p + 1 < size && data[p] == '\r' && p > digits && (data[digits] != '0' || (p == digits + 1 && !negative))) {
        *value = negative ? -number : number;
        *next = p + 2;
        return OK;
    }
    const char *end = at < size ? memchr(data + at, '\r', (size_t)(size - at)) : NULL;
    if (!end || end + 1 == data + size) return size - at > LINE_BYTES_MAX ? TOO_BIG : MORE;
    return INVALID;
}

/* One bulk at `at`: its bytes are [*body, *body + *length); MORE sets *needed, an error *status. */
static int read_bulk(const char *data, int64_t at, int64_t size, int64_t bulk_max, int64_t left, int64_t *body,
                     int64_t *length, int64_t *needed, int *status) {
    *needed = at + left * BULK_BYTES_MIN;
    if (at >= size) return MORE;
    if (data[at] != '$') {
        *needed = (uint8_t)data[at];
        *status = BAD_TYPE;
        return INVALID;
    }
    int read = read_number(data, at + 1, size, length, body);
    if (read == MORE) {
        if (*needed <= size) *needed = size + 1;
        return MORE;
    }
    if (read != OK || *length < 0 || *length > bulk_max) {
        *status = read == TOO_BIG ? BIG_BULK : BAD_BULK;
        *needed = 0;
        return INVALID;
    }
    int64_t end = *body + *length + 2;
    if (end <= size) return OK;
    *needed = end + (left - 1) * BULK_BYTES_MIN;
    return MORE;
}

void redraft_scan(const redraft_commands *table, const uint16_t *groups, int one_slot, int64_t bulk_max,
                  int64_t args_max, const char *data, int64_t start, int64_t size, int64_t *head, int64_t *out,
                  int64_t out_max) {
    int64_t at = start, consumed = start, count = 0, needed = 0, cursor = start, left = -1;
    int64_t all_group = 0, writes = 0, last_id = -1;
    int status = OK;
    while (count < out_max) {
        int64_t argc, body, length;
        consumed = cursor = at;
        left = -1;
        needed = size + 1;
        if (at >= size) break;
        if (data[at] != '*') {
            status = INLINE;
            break;
        }
        int read = read_number(data, at + 1, size, &argc, &at);
        if (read == MORE) break;
        if (read != OK || argc > args_max) {
            status = read == TOO_BIG ? BIG_COUNT : BAD_COUNT;
            break;
        }
        if (argc <= 0) continue;
        int32_t id = -1, kind = SLOW, slot = NO_KEY, group = NO_KEY;
        int64_t key = 0, last_key = 0, step = 1;
        int64_t i = 0;
        for (; i < argc; i++) {
            read = read_bulk(data, at, size, bulk_max, argc - i, &body, &length, &needed, &status);
            if (read != OK) break;
            at = body + length + 2;
            if (i == 0) {
                id = find_command(table, data + body, length);
                if (id < 0) continue;
                const struct command *command = &table->commands[id];
                if (command->arity >= 0 ? argc != command->arity : argc < -command->arity) continue;
                kind = command->kind;
                key = command->first_key;
                last_key = command->last_key < 0 ? argc + command->last_key : command->last_key;
                step = command->step;
            } else if (i == key && i <= last_key) {
                int32_t key_slot = slot_of(table, data + body, length);
                int32_t key_group = groups[key_slot];
                slot = slot == NO_KEY || slot == key_slot ? key_slot : SEVERAL;
                group = group == NO_KEY || group == key_group ? key_group : SEVERAL;
                key += step;
            }
        }
        if (read != OK) {
            cursor = at;
            left = argc - i;
            break;
        }
        if (one_slot && slot == SEVERAL) group = SEVERAL;
        if (kind == SLOW || group <= 0) all_group = -1;
        else if (all_group >= 0) all_group = count == 0 || all_group == group ? group : 0;
        writes |= kind == WRITE;
        last_id = id;
        int64_t *command = out + count * COMMAND_STRIDE;
        command[0] = at;
        command[1] = id;
        command[2] = kind;
        command[3] = slot;
        command[4] = argc;
        command[5] = group;
        count++;
        consumed = cursor = at;
        left = -1;
        needed = size + 1;
    }
    head[CONSUMED] = consumed;
    head[STATUS] = status;
    head[NEEDED] = needed;
    head[COUNT] = count;
    head[GROUP] = all_group;
    head[WRITES] = writes;
    head[LAST_ID] = last_id;
    head[CURSOR] = cursor;
    head[LEFT] = left;
}

/* Goes on where a scan of an unfinished command stopped: `left` bulks from `cursor`. */
void redraft_probe(int64_t bulk_max, const char *data, int64_t cursor, int64_t left, int64_t size, int64_t *head) {
    int64_t body, length, needed = size;
    int status = OK;
    while (left > 0 && read_bulk(data, cursor, size, bulk_max, left, &body, &length, &needed, &status) == OK) {
        cursor = body + length + 2;
        left--;
    }
    head[STATUS] = status;
    head[NEEDED] = left == 0 ? cursor : needed;
    head[CURSOR] = cursor;
    head[LEFT] = left;
}

/* Whole, valid requests only: -1 when they are not, -2 when the arrays are too small. */
int64_t redraft_scan_args(const redraft_commands *table, const char *data, int64_t size, int64_t *commands,
                          int64_t commands_max, int64_t *args, int64_t args_max, int64_t *args_count) {
    int64_t at = 0, count = 0, found = 0;
    while (at < size) {
        int64_t argc, body, length, needed;
        int status;
        if (data[at] != '*' || read_number(data, at + 1, size, &argc, &at) != OK) return -1;
        if (argc <= 0) continue;
        if (count == commands_max || argc > args_max - found) return argc > size ? -1 : -2;
        int32_t id = -1, slot = NO_KEY, loose = 0;
        int64_t key = 0, last_key = 0, step = 1;
        for (int64_t i = 0; i < argc; i++) {
            if (read_bulk(data, at, size, size, argc - i, &body, &length, &needed, &status) != OK) return -1;
            at = body + length + 2;
            args[found * 2] = body;
            args[found * 2 + 1] = body + length;
            if (data[body - 1] != '\n' || data[at - 2] != '\r' || data[at - 1] != '\n') loose = LOOSE;
            found++;
            if (i == 0) {
                id = find_command(table, data + body, length);
                if (id < 0) continue;
                const struct command *command = &table->commands[id];
                if (command->arity >= 0 ? argc != command->arity : argc < -command->arity) continue;
                key = command->first_key;
                last_key = command->last_key < 0 ? argc + command->last_key : command->last_key;
                step = command->step;
            } else if (i == key && i <= last_key) {
                int32_t key_slot = slot_of(table, data + body, length);
                slot = slot == NO_KEY || slot == key_slot ? key_slot : SEVERAL;
                key += step;
            }
        }
        commands[count * 3] = id < 0 ? id : id | loose;
        commands[count * 3 + 1] = slot;
        commands[count * 3 + 2] = argc;
        count++;
    }
    *args_count = found;
    return count;
}

/*
 * Copies the commands of a scan to `to`, those of one group together, in order.  A part is (group, offset in
 * `to`, bytes, commands, any write); `order` says for each command which part it is in.  There is room for as many parts as commands.
 */
int64_t redraft_partition(const char *data, int64_t start, const int64_t *commands, int64_t count, char *to,
                          uint16_t *order, int64_t *parts) {
    int64_t found = 0, at = start;
    for (int64_t i = 0; i < count; i++) {
        const int64_t *command = commands + i * COMMAND_STRIDE;
        int64_t p = 0;
        while (p < found && parts[p * PART_STRIDE] != command[5]) p++;
        int64_t *part = parts + p * PART_STRIDE;
        if (p == found) {
            found++;
            part[0] = command[5];
            part[1] = part[2] = part[3] = part[4] = 0;
        }
        order[i] = (uint16_t)p;
        part[2] += command[0] - at;
        part[3]++;
        part[4] |= command[2] == WRITE;
        at = command[0];
    }
    for (int64_t p = 1; p < found; p++) {
        parts[p * PART_STRIDE + 1] = parts[(p - 1) * PART_STRIDE + 1] + parts[(p - 1) * PART_STRIDE + 2];
    }
    at = start;
    for (int64_t i = 0; i < count; i++) {
        int64_t *part = parts + order[i] * PART_STRIDE;
        int64_t bytes = commands[i * COMMAND_STRIDE] - at;
        memcpy(to + part[1], data + at, (size_t)bytes);
        part[1] += bytes;
        at += bytes;
    }
    for (int64_t p = 0; p < found; p++) parts[p * PART_STRIDE + 1] -= parts[p * PART_STRIDE + 2];
    return found;
}
