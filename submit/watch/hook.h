/* hook.h - a text is posted to a URL
 *
 * As application/json. Redirects are not followed: what stands in the head may be a secret, which goes to nobody
 * else. Any answer but 2xx is a failure. */
#ifndef SUBMIT_WATCH_HOOK_H
#define SUBMIT_WATCH_HOOK_H

#include "conf/conf.h"
#include "conf/err.h"

#include <stddef.h>

enum { HOOK_HEADERS_MAX = 65536 /* bytes of the file of headers */ };

void hook_begin(void); /* once, before any thread */

/* is_over: asked now and then; true ends it. err never says the URL nor a header. */
int hook_post(const struct conf_notify *conf, const char *text, size_t length,
              bool (*is_over)(void *with), void *with, struct rm_err *err);

/* Can the file of headers be read, by nobody else, and is each line a header? */
int hook_check(const struct conf_notify *conf, struct rm_err *err);

#endif
