/* change.c - what has changed between two readings of the settings, and what may not */
#include "conf/change.h"

#include "conf/setting.h"
#include "conf/text.h"
#include "conf/unit.h"
#include "conf/word.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_BYTES = 640,  /* of a whole name, a row's own in it */
    VALUE_BYTES = 256, /* of a value that is told; a longer one is cut */
};

static const void *field(const void *base, size_t offset)
{
    return (const char *)base + offset;
}

/* The pointer to items that are not known here, and how many there are. */
static char *items_of(const struct setting *setting, const void *base, size_t *ret_n)
{
    char *items;
    memcpy(&items, field(base, setting->offset), sizeof(items));
    memcpy(ret_n, field(base, setting->count_offset), sizeof(*ret_n));
    return items;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_texts(const struct setting *setting, const void *was, const void *is)
{
    size_t n, m;
    char **a = (char **)(void *)items_of(setting, was, &n);
    char **b = (char **)(void *)items_of(setting, is, &m);
    if (n != m)
        return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

/* Bytes of a value that is no pointer. */
static size_t size_of(const struct setting *setting)
{
    switch (setting->kind) {
    case SETTING_WORD:
        return setting->size;
    case SETTING_COUNT:
        return sizeof(unsigned);
    case SETTING_BOOL:
        return sizeof(bool);
    default:
        return sizeof(uint64_t);
    }
}

static bool same_value(const struct setting *setting, const void *was, const void *is)
{
    const void *a = field(was, setting->offset), *b = field(is, setting->offset);
    switch (setting->kind) {
    case SETTING_TEXT:
        return same_text(*(char *const *)a, *(char *const *)b);
    case SETTING_TEXTS:
        return same_texts(setting, was, is);
    default:
        return memcmp(a, b, size_of(setting)) == 0;
    }
}

/* ---- for people */

static void texts_text(const struct setting *setting, const void *base, char text[VALUE_BYTES])
{
    size_t n, used = 0;
    char **texts = (char **)(void *)items_of(setting, base, &n);
    text_format(text, VALUE_BYTES, "%s", n == 0 ? "none" : "");
    for (size_t i = 0; i < n && used < VALUE_BYTES - 4; i++) {
        text_format(text + used, VALUE_BYTES - used, "%s%s", i > 0 ? ", " : "", texts[i]);
        used = strlen(text);
    }
}

/* exact: a size in bytes and a duration in microseconds, where both would look the same otherwise. */
static void value_text(const struct setting *setting, const void *base, bool exact,
                       char text[VALUE_BYTES])
{
    const void *at = field(base, setting->offset);
    char unit[UNIT_TEXT_MAX], word[WORD_TEXT_MAX];
    switch (setting->kind) {
    case SETTING_TEXT:
        text_format(text, VALUE_BYTES, "%s", *(char *const *)at ? *(char *const *)at : "none");
        return;
    case SETTING_TEXTS:
        texts_text(setting, base, text);
        return;
    case SETTING_WORD:
        setting->show(at, word);
        text_format(text, VALUE_BYTES, "%s", word);
        return;
    case SETTING_COUNT:
        text_format(text, VALUE_BYTES, "%u", *(const unsigned *)at);
        return;
    case SETTING_BOOL:
        text_format(text, VALUE_BYTES, "%s", *(const bool *)at ? "true" : "false");
        return;
    default:
        break;
    }
    uint64_t value = *(const uint64_t *)at;
    if (exact)
        text_format(text, VALUE_BYTES, "%" PRIu64, value);
    else
        text_format(text, VALUE_BYTES, "%s",
                    setting->kind == SETTING_SIZE   ? unit_size_text(value, unit)
                    : setting->kind == SETTING_RATE ? unit_rate_text(value, unit)
                                                    : unit_duration_text(value, unit));
}

static void tell_value(const struct setting *setting, const char *name, const void *was,
                       const void *is, conf_change_f *visit, void *ctx)
{
    char from[VALUE_BYTES], to[VALUE_BYTES];
    value_text(setting, was, /* exact = */ false, from);
    value_text(setting, is, /* exact = */ false, to);
    if (strcmp(from, to) == 0) {
        value_text(setting, was, /* exact = */ true, from);
        value_text(setting, is, /* exact = */ true, to);
    }
    visit(ctx, &(struct conf_change){name, from, to, setting->flags & SETTING_FIXED});
}

/* ---- rows */

/* What a row is called: the first setting of its table. */
static const char *row_name(const struct setting *table, const void *row)
{
    assert(table->kind == SETTING_TEXT);
    return *(char *const *)field(row, table->offset);
}

static int compare_rows(const void *a, const void *b, void *table)
{
    return strcmp(row_name(table, *(const void *const *)a),
                  row_name(table, *(const void *const *)b));
}

/* The rows by their names, and NULL; NULL: no memory. */
static const void **sort_rows(const struct setting *setting, const void *base)
{
    size_t n;
    const char *items = items_of(setting, base, &n);
    const void **rows = calloc(n + 1, sizeof(*rows));
    for (size_t i = 0; rows && i < n; i++)
        rows[i] = items + i * setting->size;
    if (rows)
        qsort_r(rows, n, sizeof(*rows), compare_rows, (void *)(uintptr_t)setting->table);
    return rows;
}

static int compare_lists(const struct setting *setting, const char *name, const void *was,
                         const void *is, conf_change_f *visit, void *ctx)
{
    const struct setting *table = setting->table;
    const void **old = sort_rows(setting, was), **new = sort_rows(setting, is);
    int r = old && new ? 0 : -ENOMEM;
    for (size_t i = 0, k = 0; r == 0 && (old[i] || new[k]);) {
        int order = !old[i]   ? 1
                    : !new[k] ? -1
                              : strcmp(row_name(table, old[i]), row_name(table, new[k]));
        char inner[NAME_BYTES];
        if (order < 0) {
            visit(ctx, &(struct conf_change){.name = name, .from = row_name(table, old[i++])});
        } else if (order > 0) {
            visit(ctx, &(struct conf_change){.name = name, .to = row_name(table, new[k++])});
        } else {
            text_format(inner, sizeof(inner), "%s.%s", name, row_name(table, old[i]));
            r = change_visit(table, inner, old[i++], new[k++], visit, ctx);
        }
    }
    free(old);
    free(new);
    return r;
}

int change_visit(const struct setting *table, const char *path, const void *was, const void *is,
                 conf_change_f *visit, void *ctx)
{
    int r = 0;
    for (; table->name && r == 0; table++) {
        char name[NAME_BYTES];
        text_format(name, sizeof(name), "%s.%s", path, table->name);
        if (table->kind == SETTING_GROUP)
            r = change_visit(table->table, name, field(was, table->offset),
                             field(is, table->offset), visit, ctx);
        else if (table->kind == SETTING_ROWS)
            r = compare_lists(table, name, was, is, visit, ctx);
        else if (!same_value(table, was, is))
            tell_value(table, name, was, is, visit, ctx);
    }
    return r;
}

/* ---- what stays */

static int keep_texts(const struct setting *setting, const void *was, void *is)
{
    size_t n;
    char **texts = (char **)(void *)items_of(setting, was, &n);
    char **copy = calloc(n + 1, sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    memcpy((char *)is + setting->offset, &copy, sizeof(copy));
    memcpy((char *)is + setting->count_offset, &n, sizeof(n));
    for (size_t i = 0; i < n; i++)
        if (!(copy[i] = strdup(texts[i])))
            return -ENOMEM;
    return 0;
}

int change_undo_fixed(const struct setting *table, const void *was, void *is)
{
    int r = 0;
    for (; table->name && r == 0; table++) {
        if (!(table->flags & SETTING_FIXED))
            continue;
        const struct setting one[] = {*table, {.name = NULL}};
        const void *from = field(was, table->offset);
        void *to = (char *)is + table->offset;
        setting_done(one, is);
        if (table->kind == SETTING_TEXTS) {
            r = keep_texts(table, was, is);
        } else if (table->kind == SETTING_TEXT) {
            const char *text = *(char *const *)from;
            char *copy = text ? strdup(text) : NULL;
            memcpy(to, &copy, sizeof(copy));
            r = text && !copy ? -ENOMEM : 0;
        } else {
            memcpy(to, from, size_of(table));
        }
    }
    return r;
}
