/* fuzz_csv.c - any bytes as CSV: no fault, and what was read is written and read again the same */
#include "store/tables/csv.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads all records and writes them in the canonical form; false when the text is refused. Frees
 * *ret_out with free(). */
static bool rewrite(const char *text, size_t length, char **ret_out, size_t *ret_length)
{
    const struct csv_field *fields;
    struct rm_err err = {""};
    size_t n;
    unsigned line = 0, last = 0;
    struct csv *csv = csv_new(text, length);
    FILE *out = open_memstream(ret_out, ret_length);
    int r = csv_header(csv, &fields, &n, &err);
    for (size_t i = 0; i < n && r == 0; i++)
        fprintf(out, "%c%s", i ? ',' : '#', fields[i].text);
    putc('\n', out);
    size_t columns = n;
    while (r == 0 && (r = csv_next(csv, &fields, &n, &line, &err)) == 1) {
        if (n > columns || n == 0 || line <= last)
            abort();
        last = line;
        for (size_t i = 0; i < n; i++) {
            if (!fields[i].set && fields[i].text[0] != '\0')
                abort();
            csv_write(out, fields[i].set ? fields[i].text : NULL, i == 0);
        }
        if (n == 1 && !fields[0].set)
            putc(',', out); /* a line of nothing would be skipped */
        putc('\n', out);
        r = 0;
    }
    if ((r < 0) != (err.text[0] != '\0'))
        abort();
    fclose(out);
    csv_free(csv);
    return r == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *once, *twice = NULL;
    size_t n, m;
    if (rewrite((const char *)data, size, &once, &n)) {
        if (!rewrite(once, n, &twice, &m) || n != m || memcmp(once, twice, n) != 0)
            abort();
    }
    free(once);
    free(twice);
    return 0;
}
