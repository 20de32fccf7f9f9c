/* setting.c - a table of settings, read from libconfig into a struct */
#include "conf/setting.h"

#include "conf/unit.h"

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

int setting_fail(const struct setting_reader *rd, const config_setting_t *at, const char *format,
                 ...)
{
    char text[RM_ERR_MAX];
    va_list ap;
    va_start(ap, format);
    if (vsnprintf(text, sizeof(text), format, ap) < 0)
        text[0] = '\0';
    va_end(ap);
    rm_fail(rd->err, -EINVAL, "%s", text);
    return setting_place(rd, at, -EINVAL);
}

int setting_place(const struct setting_reader *rd, const config_setting_t *at, int code)
{
    if (!rd->source || !at)
        return code;
    unsigned line;
    const char *file = source_file(rd->source, config_setting_source_line(at), &line);
    return rm_prefix(rd->err, code, "%s:%u", file, line);
}

static void *at_offset(void *base, size_t offset)
{
    return (char *)base + offset;
}

/* The field is a pointer to a struct that is not known here. */
static void put_rows(void *at, char *rows)
{
    memcpy(at, &rows, sizeof(rows));
}

static char *get_rows(const void *at)
{
    char *rows;
    memcpy(&rows, at, sizeof(rows));
    return rows;
}

static int out_of_memory(const struct setting_reader *rd)
{
    return rm_fail(rd->err, -ENOMEM, "%s", strerror(ENOMEM));
}

static const char *type_name(int type)
{
    switch (type) {
    case CONFIG_TYPE_GROUP:
        return "a group { }";
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return "a number";
    case CONFIG_TYPE_FLOAT:
        return "a number with a point";
    case CONFIG_TYPE_STRING:
        return "a text in quotes";
    case CONFIG_TYPE_BOOL:
        return "true or false";
    case CONFIG_TYPE_ARRAY:
        return "a list [ ]";
    case CONFIG_TYPE_LIST:
        return "a list ( )";
    default:
        return "nothing";
    }
}

static const char *kind_name(const struct setting *setting)
{
    switch (setting->kind) {
    case SETTING_TEXT:
    case SETTING_WORD:
        return "a text in quotes";
    case SETTING_SIZE:
        return "a size with a unit in quotes, as \"16 GiB\"";
    case SETTING_RATE:
        return "a rate with a unit in quotes, as \"1 Gbit/s\"";
    case SETTING_DURATION:
        return "a duration with a unit in quotes, as \"10 min\"";
    case SETTING_COUNT:
        return "a whole number";
    case SETTING_BOOL:
        return "true or false";
    case SETTING_TEXTS:
        return "a list of texts [ \"...\", \"...\" ]";
    case SETTING_GROUP:
        return "a group { }";
    case SETTING_ROWS:
        return "a list of groups ( { }, { } )";
    }
    return "?";
}

/* Replaces *p by a copy; a value is set once, but a default may stand there. */
static int set_text(char **p, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    free(*p);
    *p = copy;
    return 0;
}

static int check_text(const struct setting *setting, const char *text, struct rm_err *err)
{
    if (!*text)
        return rm_fail(err, -EINVAL, "the text is empty");
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return rm_fail(err, -EINVAL, "the text holds a control character");
    return setting->check ? setting->check(text, err) : 0;
}

static int set_unit(const struct setting *setting, const char *text, uint64_t *ret_value,
                    struct rm_err *err)
{
    char low[UNIT_TEXT_MAX], high[UNIT_TEXT_MAX];
    uint64_t value;
    int r;
    if (setting->kind == SETTING_SIZE) {
        r = unit_size(text, &value, err);
        unit_size_text(setting->low, low);
        unit_size_text(setting->high, high);
    } else if (setting->kind == SETTING_RATE) {
        r = unit_rate(text, &value, err);
        unit_rate_text(setting->low, low);
        unit_rate_text(setting->high, high);
    } else {
        r = unit_duration(text, &value, err);
        unit_duration_text(setting->low, low);
        unit_duration_text(setting->high, high);
    }
    if (r < 0)
        return r;
    bool zero = setting->flags & SETTING_ZERO;
    if ((value < setting->low || value > setting->high) && !(zero && value == 0))
        return rm_fail(err, -ERANGE, "'%s' is out of range: %s%s to %s", text, zero ? "0, or " : "",
                       low, high);
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

static int read_texts(const struct setting_reader *rd, const struct setting *setting,
                      const config_setting_t *list, const char *path, void *base)
{
    int n = config_setting_length(list);
    if ((uint64_t)n > setting->high)
        return setting_fail(rd, list, "%s: %d entries are more than %" PRIu64, path, n,
                            setting->high);
    if (n == 0)
        return 0;
    char **texts = calloc((size_t)n, sizeof(char *));
    if (!texts)
        return out_of_memory(rd);
    *(char ***)at_offset(base, setting->offset) = texts;
    *(size_t *)at_offset(base, setting->count_offset) = (size_t)n;
    for (int i = 0; i < n; i++) {
        const config_setting_t *entry = config_setting_get_elem(list, (unsigned)i);
        const char *text = config_setting_get_string(entry);
        if (!text)
            return setting_fail(rd, entry, "%s[%d] must be a text in quotes, not %s", path, i,
                                type_name(config_setting_type(entry)));
        int r = check_text(setting, text, rd->err);
        if (r < 0) {
            rm_prefix(rd->err, r, "%s[%d]", path, i);
            return setting_place(rd, entry, -EINVAL);
        }
        for (int k = 0; k < i; k++)
            if (strcmp(texts[k], text) == 0)
                return setting_fail(rd, entry, "%s names '%s' twice", path, text);
        texts[i] = strdup(text);
        if (!texts[i])
            return out_of_memory(rd);
    }
    return 0;
}

static int read_rows(const struct setting_reader *rd, const struct setting *setting,
                     const config_setting_t *list, const char *path, void *base)
{
    int n = config_setting_length(list);
    if ((uint64_t)n > setting->high)
        return setting_fail(rd, list, "%s: %d entries are more than %" PRIu64, path, n,
                            setting->high);
    if (n == 0)
        return 0;
    char *rows = calloc((size_t)n, setting->size);
    if (!rows)
        return out_of_memory(rd);
    put_rows(at_offset(base, setting->offset), rows);
    *(size_t *)at_offset(base, setting->count_offset) = (size_t)n;
    for (int i = 0; i < n; i++) {
        char row_path[PATH_BYTES + sizeof("[2147483647]")];
        snprintf(row_path, sizeof(row_path), "%s[%d]", path, i);
        const config_setting_t *row = config_setting_get_elem(list, (unsigned)i);
        if (!config_setting_is_group(row))
            return setting_fail(rd, row, "%s must be a group { }, not %s", row_path,
                                type_name(config_setting_type(row)));
        int r = setting_read(rd, setting->table, row, row_path, rows + (size_t)i * setting->size);
        if (r < 0)
            return r;
    }
    return 0;
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
        if (r == 0 && (r = set_text(at, text)) < 0)
            rm_fail(err, r, "%s", strerror(-r));
        return r;
    case SETTING_WORD:
        return setting->parse(text, at, err);
    default:
        return set_unit(setting, text, at, err);
    }
}

static bool is_type(const struct setting *setting, int type)
{
    switch (setting->kind) {
    case SETTING_COUNT:
        return type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
    case SETTING_BOOL:
        return type == CONFIG_TYPE_BOOL;
    case SETTING_TEXTS:
        return type == CONFIG_TYPE_ARRAY || type == CONFIG_TYPE_LIST;
    case SETTING_ROWS:
        return type == CONFIG_TYPE_LIST;
    case SETTING_GROUP:
        return type == CONFIG_TYPE_GROUP;
    default:
        return type == CONFIG_TYPE_STRING;
    }
}

static int read_value(const struct setting_reader *rd, const struct setting *setting,
                      const config_setting_t *value, const char *path, void *base)
{
    int type = config_setting_type(value);
    if (!is_type(setting, type))
        return setting_fail(rd, value, "%s must be %s, not %s", path, kind_name(setting),
                            type_name(type));
    int r = 0;
    switch (setting->kind) {
    case SETTING_TEXTS:
        return read_texts(rd, setting, value, path, base);
    case SETTING_ROWS:
        return read_rows(rd, setting, value, path, base);
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
    return setting_place(rd, value, r == -ENOMEM ? r : -EINVAL);
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
        char **texts = calloc(1, sizeof(char *));
        *(char ***)at = texts;
        if (!texts || !(texts[0] = strdup(setting->standard)))
            return out_of_memory(rd);
        *(size_t *)at_offset(base, setting->count_offset) = 1;
        return 0;
    }
    return set_from_text(setting, setting->standard, base, rd->err);
}

static const struct setting *find(const struct setting *table, const char *name)
{
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}

static int fail_unknown(const struct setting_reader *rd, const struct setting *table,
                        const config_setting_t *value, const char *path)
{
    const char *name = config_setting_name(value);
    const char *guess = setting_guess(table, name);
    if (guess)
        return setting_fail(rd, value, "unknown setting '%s.%.100s': did you mean '%s'?", path,
                            name, guess);
    return setting_fail(rd, value, "unknown setting '%s.%.100s'", path, name);
}

int setting_read(const struct setting_reader *rd, const struct setting *table,
                 const config_setting_t *group, const char *path, void *base)
{
    int n = group ? config_setting_length(group) : 0;
    for (int i = 0; i < n; i++) {
        const config_setting_t *value = config_setting_get_elem(group, (unsigned)i);
        if (!find(table, config_setting_name(value)))
            return fail_unknown(rd, table, value, path);
    }
    for (const struct setting *setting = table; setting->name; setting++) {
        const config_setting_t *value =
            group ? config_setting_get_member(group, setting->name) : NULL;
        char inner[PATH_BYTES];
        snprintf(inner, sizeof(inner), "%s.%s", path, setting->name);
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
        } else if (table->kind == SETTING_TEXTS) {
            char **texts = *(char ***)at;
            size_t *n = at_offset(base, table->count_offset);
            for (size_t i = 0; i < *n; i++)
                free(texts[i]);
            free(texts);
            *(char ***)at = NULL;
            *n = 0;
        } else if (table->kind == SETTING_ROWS) {
            char *rows = get_rows(at);
            size_t *n = at_offset(base, table->count_offset);
            for (size_t i = 0; i < *n; i++)
                setting_done(table->table, rows + i * table->size);
            free(rows);
            put_rows(at, NULL);
            *n = 0;
        }
    }
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

const char *setting_guess(const struct setting *table, const char *name)
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
