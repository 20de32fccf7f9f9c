/* process.c - a program that is measured */
#include "tests/bench/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t process_start(char *const argv[], const char *log)
{
    pid_t caller = getpid(), pid = fork();

    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    if (pid > 0)
        return pid;
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != caller)
        _exit(127); /* it has ended already */
    execvp(argv[0], argv);
    perror(argv[0]);
    _exit(127);
}

int process_end(pid_t pid, int signal)
{
    int status = 0;

    if (signal != 0)
        kill(pid, signal);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static uint64_t line_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

static const char *read_proc(pid_t pid, const char *name, char *text, size_t size)
{
    char path[64];
    size_t n = 0;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    FILE *file = fopen(path, "re");
    if (file) {
        n = fread(text, 1, size - 1, file);
        fclose(file);
    }
    text[n] = '\0';
    return text;
}

struct usage process_usage(pid_t pid)
{
    char text[4096];
    struct usage usage = {0};
    unsigned long user = 0, system = 0;
    double tick = (double)sysconf(_SC_CLK_TCK);

    read_proc(pid, "status", text, sizeof(text));
    usage.resident = line_of(text, "VmRSS:");
    usage.own = line_of(text, "RssAnon:");
    read_proc(pid, "stat", text, sizeof(text));
    const char *end = strrchr(text, ')'); /* of its name, which may hold anything */
    if (end && sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                      &system) == 2) {
        usage.user = (double)user / tick;
        usage.system = (double)system / tick;
    }
    return usage;
}
