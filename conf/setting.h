/* setting.h - a table of settings, read from libconfig into a struct
 *
 * A section of the file is described by one table; reading, defaults, freeing, the list of all
 * settings and the refusal of what is unknown, of the wrong type or out of range all follow from
 * it. */
#ifndef CONF_SETTING_H
#define CONF_SETTING_H

#include "conf/err.h"
#include "conf/source.h"

#include <libconfig.h>
#include <stddef.h>
#include <stdint.h>

enum setting_kind {
    SETTING_TEXT,     /* char *, NULL = none */
    SETTING_TEXTS,    /* char ** and size_t: list of texts, each once, NULL behind them */
    SETTING_WORD,     /* whatever parse writes */
    SETTING_SIZE,     /* uint64_t: "16 GiB" */
    SETTING_RATE,     /* uint64_t: "1 Gbit/s" */
    SETTING_DURATION, /* usec_t: "10 min" */
    SETTING_COUNT,    /* unsigned: 4 */
    SETTING_BOOL,     /* bool */
    SETTING_GROUP,    /* { ... } whose table writes into the struct at offset */
    SETTING_ROWS,     /* array of structs and size_t: ( { ... }, { ... } ) */
};

enum setting_flags {
    SETTING_REQUIRED = 1, /* a group without it is refused */
    SETTING_ZERO = 2,     /* 0 is allowed although it is below low */
    SETTING_EMPTY = 4,    /* "" is allowed and means none */
    SETTING_FIXED = 8,    /* a program that runs keeps what it began with */
};

struct setting {
    const char *name; /* NULL ends a table */
    enum setting_kind kind;
    unsigned flags;
    size_t offset;        /* in the struct that the table fills */
    size_t count_offset;  /* TEXTS, ROWS: of the number of elements */
    uint64_t low, high;   /* numbers: range; TEXTS, ROWS: most elements in high */
    const char *standard; /* the default without quotes; NULL: none, that is 0 or NULL */

    const struct setting *table; /* GROUP, ROWS: the settings inside */
    size_t
        size; /* TEXTS, ROWS: bytes of one element; WORD: of the value; a section: of its struct */

    int (*check)(const char *text, struct rm_err *err);            /* TEXT, TEXTS: may it stand */
    int (*parse)(const char *text, void *ret, struct rm_err *err); /* WORD */
    void (*show)(const void *value, char *text);                   /* WORD; WORD_TEXT_MAX bytes */
};

/* What a group is read with. */
struct setting_reader {
    const struct source *source; /* NULL: there is no file and no group either */
    struct rm_err *err;
};

/* Fills the zeroed struct at base from a group, whose whole name is path. group NULL: all defaults.
 * After a failure setting_done() frees what was read. */
int setting_read(const struct setting_reader *rd, const struct setting *table,
                 const config_setting_t *group, const char *path, void *base);
void setting_done(const struct setting *table, void *base);

/* Writes "FILE:LINE: text", the place of `at` (NULL: only the text); returns -EINVAL. */
int setting_fail(const struct setting_reader *rd, const config_setting_t *at, const char *format,
                 ...) __attribute__((format(printf, 3, 4)));

const struct setting *setting_find(const struct setting *table, const char *name); /* or NULL */

/* Fails for a setting that the table does not have, with the name that is like it. path: what its
 * name begins with, "broker.", or "". */
int setting_unknown(const struct setting_reader *rd, const struct setting *table,
                    const config_setting_t *value, const char *path);

/* Calls visit for each setting but groups and lists of rows themselves, whose settings follow. name
 * is whole ("broker.limits.source"), standard as the file would write it or NULL. */
void setting_visit(const struct setting *table, const char *path,
                   void (*visit)(void *ctx, const char *name, const char *standard), void *ctx);

#endif
