/* out.h - what is printed: results, errors, tables, and what it all means for the exit code
 *
 * Results go to stdout as `NODE: text`, errors to stderr as `NODE: Error: text`, every line of a
 * longer text with its prefix. Control characters in what others wrote are replaced: a terminal
 * obeys them. Functions that return a code return one of enum service_exit. */
#ifndef SUBMIT_OUT_H
#define SUBMIT_OUT_H

#include "conf/env.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* "NAME: text", line by line; name "" leaves the prefix out. */
void out_result(const char *name, const char *text);  /* stdout */
void out_failure(const char *name, const char *text); /* stderr, with "Error: " */
void out_error(const char *format, ...) __attribute__((format(printf, 1, 2))); /* "Error: TEXT" */

void out_warning(const char *format, ...) __attribute__((format(printf, 1, 2))); /* "Warning: " */

/* From now on all of these bear "[SERVER]: " as xCAT's verbose lines do. Borrowed. */
void out_tag(const char *server);

int out_no_memory(void); /* says so; EXIT_SOME_FAILED */

/* A remark to the person at the terminal: "rmigrate: TEXT" on stderr. */
void out_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* True when stdout can still be written to; otherwise says once why not. */
bool out_is_sound(void);

/* At the end: flushes stdout; a code of 0 becomes EXIT_SOME_FAILED when that did not work. */
int out_finish(int code);

/* May colours be used on that stream: it is a terminal, and neither NO_COLOR nor TERM=dumb says no.
 */
bool out_has_colour(FILE *file);

/* The locale's characters are UTF-8. */
bool out_is_utf8(void);

/* ---- tables: aligned columns for people, or the same rows as JSON */

enum out_kind { OUT_TEXT, OUT_NUMBER, OUT_BOOL };
enum out_look {
    OUT_LEFT = 0,
    OUT_RIGHT = 1, /* aligned to the right */
    OUT_WRAP = 2,  /* the last column: continues below itself on a terminal that is too narrow */
    OUT_SPARE = 4, /* left out on a terminal that is too narrow */
};

struct out_column {
    const char *heading; /* NULL: in JSON only */
    const char *key;     /* of JSON; NULL: in the table only */
    enum out_kind kind;  /* of the JSON value */
    unsigned look;       /* enum out_look */
};

enum out_tone { TONE_PLAIN, TONE_GOOD, TONE_BAD, TONE_ODD };

struct out_table;

/* name: of the array in JSON. columns: end with a row of zeros; borrowed. NULL: no memory, which
 * the other functions bear and out_table_print() reports. */
struct out_table *out_table_new(const char *name, const struct out_column *columns, bool json,
                                bool noheadings);
void out_table_free(struct out_table *table);

/* A new row; its cells are given from left to right, the hidden ones too. */
void out_row(struct out_table *table);
void out_text(struct out_table *table, const char *text);
void out_tone(struct out_table *table, const char *text,
              enum out_tone tone); /* the same, coloured */
void out_number(struct out_table *table, uint64_t number);
void out_count(struct out_table *table, uint64_t number); /* 0 is shown as "-" */
void out_bool(struct out_table *table, bool value);
void out_size(struct out_table *table, uint64_t bytes);
void out_rate(struct out_table *table, uint64_t bytes_per_second);
void out_span(struct out_table *table, usec_t span); /* "4.2 s"; JSON: seconds */
void out_time(struct out_table *table,
              usec_t at); /* "2026-03-01 14:05:09"; JSON: seconds since 1970 */
void out_age(struct out_table *table, usec_t at,
             usec_t wall); /* how long ago; JSON as out_time() */

/* Prints and frees the table. */
int out_table_print(struct out_table *table);

#endif
