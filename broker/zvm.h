/* zvm.h - members of an SSI cluster of z/VM
 *
 * On a member every service machine is logged on, many of them on all members at once; guests are
 * those user ids that the table zvm names (columns userid and parent, through groups and patterns).
 * Two nodes may have one user id where they are on different members or clusters: the member that
 * zvm.parent names decides. */
#ifndef BROKER_ZVM_H
#define BROKER_ZVM_H

#include "broker/platform.h"

extern const struct platform platform_zvm;

#endif
