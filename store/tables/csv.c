/* csv.c - comma separated rows: a record is first measured, then cut up in place
 *
 * Measuring changes nothing, so that an error can still show the line as it was written. */
#include "store/tables/csv.h"

#include "conf/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { EXCERPT_MAX = 80 }; /* bytes of a line that an error shows */

static const char blanks[] = " \t\r\v\f";

struct place {
    size_t at;       /* byte in the text */
    unsigned line;   /* from 1 */
    unsigned column; /* from 1, in characters */
};

struct span {
    size_t from, to; /* the value in the text, quotes not included */
    bool quoted;
};

struct csv {
    char *text; /* with a NUL behind it */
    size_t length;
    struct place next; /* begin of the line that is read next */
    size_t max;        /* fields that a record may have */
    struct span spans[CSV_FIELDS_MAX];
    struct csv_field fields[CSV_FIELDS_MAX];
};

struct csv *csv_new(const char *text, size_t length)
{
    struct csv *csv = calloc(1, sizeof(*csv));
    if (!csv)
        return NULL;
    csv->text = malloc(length + 1);
    if (!csv->text) {
        free(csv);
        return NULL;
    }
    if (length > 0)
        memcpy(csv->text, text, length);
    csv->text[length] = '\0';
    csv->length = length;
    csv->next = (struct place){.line = 1, .column = 1};
    csv->max = CSV_FIELDS_MAX;
    if (length >= 3 && memcmp(csv->text, "\xef\xbb\xbf", 3) == 0)
        csv->next.at = 3; /* a byte order mark, as spreadsheets write it */
    return csv;
}

void csv_free(struct csv *csv)
{
    if (!csv)
        return;
    free(csv->text);
    free(csv);
}

/* Moves a place forward; every byte is passed once. */
static void advance(const struct csv *csv, struct place *place, size_t to)
{
    for (; place->at < to; place->at++) {
        unsigned char c = (unsigned char)csv->text[place->at];
        if (c == '\n') {
            place->line++;
            place->column = 1;
        } else if ((c & 0xc0) != 0x80) { /* bytes inside a UTF-8 character do not count */
            place->column++;
        }
    }
}

/* The end of the line that `at` is in: its newline, or the end of the text. */
static size_t line_end(const struct csv *csv, size_t at)
{
    const char *end = memchr(csv->text + at, '\n', csv->length - at);
    return end ? (size_t)(end - csv->text) : csv->length;
}

static bool is_blank(const struct csv *csv, size_t from, size_t to)
{
    for (; from < to; from++)
        if (csv->text[from] == '\0' || !strchr(blanks, csv->text[from]))
            return false;
    return true;
}

/* Moves to the first line that is not blank; false at the end of the text. */
static bool skip_blank_lines(struct csv *csv)
{
    while (csv->next.at < csv->length) {
        size_t end = line_end(csv, csv->next.at);
        if (!is_blank(csv, csv->next.at, end))
            return true;
        advance(csv, &csv->next, end < csv->length ? end + 1 : end);
    }
    return false;
}

/* "what on line N, character C: the line" */
static int fail_at(const struct csv *csv, struct rm_err *err, const char *what, struct place place)
{
    size_t from = place.at, to = line_end(csv, place.at);
    while (from > csv->next.at && csv->text[from - 1] != '\n') /* what stands before is cut up */
        from--;
    bool cut = to - from > EXCERPT_MAX;
    return rm_fail(err, -EINVAL, "%s on line %u, character %u: %.*s%s", what, place.line,
                   place.column, cut ? EXCERPT_MAX : (int)(to - from), csv->text + from,
                   cut ? "..." : "");
}

/* ---- measuring */

/* Measures a quoted field that opens at *place; leaves *place behind the closing quote. */
static int measure_quoted(const struct csv *csv, struct place *place, struct span *span,
                          struct rm_err *err)
{
    struct place open = *place;
    size_t at = open.at + 1;
    for (;;) {
        const char *quote = memchr(csv->text + at, '"', csv->length - at);
        if (!quote)
            return fail_at(csv, err, "CSV unmatched \" in record", open);
        at = (size_t)(quote - csv->text);
        if (quote[1] != '"') /* the text has a NUL behind it */
            break;
        at += 2;
    }
    *span = (struct span){.from = open.at + 1, .to = at, .quoted = true};
    advance(csv, place, at + 1);
    return 0;
}

/* Measures an unquoted field; leaves *place on the comma, the newline or the end behind it. */
static int measure_plain(const struct csv *csv, struct place *place, struct span *span,
                         struct rm_err *err)
{
    size_t from = place->at, to = from;
    while (to < csv->length && csv->text[to] != ',' && csv->text[to] != '\n') {
        if (csv->text[to] == '"') {
            advance(csv, place, to);
            return fail_at(csv, err, "CSV missing opening \" for record with \" characters",
                           *place);
        }
        to++;
    }
    advance(csv, place, to);
    if (to == csv->length || csv->text[to] == '\n')
        while (to > from && is_blank(csv, to - 1, to))
            to--;
    *span = (struct span){.from = from, .to = to};
    return 0;
}

/* Bytes of the character at s; CR may stand before a newline. 0: it cannot be stored. */
static size_t character(const char *s)
{
    return s[0] == '\r' && s[1] == '\n' ? 1 : text_character(s);
}

static int check_span(const struct csv *csv, const struct span *span, struct place begin,
                      struct rm_err *err)
{
    if (span->to - span->from > CSV_FIELD_MAX)
        return fail_at(csv, err, "CSV value of more than 1 MiB", begin);
    size_t n;
    for (size_t at = span->from; at < span->to; at += n) {
        n = character(csv->text + at);
        if (n > 0)
            continue;
        bool is_ascii = (unsigned char)csv->text[at] < 0x80;
        advance(csv, &begin, at);
        return fail_at(
            csv, err,
            is_ascii ? "CSV value with a control character" : "CSV value that is not UTF-8", begin);
    }
    return 0;
}

/* Measures one record from `place` on; leaves *place at the begin of the line behind it. Returns
 * the number of its fields. */
static int measure(struct csv *csv, struct place *place, struct rm_err *err)
{
    for (size_t n = 0;; n++) {
        struct place begin = *place;
        struct span span;
        bool quoted = csv->text[place->at] == '"';
        int r =
            quoted ? measure_quoted(csv, place, &span, err) : measure_plain(csv, place, &span, err);
        if (r == 0)
            r = check_span(csv, &span, begin, err);
        if (r < 0)
            return r;

        size_t end = place->at;
        bool more = end < csv->length && csv->text[end] == ',';
        if (!more && quoted) {
            end = line_end(csv, end);
            if (!is_blank(csv, place->at, end))
                return fail_at(csv, err, "CSV unescaped \" in record", *place);
        }
        if (n < csv->max) {
            csv->spans[n] = span;
            csv->fields[n].line = begin.line;
            csv->fields[n].column = begin.column;
            csv->fields[n].set = quoted || span.to > span.from;
        } else if (more || quoted ||
                   span.to > span.from) { /* a comma too many at the end is fine */
            return fail_at(csv, err, "Too many fields", begin);
        }
        advance(csv, place, end < csv->length ? end + 1 : end);
        if (!more)
            return (int)(n < csv->max ? n + 1 : n);
    }
}

/* ---- cutting up */

/* Makes "" to " and CR LF to LF, and ends the value with a NUL, which takes the place of what stood
 * behind it. */
static const char *cut(struct csv *csv, const struct span *span)
{
    char *to = csv->text + span->from;
    for (const char *from = to; from < csv->text + span->to; from++) {
        if (*from == '\r') /* a newline follows */
            continue;
        *to++ = *from;
        if (span->quoted && *from == '"')
            from++;
    }
    *to = '\0';
    return csv->text + span->from;
}

int csv_header(struct csv *csv, const struct csv_field **ret_fields, size_t *ret_n,
               struct rm_err *err)
{
    static const char missing[] = "Data missing header line starting with #";
    if (!skip_blank_lines(csv) || csv->text[csv->next.at] != '#')
        return fail_at(csv, err, missing, csv->next);
    struct place place = csv->next;
    size_t end = line_end(csv, place.at), last = end;
    if (memchr(csv->text + place.at, '\0', end - place.at))
        return fail_at(csv, err, "CSV header with a NUL byte", place);
    while (is_blank(csv, last - 1, last) || csv->text[last - 1] == '"') /* ends at the # */
        last--;
    size_t n = 1;
    for (size_t i = place.at; i < last; i++)
        n += csv->text[i] == ',';
    if (n > CSV_FIELDS_MAX)
        return fail_at(csv, err, "Too many fields", place);

    char *to = csv->text + place.at + 1; /* names lose their quotes and so only get shorter */
    advance(csv, &place, place.at + 1);
    for (size_t i = 0; i < n; i++) {
        csv->fields[i] = (struct csv_field){.text = to, .line = place.line, .column = place.column};
        size_t at = place.at;
        for (; at < last && csv->text[at] != ','; at++)
            if (csv->text[at] != '"')
                *to++ = csv->text[at];
        advance(csv, &place, at < last ? at + 1 : at);
        *to++ = '\0';
        csv->fields[i].set = csv->fields[i].text[0] != '\0';
    }
    place.at = end < csv->length ? end + 1 : end;
    csv->next = (struct place){.at = place.at, .line = place.line + 1, .column = 1};
    csv->max = n;
    *ret_fields = csv->fields;
    *ret_n = n;
    return 0;
}

int csv_next(struct csv *csv, const struct csv_field **ret_fields, size_t *ret_n,
             unsigned *ret_line, struct rm_err *err)
{
    if (!skip_blank_lines(csv))
        return 0;
    struct place place = csv->next;
    int n = measure(csv, &place, err);
    if (n < 0)
        return n;
    for (int i = 0; i < n; i++)
        csv->fields[i].text = cut(csv, &csv->spans[i]);
    *ret_line = csv->next.line;
    csv->next = place;
    *ret_fields = csv->fields;
    *ret_n = (size_t)n;
    return 1;
}

void csv_write(FILE *file, const char *value, bool first)
{
    if (!first)
        putc(',', file);
    if (!value)
        return;
    putc('"', file);
    for (const char *quote; (quote = strchr(value, '"')); value = quote + 1) {
        fwrite(value, 1, (size_t)(quote - value) + 1, file);
        putc('"', file);
    }
    fputs(value, file);
    putc('"', file);
}
