/* test_limits.c - docs/limits.md says what the headers say */
#include "broker/batch.h"
#include "broker/host.h"
#include "broker/inventory.h"
#include "broker/page.h"
#include "wire/bounds.h"
#include "wire/inbox.h"
#include "wire/msg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BOUND(name)                                                                                \
    {                                                                                              \
#name, name                                                                                \
    }
static const struct {
    const char *name;
    long value;
} bounds[] = {
    BOUND(MSG_MAX),      BOUND(MSG_ARENA_MAX), BOUND(INBOX_PEER_FRAMES),    BOUND(INBOX_PEER_BYTES),
    BOUND(INBOX_BYTES),  BOUND(NET_PEER_MAX),  BOUND(NET_SHARE_PERCENT),    BOUND(NET_ROOT_PERCENT),
    BOUND(PAGE_ROWS),    BOUND(PAGE_BYTES),    BOUND(PAGE_KEPT_MAX),        BOUND(BATCH_LISTS_MAX),
    BOUND(BOUND_NAME),   BOUND(BOUND_TEXT),    BOUND(BOUND_REASON),         BOUND(BOUND_RANGE),
    BOUND(BOUND_VALUE),  BOUND(BOUND_DOMAINS), BOUND(CONF_HYPERVISORS_MAX), BOUND(BOUND_JOBS),
    BOUND(BOUND_TERMS),  BOUND(BOUND_UNKNOWN), BOUND(GUESTS_IDLE),          BOUND(HOST_EVENTS),
    BOUND(DENIED_BURST), BOUND(DENIED_TEXT),   BOUND(STORE_FULL_PERCENT),
};

enum { BOUNDS = sizeof(bounds) / sizeof(bounds[0]) };

/* Each row that names a constant, against the constant; each constant has its row. */
static void the_table_has_each_constant_with_its_value(void **state)
{
    (void)state;
    char line[1024], name[64];
    long value;
    unsigned rows = 0;
    FILE *file = fopen(SOURCE_DIR "/docs/limits.md", "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        const char *cell = strstr(line, " | `");
        if (line[0] != '|' || !cell || sscanf(cell, " | `%63[A-Z_]` | %ld |", name, &value) != 2)
            continue;
        size_t i = 0;
        while (i < BOUNDS && strcmp(bounds[i].name, name) != 0)
            i++;
        if (i == BOUNDS || bounds[i].value != value)
            print_error("%s is not %ld\n", name, value);
        assert_true(i < BOUNDS && bounds[i].value == value);
        rows++;
    }
    fclose(file);
    assert_int_equal(rows, BOUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_has_each_constant_with_its_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
