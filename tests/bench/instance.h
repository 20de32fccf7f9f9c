/* instance.h - public instances are read: JSON, compressed or not */
#ifndef TESTS_BENCH_INSTANCE_H
#define TESTS_BENCH_INSTANCE_H

#include <dirent.h>
#include <jansson.h>
#include <stdint.h>

json_t *instance_read(const char *path); /* NULL: not there, or no JSON */
/* For scandir(3): files of that kind. */
int instance_file(const struct dirent *entry);
uint64_t instance_number(const json_t *object, const char *key); /* 0: it has none */
double instance_now(void);                                       /* seconds */

#endif
