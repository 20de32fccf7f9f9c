/* filter.c - part of every unit test: TEST_FILTER=PATTERN runs only the tests inside whose name fits
 *
 * `*` and `?` are wildcards. A pattern that fits none runs none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

__attribute__((constructor)) static void set_filter(void)
{
    const char *pattern = getenv("TEST_FILTER");
    if (pattern)
        cmocka_set_test_filter(pattern);
}
