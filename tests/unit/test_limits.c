/* test_limits.c - docs/limits.md says what the sources say, and leaves nothing out
 *
 * The sources are read as text: "NAME = NUMBER" or "NAME = NUMBER * NUMBER" in an enum. So a bound may
 * stand in the one file that needs it. */
#include <ctype.h>
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NAMES = 1000, NAME = 63 };

struct bound {
    char name[NAME + 1];
    const char *folder;
    long value;
};
static struct bound defined[NAMES], documented[NAMES];
static size_t n_defined, n_documented;

/* Of these folders every constant whose name ends with _MAX is a bound that a peer may reach. */
static const char *const watched[] = {"broker",       "broker/tables", "store",
                                      "store/tables", "wire",          NULL};
/* Bounds of other folders may stand in the table as well. */
static const char *const others[] = {"conf", "submit/watch", "submit/whatif", NULL};

/* No bound of what a peer can cause, and why. */
static const char *const passed_over[] = {
    /* how much of something a text names: the rest is left out of that text */
    "KNOWN_MAX",
    "REASONS_MAX",
    "WARNINGS_MAX",
    "REFUSED_MAX",
    "LEFT_MAX",
    "LEFT_TEXT_MAX",
    "LEFT_ALL_MAX",
    "EXCERPT_MAX",
    "ATTR_FROM_MAX",
    /* how long one thing may be that is part of what has a bound; longer ones are none */
    "USERID_MAX",
    "ALIAS_NAME_MAX",
    "PATTERN_NODE_MAX",
    "NODERANGE_NAME_MAX",
    "NODERANGE_DIGITS_MAX",
    "SUM_WIDTH_MAX",
    "SUM_GROUPS_MAX",
    "NAMES_MAX",
    "NET_ROUTE_MAX",
    "STORE_KEY_MAX",
    "INLINE_MAX",
    /* caches, and lists that are read anew where they are too short */
    "ATTR_PATTERNS_MAX",
    "STORE_CHANGES_MAX",
    "CHANGE_KEY_MAX",
    "USERS_MAX",
    "CHUNK_MAX",
    /* of the program itself, its settings and its machine */
    "PLATFORMS_MAX",
    "KEY_FILE_MAX",
    "USER_ENTRY_MAX",
    "NET_FILES_MAX",
    "NET_FDS_MAX",
    "NET_OFFLINE_MAX",
    "WORDS_MAX",
    "FAILURES_MAX",
};

static const struct bound *find(const struct bound *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

static bool is_watched(const char *folder)
{
    for (const char *const *at = watched; *at; at++)
        if (strcmp(*at, folder) == 0)
            return true;
    return false;
}

static bool is_passed_over(const char *name)
{
    for (size_t i = 0; i < sizeof(passed_over) / sizeof(passed_over[0]); i++)
        if (strcmp(passed_over[i], name) == 0)
            return true;
    return false;
}

/* A product of numbers; false: it is something else. */
static bool product(const char *text, long *ret_value)
{
    long value = 1;
    for (;;) {
        char *end;
        long factor = strtol(text, &end, 10);
        if (end == text)
            return false;
        value *= factor;
        text = end + strspn(end, " ");
        if (*text != '*')
            break;
        text++;
    }
    *ret_value = value;
    return *text == ',' || *text == '}' || *text == ';' || *text == '\n' || *text == '/';
}

static void read_line(const char *folder, const char *line)
{
    for (const char *at = strstr(line, " = "); at; at = strstr(at + 3, " = ")) {
        const char *from = at;
        long value;
        while (from > line && (isupper((unsigned char)from[-1]) ||
                               isdigit((unsigned char)from[-1]) || from[-1] == '_'))
            from--;
        size_t length = (size_t)(at - from);
        if (length == 0 || length > NAME || !isupper((unsigned char)*from) ||
            (from > line && from[-1] != ' ') || !product(at + 3, &value))
            continue;
        assert_true(n_defined < NAMES);
        memcpy(defined[n_defined].name, from, length);
        defined[n_defined].folder = folder;
        defined[n_defined++].value = value;
    }
}

static void read_file(const char *folder, const char *path)
{
    char line[1024], whole[2048] = "";
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        /* clang-format breaks a long line after the sign. */
        bool goes_on = strlen(line) > 2 && strcmp(line + strlen(line) - 2, "=\n") == 0;
        if (goes_on && strlen(line) < sizeof(line)) {
            snprintf(whole, sizeof(whole), "%.*s ", (int)strlen(line) - 1, line);
            continue;
        }
        size_t used = strlen(whole);
        snprintf(whole + used, sizeof(whole) - used, "%s", line + (used ? strspn(line, " ") : 0));
        read_line(folder, whole);
        whole[0] = '\0';
    }
    fclose(file);
}

static void read_folder(const char *folder)
{
    char path[512];
    snprintf(path, sizeof(path), SOURCE_DIR "/%s", folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        size_t length = strlen(entry->d_name);
        if (length < 3 || (strcmp(entry->d_name + length - 2, ".c") != 0 &&
                           strcmp(entry->d_name + length - 2, ".h") != 0))
            continue;
        snprintf(path, sizeof(path), SOURCE_DIR "/%s/%s", folder, entry->d_name);
        read_file(folder, path);
    }
    closedir(dir);
}

static int setup(void **state)
{
    (void)state;
    char line[1024];
    for (size_t i = 0; watched[i]; i++)
        read_folder(watched[i]);
    for (size_t i = 0; others[i]; i++)
        read_folder(others[i]);
    FILE *file = fopen(SOURCE_DIR "/docs/limits.md", "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        struct bound *row = &documented[n_documented];
        const char *cell = strstr(line, " | `");
        if (line[0] != '|' || !cell)
            continue;
        assert_true(n_documented < NAMES);
        assert_int_equal(sscanf(cell, " | `%63[A-Z0-9_]` | %ld |", row->name, &row->value), 2);
        n_documented++;
    }
    fclose(file);
    return 0;
}

static void each_row_is_a_constant_of_the_sources_with_its_value(void **state)
{
    (void)state;
    bool are_right = true;
    assert_true(n_documented > 50);
    for (size_t i = 0; i < n_documented; i++) {
        const struct bound *bound = find(defined, n_defined, documented[i].name);
        if (bound && bound->value == documented[i].value)
            continue;
        are_right = false;
        print_error(
            "docs/limits.md: %s is %ld there, and %ld in the sources (0: it is not there)\n",
            documented[i].name, documented[i].value, bound ? bound->value : 0L);
    }
    assert_true(are_right);
}

static void each_bound_of_the_sources_has_a_row(void **state)
{
    (void)state;
    bool are_right = true;
    assert_true(n_defined > 100);
    for (size_t i = 0; i < n_defined; i++) {
        const char *name = defined[i].name;
        size_t length = strlen(name);
        if (length < 4 || strcmp(name + length - 4, "_MAX") != 0 ||
            !is_watched(defined[i].folder) || is_passed_over(name) ||
            find(documented, n_documented, name))
            continue;
        are_right = false;
        print_error("docs/limits.md: %s of %s/ is missing\n", name, defined[i].folder);
    }
    assert_true(are_right);
}

static void what_is_passed_over_is_still_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(passed_over) / sizeof(passed_over[0]); i++)
        if (!find(defined, n_defined, passed_over[i]) ||
            find(documented, n_documented, passed_over[i]))
            fail_msg("%s is no constant any more, or has its row", passed_over[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_is_a_constant_of_the_sources_with_its_value),
        cmocka_unit_test(each_bound_of_the_sources_has_a_row),
        cmocka_unit_test(what_is_passed_over_is_still_there),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
