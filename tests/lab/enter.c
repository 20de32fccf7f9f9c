/* enter.c - run a command in the namespaces of another process: enter PROCDIR COMMAND...
 *
 * PROCDIR is that process's directory in some /proc.  The command keeps working directory (where it
 * exists inside), environment and terminal.  To whoever started it, `enter` is the command: signals
 * sent to `enter` reach it, its death by any signal takes the command with it, and it ends with the
 * command's exit code (128 + signal if a signal ended it).  nsenter(1) does neither of the first
 * two.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    NOT_FOUND = 127,
    NOT_RUN = 126,
    BROKEN = 125
}; /* exit codes, as env(1) and nohup(1) have them */

/* The order matters: the user namespace gives the right to join the others. */
static const char *const names[] = {"user", "pid", "net", "uts", "ipc", "mnt"};
enum { COUNT = sizeof names / sizeof *names };

/* Returns a descriptor of the namespace, or -1 if it is the one that we are in. */
static int namespace_open(const char *procdir, const char *name)
{
    char theirs[PATH_MAX], ours[64];
    struct stat a, b;
    int fd;

    if (snprintf(theirs, sizeof theirs, "%s/ns/%s", procdir, name) >= (int)sizeof theirs)
        errx(BROKEN, "%s: name too long", procdir);
    snprintf(ours, sizeof ours, "/proc/self/ns/%s", name);
    fd = open(theirs, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &a) < 0 || stat(ours, &b) < 0)
        err(BROKEN, "%s", theirs);
    if (a.st_ino == b.st_ino && a.st_dev == b.st_dev) {
        close(fd);
        return -1;
    }
    return fd;
}

static void join(const char *procdir)
{
    char path[PATH_MAX];
    int fd[COUNT], root;

    snprintf(path, sizeof path, "%s/root", procdir);
    root = open(path, O_PATH | O_CLOEXEC);
    if (root < 0)
        err(BROKEN, "%s", path);
    for (int i = 0; i < COUNT; i++)
        fd[i] = namespace_open(procdir, names[i]);
    for (int i = 0; i < COUNT; i++)
        if (fd[i] >= 0 && (setns(fd[i], 0) < 0 || close(fd[i]) < 0))
            err(BROKEN, "cannot join the %s namespace of %s", names[i], procdir);
    /* A mount namespace is entered at its very root; the process may have been below a chroot. */
    if (fchdir(root) < 0 || chroot(".") < 0 || close(root) < 0)
        err(BROKEN, "%s", path);
}

/* Passes signals on until the child has ended; returns its exit code. */
static int attend(pid_t child, const sigset_t *watched)
{
    for (;;) {
        siginfo_t info;
        int status, signal = sigwaitinfo(watched, &info);

        if (signal < 0)
            continue; /* stopped and continued */
        if (signal != SIGCHLD) {
            /* What the terminal sent went to the whole foreground group, the child included. */
            if (info.si_code != SI_KERNEL)
                kill(child, signal);
            continue;
        }
        if (waitpid(child, &status, WNOHANG) != child)
            continue;
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
}

int main(int argc, char **argv)
{
    static const int passed_on[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
                                    SIGUSR2, SIGALRM, SIGCONT, SIGWINCH};
    char cwd[PATH_MAX];
    sigset_t watched, before;
    pid_t child;

    if (argc < 3)
        errx(BROKEN, "usage: enter PROCDIR COMMAND...");
    if (!getcwd(cwd, sizeof cwd))
        strcpy(cwd, "/");
    join(argv[1]);
    if (chdir(cwd) < 0 && chdir("/") < 0)
        err(BROKEN, "/");

    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        sigaddset(&watched, passed_on[i]);
    sigprocmask(SIG_BLOCK, &watched, &before);

    child = fork(); /* only a child is in the new pid namespace */
    if (child < 0)
        err(BROKEN, "fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        execvp(argv[2], argv + 2);
        warn("%s", argv[2]);
        _exit(errno == ENOENT ? NOT_FOUND : NOT_RUN);
    }
    return attend(child, &watched);
}
