/* stamp.c - note when each guest wrote each line: stamp DIRECTORY
 *
 * The guests' serial ports are files DIRECTORY/NAME.log.  Every whole line that is added to one of
 * them is written to DIRECTORY/NAME.times with the time in front, in seconds.  The guest's own
 * clock stands still while it is moved: a second that took longer shows for how long.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 1024 }; /* a longer line is cut into pieces of this size */

struct log { /* a file that is being followed */
    char name[NAME_MAX + 1];
    int fd;
    FILE *times;
    char line[LINE]; /* the line that is not yet whole */
    size_t length;   /* its length so far */
    struct log *next;
};

static struct log *logs;

static void log_close(struct log *log)
{
    if (log->fd >= 0)
        close(log->fd);
    if (log->times)
        fclose(log->times);
    log->fd = -1;
    log->times = NULL;
    log->length = 0;
}

/* Finds what is known about the file, and opens it if it is not open. */
static struct log *log_open(const char *name)
{
    char path[NAME_MAX + 8];
    struct log *log;

    for (log = logs; log && strcmp(log->name, name) != 0; log = log->next)
        ;
    if (!log) {
        log = calloc(1, sizeof *log);
        if (!log)
            err(1, "%s", name);
        snprintf(log->name, sizeof log->name, "%s", name);
        log->fd = -1;
        log->next = logs;
        logs = log;
    }
    if (log->fd < 0) {
        snprintf(path, sizeof path, "%.*s.times", (int)(strlen(name) - strlen(".log")), name);
        log->fd = open(name, O_RDONLY | O_CLOEXEC);
        log->times = fopen(path, "ae");
    }
    return log;
}

static void log_read(struct log *log)
{
    struct timespec now;
    char bytes[4096];
    ssize_t n;

    clock_gettime(CLOCK_REALTIME, &now);
    while (log->fd >= 0 && log->times && (n = read(log->fd, bytes, sizeof bytes)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (bytes[i] != '\n')
                log->line[log->length++] = bytes[i];
            if (bytes[i] == '\n' || log->length == LINE) {
                fprintf(log->times, "%lld.%03ld %.*s\n", (long long)now.tv_sec,
                        now.tv_nsec / 1000000, (int)log->length, log->line);
                log->length = 0;
            }
        }
    }
    if (log->times)
        fflush(log->times);
}

int main(int argc, char **argv)
{
    static char events[64 * 1024] __attribute__((aligned(__alignof__(struct inotify_event))));
    int fd;

    if (argc != 2 || chdir(argv[1]) < 0)
        err(2, "usage: stamp DIRECTORY");
    fd = inotify_init1(IN_CLOEXEC);
    if (fd < 0 || inotify_add_watch(fd, ".", IN_CREATE | IN_MODIFY | IN_DELETE) < 0)
        err(1, "inotify");
    for (;;) {
        ssize_t n = read(fd, events, sizeof events);

        if (n < 0 && errno != EINTR)
            err(1, "inotify");
        for (char *at = events; at < events + n;) {
            const struct inotify_event *event = (const struct inotify_event *)at;
            const char *dot = event->len ? strrchr(event->name, '.') : NULL;

            at += sizeof *event + event->len;
            if (!dot || strcmp(dot, ".log") != 0)
                continue;
            if (event->mask & IN_DELETE)
                log_close(log_open(event->name));
            else
                log_read(log_open(event->name));
        }
    }
}
