/* owner.h - whom a new key file is for */
#ifndef SUBMIT_OWNER_H
#define SUBMIT_OWNER_H

#include <pwd.h>
#include <stdbool.h>

/* name "": the broker's user (rmigrate), where root makes the broker's own key, else whoever calls, which is
 * NULL. False: there is no such user, which has been said. */
bool owner_find(const char *name, bool broker, const struct passwd **ret_owner);

#endif
