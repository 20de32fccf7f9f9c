/* fuzz_msg.c - any bytes as a frame: no fault, bounded memory, what is accepted packs the same */
#include "wire/msg.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA = 8 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rm_err err = {""};
    RmMessage *message, *again;
    size_t once_length, twice_length;
    struct arena *arena = arena_new(ARENA), *other = arena_new(/* limit = */ 0);
    int r = msg_unpack(arena, data, size, &message, &err);
    if ((r < 0) != (err.text[0] != '\0'))
        abort();
    if (r >= 0) {
        if (msg_name(message)[0] == '\0')
            abort();
        uint8_t *once = msg_pack(message, &once_length);
        if (once == NULL || msg_unpack(other, once, once_length, &again, NULL) < 0)
            abort();
        uint8_t *twice = msg_pack(again, &twice_length);
        if (twice == NULL || once_length != twice_length || memcmp(once, twice, once_length) != 0)
            abort();
        free(once);
        free(twice);
    }
    arena_free(arena);
    arena_free(other);
    return 0;
}
