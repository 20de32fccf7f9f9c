/* log.h - levelled key=value lines to the journal or to stderr
 *
 * Under systemd (JOURNAL_STREAM names stderr) lines go to the journal with their priority; else to
 * stderr with a time and a level. Library code does not log: a function that logs says so in its
 * header. A line is one line: control characters in it are replaced. Threads may log.
 *
 * Words of a line like guest=kvm1 are fields in the journal (RMIGRATE_GUEST=kvm1; the table stands in
 * log.c); a line that a person has to act on names its notice. */
#ifndef CONF_LOG_H
#define CONF_LOG_H

#include "conf/env.h"
#include "conf/notice.h"

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* name: the program, kept (not copied). */
void log_open(const char *name, enum log_level level);

/* "error", "warning", "info", "debug"; -EINVAL for others. */
int log_level_parse(const char *text, enum log_level *ret_level);

/* Are lines of that level written? */
bool log_tells(enum log_level level);

void log_notice(enum notice notice, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_write(level, ...) log_notice(NOTICE_NONE, (level), __VA_ARGS__)

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* True when a line may be written that can come a thousand times a second: at most `burst` in
 * `interval`. Zero-initialise the struct. */
struct log_limit {
    usec_t since_at; /* begin of the interval that runs */
    unsigned count;  /* lines in it */
};
bool log_allowed(struct log_limit *limit, usec_t now, usec_t interval, unsigned burst);

#endif
