/* site.h - what the requests about the site tables share
 *
 * Passwords are shown as SITE_MASK to everybody who does not ask for them with the role admin; they
 * select nothing and are never stored in that form. */
#ifndef BROKER_SITE_H
#define BROKER_SITE_H

#include "broker/request.h"
#include "store/regex.h"

#define SITE_MASK "********"

enum {
    SITE_COLUMNS_MAX = 256,    /* of one request, and conditions */
    SITE_LIST_MAX = 16 * 1024, /* bytes of a list that is changed item by item */
};

/* May he see passwords? False: he asked to and may not, and the request is refused. */
bool site_may_see(struct core *core, struct request *request, bool secrets);

/* False: there are more of these than `most`, and the request is refused. */
bool site_is_bounded(struct core *core, struct request *request, size_t n, size_t most,
                     const char *what);

/* "NAME not a valid table.column description: WHY"; returns false. */
bool site_bad_column(struct core *core, struct request *request, const char *name, const char *why);
/* TABLE.COLUMN of any table, or a short name. False: the request is refused. */
bool site_find_column(struct core *core, struct request *request, const char *name,
                      struct attr *ret_attr);
/* The same of a table that is about nodes. */
bool site_find_attr(struct core *core, struct request *request, const char *name,
                    struct attr *ret_attr);
const struct table *site_find_table(struct core *core, struct request *request, const char *name,
                                    RmCode code); /* NULL: refused */

/* Conditions that a node must meet, all of them. */
struct site_filter {
    struct site_term {
        struct attr attr;
        const RmTerm *term;
        struct regex *regex; /* of LIKE and NOT_LIKE */
    } * terms;               /* in core->arena */
    size_t n;
    uint64_t steps; /* that its regular expressions may still take */
};
/* False: the request is refused. In either case site_filter_done() follows. */
bool site_filter_read(struct core *core, struct request *request, RmTerm *const *terms, size_t n,
                      bool secrets, struct site_filter *ret_filter);
void site_filter_done(struct site_filter *filter);
/* 1: the node meets them; 0: it does not; negative: that cannot be told. */
int site_filter_meets(struct core *core, struct site_filter *filter, const char *node,
                      struct rm_err *err);

/* The keys of the rows of a table that have these values as they are stored; the names of the
 * columns stand in the terms. *ret_has_key: the key column is among them, so it is one row at most,
 * and *ret_key is what it must be called. In core->arena. False: the request is refused. */
struct site_rows {
    char **keys;
    size_t n;
    const char *key; /* the value of the key column; NULL: it is not given */
    bool clash;      /* that row is there, but has other values */
};
bool site_find_rows(struct core *core, struct request *request, const struct table *table,
                    RmTerm *const *keys, size_t n_keys, struct site_rows *ret_rows);
/* "node=kvm1,host=hyp01" for messages; in core->arena. */
const char *site_keys_text(struct core *core, RmTerm *const *keys, size_t n_keys);

/* ---- changes */

/* It was done, but. */
void site_warn(struct core *core, struct request *request, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What a change may mean beyond itself. */
struct site_effect {
    bool groups; /* nodes and groups may be other ones */
    bool names;  /* so may the names of guests be */
};
void site_effect_note(struct site_effect *effect, const struct table *table,
                      int column); /* -1: all columns */
void site_changed(struct core *core, struct request *request, const struct site_effect *effect);

/* May that value be stored there? False: the request is refused. */
bool site_check_value(struct core *core, struct request *request, const struct attr *attr,
                      const char *key, const char *value);
/* NULL: undefined. False: the turn fails. */
bool site_store_cell(struct core *core, const struct attr *attr, const char *key,
                     const char *value);

/* The list a,b,c with items put behind it (APPEND), in front (PREPEND) or taken out (REMOVE); each
 * item stands in it once. In core->arena. NULL: the request is refused. */
const char *site_change_list(struct core *core, struct request *request, const char *list,
                             RmOperator op, const char *items);

#endif
