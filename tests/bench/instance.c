/* instance.c - public instances are read: JSON, compressed or not */
#include "tests/bench/instance.h"

#include "conf/array.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

enum { CHUNK = 1 << 16 };

json_t *instance_read(const char *path)
{
    gzFile file = gzopen(path, "rb"); /* also what is not compressed */
    char *text = NULL;
    size_t n = 0, room = 0;
    int got = 0;

    if (!file)
        return NULL;
    do {
        n += (size_t)got;
        text = must(realloc(text, room = n + CHUNK));
        got = gzread(file, text + n, CHUNK);
    } while (got > 0);
    gzclose(file);
    json_t *json = json_loadb(text, n, 0, NULL);
    free(text);
    return json;
}

int instance_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && strstr(entry->d_name, ".json") != NULL;
}

uint64_t instance_number(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

double instance_now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}
