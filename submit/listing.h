/* listing.h - records as rows of a table for people, or as JSON
 *
 * A column is one row of an array: its heading, its key in JSON, and where its value comes from, a
 * field of the record or a function. Tables and JSON are made of the same columns. Numbers are
 * aligned to the right. */
#ifndef SUBMIT_LISTING_H
#define SUBMIT_LISTING_H

#include "conf/env.h"
#include "conf/json.h"
#include "submit/args.h"
#include "wire/msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The type of a field of a record, and with it its type in JSON. */
enum field_type { FIELD_NONE, FIELD_TEXT, FIELD_BOOL, FIELD_U32, FIELD_U64 };

/* What a number is. JSON has sizes as bytes, rates as bytes a second, spans as seconds, points in
 * time as seconds since 1970; a span or a point that is not known is null. */
enum show {
    SHOW_NUMBER,
    SHOW_COUNT, /* 0 is shown as "-" */
    SHOW_ANY,   /* the same, and null in JSON: of a job or a batch, a limit */
    SHOW_SIZE,
    SHOW_RATE,
    SHOW_SPAN, /* "4.2 s" */
    SHOW_TIME, /* "2026-03-01 14:05:09", aligned to the left */
    SHOW_AGE,  /* how long ago */
};

enum look {
    LOOK_RIGHT = 1, /* a text that is aligned to the right */
    LOOK_WRAP = 2,  /* the last column: continues below itself on a terminal that is too narrow */
    LOOK_SPARE = 4, /* left out on a terminal that is too narrow */
};

enum tone { TONE_PLAIN, TONE_GOOD, TONE_BAD, TONE_ODD };

struct cell;
typedef void cell_put(struct cell *cell, const void *record);

struct column {
    const char *heading; /* NULL: in JSON only */
    const char *key;     /* of JSON; NULL: in the table only. Without both: the end of the array */
    struct {
        enum field_type type;
        size_t inside; /* 0: a field of the record; else 1 + the offset of a pointer to the struct
                          that has the field: where it is NULL, there is no value (JSON: null) */
        size_t offset;
        cell_put *put; /* instead of a field: calls one of cell_text() ... once */
    } value;
    enum show show; /* numbers */
    unsigned look;  /* enum look */
};

#define FIELD_TYPE(struct_type, field)                                                             \
    _Generic(((const struct_type *)0)->field, char *                                               \
             : FIELD_TEXT, const char *                                                            \
             : FIELD_TEXT, protobuf_c_boolean                                                      \
             : FIELD_BOOL, uint32_t                                                                \
             : FIELD_U32, uint64_t                                                                 \
             : FIELD_U64)

/* The value of a column: a field of the record, */
#define FIELD(struct_type, field)                                                                  \
    .value = {.type = FIELD_TYPE(struct_type, field), .offset = offsetof(struct_type, field)}
/* a field of the struct to which `member` of the record points, */
#define FIELD_INSIDE(record_type, member, struct_type, field)                                      \
    .value = {.type = FIELD_TYPE(struct_type, field),                                              \
              .inside = 1 + offsetof(record_type, member),                                         \
              .offset = offsetof(struct_type, field)}
/* or what a function puts. */
#define PUT(function) .value = {.put = (function)}

/* ---- for functions of columns: the value */

void cell_text(struct cell *cell, const char *text);                 /* "": nothing, null in JSON */
void cell_tone(struct cell *cell, const char *text, enum tone tone); /* the same, coloured */
void cell_age(struct cell *cell, usec_t at);
void cell_span(struct cell *cell, usec_t span); /* 0: nothing */
void cell_bool(struct cell *cell, bool yes);
void cell_count(struct cell *cell, uint64_t n);
void cell_texts(struct cell *cell, char *const *texts, size_t n); /* "a,b"; in JSON an array */
struct arena *cell_arena(struct cell *cell); /* for texts, until the row is complete */

/* "a,b", in the arena; "?": no memory. */
const char *listing_join(struct arena *arena, char *const *texts, size_t n);

/* ---- listings */

struct listing;

/* name: of the array in JSON. args: --json and --noheadings. columns: borrowed. NULL: no memory,
 * which the other functions bear and listing_end() reports. */
struct listing *listing_new(const struct args *args, const char *name,
                            const struct column *columns);

/* Adds a record. One without the struct that its first column is inside of is passed over. */
void listing_row(struct listing *listing, const void *record);

/* Prints (JSON: the rest of it) and frees the listing. Returns the exit code. */
int listing_end(struct listing *listing);

/* A whole listing of n records; none: a remark to people where there are none, or NULL. */
int listing_print(const struct args *args, const char *name, const struct column *columns,
                  void *const *records, size_t n, const char *none);

/* ---- single objects of JSON */

/* The fields of a record, into an object that is open. arena: of functions of columns. */
void listing_fields(struct json *json, const struct column *columns, struct arena *arena,
                    const void *record);

/* A line on stdout that holds one object; columns: fields alone. */
void listing_line(const struct column *columns, const void *record);

#endif
