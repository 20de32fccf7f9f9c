/* log.c - levelled key=value lines to the journal or to stderr */
#include "conf/log.h"

#include "conf/io.h"
#include "conf/text.h"

#define SD_JOURNAL_SUPPRESS_LOCATION /* file and line of this file would say nothing */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 4096, /* an error text (RM_ERR_MAX) and what stands around it */
    FIELD_MAX = 512,       /* NAME=value of a journal field; a name is at most 255 bytes */
};

static const struct {
    const char *name;
    int priority; /* syslog's number, which the journal wants */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", 3},
    [LOG_LEVEL_WARN] = {"warning", 4},
    [LOG_LEVEL_INFO] = {"info", 6},
    [LOG_LEVEL_DEBUG] = {"debug", 7},
};

/* Words that become fields of their own, so that `journalctl RMIGRATE_GUEST=kvm1` finds a guest's lines. */
static const struct {
    const char *key, *field;
} fields[] = {
    {"job", "RMIGRATE_JOB"},     {"guest", "RMIGRATE_GUEST"},     {"host", "RMIGRATE_HOST"},
    {"batch", "RMIGRATE_BATCH"}, {"worker", "RMIGRATE_WORKER"},   {"state", "RMIGRATE_STATE"},
    {"user", "RMIGRATE_USER"},   {"attempt", "RMIGRATE_ATTEMPT"},
};

enum {
    LEVELS = sizeof(levels) / sizeof(levels[0]),
    FIELDS = sizeof(fields) / sizeof(fields[0]),
    FIELDS_ALWAYS = 3, /* message, priority, program */
    FIELDS_NOTICE = 2,
};

/* Written by log_open() before any thread starts, only read afterwards. */
static const char *log_name;
static enum log_level log_top = LOG_LEVEL_INFO;
static bool log_to_journal;

/* systemd names the device and inode that it gave to stderr: if stderr was redirected since then,
 * whoever did that wants the lines there. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    if (!stream || fstat(STDERR_FILENO, &st) < 0)
        return false;
    char want[64];
    snprintf(want, sizeof(want), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return strcmp(stream, want) == 0;
}

void log_open(const char *name, enum log_level level)
{
    log_name = name;
    log_top = level;
    log_to_journal = stderr_is_journal();
}

int log_level_parse(const char *text, enum log_level *ret_level)
{
    for (int i = 0; i < LEVELS; i++)
        if (strcmp(text, levels[i].name) == 0) {
            *ret_level = (enum log_level)i;
            return 0;
        }
    return -EINVAL;
}

/* The value of the first word `key=value` of a line's head; its length, or 0 when there is none. What
 * stands behind the head's colon may be a peer's own words, which name nothing. */
static size_t find_word(const char *text, const char *key, const char **ret_value)
{
    size_t key_length = strlen(key);
    const char *end = strstr(text, ": ");
    for (const char *p = text; (p = strstr(p, key)) && (!end || p < end); p += key_length) {
        if ((p != text && p[-1] != ' ') || p[key_length] != '=')
            continue;
        *ret_value = p + key_length + 1;
        return strcspn(*ret_value, " :,'\"()"); /* none of these can stand in a name */
    }
    return 0;
}

static int send_journal(enum notice notice, enum log_level level, const char *text)
{
    char message[LINE_MAX_BYTES + sizeof("MESSAGE=")], priority[32], identifier[FIELD_MAX];
    char found[FIELDS][FIELD_MAX], id[FIELD_MAX], name[FIELD_MAX];
    struct iovec iov[FIELDS_ALWAYS + FIELDS_NOTICE + FIELDS];
    int n = 0;

    iov[n].iov_base = message;
    iov[n++].iov_len = (size_t)snprintf(message, sizeof(message), "MESSAGE=%s", text);
    iov[n].iov_base = priority;
    iov[n++].iov_len =
        (size_t)snprintf(priority, sizeof(priority), "PRIORITY=%d", levels[level].priority);
    if (log_name && strlen(log_name) < FIELD_MAX / 2) {
        iov[n].iov_base = identifier;
        iov[n++].iov_len =
            (size_t)snprintf(identifier, sizeof(identifier), "SYSLOG_IDENTIFIER=%s", log_name);
    }
    if (notice != NOTICE_NONE) {
        iov[n].iov_base = id;
        iov[n++].iov_len = (size_t)snprintf(id, sizeof(id), "MESSAGE_ID=%s", notice_id(notice));
        iov[n].iov_base = name;
        iov[n++].iov_len =
            (size_t)snprintf(name, sizeof(name), "RMIGRATE_NOTICE=%s", notice_name(notice));
    }
    for (int i = 0; i < FIELDS; i++) {
        const char *value;
        size_t length = find_word(text, fields[i].key, &value);
        if (length == 0 || length >= FIELD_MAX / 2)
            continue;
        iov[n].iov_base = found[i];
        iov[n++].iov_len = (size_t)snprintf(found[i], sizeof(found[i]), "%s=%.*s", fields[i].field,
                                            (int)length, value);
    }
    return sd_journal_sendv(iov, n);
}

/* One write(2) for a line, so that lines of several threads do not mix. */
static void send_stderr(enum log_level level, const char *text)
{
    static _Thread_local usec_t second;
    static _Thread_local char time[ENV_TIME_MAX]; /* of that second: a burst of lines has few */
    char line[LINE_MAX_BYTES + 64];
    usec_t now = env_wall(env_system());
    if (now / USEC_PER_SEC != second)
        env_time_text(now, time);
    second = now / USEC_PER_SEC;
    int length = snprintf(line, sizeof(line), "%s %-7s %s\n", time, levels[level].name, text);
    if (length > 0)
        io_write(STDERR_FILENO, line, (size_t)length); /* nobody is left who could be told */
}

bool log_tells(enum log_level level)
{
    return level <= log_top;
}

void log_notice(enum notice notice, enum log_level level, const char *format, ...)
{
    if (!log_tells(level))
        return;
    int saved_errno = errno;
    char text[LINE_MAX_BYTES];
    va_list list;
    va_start(list, format);
    text_one_line(text_vformat(text, sizeof(text), format, list));
    va_end(list);
    if (!log_to_journal || send_journal(notice, level, text) < 0)
        send_stderr(level, text);
    errno = saved_errno;
}

bool log_allowed(struct log_limit *limit, usec_t now, usec_t interval, unsigned burst)
{
    if (limit->count == 0 || now - limit->since_at >= interval) {
        limit->since_at = now;
        limit->count = 0;
    }
    if (limit->count >= burst)
        return false;
    limit->count++;
    return true;
}
