/* fuzz_nodefile.c - any text as a file of nodes and as an expression that names it: no fault,
 * within its bounds, and no file is left in what comes out
 *
 * The input is an expression, a newline, and the file f. */
#include "submit/nodefile.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char base[] = "/tmp/rmigrate-fuzz-XXXXXX";

static void clean(void)
{
    unlink("f");
    if (chdir("/") == 0)
        rmdir(base);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    if (!mkdtemp(base) || chdir(base) < 0)
        abort();
    atexit(clean);
    return 0;
}

/* A file stands where an element begins. */
static bool has_file(const char *text)
{
    for (const char *at = text; *at; at++)
        if (*at == '^' && (at == text || strchr("(", at[-1])))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rm_err err = {""};
    char *expression = malloc(size + 1), *out = NULL;
    if (size > 0)
        memcpy(expression, data, size);
    expression[size] = '\0';
    char *file = strchr(expression, '\n');
    if (file && !memchr(data, '/', (size_t)(file - expression))) { /* no other file is read */
        size_t at = (size_t)(file - expression) + 1;
        int fd = open("f", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        *file = '\0';
        if (fd < 0 || write(fd, data + at, size - at) != (ssize_t)(size - at))
            abort();
        close(fd);
        bool outside = memmem(data + at, size - at, "/", 1) != NULL;
        int r = outside ? 0 : nodefile_expand(expression, &out, &err);
        if (!outside && ((r < 0) != (err.text[0] != '\0') || (r < 0) != (out == NULL)))
            abort();
        if (out && (strlen(out) > NODEFILE_TEXT_MAX || has_file(out)))
            abort();
    }
    free(out);
    free(expression);
    return 0;
}
