/* CRC-64/Jones, the checksum of Redis's DUMP payloads; `redraft/accel/crc64.py` has the twin. */
#ifndef REDRAFT_CRC64_H
#define REDRAFT_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */
uint64_t redraft_crc64(const uint8_t *data, size_t length);
/* cffi: end */

#endif
