/*
 * Finds the commands in a buffer of RESP requests: where they end, which they are, whose keys they name.
 *
 * Owns: the request grammar (as Redis reads it), the key's slot, the look-up of a command's name in a table
 * that Python fills.  Bytes and offsets in, numbers out; nothing is kept between calls and nothing allocated
 * but the table.  What a command means, and where it is sent, is decided in Python.  `redraft/accel/pyscan.py`
 * is the specification; a property test holds the two together.
 */
#ifndef REDRAFT_SCAN_H
#define REDRAFT_SCAN_H

#include <stdint.h>

/* cffi: begin */
typedef struct redraft_commands redraft_commands;

redraft_commands *redraft_commands_new(void);
void redraft_commands_free(redraft_commands *table);
int redraft_commands_add(redraft_commands *table, const char *name, int64_t size, int32_t kind, int32_t arity,
                         int32_t first_key, int32_t last_key, int32_t step);

void redraft_scan(const redraft_commands *table, const uint16_t *groups, int one_slot, int64_t bulk_max,
                  int64_t args_max, const char *data, int64_t start, int64_t size, int64_t *head, int64_t *out,
                  int64_t out_max);
void redraft_probe(int64_t bulk_max, const char *data, int64_t cursor, int64_t left, int64_t size,
                   int64_t *head);
int64_t redraft_scan_args(const redraft_commands *table, const char *data, int64_t size, int64_t *commands,
                          int64_t commands_max, int64_t *args, int64_t args_max, int64_t *args_count);
int64_t redraft_partition(const char *data, int64_t start, const int64_t *commands, int64_t count, char *to,
                          uint16_t *order, int64_t *parts);
/* cffi: end */

#endif
