/* service.c - what every daemon needs of its surroundings: signals, readiness, watchdog, version */
#include "conf/service.h"

#include "conf/err.h"
#include "conf/text.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#if !defined(RM_VERSION) || !defined(RM_COMMIT) || !defined(RM_BUILT)
#error "RM_VERSION, RM_COMMIT and RM_BUILT come from CMakeLists.txt"
#endif

enum { STATUS_MAX = 1024 }; /* bytes of a status line */

int service_signals(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (sigaction(SIGPIPE, &ignore, NULL) < 0)
        return -errno;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int service_signal_read(int fd, uid_t *ret_uid)
{
    struct signalfd_siginfo info;
    ssize_t n = TEMP_FAILURE_RETRY(read(fd, &info, sizeof(info)));
    if (n != (ssize_t)sizeof(info))
        return 0;
    if (ret_uid)
        *ret_uid = info.ssi_uid;
    return (int)info.ssi_signo;
}

/* sd_notify's message is lines: a line's end inside the status would start another assignment. */
static void notify(const char *first, const char *status)
{
    char line[STATUS_MAX];
    snprintf(line, sizeof(line), "%s", status ? status : "");
    text_one_line(line);
    sd_notifyf(/* unset_environment = */ 0, "%s%s%s", first, status ? "STATUS=" : "", line);
}

void service_ready(const char *status)
{
    notify("READY=1\n", status);
}

void service_reloading(usec_t now)
{
    sd_notifyf(/* unset_environment = */ 0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now);
}

void service_stopping(void)
{
    notify("STOPPING=1\n", NULL);
}

struct watchdog service_watchdog(void)
{
    uint64_t usec = 0;
    bool is_on = sd_watchdog_enabled(/* unset_environment = */ 0, &usec) > 0;
    return (struct watchdog){.interval = is_on ? usec / 2 : 0};
}

usec_t service_wait(const struct watchdog *watchdog, usec_t now, usec_t deadline)
{
    if (watchdog->interval != 0 && watchdog->due_at < deadline)
        deadline = watchdog->due_at;
    return deadline == USEC_NEVER ? 3600 * USEC_PER_SEC : deadline > now ? deadline - now : 0;
}

void service_alive(struct watchdog *watchdog, usec_t now)
{
    if (watchdog->interval == 0 || watchdog->due_at > now)
        return;
    notify("WATCHDOG=1\n", NULL);
    watchdog->due_at = now + watchdog->interval;
}

const char *service_version(void)
{
    return RM_VERSION " (git commit " RM_COMMIT ")";
}

const char *service_version_line(void)
{
    return "Version " RM_VERSION " (git commit " RM_COMMIT ", built " RM_BUILT ")";
}
