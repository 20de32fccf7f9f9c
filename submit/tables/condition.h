/* condition.h - what is typed as ATTRIBUTE, an operator and a value: vm.host=hyp02, groups,=web,
 * vm.host==hyp01 */
#ifndef SUBMIT_TABLES_CONDITION_H
#define SUBMIT_TABLES_CONDITION_H

#include "wire/msg.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>

/* Each makes a term in the arena; NULL: the text is none, or there is no memory (both are printed). */

/* Of nodech: = ,= ^= =@ set, == != =~ !~ select. */
RmTerm *term_of_node(struct arena *arena, const char *text);
/* Of chtab: = and +=. */
RmTerm *term_of_row(struct arena *arena, const char *text);
/* Of tabdump -w: == != =~ !~ > < >= <=. */
RmTerm *term_of_dump(struct arena *arena, const char *text);
/* Of nodels: == (or =) != =~ !~. */
RmTerm *term_of_list(struct arena *arena, const char *text);

bool term_selects(const RmTerm *term);

/* key=value,key=value of gettab and chtab. 0 or -EINVAL, which is printed. */
int term_keys(struct arena *arena, const char *text, size_t *ret_n, RmTerm ***ret_terms);

#endif
