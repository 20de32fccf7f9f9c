/* fuzz_noderange.c - any text as a noderange: no fault, within its bounds, sorted, unique, only
 * nodes */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/noderange.h"

/* Most names exist; the last byte decides, so that ranges and brackets make known and unknown ones.
 */
static bool is_node(void *ctx, const char *name)
{
    (void)ctx;
    size_t length = strlen(name);
    return length > 0 && name[length - 1] != 'x' && strpbrk(name, "[],:") == NULL &&
           (strchr(name, '-') == NULL || name[0] == 'd');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct noderange_site site = {.is_node = is_node};
    struct noderange range = {0};
    struct rm_err err = {""};
    char *text = malloc(size + 1);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    int r = noderange_expand(text, &site, &range, &err);
    if ((r < 0) != (err.text[0] != '\0') || (r == 0) != (range.n > 0) ||
        range.n > NODERANGE_NODES_MAX)
        abort();
    for (size_t i = 0; i < range.n; i++) {
        if (!is_node(NULL, range.names[i]) || !noderange_has(&range, range.names[i]))
            abort();
        if (i > 0 && strcmp(range.names[i - 1], range.names[i]) >= 0)
            abort();
    }
    noderange_done(&range);
    free(text);
    return 0;
}
