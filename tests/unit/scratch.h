/* scratch.h - for tests of the store: a directory of its own for each test, gone afterwards */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

#include "store/store.h"

#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SCRATCH_SIZE = 256 * 1024 * 1024 }; /* address space of a test's store; sparse */

struct scratch {
    char base[64];       /* the directory of the test */
    char path[96];       /* of its store, base/store */
    struct store *store; /* open, may be NULL */
};

static inline int scratch_remove_one(const char *path, const struct stat *st, int type,
                                     struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void scratch_open(struct scratch *scratch)
{
    struct rm_err err = {""};
    int r = store_open(scratch->path, SCRATCH_SIZE, STORE_CREATE | STORE_NO_SYNC, &scratch->store,
                       &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_int_equal(r, 0);
}

static inline int scratch_setup(void **state)
{
    struct scratch *scratch = calloc(1, sizeof(*scratch));
    snprintf(scratch->base, sizeof(scratch->base), "/tmp/rmigrate-test-XXXXXX");
    assert_non_null(mkdtemp(scratch->base));
    snprintf(scratch->path, sizeof(scratch->path), "%s/store", scratch->base);
    scratch_open(scratch);
    *state = scratch;
    return 0;
}

static inline int scratch_teardown(void **state)
{
    struct scratch *scratch = *state;
    store_close(scratch->store);
    nftw(scratch->base, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(scratch);
    return 0;
}

/* Closes and opens it again: what was not committed is gone. */
static inline void scratch_reopen(struct scratch *scratch)
{
    store_close(scratch->store);
    scratch->store = NULL;
    scratch_open(scratch);
}

#define SCRATCH_TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

#endif
