/* out_table.c - tables for people, fitted to the terminal, or the same rows as JSON */
#include "submit/out.h"

#include "conf/err.h"
#include "conf/service.h"
#include "conf/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum {
    COLUMNS_MAX = 64, /* of a table for people */
    WRAP_LEAST = 24,  /* columns; narrower is not worth wrapping */
    BELOW = 6,        /* columns that stand before what is put below a row */
    COLUMNS_NONE = 0, /* not on a terminal */
};

struct out_table {
    struct libscols_table *table;
    struct libscols_line *line;
    const struct out_column *columns;
    size_t next;  /* cell of the row that is filled */
    size_t shown; /* the same among those that are shown */
    bool json;
    int failed;                   /* the first error, negative errno */
    unsigned widths[COLUMNS_MAX]; /* of the columns that are shown, headings included */
    bool filled[COLUMNS_MAX];     /* some row has something there */
    bool counts[COLUMNS_MAX];     /* numbers that may be left out where there is no room */
};

/* Columns that the text takes on a terminal. */
static unsigned width_of(const char *text)
{
    unsigned sum = 0;
    mbstate_t state = {0};
    for (size_t left = strlen(text); left > 0;) {
        wchar_t wide;
        size_t n = mbrtowc(&wide, text, left, &state);
        bool odd = n == (size_t)-1 || n == (size_t)-2 || n == 0;
        int width = odd ? 4 : wcwidth(wide); /* shown as \xNN */
        sum += width < 0 ? 4 : (unsigned)width;
        n = odd ? 1 : n;
        text += n;
        left -= n;
        if (odd)
            state = (mbstate_t){0};
    }
    return sum;
}

static int add_column(struct out_table *t, const struct out_column *column, size_t i)
{
    const char *name = t->json ? column->key : column->heading;
    if (!name)
        return 0;
    int flags = column->look & OUT_RIGHT ? SCOLS_FL_RIGHT : 0;
    if (!t->json && i < COLUMNS_MAX) {
        t->widths[i] = width_of(name);
        t->counts[i] = column->kind == OUT_NUMBER && column->key;
    }
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
    scols_table_set_termforce(t->table, SCOLS_TERMFORCE_NEVER); /* see print_fitting() */
    for (size_t i = 0; t->failed == 0 && (columns[i].heading || columns[i].key); i++)
        t->failed = add_column(t, &columns[i], scols_table_get_ncols(t->table));
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

/* A cell for people: one line, nothing that moves the cursor. */
static int set_human(struct out_table *t, const char *text, bool last)
{
    size_t i = t->shown;
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    rm_one_line(copy);
    if (i < COLUMNS_MAX) {
        unsigned width = width_of(copy);
        t->widths[i] = width > t->widths[i] ? width : t->widths[i];
        t->filled[i] = t->filled[i] || copy[0] != '\0';
    }
    /* "-", so that awk counts the same columns in each row */
    int r = scols_line_set_data(t->line, i, copy[0] == '\0' && !last ? "-" : copy);
    free(copy);
    return r;
}

/* Both forms of the next cell. */
static void put(struct out_table *t, const char *human, const char *raw, enum out_tone tone)
{
    static const char *const tones[] = {NULL, "green", "red", "yellow"};
    if (!t || t->failed || !t->line)
        return;
    const struct out_column *column = &t->columns[t->next++];
    if (!(t->json ? column->key : column->heading))
        return;
    bool last = !column[1].heading && !column[1].key;
    t->failed = t->json ? scols_line_set_data(t->line, t->shown, raw) : set_human(t, human, last);
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
    put(t, value ? "yes" : "no", value ? "1" : "0", TONE_PLAIN); /* as libsmartcols reads them */
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
    put(t, at ? env_time_text(at, human) : "", at ? seconds(at, raw) : "", TONE_PLAIN);
}

void out_age(struct out_table *t, usec_t at, usec_t wall)
{
    char human[UNIT_TEXT_MAX], raw[UNIT_TEXT_MAX];
    usec_t age = wall > at ? wall - at : 0;
    usec_t minute = 60 * USEC_PER_SEC, hour = 60 * minute;
    age -= age % (age < minute ? USEC_PER_SEC : age < 24 * hour ? minute : hour);
    put(t, at ? unit_duration_text(age, human) : "", at ? seconds(at, raw) : "", TONE_PLAIN);
}

/* ---- a table and its terminal */

static unsigned terminal_width(void)
{
    struct winsize size = {0};
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
        return COLUMNS_NONE;
    return size.ws_col;
}

/* Puts line ends in the place of blanks; a longer word is left to the terminal. */
static void break_lines(char *text, unsigned width)
{
    char *line = text, *blank = NULL; /* the last one that fits */
    for (char *p = text;; p++) {
        if (*p != ' ' && *p != '\0')
            continue;
        char end = *p;
        *p = '\0';
        bool fits = width_of(line) <= width;
        *p = end;
        if (!fits && blank) {
            *blank = '\n';
            line = blank + 1;
        }
        if (end == '\0')
            return;
        blank = p;
    }
}

/* Breaks the cells of the last column into lines of that width. */
static int wrap(struct out_table *t, size_t column, unsigned width)
{
    struct libscols_column *c = scols_table_get_column(t->table, column);
    int r = scols_column_set_flags(c, SCOLS_FL_WRAP);
    if (r == 0)
        r = scols_column_set_wrapfunc(c, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL);
    if (r == 0)
        r = scols_column_set_safechars(c, "\n");
    for (size_t i = 0; r == 0 && i < scols_table_get_nlines(t->table); i++) {
        struct libscols_line *line = scols_table_get_line(t->table, i);
        const char *data = scols_cell_get_data(scols_line_get_cell(line, column));
        char *text = strdup(data ? data : "");
        if (!text)
            return -ENOMEM;
        break_lines(text, width);
        r = scols_line_set_data(line, column, text);
        free(text);
    }
    return r;
}

/* The column of the table that has this place among the shown ones. */
static const struct out_column *shown_column(const struct out_table *t, size_t shown)
{
    const struct out_column *column = t->columns;
    while (!column->heading || shown-- > 0)
        column++;
    return column;
}

static void hide(struct out_table *t, size_t i, unsigned *need)
{
    scols_column_set_flags(scols_table_get_column(t->table, i), SCOLS_FL_HIDDEN);
    *need -= t->widths[i] + 1;
    t->widths[i] = 0;
}

/* What the last column says stands below its row, indented: for terminals that have no room beside
 * it. */
static int print_below(struct out_table *t, size_t last, unsigned have, bool noheadings)
{
    char *text = NULL, *save = NULL;
    int r = scols_print_table_to_string(t->table, &text);
    size_t i = 0;
    for (char *row = r == 0 ? strtok_r(text, "\n", &save) : NULL; row;
         row = strtok_r(NULL, "\n", &save), i++) {
        printf("%s\n", row);
        if (i == 0 && !noheadings)
            continue;
        struct libscols_line *line = scols_table_get_line(t->table, noheadings ? i : i - 1);
        const char *data = line ? scols_cell_get_data(scols_line_get_cell(line, last)) : NULL;
        char *why = strdup(data ? data : "");
        if (!why) {
            r = -ENOMEM;
            break;
        }
        break_lines(why, have - BELOW);
        for (char *p = why; *p; p += strcspn(p, "\n"), p += *p == '\n')
            printf("%*s%.*s\n", BELOW, "", (int)strcspn(p, "\n"), p);
        free(why);
    }
    free(text);
    return r;
}

/* Prints the table so that it fits the terminal: columns of numbers that are all empty go first,
 * then those that can be spared; the last one is wrapped at words, or stands below. What is still
 * too wide the terminal folds by itself. */
static int print_fitting(struct out_table *t)
{
    size_t n = scols_table_get_ncols(t->table);
    unsigned have = terminal_width(), need = 0;
    if (t->json || have < WRAP_LEAST || n == 0 || n > COLUMNS_MAX)
        return scols_print_table(t->table);
    bool wraps = shown_column(t, n - 1)->look & OUT_WRAP;
    unsigned last = t->filled[n - 1] && wraps ? WRAP_LEAST : t->widths[n - 1];
    last = last < t->widths[n - 1] ? last : t->widths[n - 1];
    for (size_t i = 0; i + 1 < n; i++)
        need += t->widths[i] + 1;
    for (size_t i = 0; i + 1 < n && need + last > have; i++)
        if (t->counts[i] && !t->filled[i])
            hide(t, i, &need);
    for (size_t i = n - 1; i-- > 0 && need + last > have;)
        if (t->widths[i] && shown_column(t, i)->look & OUT_SPARE)
            hide(t, i, &need);
    if (!wraps || need + t->widths[n - 1] <= have)
        return scols_print_table(t->table);
    if (need + last <= have) {
        int r = wrap(t, n - 1, have - need);
        return r < 0 ? r : scols_print_table(t->table);
    }
    hide(t, n - 1, &need);
    return print_below(t, n - 1, have, scols_table_is_noheadings(t->table));
}

int out_table_print(struct out_table *t)
{
    int r = t ? t->failed : -ENOMEM;
    if (r == 0 && (t->json || !scols_table_is_empty(t->table)))
        r = print_fitting(t);
    out_table_free(t);
    if (r < 0)
        out_error("cannot print the table: %s", strerror(-r));
    return r < 0 ? EXIT_SOME_FAILED : EXIT_OK;
}
