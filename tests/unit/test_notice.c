/* test_notice.c - each notice has an entry in the catalog, and each entry a notice */
#include "conf/notice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ID_LEN = 32, LINE_MAX_BYTES = 512 };

/* What the catalog says of one notice. */
struct entry {
    unsigned n, n_subject, n_by, n_manual, n_lines; /* how often; lines of its text */
};

static void read_catalog(struct entry entries[NOTICE_COUNT])
{
    FILE *file = fopen(SOURCE_DIR "/conf/rmigrate.catalog", "re");
    char line[LINE_MAX_BYTES];
    struct entry *entry = NULL;
    bool head = false;
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "-- ", 3) == 0) {
            entry = NULL;
            for (int i = NOTICE_NONE + 1; i < NOTICE_COUNT; i++)
                if (strcmp(line + 3, notice_id((enum notice)i)) == 0)
                    entry = &entries[i];
            if (!entry)
                fail_msg("no notice has the number of the entry %s", line);
            entry->n++;
            head = true;
        } else if (entry && *line == '\0') {
            head = false;
        } else if (entry && head) {
            entry->n_subject += strncmp(line, "Subject: ", 9) == 0 && line[9] != '\0';
            entry->n_by += strcmp(line, "Defined-By: rmigrate") == 0;
            entry->n_manual += strncmp(line, "Documentation: man:rmigrate", 27) == 0;
        } else if (entry) {
            entry->n_lines++;
        }
    }
    fclose(file);
}

static void catalog_and_table_have_the_same_numbers(void **state)
{
    (void)state;
    struct entry entries[NOTICE_COUNT] = {{0}};
    read_catalog(entries);
    for (int i = NOTICE_NONE + 1; i < NOTICE_COUNT; i++)
        if (entries[i].n != 1 || entries[i].n_subject != 1 || entries[i].n_by != 1 ||
            entries[i].n_manual != 1 || entries[i].n_lines == 0)
            fail_msg("%s: its entry is missing, there twice, or not whole",
                     notice_name((enum notice)i));
}

static void numbers_and_names_are_well_formed_and_differ(void **state)
{
    (void)state;
    for (int i = NOTICE_NONE + 1; i < NOTICE_COUNT; i++) {
        const char *id = notice_id((enum notice)i), *name = notice_name((enum notice)i);
        assert_int_equal(strspn(id, "0123456789abcdef"), ID_LEN);
        assert_int_equal(strlen(id), ID_LEN);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
        for (int k = NOTICE_NONE + 1; k < i; k++) {
            assert_string_not_equal(id, notice_id((enum notice)k));
            assert_string_not_equal(name, notice_name((enum notice)k));
        }
    }
    assert_string_equal(notice_id(NOTICE_NONE), "");
    assert_string_equal(notice_name(NOTICE_NONE), "");
}

/* The manual lists the names that people look for. */
static void the_manual_names_each(void **state)
{
    (void)state;
    static char manual[1 << 16];
    FILE *file = fopen(SOURCE_DIR "/docs/man/rmigrate-broker.8", "re");
    assert_non_null(file);
    manual[fread(manual, 1, sizeof(manual) - 1, file)] = '\0';
    fclose(file);
    for (int i = NOTICE_NONE + 1; i < NOTICE_COUNT; i++) {
        char item[64];
        snprintf(item, sizeof(item), "\n.It %s\n", notice_name((enum notice)i));
        if (!strstr(manual, item))
            fail_msg("rmigrate-broker(8) does not name %s", notice_name((enum notice)i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(catalog_and_table_have_the_same_numbers),
        cmocka_unit_test(numbers_and_names_are_well_formed_and_differ),
        cmocka_unit_test(the_manual_names_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
