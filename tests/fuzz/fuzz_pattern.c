/* fuzz_pattern.c - any text as a stored value on any name: no fault, within its bounds, and what
 * can be stored can be read: an error then is of the name alone
 *
 * The input is a name, a newline, and the value. */
#include "store/tables/pattern.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[PATTERN_RESULT_MAX + 1];
    struct rm_err err = {""};
    char *node = malloc(size + 1);
    if (size > 0)
        memcpy(node, data, size);
    node[size] = '\0';
    char *value = strchr(node, '\n');
    if (value) {
        *value++ = '\0';
        int checked = pattern_check(value, &err);
        if ((checked < 0) != (err.text[0] != '\0'))
            abort();
        err.text[0] = '\0';
        int r = pattern_expand(value, node, text, &err);
        if ((r < 0) != (err.text[0] != '\0') || (checked < 0 && r >= 0))
            abort();
        if (r >= 0 && (r > PATTERN_RESULT_MAX || strlen(text) != (size_t)r))
            abort();
        if (!pattern_is(value) && r >= 0 && strcmp(text, value) != 0)
            abort();
    }
    free(node);
    return 0;
}
