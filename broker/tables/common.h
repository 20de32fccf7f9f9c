/* common.h - what the requests about the site tables share
 *
 * Passwords are shown as TABLE_MASK to everybody who does not ask for them with the role admin; they
 * select nothing and are never stored in that form. A function that returns false has refused the
 * request, unless its comment says otherwise. */
#ifndef BROKER_TABLES_COMMON_H
#define BROKER_TABLES_COMMON_H

#include "broker/request.h"

enum {
    SITE_COLUMNS_MAX = 256, /* of one request, and conditions */
};

/* May the user see passwords, where he asks to? */
bool site_may_see(struct core *core, struct request *request, bool secrets);
/* May that column select nodes or rows (what)? name: as it was given. */
bool site_may_select(struct core *core, struct request *request, const struct attr *attr,
                     const char *name, bool secrets, const char *what);
/* May that column be set? Not the key of a row. */
bool site_may_set(struct core *core, struct request *request, const struct attr *attr,
                  const char *name);
/* False: there are more of these than `most`. */
bool site_is_bounded(struct core *core, struct request *request, size_t n, size_t most,
                     const char *what);

/* "NAME not a valid table.column description: WHY"; returns false. */
bool site_bad_column(struct core *core, struct request *request, const char *name, const char *why);
/* TABLE.COLUMN of any table, or a short name. */
bool site_find_column(struct core *core, struct request *request, const char *name,
                      struct attr *ret_attr);
/* The same of a table that is about nodes. */
bool site_find_attr(struct core *core, struct request *request, const char *name,
                    struct attr *ret_attr);
const struct table *site_find_table(struct core *core, struct request *request, const char *name,
                                    RmCode code); /* NULL: refused */

/* A value of the view, masked where it is a password that is not to be shown. text: NULL is "". NULL:
 * no memory. */
RmNodeValue *site_push_value(struct core *core, RmNodeView *view, size_t column,
                             const struct attr *attr, const char *text, bool secrets);

/* ---- changes */

/* It was done, but. */
void site_warn(struct core *core, struct request *request, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* May that value be stored there? */
bool site_check_value(struct core *core, struct request *request, const struct attr *attr,
                      const char *key, const char *value);
/* value NULL: undefined. False: the turn fails. */
bool site_store_cell(struct core *core, const struct attr *attr, const char *key,
                     const char *value);
bool site_delete_row(struct core *core, const struct table *table,
                     const char *key); /* it was there */

/* What a change may mean beyond itself. */
struct site_effect {
    bool groups; /* nodes and groups may be other ones */
    bool names;  /* so may the names of guests be */
};
/* column -1: all of them. */
void site_effect_note(struct site_effect *effect, const struct table *table, int column);
/* A column of n nodes or rows (what) was set, or n rows were deleted: the event and the effect.
 * which: as the user has named them. */
void site_report_set(struct core *core, struct request *request, struct site_effect *effect,
                     const struct attr *attr, size_t n, const char *what, const char *which);
void site_report_deleted(struct core *core, struct request *request, struct site_effect *effect,
                         const struct table *table, size_t n, const char *which);
/* All changes of the request have been made. */
void site_changed(struct core *core, struct request *request, const struct site_effect *effect);

#endif
