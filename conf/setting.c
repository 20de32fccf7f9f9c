/* setting.c - a table of settings, read from libconfig into a struct */
#include "conf/setting.h"

#include "conf/text.h"
#include "conf/unit.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATH_BYTES = 256,    /* "broker.allow[16383].hosts"; a longer unknown name is cut in the text */
    GUESS_NAME_MAX = 32, /* a longer name is not like any of ours */
    GUESS_DISTANCE = 2,  /* letters to change until two names are equal */
};

/* Puts the place of `at` before the text that stands in rd->err; is the code. */
static int set_place(const struct setting_reader *rd, const config_setting_t *at, int code)
{
    if (!rd->source || !at)
        return code;
    unsigned line;
    const char *file = source_file(rd->source, config_setting_source_line(at), &line);
    return rm_prefix(rd->err, code, "%s:%u", file, line);
}

int setting_fail(const struct setting_reader *rd, const config_setting_t *at, const char *format,
                 ...)
{
    char text[RM_ERR_MAX];
    va_list list;
    va_start(list, format);
    rm_err_set(rd->err, "%s", text_vformat(text, sizeof(text), format, list));
    va_end(list);
    return set_place(rd, at, -EINVAL);
}

static void *at_offset(void *base, size_t offset)
{
    return (char *)base + offset;
}

/* The field is a pointer to items that are not known here. */
static void put_items(void *at, char *items)
{
    memcpy(at, &items, sizeof(items));
}

static char *get_items(const void *at)
{
    char *items;
    memcpy(&items, at, sizeof(items));
    return items;
}

static int out_of_memory(const struct setting_reader *rd)
{
    return rm_fail(rd->err, -ENOMEM, "%s", strerror(ENOMEM));
}

/* What may stand in a file. */
static const char *const type_names[] = {
    [CONFIG_TYPE_NONE] = "nothing",
    [CONFIG_TYPE_GROUP] = "a group { }",
    [CONFIG_TYPE_INT] = "a number",
    [CONFIG_TYPE_INT64] = "a number",
    [CONFIG_TYPE_FLOAT] = "a number with a point",
    [CONFIG_TYPE_STRING] = "a text in quotes",
    [CONFIG_TYPE_BOOL] = "true or false",
    [CONFIG_TYPE_ARRAY] = "a list [ ]",
    [CONFIG_TYPE_LIST] = "a list ( )",
};

/* What each kind must be: in words, and one of two types. */
static const struct {
    const char *name;
    int type, other;
} kinds[] = {
    [SETTING_TEXT] = {"a text in quotes", CONFIG_TYPE_STRING, CONFIG_TYPE_STRING},
    [SETTING_TEXTS] = {"a list of texts [ \"...\", \"...\" ]", CONFIG_TYPE_ARRAY, CONFIG_TYPE_LIST},
    [SETTING_WORD] = {"a text in quotes", CONFIG_TYPE_STRING, CONFIG_TYPE_STRING},
    [SETTING_SIZE] = {"a size with a unit in quotes, as \"16 GiB\"", CONFIG_TYPE_STRING,
                      CONFIG_TYPE_STRING},
    [SETTING_RATE] = {"a rate with a unit in quotes, as \"1 Gbit/s\"", CONFIG_TYPE_STRING,
                      CONFIG_TYPE_STRING},
    [SETTING_DURATION] = {"a duration with a unit in quotes, as \"10 min\"", CONFIG_TYPE_STRING,
                          CONFIG_TYPE_STRING},
    [SETTING_COUNT] = {"a whole number", CONFIG_TYPE_INT, CONFIG_TYPE_INT64},
    [SETTING_BOOL] = {"true or false", CONFIG_TYPE_BOOL, CONFIG_TYPE_BOOL},
    [SETTING_GROUP] = {"a group { }", CONFIG_TYPE_GROUP, CONFIG_TYPE_GROUP},
    [SETTING_ROWS] = {"a list of groups ( { }, { } )", CONFIG_TYPE_LIST, CONFIG_TYPE_LIST},
};

static int fail_type(const struct setting_reader *rd, const config_setting_t *value,
                     const char *path, const char *must_be)
{
    return setting_fail(rd, value, "%s must be %s, not %s", path, must_be,
                        type_names[config_setting_type(value)]);
}

static int check_text(const struct setting *setting, const char *text, struct rm_err *err)
{
    if (!*text)
        return rm_fail(err, -EINVAL, "the text is empty");
    for (const char *p = text; *p; p++)
        if (text_control(p) > 0)
            return rm_fail(err, -EINVAL, "the text holds a control character");
    return setting->check ? setting->check(text, err) : 0;
}

static int set_unit(const struct setting *setting, const char *text, uint64_t *ret_value,
                    struct rm_err *err)
{
    static const struct {
        int (*read)(const char *text, uint64_t *ret_value, struct rm_err *err);
        const char *(*write)(uint64_t value, char *buffer);
    } units[] = {
        [SETTING_SIZE] = {unit_size, unit_size_text},
        [SETTING_RATE] = {unit_rate, unit_rate_text},
        [SETTING_DURATION] = {unit_duration, unit_duration_text},
    };
    char low[UNIT_TEXT_MAX], high[UNIT_TEXT_MAX];
    uint64_t value;
    assert(units[setting->kind].read); /* the other kinds are no numbers with a unit */
    int r = units[setting->kind].read(text, &value, err);
    if (r < 0)
        return r;
    bool zero = setting->flags & SETTING_ZERO;
    if ((value < setting->low || value > setting->high) && !(zero && value == 0))
        return rm_fail(err, -ERANGE, "'%s' is out of range: %s%s to %s", text, zero ? "0, or " : "",
                       units[setting->kind].write(setting->low, low),
                       units[setting->kind].write(setting->high, high));
    *ret_value = value;
    return 0;
}

static int set_count(const struct setting *setting, long long value, unsigned *ret_value,
                     struct rm_err *err)
{
    if (value < (long long)setting->low || value > (long long)setting->high)
        return rm_fail(err, -ERANGE, "%lld is out of range: %" PRIu64 " to %" PRIu64, value,
                       setting->low, setting->high);
    *ret_value = (unsigned)value;
    return 0;
}

/* Makes the array of a list, n zeroed items and one more. NULL: no memory. */
static char *make_items(const struct setting *setting, size_t n, void *base)
{
    char *items = calloc(n + 1, setting->size);
    put_items(at_offset(base, setting->offset), items);
    *(size_t *)at_offset(base, setting->count_offset) = items ? n : 0;
    return items;
}

/* Text i of a list. */
static int read_text(const struct setting_reader *rd, const struct setting *setting,
                     const config_setting_t *item, const char *path, char **texts, int i)
{
    const char *text = config_setting_get_string(item);
    int r = check_text(setting, text, rd->err);
    if (r < 0) {
        rm_prefix(rd->err, r, "%s[%d]", path, i);
        return set_place(rd, item, -EINVAL);
    }
    for (int k = 0; k < i; k++)
        if (strcmp(texts[k], text) == 0)
            return setting_fail(rd, item, "%s names '%s' twice", path, text);
    texts[i] = strdup(text);
    return texts[i] ? 0 : out_of_memory(rd);
}

static int read_items(const struct setting_reader *rd, const struct setting *setting,
                      const config_setting_t *list, const char *path, void *base)
{
    bool are_rows = setting->kind == SETTING_ROWS;
    int n = config_setting_length(list), r = 0;
    int type = are_rows ? CONFIG_TYPE_GROUP : CONFIG_TYPE_STRING;
    if ((uint64_t)n > setting->high)
        return setting_fail(rd, list, "%s: %d entries are more than %" PRIu64, path, n,
                            setting->high);
    if (n == 0)
        return 0;
    char *items = make_items(setting, (size_t)n, base);
    if (!items)
        return out_of_memory(rd);
    for (int i = 0; i < n && r == 0; i++) {
        char inner[PATH_BYTES + sizeof("[2147483647]")];
        snprintf(inner, sizeof(inner), "%s[%d]", path, i);
        const config_setting_t *item = config_setting_get_elem(list, (unsigned)i);
        if (config_setting_type(item) != type)
            r = fail_type(rd, item, inner, type_names[type]);
        else if (are_rows)
            r = setting_read(rd, setting->table, item, inner, items + (size_t)i * setting->size);
        else
            r = read_text(rd, setting, item, path, (char **)(void *)items, i);
    }
    return r;
}

/* A value from its text: what stands in quotes in the file. */
static int set_from_text(const struct setting *setting, const char *text, void *base,
                         struct rm_err *err)
{
    void *at = at_offset(base, setting->offset);
    int r;
    switch (setting->kind) {
    case SETTING_TEXT:
        if (!*text && (setting->flags & SETTING_EMPTY))
            return 0;
        r = check_text(setting, text, err);
        if (r < 0)
            return r;
        *(char **)at = strdup(text);
        return *(char **)at ? 0 : rm_fail(err, -ENOMEM, "%s", strerror(ENOMEM));
    case SETTING_WORD:
        return setting->parse(text, at, err);
    default:
        return set_unit(setting, text, at, err);
    }
}

static int read_value(const struct setting_reader *rd, const struct setting *setting,
                      const config_setting_t *value, const char *path, void *base)
{
    int type = config_setting_type(value);
    if (type != kinds[setting->kind].type && type != kinds[setting->kind].other)
        return fail_type(rd, value, path, kinds[setting->kind].name);
    int r = 0;
    switch (setting->kind) {
    case SETTING_TEXTS:
    case SETTING_ROWS:
        return read_items(rd, setting, value, path, base);
    case SETTING_GROUP:
        return setting_read(rd, setting->table, value, path, at_offset(base, setting->offset));
    case SETTING_COUNT:
        /* config_setting_get_int() answers 0 for what was written with an L. */
        r = set_count(setting,
                      type == CONFIG_TYPE_INT ? config_setting_get_int(value)
                                              : config_setting_get_int64(value),
                      at_offset(base, setting->offset), rd->err);
        break;
    case SETTING_BOOL:
        *(bool *)at_offset(base, setting->offset) = config_setting_get_bool(value);
        break;
    default:
        r = set_from_text(setting, config_setting_get_string(value), base, rd->err);
    }
    if (r == 0)
        return 0;
    rm_prefix(rd->err, r, "%s", path);
    return set_place(rd, value, r == -ENOMEM ? r : -EINVAL);
}

static int set_default(const struct setting_reader *rd, const struct setting *setting,
                       const char *path, void *base)
{
    void *at = at_offset(base, setting->offset);
    if (setting->kind == SETTING_GROUP)
        return setting_read(rd, setting->table, /* group = */ NULL, path, at);
    if (!setting->standard)
        return 0;
    if (setting->kind == SETTING_COUNT)
        return set_count(setting, strtoll(setting->standard, NULL, 10), at, rd->err);
    if (setting->kind == SETTING_BOOL) {
        *(bool *)at = strcmp(setting->standard, "true") == 0;
        return 0;
    }
    if (setting->kind == SETTING_TEXTS) { /* of one element */
        char **texts = (char **)(void *)make_items(setting, 1, base);
        return texts && (texts[0] = strdup(setting->standard)) ? 0 : out_of_memory(rd);
    }
    return set_from_text(setting, setting->standard, base, rd->err);
}

/* How many letters must be put in, taken out or replaced until a is b. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[GUESS_NAME_MAX + 1];
    size_t length = strlen(b);
    for (unsigned k = 0; k <= length; k++)
        row[k] = k;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= length; k++) {
            unsigned best = diagonal + (a[i - 1] != b[k - 1]);
            diagonal = row[k];
            if (row[k] + 1 < best)
                best = row[k] + 1;
            if (row[k - 1] + 1 < best)
                best = row[k - 1] + 1;
            row[k] = best;
        }
    }
    return row[length];
}

/* The name that comes next to a wrong one, or NULL. */
static const char *find_guess(const struct setting *table, const char *name)
{
    const char *guess = NULL;
    unsigned nearest = GUESS_DISTANCE + 1;
    if (strlen(name) > GUESS_NAME_MAX)
        return NULL;
    for (; table->name; table++) {
        unsigned d = strlen(table->name) > GUESS_NAME_MAX ? nearest : distance(name, table->name);
        if (d < nearest && d < strlen(table->name)) {
            nearest = d;
            guess = table->name;
        }
    }
    return guess;
}

const struct setting *setting_find(const struct setting *table, const char *name)
{
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}

int setting_unknown(const struct setting_reader *rd, const struct setting *table,
                    const config_setting_t *value, const char *path)
{
    const char *name = config_setting_name(value), *guess = find_guess(table, name);
    return setting_fail(rd, value, "unknown setting '%s%.100s'%s%s%s", path, name,
                        guess ? ": did you mean '" : "", guess ? guess : "", guess ? "'?" : "");
}

int setting_read(const struct setting_reader *rd, const struct setting *table,
                 const config_setting_t *group, const char *path, void *base)
{
    int n = group ? config_setting_length(group) : 0;
    char prefix[PATH_BYTES];
    snprintf(prefix, sizeof(prefix), "%s.", path);
    for (int i = 0; i < n; i++) {
        const config_setting_t *value = config_setting_get_elem(group, (unsigned)i);
        if (!setting_find(table, config_setting_name(value)))
            return setting_unknown(rd, table, value, prefix);
    }
    for (const struct setting *setting = table; setting->name; setting++) {
        const config_setting_t *value =
            group ? config_setting_get_member(group, setting->name) : NULL;
        char inner[PATH_BYTES];
        snprintf(inner, sizeof(inner), "%s%s", prefix, setting->name);
        int r = 0;
        if (value)
            r = read_value(rd, setting, value, inner, base);
        else if (setting->flags & SETTING_REQUIRED)
            r = setting_fail(rd, group, "%s needs the setting '%s'", path, setting->name);
        else
            r = set_default(rd, setting, inner, base);
        if (r < 0)
            return r;
    }
    return 0;
}

void setting_done(const struct setting *table, void *base)
{
    for (; table->name; table++) {
        void *at = at_offset(base, table->offset);
        if (table->kind == SETTING_TEXT) {
            free(*(char **)at);
            *(char **)at = NULL;
        } else if (table->kind == SETTING_GROUP) {
            setting_done(table->table, at);
        } else if (table->kind == SETTING_TEXTS || table->kind == SETTING_ROWS) {
            char *items = get_items(at);
            size_t *n = at_offset(base, table->count_offset);
            for (size_t i = 0; i < *n; i++)
                if (table->kind == SETTING_ROWS)
                    setting_done(table->table, items + i * table->size);
                else
                    free(((char **)(void *)items)[i]);
            free(items);
            put_items(at, NULL);
            *n = 0;
        }
    }
}

/* The default as the file would write it; NULL when there is none. */
static const char *standard_text(const struct setting *setting, char *buffer, size_t size)
{
    const char *standard = setting->standard;
    if (!standard)
        return NULL;
    if (setting->kind == SETTING_COUNT || setting->kind == SETTING_BOOL)
        return standard;
    if (setting->kind == SETTING_TEXTS)
        snprintf(buffer, size, "[ \"%s\" ]", standard);
    else
        snprintf(buffer, size, "\"%s\"", standard);
    return buffer;
}

void setting_visit(const struct setting *table, const char *path,
                   void (*visit)(void *ctx, const char *name, const char *standard), void *ctx)
{
    for (; table->name; table++) {
        char name[PATH_BYTES], standard[PATH_BYTES];
        snprintf(name, sizeof(name), "%s.%s", path, table->name);
        if (table->kind == SETTING_GROUP || table->kind == SETTING_ROWS)
            setting_visit(table->table, name, visit, ctx);
        else
            visit(ctx, name, standard_text(table, standard, sizeof(standard)));
    }
}
