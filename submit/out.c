/* out.c - what is printed: results, errors, tables */
#include "submit/out.h"

#include "conf/err.h"
#include "conf/service.h"
#include "conf/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <libsmartcols/libsmartcols.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- lines */

/* One line without the characters that would do something to a terminal; the length stays. */
static void put_clean(FILE *file, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        unsigned char next = i + 1 < length ? (unsigned char)text[i + 1] : 0;
        if (c == 0xc2 && next >= 0x80 && next <= 0x9f) { /* U+0080 to U+009F in UTF-8 */
            fputc(' ', file);
            i++;
        } else
            fputc((c < 0x20 && c != '\t') || c == 0x7f ? ' ' : c, file);
    }
}

static void put_lines(FILE *file, const char *name, const char *mark, const char *text)
{
    size_t left = strlen(text);
    while (left > 0 && (text[left - 1] == '\n' || text[left - 1] == '\r'))
        left--;
    do {
        const char *end = memchr(text, '\n', left);
        size_t length = end ? (size_t)(end - text) : left;
        if (name[0] != '\0') {
            put_clean(file, name, strlen(name));
            fputs(": ", file);
        }
        fputs(mark, file);
        put_clean(file, text, length > 0 && text[length - 1] == '\r' ? length - 1 : length);
        fputc('\n', file);
        text += end ? length + 1 : length;
        left -= end ? length + 1 : length;
    } while (left > 0);
}

void out_result(const char *name, const char *text)
{
    put_lines(stdout, name, "", text);
}

void out_failure(const char *name, const char *text)
{
    put_lines(stderr, name, "Error: ", text);
}

static void put_format(const char *name, const char *mark, const char *format, va_list list)
{
    char *text;
    if (vasprintf(&text, format, list) < 0) {
        put_lines(stderr, name, mark, format);
        return;
    }
    put_lines(stderr, name, mark, text);
    free(text);
}

void out_error(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    put_format("", "Error: ", format, list);
    va_end(list);
}

void out_note(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    put_format("rmigrate", "", format, list);
    va_end(list);
}

bool out_is_sound(void)
{
    static bool told;
    int r = fflush(stdout) != 0 ? errno : 0;
    if (r == 0 && !ferror(stdout))
        return true;
    if (!told)
        out_error("cannot write to standard output: %s", strerror(r ? r : EIO));
    told = true;
    return false;
}

int out_finish(int code)
{
    return out_is_sound() || code != EXIT_OK ? code : EXIT_SOME_FAILED;
}

bool out_has_colour(FILE *file)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fileno(file)) && !(no && no[0] != '\0') && term && strcmp(term, "dumb") != 0;
}

bool out_is_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* ---- tables */

struct out_table {
    struct libscols_table *table;
    struct libscols_line *line;
    const struct out_column *columns;
    size_t next;  /* cell of the row that is filled */
    size_t shown; /* the same among those that are shown */
    bool json;
    int failed; /* the first error, negative errno */
};

static int add_column(struct out_table *t, const struct out_column *column)
{
    const char *name = t->json ? column->key : column->heading;
    if (!name)
        return 0;
    int flags = 0;
    if (column->look & OUT_RIGHT)
        flags |= SCOLS_FL_RIGHT;
    if (column->look & OUT_WRAP)
        flags |= SCOLS_FL_WRAP;
    struct libscols_column *c = scols_table_new_column(t->table, name, 0, flags);
    if (!c)
        return -ENOMEM;
    if (t->json && column->kind == OUT_NUMBER)
        return scols_column_set_json_type(c, SCOLS_JSON_NUMBER);
    if (t->json && column->kind == OUT_BOOL)
        return scols_column_set_json_type(c, SCOLS_JSON_BOOLEAN);
    return 0;
}

struct out_table *out_table_new(const char *name, const struct out_column *columns, bool json,
                                bool noheadings)
{
    struct out_table *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->columns = columns;
    t->json = json;
    t->table = scols_new_table();
    if (!t->table) {
        free(t);
        return NULL;
    }
    t->failed = scols_table_set_name(t->table, name);
    scols_table_enable_json(t->table, json);
    scols_table_enable_noheadings(t->table, noheadings);
    scols_table_enable_colors(t->table, !json && out_has_colour(stdout));
    for (size_t i = 0; t->failed == 0 && (columns[i].heading || columns[i].key); i++)
        t->failed = add_column(t, &columns[i]);
    return t;
}

void out_table_free(struct out_table *t)
{
    if (!t)
        return;
    scols_unref_table(t->table);
    free(t);
}

void out_row(struct out_table *t)
{
    if (!t || t->failed)
        return;
    t->line = scols_table_new_line(t->table, NULL);
    if (!t->line)
        t->failed = -ENOMEM;
    t->next = t->shown = 0;
}

/* Both forms of the next cell; human may be NULL for those of JSON only. */
static void put(struct out_table *t, const char *human, const char *raw, enum out_tone tone)
{
    static const char *const tones[] = {NULL, "green", "red", "yellow", "darkgray"};
    if (!t || t->failed || !t->line)
        return;
    const struct out_column *column = &t->columns[t->next++];
    if (!(t->json ? column->key : column->heading))
        return;
    const char *text = t->json ? raw : human;
    bool last = !column[1].heading && !column[1].key;
    if (!t->json && text[0] == '\0' && !last)
        text = "-"; /* so that awk counts the same columns in each row */
    t->failed = scols_line_set_data(t->line, t->shown, text);
    if (t->failed == 0 && tone != TONE_PLAIN && !t->json)
        t->failed = scols_cell_set_color(scols_line_get_cell(t->line, t->shown), tones[tone]);
    t->shown++;
}

void out_text(struct out_table *t, const char *text)
{
    put(t, text, text, TONE_PLAIN);
}

void out_tone(struct out_table *t, const char *text, enum out_tone tone)
{
    put(t, text, text, tone);
}

void out_number(struct out_table *t, uint64_t number)
{
    char text[UNIT_TEXT_MAX];
    snprintf(text, sizeof(text), "%" PRIu64, number);
    put(t, text, text, TONE_PLAIN);
}

void out_count(struct out_table *t, uint64_t number)
{
    char text[UNIT_TEXT_MAX];
    snprintf(text, sizeof(text), "%" PRIu64, number);
    put(t, number ? text : "", text, TONE_PLAIN);
}

void out_bool(struct out_table *t, bool value)
{
    put(t, value ? "yes" : "no", value ? "true" : "false", TONE_PLAIN);
}

void out_size(struct out_table *t, uint64_t bytes)
{
    char human[UNIT_TEXT_MAX], raw[UNIT_TEXT_MAX];
    snprintf(raw, sizeof(raw), "%" PRIu64, bytes);
    put(t, bytes ? unit_size_text(bytes, human) : "", raw, TONE_PLAIN);
}

void out_rate(struct out_table *t, uint64_t rate)
{
    char human[UNIT_TEXT_MAX], raw[UNIT_TEXT_MAX];
    snprintf(raw, sizeof(raw), "%" PRIu64, rate);
    put(t, rate ? unit_rate_text(rate, human) : "", raw, TONE_PLAIN);
}

static const char *seconds(usec_t usec, char buffer[static UNIT_TEXT_MAX])
{
    snprintf(buffer, UNIT_TEXT_MAX, "%" PRIu64 ".%06" PRIu64, usec / USEC_PER_SEC,
             usec % USEC_PER_SEC);
    return buffer;
}

void out_span(struct out_table *t, usec_t span)
{
    char human[UNIT_TEXT_MAX], raw[UNIT_TEXT_MAX];
    put(t, span ? unit_duration_text(span, human) : "", seconds(span, raw), TONE_PLAIN);
}

void out_time(struct out_table *t, usec_t at)
{
    char human[ENV_TIME_MAX], raw[UNIT_TEXT_MAX];
    put(t, at ? env_time_text(at, human) : "", seconds(at, raw), TONE_PLAIN);
}

void out_age(struct out_table *t, usec_t at, usec_t wall)
{
    char human[UNIT_TEXT_MAX], raw[UNIT_TEXT_MAX];
    usec_t age = wall > at ? wall - at : 0;
    age -= age % USEC_PER_SEC; /* tenths of a second are of no interest here */
    put(t, at ? unit_duration_text(age, human) : "", seconds(at, raw), TONE_PLAIN);
}

int out_table_print(struct out_table *t)
{
    int r = t ? t->failed : -ENOMEM;
    if (r == 0 && (t->json || !scols_table_is_empty(t->table)))
        r = scols_print_table(t->table);
    out_table_free(t);
    if (r < 0)
        out_error("cannot print the table: %s", strerror(-r));
    return r < 0 ? EXIT_SOME_FAILED : EXIT_OK;
}
