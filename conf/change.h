/* change.h - what has changed between two readings of the settings, and what may not */
#ifndef CONF_CHANGE_H
#define CONF_CHANGE_H

#include <stdbool.h>

struct setting;

/* One setting that is another one than it was, as people read it. */
struct conf_change {
    const char *name; /* whole; of a row with the row's own: "broker.allow.hyp01.role" */
    const char *from; /* NULL: name is a list, and a row is new; long values are cut */
    const char *to;   /* NULL: name is a list, and a row is gone */
    bool fixed;       /* SETTING_FIXED */
};
typedef void conf_change_f(void *ctx, const struct conf_change *change);

/* Calls visit for each setting in which two structs that were read differ. Rows are the same when the
 * first setting of their table is, a text that no two of them share. 0, -ENOMEM. */
int change_visit(const struct setting *table, const char *path, const void *was, const void *is,
                 conf_change_f *visit, void *ctx);

/* Fixed settings of `is` become what they were. 0, -ENOMEM: `is` can only be freed then. */
int change_undo_fixed(const struct setting *table, const void *was, void *is);

#endif
