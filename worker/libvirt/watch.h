/* watch.h - what events report of one hypervisor: changes, and guests on their way out
 *
 * Shared by reference: callbacks come for as long as their connection lives. Used by any thread. */
#ifndef WORKER_LIBVIRT_WATCH_H
#define WORKER_LIBVIRT_WATCH_H

#include "conf/env.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    LV_UUID_MAX = 37,       /* bytes of a uuid as text, with its end */
    LV_MIGRATING_MAX = 256, /* guests that somebody moves away at once */
};

struct lv_watch;
struct lv_watch *lv_watch_new(void); /* NULL: no memory */
struct lv_watch *lv_watch_ref(struct lv_watch *watch);
void lv_watch_unref(struct lv_watch *watch); /* NULL is fine */

void lv_watch_changed(struct lv_watch *watch);

/* True as soon as something has changed since the last call that returned true; false: time is
 * over. One thread waits at a time. */
bool lv_watch_wait(struct lv_watch *watch, usec_t until_at);

/* Guests on their way out, whoever moves them. One that is added is a change. */
void lv_watch_add_migrating(struct lv_watch *watch, const char *uuid);
bool lv_watch_is_migrating(struct lv_watch *watch, const char *uuid);
/* These and no others from now on. */
void lv_watch_set_migrating(struct lv_watch *watch, char uuids[][LV_UUID_MAX], size_t n);

#endif
