/* fuzz_ledger.c - any bytes as the record of what rmigrate-watch knows: no fault, and what was read is written and read again the same */
#include "submit/watch/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char *on[] = {(char *)"failed", NULL};
static struct conf_notify rows[] = {{.name = (char *)"a"},
                                    {.name = (char *)"b", .on = on, .n_on = 1}};
static const struct conf_watch conf = {.notify = rows, .n_notify = 2};

/* False: it is refused. */
static bool rewrite(const uint8_t *data, size_t length, uint8_t **ret_record, size_t *ret_length)
{
    struct ledger *ledger = ledger_new(&conf);
    int r = ledger_unpack(ledger, data, length, 1);
    if (r != 0 && r != -EPROTO && r != -ENOMEM)
        abort();
    if (r == 0 && ledger_pack(ledger, ret_record, ret_length) < 0)
        abort();
    ledger_free(ledger);
    return r == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *first, *second;
    size_t n_first, n_second;
    if (!rewrite(data, size, &first, &n_first))
        return 0;
    if (!rewrite(first, n_first, &second, &n_second) || n_first != n_second ||
        memcmp(first, second, n_first) != 0)
        abort();
    free(first);
    free(second);
    return 0;
}
