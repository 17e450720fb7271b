#include "crc64.h"

/* The polynomial 0xad93d23594c935a9 with its bits reversed. */
#define POLYNOMIAL UINT64_C(0x95ac9329ac4bc9b5)

/* The table is made once per call: 256 entries are little beside what a DUMP costs, and there is no state. */
uint64_t redraft_crc64(const uint8_t *data, size_t length) {
    uint64_t table[256], crc = 0;
    for (int byte = 0; byte < 256; byte++) {
        uint64_t entry = (uint64_t)byte;
        for (int bit = 0; bit < 8; bit++) entry = entry >> 1 ^ (entry & 1 ? POLYNOMIAL : 0);
        table[byte] = entry;
    }
    for (size_t i = 0; i < length; i++) crc = table[(crc ^ data[i]) & 0xff] ^ crc >> 8;
    return crc;
}
