/* key.h - the byte layout of keys: big-endian, so that order is meaning */
#ifndef STORE_KEY_H
#define STORE_KEY_H

#include <stddef.h>
#include <stdint.h>

static inline void key_u64(uint8_t key[static 8], uint64_t n)
{
    for (int i = 7; i >= 0; i--, n >>= 8)
        key[i] = (uint8_t)n;
}

static inline uint64_t key_read_u64(const uint8_t *key)
{
    uint64_t n = 0;
    for (int i = 0; i < 8; i++)
        n = n << 8 | key[i];
    return n;
}

#endif
