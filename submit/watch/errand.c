/* errand.c - a command that is given a text, for a time */
#include "submit/watch/errand.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Into words; false: there are too many. */
static bool split(char *command, char *words[static ERRAND_WORDS_MAX + 1])
{
    char *save = NULL;
    size_t n = 0;
    for (char *word = strtok_r(command, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
        if (n == ERRAND_WORDS_MAX)
            return false;
        words[n++] = word;
    }
    words[n] = NULL;
    return n > 0;
}

int errand_check(const char *command, struct rm_err *err)
{
    char *copy = strdup(command), *words[ERRAND_WORDS_MAX + 1];
    struct stat st;
    int r = 0;
    if (!copy)
        return rm_fail(err, -ENOMEM, "no memory");
    if (!split(copy, words))
        r = rm_fail(err, -E2BIG, "a command has %d words at most", ERRAND_WORDS_MAX);
    else if (stat(words[0], &st) < 0)
        r = rm_fail(err, -errno, "%s: %s", words[0], strerror(errno));
    else if (!S_ISREG(st.st_mode) || access(words[0], X_OK) < 0)
        r = rm_fail(err, -EACCES, "%s is not a program that this user may run", words[0]);
    else if (st.st_mode & S_IWOTH)
        r = rm_fail(err, -EPERM, "%s may be written by everybody: chmod o-w %s", words[0],
                    words[0]);
    free(copy);
    return r;
}

/* The program's own environment, and before it the variables. NULL: no memory. */
static char **make_environment(const char *const *variables)
{
    size_t n = 0, k = 0;
    for (size_t i = 0; environ[i]; i++)
        n++;
    for (size_t i = 0; variables[i]; i++)
        n++;
    char **all = calloc(n + 1, sizeof(*all));
    for (size_t i = 0; all && variables[i]; i++)
        all[k++] = (char *)variables[i];
    for (size_t i = 0; all && environ[i]; i++)
        if (strncmp(environ[i], "NOTIFY_SOCKET=", 14) != 0) /* systemd's word with this program */
            all[k++] = environ[i];
    return all;
}

/* in: it reads from there. out: it writes to there. */
static int begin(char *const *words, char *const *environment, int in, int out, pid_t *ret_pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, usual;
    sigemptyset(&none);
    sigfillset(&usual);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&how);
    int r = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                       POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&how, 0);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &usual);
    if (r == 0)
        r = posix_spawn(ret_pid, words[0], &files, &how, words, environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    return -r;
}

struct run {
    const struct errand *errand;
    int in, out, end; /* its input and output, and its end; -1: closed */
    size_t written, read;
    char *output;
    usec_t until;
    bool stopping;
};

static void shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* What it does not want to read is no failure of its own. */
static void feed(struct run *run)
{
    const struct errand *e = run->errand;
    ssize_t n = write(run->in, e->text + run->written, e->length - run->written);
    if (n > 0)
        run->written += (size_t)n;
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        run->written = e->length;
    if (run->written == e->length)
        shut(&run->in);
}

static void listen_to(struct run *run)
{
    char buffer[ERRAND_OUTPUT_MAX];
    ssize_t n = read(run->out, buffer, sizeof(buffer));
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        shut(&run->out);
    if (n <= 0)
        return;
    size_t room = ERRAND_OUTPUT_MAX - 1 - run->read, taken = (size_t)n < room ? (size_t)n : room;
    memcpy(run->output + run->read, buffer, taken);
    run->read += taken;
}

/* True: it has ended by itself. */
static bool attend(struct run *run)
{
    for (;;) {
        usec_t now = env_now(env_system());
        if (now >= run->until)
            return false;
        struct pollfd fds[] = {{.fd = run->end, .events = POLLIN},
                               {.fd = run->in, .events = POLLOUT},
                               {.fd = run->out, .events = POLLIN},
                               {.fd = run->stopping ? -1 : run->errand->stop, .events = POLLIN}};
        int wait_for = (int)((run->until - now) / USEC_PER_MSEC) + 1;
        if (poll(fds, sizeof(fds) / sizeof(fds[0]), wait_for) <= 0)
            continue;
        if (fds[1].revents)
            feed(run);
        if (fds[2].revents)
            listen_to(run);
        if (fds[0].revents)
            break;
        if (fds[3].revents) {
            usec_t until = now + run->errand->stop_for;
            run->stopping = true;
            run->until = until < run->until ? until : run->until;
        }
    }
    if (run->out >= 0) /* what it said last; a child of its own that goes on is not waited for */
        listen_to(run);
    return true;
}

static int how_it_ended(int status, struct rm_err *err)
{
    if (WIFSIGNALED(status))
        return rm_fail(err, -EIO, "the command was ended by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return rm_fail(err, -EIO, "the command ended with code %d", WEXITSTATUS(status));
    return 0;
}

static int see_to_its_end(struct run *run, pid_t pid, struct rm_err *err)
{
    int status = 0;
    bool seen = run->end >= 0, ended = seen && attend(run);
    if (!ended)
        kill(-pid, SIGKILL);
    TEMP_FAILURE_RETRY(waitpid(pid, &status, 0));
    shut(&run->in);
    shut(&run->out);
    shut(&run->end);
    run->output[run->read] = '\0';
    if (ended)
        return how_it_ended(status, err);
    return rm_fail(err, -ETIME, "the command was killed: %s",
                   !seen           ? "its end could not be seen"
                   : run->stopping ? "rmigrate-watch ends"
                                   : "its time was over");
}

static int run_words(const struct errand *errand, char *const *words, char *const *environment,
                     char *output, struct rm_err *err)
{
    struct run run = {.errand = errand, .in = -1, .out = -1, .end = -1, .output = output};
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    pid_t pid = -1;
    int r = pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 ? -errno : 0;
    if (r >= 0)
        r = begin(words, environment, in[0], out[1], &pid);
    shut(&in[0]);
    shut(&out[1]);
    run.in = in[1];
    run.out = out[0];
    if (r < 0) {
        shut(&run.in);
        shut(&run.out);
        return rm_fail(err, r, "%s: %s", words[0], strerror(-r));
    }
    fcntl(run.in, F_SETFL, O_NONBLOCK);
    fcntl(run.out, F_SETFL, O_NONBLOCK);
    run.end = pidfd_open(pid, 0);
    run.until = env_now(env_system()) + errand->timeout;
    return see_to_its_end(&run, pid, err);
}

int errand_run(const struct errand *errand, char output[static ERRAND_OUTPUT_MAX],
               struct rm_err *err)
{
    char *copy = strdup(errand->command), *words[ERRAND_WORDS_MAX + 1];
    char **environment = make_environment(errand->variables);
    int r;
    output[0] = '\0';
    if (!copy || !environment)
        r = rm_fail(err, -ENOMEM, "no memory");
    else if (!split(copy, words))
        r = rm_fail(err, -E2BIG, "a command has %d words at most", ERRAND_WORDS_MAX);
    else
        r = run_words(errand, words, environment, output, err);
    free(environment);
    free(copy);
    return r;
}
