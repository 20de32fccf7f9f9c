/* listing.c - records as rows of a table for people, or as JSON */
#include "submit/listing.h"

#include "conf/service.h"
#include "conf/text.h"
#include "conf/unit.h"
#include "submit/out.h"

#include <errno.h>
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    COLUMNS_MAX = 64, /* of a table for people */
    WRAP_LEAST = 24,  /* columns; narrower is not worth wrapping */
    BELOW = 6,        /* columns of the indent below a row */
    COLUMNS_NONE = 0, /* not on a terminal */
    ODD = 4,          /* columns of a byte that cannot be shown: \xNN */
};

/* A column as it is on the terminal. */
struct shown {
    const struct column *column;
    unsigned width; /* of the widest cell, its heading included; 0: hidden */
    bool is_filled; /* some row has something there */
};

struct listing {
    const struct column *columns;
    struct arena *arena; /* of the texts of one row */
    usec_t wall;
    int failed; /* the first error, negative errno */
    bool is_json;
    struct json json;
    /* for people */
    struct libscols_table *table;
    struct shown shown[COLUMNS_MAX];
    size_t n_shown;
};

/* A cell that is being put. */
struct cell {
    const struct column *column;
    struct json *json; /* NULL: for people */
    struct arena *arena;
    usec_t wall;
    /* for people */
    char *text; /* in the arena; NULL: no memory */
    enum tone tone;
};

static bool is_end(const struct column *column)
{
    return !column->heading && !column->key;
}

static bool is_number(const struct column *column)
{
    return column->value.type == FIELD_U32 || column->value.type == FIELD_U64;
}

const char *listing_join(struct arena *arena, char *const *texts, size_t n)
{
    const char *list = n > 0 ? texts[0] : "";
    for (size_t i = 1; i < n && list; i++)
        list = arena_printf(arena, "%s,%s", list, texts[i]);
    return list ? list : "?";
}

/* ---- values */

/* For people; the text is copied. */
static void set_text(struct cell *cell, const char *text)
{
    cell->text = arena_strdup(cell->arena, text);
}

void cell_text(struct cell *cell, const char *text)
{
    cell_tone(cell, text, TONE_PLAIN);
}

void cell_tone(struct cell *cell, const char *text, enum tone tone)
{
    if (cell->json)
        json_text(cell->json, cell->column->key, text);
    else
        set_text(cell, text);
    cell->tone = tone;
}

void cell_texts(struct cell *cell, char *const *texts, size_t n)
{
    if (cell->json) {
        json_open(cell->json, cell->column->key, '[');
        for (size_t i = 0; i < n; i++)
            json_text(cell->json, NULL, texts[i]);
        json_close(cell->json, ']');
        return;
    }
    set_text(cell, listing_join(cell->arena, texts, n));
}

struct arena *cell_arena(struct cell *cell)
{
    return cell->arena;
}

static const char *age_text(usec_t at, usec_t wall, char buffer[static UNIT_TEXT_MAX])
{
    usec_t age = wall > at ? wall - at : 0;
    usec_t minute = 60 * USEC_PER_SEC, hour = 60 * minute;
    age -= age % (age < minute ? USEC_PER_SEC : age < 24 * hour ? minute : hour);
    return unit_duration_text(age, buffer);
}

static const char *number_text(enum show show, uint64_t n, usec_t wall,
                               char buffer[static ENV_TIME_MAX + UNIT_TEXT_MAX])
{
    static const char *(*const texts[])(uint64_t n, char *buffer) = {
        [SHOW_SIZE] = unit_size_text,
        [SHOW_RATE] = unit_rate_text,
        [SHOW_SPAN] = unit_duration_text,
        [SHOW_TIME] = env_time_text,
    };
    if (n == 0 && show != SHOW_NUMBER)
        return "";
    if (show == SHOW_AGE)
        return age_text(n, wall, buffer);
    if (texts[show])
        return texts[show](n, buffer);
    snprintf(buffer, UNIT_TEXT_MAX, "%" PRIu64, n);
    return buffer;
}

static void put_number(struct cell *cell, enum show show, uint64_t n)
{
    char buffer[ENV_TIME_MAX + UNIT_TEXT_MAX];
    const char *key = cell->column->key;
    if (!cell->json)
        set_text(cell, number_text(show, n, cell->wall, buffer));
    else if (show == SHOW_SPAN || show == SHOW_TIME || show == SHOW_AGE)
        json_time(cell->json, key, n);
    else if (show == SHOW_ANY && n == 0)
        json_text(cell->json, key, "");
    else
        json_number(cell->json, key, n);
}

void cell_age(struct cell *cell, usec_t at)
{
    put_number(cell, SHOW_AGE, at);
}

void cell_span(struct cell *cell, usec_t span)
{
    put_number(cell, SHOW_SPAN, span);
}

void cell_count(struct cell *cell, uint64_t n)
{
    put_number(cell, SHOW_NUMBER, n);
}

void cell_bool(struct cell *cell, bool yes)
{
    if (cell->json)
        json_bool(cell->json, cell->column->key, yes);
    else
        set_text(cell, yes ? "yes" : "no");
}

/* The struct that has the column's field. */
static const void *holder(const struct column *column, const void *record)
{
    if (column->value.inside == 0)
        return record;
    return *(const void *const *)((const char *)record + column->value.inside - 1);
}

static void put(struct cell *cell, const void *record)
{
    const struct column *column = cell->column;
    if (column->value.put) {
        column->value.put(cell, record);
        return;
    }
    const char *at = holder(column, record);
    const void *field = at ? at + column->value.offset : NULL;
    if (!field && cell->json) {
        json_text(cell->json, column->key, "");
        return;
    }
    switch (column->value.type) {
    case FIELD_TEXT:
        cell_text(cell, field ? *(const char *const *)field : "");
        break;
    case FIELD_BOOL:
        cell_bool(cell, field && *(const protobuf_c_boolean *)field);
        break;
    case FIELD_U32:
        put_number(cell, column->show, field ? *(const uint32_t *)field : 0);
        break;
    case FIELD_U64:
        put_number(cell, column->show, field ? *(const uint64_t *)field : 0);
        break;
    case FIELD_NONE:
        break;
    }
}

/* ---- JSON */

void listing_fields(struct json *json, const struct column *columns, struct arena *arena,
                    const void *record)
{
    for (const struct column *column = columns; !is_end(column); column++)
        if (column->key)
            put(&(struct cell){.column = column, .json = json, .arena = arena}, record);
}

void listing_line(const struct column *columns, const void *record)
{
    struct json json = {.file = stdout};
    json_open(&json, NULL, '{');
    listing_fields(&json, columns, NULL, record);
    json_close(&json, '}');
    putchar('\n');
}

/* ---- rows */

static int add_column(struct listing *l, const struct column *column)
{
    bool right = column->look & LOOK_RIGHT || (is_number(column) && column->show != SHOW_TIME);
    if (!column->heading)
        return 0;
    if (l->n_shown == COLUMNS_MAX)
        return -E2BIG;
    l->shown[l->n_shown++] =
        (struct shown){.column = column, .width = text_width(column->heading, ODD)};
    return scols_table_new_column(l->table, column->heading, 0, right ? SCOLS_FL_RIGHT : 0)
               ? 0
               : -ENOMEM;
}

static int begin_table(struct listing *l, bool noheadings)
{
    l->table = scols_new_table();
    if (!l->table)
        return -ENOMEM;
    scols_table_enable_noheadings(l->table, noheadings);
    scols_table_enable_colors(l->table, out_has_colour(stdout));
    scols_table_set_termforce(l->table, SCOLS_TERMFORCE_NEVER); /* see print_fitting() */
    int r = 0;
    for (const struct column *column = l->columns; r == 0 && !is_end(column); column++)
        r = add_column(l, column);
    return r;
}

struct listing *listing_new(const struct args *args, const char *name, const struct column *columns)
{
    struct listing *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->columns = columns;
    l->wall = env_wall(env_system());
    l->is_json = args->json;
    l->arena = arena_new(0);
    l->failed = l->arena ? 0 : -ENOMEM;
    if (l->is_json) {
        l->json.file = stdout;
        json_open(&l->json, NULL, '{');
        json_open(&l->json, name, '[');
    } else if (l->failed == 0) {
        l->failed = begin_table(l, args->noheadings);
    }
    return l;
}

/* A cell for people is one line, and nothing in it moves the cursor. */
static int set_cell(struct listing *l, struct libscols_line *line, size_t i, struct cell *cell)
{
    static const char *const colours[] = {NULL, "green", "red", "yellow"};
    if (!cell->text)
        return -ENOMEM;
    const char *text = text_one_line(cell->text);
    unsigned width = text_width(text, ODD);
    l->shown[i].width = width > l->shown[i].width ? width : l->shown[i].width;
    l->shown[i].is_filled = l->shown[i].is_filled || text[0] != '\0';
    /* "-", so that awk counts the same columns in each row */
    bool last = is_end(cell->column + 1);
    int r = scols_line_set_data(line, i, text[0] == '\0' && !last ? "-" : text);
    if (r == 0 && cell->tone != TONE_PLAIN)
        r = scols_cell_set_color(scols_line_get_cell(line, i), colours[cell->tone]);
    return r;
}

static int add_row(struct listing *l, const void *record)
{
    struct libscols_line *line = scols_table_new_line(l->table, NULL);
    int r = line ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < l->n_shown; i++) {
        struct cell cell = {.column = l->shown[i].column, .arena = l->arena, .wall = l->wall};
        put(&cell, record);
        r = set_cell(l, line, i, &cell);
    }
    arena_reset(l->arena);
    return r;
}

void listing_row(struct listing *l, const void *record)
{
    if (!l || l->failed < 0 || !holder(l->columns, record))
        return;
    if (!l->is_json) {
        l->failed = add_row(l, record);
        return;
    }
    json_line(&l->json);
    json_open(&l->json, NULL, '{');
    listing_fields(&l->json, l->columns, l->arena, record);
    json_close(&l->json, '}');
    arena_reset(l->arena);
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
        bool fits = text_width(line, ODD) <= width;
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

/* A cell's text, broken into lines, to be freed. NULL: no memory. */
static char *broken(struct libscols_line *line, size_t column, unsigned width)
{
    const char *data = scols_cell_get_data(scols_line_get_cell(line, column));
    char *text = strdup(data ? data : "");
    if (text)
        break_lines(text, width);
    return text;
}

/* Breaks the cells of the last column into lines of that width. */
static int wrap(struct listing *l, size_t column, unsigned width)
{
    struct libscols_column *c = scols_table_get_column(l->table, column);
    int r = scols_column_set_flags(c, SCOLS_FL_WRAP);
    if (r == 0)
        r = scols_column_set_wrapfunc(c, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL);
    if (r == 0)
        r = scols_column_set_safechars(c, "\n");
    for (size_t i = 0; r == 0 && i < scols_table_get_nlines(l->table); i++) {
        struct libscols_line *line = scols_table_get_line(l->table, i);
        char *text = broken(line, column, width);
        r = text ? scols_line_set_data(line, column, text) : -ENOMEM;
        free(text);
    }
    return r;
}

static void hide(struct listing *l, size_t i, unsigned *need)
{
    scols_column_set_flags(scols_table_get_column(l->table, i), SCOLS_FL_HIDDEN);
    *need -= l->shown[i].width + 1;
    l->shown[i].width = 0;
}

/* Prints the last column below its row, indented: for terminals that are too narrow for both. */
static int print_below(struct listing *l, size_t last, unsigned have, bool noheadings)
{
    char *text = NULL, *save = NULL;
    int r = scols_print_table_to_string(l->table, &text);
    size_t i = 0;
    for (char *row = r == 0 ? strtok_r(text, "\n", &save) : NULL; row;
         row = strtok_r(NULL, "\n", &save), i++) {
        printf("%s\n", row);
        if (i == 0 && !noheadings)
            continue;
        struct libscols_line *line = scols_table_get_line(l->table, noheadings ? i : i - 1);
        char *why = line ? broken(line, last, have - BELOW) : NULL;
        if (line && !why)
            r = -ENOMEM;
        for (char *p = why; p && *p; p += strcspn(p, "\n"), p += *p == '\n')
            printf("%*s%.*s\n", BELOW, "", (int)strcspn(p, "\n"), p);
        free(why);
    }
    free(text);
    return r;
}

/* Prints the table so that it fits the terminal: columns of numbers that are all empty go first,
 * then those that can be spared; the last one is wrapped at words, or printed below. What is still
 * too wide the terminal folds by itself. */
static int print_fitting(struct listing *l)
{
    size_t n = l->n_shown;
    unsigned have = terminal_width(), need = 0;
    if (have < WRAP_LEAST || n == 0)
        return scols_print_table(l->table);
    const struct shown *end = &l->shown[n - 1];
    bool wraps = end->column->look & LOOK_WRAP;
    unsigned whole = end->width, last = end->is_filled && wraps ? WRAP_LEAST : whole;
    last = last < whole ? last : whole;
    for (size_t i = 0; i + 1 < n; i++)
        need += l->shown[i].width + 1;
    for (size_t i = 0; i + 1 < n && need + last > have; i++)
        if (is_number(l->shown[i].column) && !l->shown[i].is_filled)
            hide(l, i, &need);
    for (size_t i = n - 1; i-- > 0 && need + last > have;)
        if (l->shown[i].width && l->shown[i].column->look & LOOK_SPARE)
            hide(l, i, &need);
    if (!wraps || need + whole <= have)
        return scols_print_table(l->table);
    if (need + last <= have) {
        int r = wrap(l, n - 1, have - need);
        return r < 0 ? r : scols_print_table(l->table);
    }
    hide(l, n - 1, &need);
    return print_below(l, n - 1, have, scols_table_is_noheadings(l->table));
}

/* ---- the end */

int listing_end(struct listing *l)
{
    int r = l ? l->failed : -ENOMEM;
    if (l && l->is_json) {
        json_close(&l->json, ']');
        json_close(&l->json, '}');
        putchar('\n');
    } else if (r == 0 && !scols_table_is_empty(l->table)) {
        r = print_fitting(l);
    }
    if (l) {
        scols_unref_table(l->table);
        arena_free(l->arena);
    }
    free(l);
    if (r < 0)
        out_error("cannot print the table: %s", strerror(-r));
    return r < 0 ? EXIT_SOME_FAILED : EXIT_OK;
}

int listing_print(const struct args *args, const char *name, const struct column *columns,
                  void *const *records, size_t n, const char *none)
{
    struct listing *l = listing_new(args, name, columns);
    for (size_t i = 0; i < n; i++)
        listing_row(l, records[i]);
    int code = listing_end(l);
    if (n == 0 && none && !args->json)
        out_note("%s", none);
    return code;
}
