/* args.c - what a command gets of its line */
#include "submit/args.h"

#include "conf/text.h"

#include <errno.h>
#include <stdlib.h>

int args_number(const char *text, uint64_t most, uint64_t *ret_number)
{
    uint64_t n;
    if (text_number(&text, &n) < 0 || *text != '\0' || n == 0 || n > most)
        return -EINVAL;
    *ret_number = n;
    return 0;
}

void args_done(struct args *args)
{
    for (size_t i = 0; i < sizeof(args->nodes) / sizeof(args->nodes[0]); i++)
        free(args->nodes[i]);
    free(args->operands);
    free(args->where);
    free(args->line);
    *args = (struct args){0};
}
