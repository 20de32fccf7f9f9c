/* local.c - --local: a broker and a worker of one's own, for the length of one command */
#include "submit/local.h"

#include "conf/env.h"
#include "conf/io.h"
#include "conf/service.h"
#include "conf/text.h"
#include "conf/word.h"
#include "submit/job_pages.h"
#include "submit/out.h"
#include "submit/uri.h"
#include "wire/job.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long the broker may take to be there, and a hypervisor to answer; one that is said not to answer is tried
 * again for as long as TOLD_IN. */
#define BROKER_IN (10 * USEC_PER_SEC)
#define HOSTS_IN  (30 * USEC_PER_SEC)
#define TOLD_IN   (6 * USEC_PER_SEC)
#define LOOK      (100 * USEC_PER_MSEC)

/* How long what an earlier command has begun is waited for: a guest that nobody is sure of is looked at for half a
 * minute. */
#define OTHERS_IN (2 * 60 * USEC_PER_SEC)

/* How long their end is waited for. */
#define END_IN (5 * USEC_PER_SEC)

/* How often each of its programs is started again, when it ends by itself. */
enum { HOSTS_MAX = 64, LOG_SHOWN = 2000 /* bytes */, STARTS_MAX = 4 };

struct host {
    char *name, *uri; /* owned */
    bool is_source;
};

struct local {
    char *directory;
    int lock; /* -1: none */
    int word; /* to who looks after both: a byte starts the worker, its end ends them; -1: none */
    pid_t keeper; /* who looks after both; 0: nobody */
    struct host hosts[HOSTS_MAX];
    size_t n_hosts;
    char *from, *to; /* names, joined by commas, in place of what was typed */
};

/* ---- hypervisors: [NAME=]URI, joined by commas */

static int add_host(struct local *local, const char *text, size_t length, bool is_source,
                    struct rm_err *err)
{
    const char *equals = memchr(text, '=', length), *colon = memchr(text, ':', length);
    bool is_named = equals && (!colon || equals < colon);
    struct host host = {.is_source = is_source};
    const char *uri = is_named ? equals + 1 : text;
    host.uri = strndup(uri, length - (size_t)(uri - text));
    host.name = !host.uri  ? NULL
                : is_named ? strndup(text, (size_t)(equals - text))
                           : uri_name(host.uri);
    int r = 0;
    if (!host.uri || !host.name)
        r = rm_fail(err, -ENOMEM, "no memory");
    else if (local->n_hosts == HOSTS_MAX)
        r = rm_fail(err, -EINVAL, "--local takes %d hypervisors at most", HOSTS_MAX);
    else if (!strstr(host.uri, "://"))
        r = rm_fail(err, -EINVAL,
                    "with --local a hypervisor is a URI of libvirt, or NAME=URI, as "
                    "qemu+ssh://hyp02/system: '%s'",
                    host.uri);
    else if (!uri_is_name(host.name) || word_check_uri(host.uri, NULL) < 0 ||
             strpbrk(host.uri, "\"\\"))
        r = rm_fail(err, -EINVAL, "'%.*s': not a name and a URI", (int)length, text);
    else if (!is_source && uri_is_only_here(host.uri))
        r = rm_fail(err, -EINVAL,
                    "%s: the source's libvirtd cannot find this machine by it; name it as "
                    "others do, as qemu+ssh://%s/system",
                    host.uri, host.name);
    for (size_t i = 0; r == 0 && i < local->n_hosts; i++)
        if (strcasecmp(local->hosts[i].name, host.name) == 0)
            r = rm_fail(err, -EINVAL,
                        "two hypervisors are called %s; NAME=URI gives one another name",
                        host.name);
        else if (uri_is_same(local->hosts[i].uri, host.uri))
            r = rm_fail(err, -EINVAL, "%s and %s are the same hypervisor: %s", local->hosts[i].name,
                        host.name, host.uri);
    if (r < 0) {
        free(host.name);
        free(host.uri);
        return r;
    }
    local->hosts[local->n_hosts++] = host;
    return 0;
}

static int add_hosts(struct local *local, const char *list, bool is_source, char **ret_names,
                     struct rm_err *err)
{
    size_t first = local->n_hosts, length;
    int r = 0;
    while (r == 0 && *(list += strspn(list, ","))) {
        size_t n = strcspn(list, ",");
        r = add_host(local, list, n, is_source, err);
        list += n;
    }
    FILE *file = r == 0 ? open_memstream(ret_names, &length) : NULL;
    for (size_t i = first; file && i < local->n_hosts; i++)
        fprintf(file, "%s%s", i > first ? "," : "", local->hosts[i].name);
    if (r == 0 && (!file || fclose(file) != 0))
        r = rm_fail(err, -ENOMEM, "no memory");
    return r;
}

/* submit: guests and destinations, from --from or this machine; evacuate: the operand is what is emptied. */
static int take_hosts(struct local *local, struct args *args, struct rm_err *err)
{
    bool evacuates = strcmp(args->command, "evacuate") == 0;
    const char *from = evacuates ? args->operands[0] : args->from;
    if (evacuates && args->from[0])
        return rm_fail(err, -EINVAL, "evacuate --local takes what is emptied as its operand");
    if (!args->to[0])
        return rm_fail(err, -EINVAL,
                       "with --local a destination is needed, as qemu+ssh://hyp02/system");
    if (args->detach)
        return rm_fail(err, -EINVAL,
                       "--detach and --local exclude each other: all of it ends "
                       "with the command");
    int r = add_hosts(local, from[0] ? from : "qemu:///system", true, &local->from, err);
    if (r == 0)
        r = add_hosts(local, args->to, false, &local->to, err);
    if (r < 0)
        return r;
    args->to = local->to;
    if (evacuates)
        args->operands[0] = local->from;
    args->cancel_on_interrupt = true; /* nobody would carry them on */
    return 0;
}

/* ---- its place */

static int make_path(char *path)
{
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
    return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int find_place(struct local *local, struct rm_err *err)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    const struct passwd *user = home && home[0] == '/' ? NULL : getpwuid(geteuid());
    if (user)
        home = user->pw_dir;
    bool is_set = state && state[0] == '/';
    if (!is_set && (!home || home[0] != '/'))
        return rm_fail(err, -ENOENT, "--local needs a place for its store: HOME is not set");
    if (asprintf(&local->directory, is_set ? "%s/rmigrate" : "%s/.local/state/rmigrate",
                 is_set ? state : home) >= 0)
        return 0;
    local->directory = NULL;
    return rm_fail(err, -ENOMEM, "no memory");
}

/* Nobody else can put anything into it: what is written there is followed, and decides what is moved. */
static int check_place(const char *path, struct rm_err *err)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return rm_fail(err, -errno, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return rm_fail(err, -ENOTDIR, "%s: is not a directory", path);
    if (st.st_uid != geteuid())
        return rm_fail(err, -EPERM,
                       "%s: belongs to another user (uid %u); set XDG_STATE_HOME to a directory of "
                       "your own",
                       path, (unsigned)st.st_uid);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return rm_fail(err, -EPERM, "%s: others may write to it (mode %04o); chmod 700 %s", path,
                       (unsigned)(st.st_mode & 07777), path);
    return 0;
}

/* The user's state directory, locked: one command at a time has its store. */
static int take_place(struct local *local, struct rm_err *err)
{
    char *lock = NULL;
    struct sockaddr_un address;
    int r = find_place(local, err);
    if (r < 0)
        return r;
    bool is_plain = strpbrk(local->directory, "\"\\") == NULL;
    for (const char *p = local->directory; *p; p++)
        is_plain = is_plain && *p > ' ' && *p <= '~';
    if (!is_plain || strlen(local->directory) + sizeof("/broker") > sizeof(address.sun_path))
        return rm_fail(err, -ENAMETOOLONG,
                       "%s: no socket can be there; set XDG_STATE_HOME to a path of less than %zu "
                       "letters, without blanks and quotes",
                       local->directory, sizeof(address.sun_path) - sizeof("/rmigrate/broker"));
    r = make_path(local->directory);
    if (r < 0)
        return rm_fail(err, r, "%s: %s", local->directory, strerror(-r));
    r = check_place(local->directory, err);
    if (r < 0)
        return r;
    if (asprintf(&lock, "%s/lock", local->directory) < 0)
        return rm_fail(err, -ENOMEM, "no memory");
    local->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (local->lock < 0)
        r = rm_fail(err, -errno, "%s: %s", lock, strerror(errno));
    else if (flock(local->lock, LOCK_EX | LOCK_NB) < 0)
        r = rm_fail(err, -EBUSY,
                    "another rmigrate --local is at work, or what it has begun is not over (%s)",
                    lock);
    free(lock);
    return r;
}

static int write_settings(const struct local *local, const char *path, struct rm_err *err)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return rm_fail(err, -errno, "%s: %s", path, strerror(errno));
    fprintf(file,
            "# written by rmigrate --local\n"
            "broker: { listen = [ \"ipc://%1$s/broker\" ]; store = \"%1$s/store\"; "
            "socket_mode = \"0600\"; };\n"
            "client: { broker = \"ipc://%1$s/broker\"; };\n"
            "worker: { broker = \"ipc://%1$s/broker\";\n"
            "    hypervisors = (\n",
            local->directory);
    for (size_t i = 0; i < local->n_hosts; i++) {
        const struct host *host = &local->hosts[i];
        fprintf(file, "    { name = \"%s\"; connect = \"%s\";", host->name, host->uri);
        if (!uri_is_only_here(host->uri))
            fprintf(file, " peer = \"%s\";", host->uri);
        fprintf(file, " }%s\n", i + 1 < local->n_hosts ? "," : "");
    }
    fprintf(file, "    );\n};\n");
    return fclose(file) == 0 ? 0 : rm_fail(err, -EIO, "%s: %s", path, strerror(errno));
}

/* ---- its programs */

/* Beside this program, or where daemons are beside it. */
static void find_program(const char *name, char path[static PATH_MAX])
{
    char here[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", here, sizeof(here) - 1);
    here[n > 0 ? n : 0] = '\0';
    char *end = strrchr(here, '/');
    if (end)
        *end = '\0';
    static const char *const places[] = {".", "../sbin"};
    for (size_t i = 0; i < 2; i++) {
        int length = snprintf(path, PATH_MAX, "%s/%s/%s", here, places[i], name);
        if (length > 0 && length < PATH_MAX && access(path, X_OK) == 0)
            return;
    }
    text_format(path, PATH_MAX, "/usr/sbin/%s", name);
}

/* What ends the command, as killall does, is not meant for who looks after what it has begun. */
static void heed_signals(void (*how)(int))
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        signal(signals[i], how);
}

/* One of them. */
struct kept {
    const char *name;
    pid_t pid; /* 0: it does not run */
    int starts;
    bool was_killed; /* it has not ended by itself */
};

/* Of who looks after both: a new process that becomes one of them, and ends if that one is killed. A worker that has
 * something to tell then waits for the broker of the next command. */
static void start(const struct local *local, struct kept *kept)
{
    char path[PATH_MAX], log[PATH_MAX], settings[PATH_MAX];
    find_program(kept->name, path);
    text_format(log, sizeof(log), "%s/%s.log", local->directory, kept->name);
    text_format(settings, sizeof(settings), "%s/rmigrate.conf", local->directory);
    kept->starts++;
    kept->was_killed = false;
    pid_t parent = getpid(), pid = fork();
    if (pid != 0) {
        kept->pid = pid < 0 ? 0 : pid;
        return;
    }
    heed_signals(SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(EXIT_FAILURE);
    int begin = kept->starts == 1 ? O_TRUNC : O_APPEND;
    int fd = open(log, O_WRONLY | O_CREAT | O_CLOEXEC | begin, 0600);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execl(path, kept->name, "-c", settings, (char *)NULL);
    _exit(127);
}

static bool has_ended(pid_t *pid)
{
    if (*pid && waitpid(*pid, NULL, WNOHANG) == *pid)
        *pid = 0;
    return *pid == 0;
}

static bool is_over(struct kept *kept)
{
    int status;
    if (kept->pid && waitpid(kept->pid, &status, WNOHANG) == kept->pid) {
        kept->pid = 0;
        kept->was_killed = WIFSIGNALED(status);
    }
    return kept->pid == 0;
}

/* It runs, or is started again: what it left half done is seen to its end. anyhow: also where it has ended by itself,
 * which a broker that was there does only when it is told to. */
static bool goes_on(const struct local *local, struct kept *kept, bool anyhow)
{
    if (is_over(kept) && (kept->was_killed || anyhow) && kept->starts < STARTS_MAX)
        start(local, kept);
    return kept->pid != 0;
}

/* Looks after both until whoever started it is done, or gone: then the worker ends when what is in progress has
 * ended, and the broker, to which it tells that, after it. If one of them ends by itself, so does the other; a worker
 * waits for a broker for ever, if it is not told twice. */
static void keep(const struct local *local, int word)
{
    struct kept broker = {.name = "rmigrate-broker"}, worker = {.name = "rmigrate-worker"};
    bool wanted = true;
    struct pollfd fd = {.fd = word, .events = POLLIN};
    start(local, &broker);
    while (wanted && goes_on(local, &broker, worker.starts > 0) &&
           (worker.starts == 0 || goes_on(local, &worker, false))) {
        char byte;
        if (poll(&fd, 1, LOOK / USEC_PER_MSEC) <= 0)
            continue;
        wanted = read(word, &byte, 1) == 1;
        if (wanted && worker.starts == 0)
            start(local, &worker);
    }
    if (worker.pid && kill(worker.pid, SIGTERM) == 0)
        while (!is_over(&worker) && goes_on(local, &broker, true))
            env_sleep(env_system(), LOOK / 10);
    if (worker.pid)
        kill(worker.pid, SIGTERM);
    if (broker.pid && kill(broker.pid, SIGTERM) == 0)
        waitpid(broker.pid, NULL, 0);
}

/* In a session of its own: a Ctrl-C is the command's alone, and a terminal that is closed ends nothing. It keeps
 * the lock. */
static int start_keeper(struct local *local, struct rm_err *err)
{
    static const char *const programs[] = {"rmigrate-broker", "rmigrate-worker"};
    char path[PATH_MAX];
    int ends[2];
    for (size_t i = 0; i < 2; i++) {
        find_program(programs[i], path);
        if (access(path, X_OK) < 0)
            return rm_fail(err, -ENOENT, "%s is not installed, which --local needs", programs[i]);
    }
    static const char *const others[] = {"RMIGRATE_BROKER", "NOTIFY_SOCKET", "WATCHDOG_USEC",
                                         "JOURNAL_STREAM"}; /* they are not meant for these */
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        unsetenv(others[i]);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return rm_fail(err, -errno, "%s", strerror(errno));
    local->keeper = fork();
    if (local->keeper == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
            dup2(null, fd);
        close(ends[1]);
        setsid();
        heed_signals(SIG_IGN);
        keep(local, ends[0]);
        _exit(EXIT_SUCCESS);
    }
    close(ends[0]);
    local->word = ends[1];
    return local->keeper > 0 ? 0 : rm_fail(err, -errno, "%s", strerror(errno));
}

static int start_worker(const struct local *local, struct rm_err *err)
{
    return write(local->word, "w", 1) == 1 ? 0
                                           : rm_fail(err, -EIO, "the broker of --local has ended");
}

/* The last lines of what one of them has written. */
static void show_log(const struct local *local, const char *name)
{
    char path[PATH_MAX], text[LOG_SHOWN + 1];
    text_format(path, sizeof(path), "%s/%s.log", local->directory, name);
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    if (fseek(file, -LOG_SHOWN, SEEK_END) < 0)
        rewind(file);
    text[fread(text, 1, LOG_SHOWN, file)] = '\0';
    fclose(file);
    if (text[0])
        out_say(name, "", "%s", text);
}

/* ---- until all is there */

static int connect_to(const char *settings, const char *line, struct client **ret_client,
                      struct rm_err *err)
{
    struct conf_client conf = {0};
    int r = conf_client_load(settings, &conf, err);
    if (r >= 0)
        r = client_new(&conf, line, ret_client, err);
    conf_client_done(&conf);
    return r;
}

/* Nobody would start them again. */
static int watch_keeper(void *with)
{
    struct local *local = with;
    return has_ended(&local->keeper) ? -ECHILD : 0;
}

static int wait_for_broker(struct local *local, struct client *client, struct rm_err *err)
{
    usec_t until = env_now(env_system()) + BROKER_IN;
    struct arena *arena = client_arena(client);
    for (;;) {
        RmPing ping = RM_PING__INIT;
        RmRequest request = client_request(RM_REQUEST__ASK_PING, &ping);
        RmReply *reply;
        client_be_brief(client, USEC_PER_SEC);
        int r = client_ask(client, &request, 0, arena, &reply, err);
        if (r >= 0)
            client_be_brief(client, USEC_NEVER);
        if (r != -ETIMEDOUT)
            return r;
        if (has_ended(&local->keeper) || env_now(env_system()) >= until) {
            show_log(local, "rmigrate-broker");
            return rm_fail(err, -EIO, "the broker of --local does not start");
        }
        r = client_sleep(client, LOOK);
        if (r < 0)
            return r;
    }
}

#define KEEPER_GONE                                                                                \
    "the broker of --local has ended: whether guests have moved is to be looked at there"

#define NOT_YET "it has not answered yet"

/* NULL: it is not in the answer. */
static const RmHostView *view_of(const RmReply *reply, const char *name)
{
    for (size_t i = 0; i < reply->n_hosts; i++)
        if (reply->hosts[i]->host && strcmp(reply->hosts[i]->host->name, name) == 0)
            return reply->hosts[i];
    return NULL;
}

/* The first one that has not been seen; NULL: all have. *ret_why: in the reply's arena. */
static const char *missing_host(const struct local *local, const RmReply *reply,
                                const char **ret_why)
{
    for (size_t i = 0; i < local->n_hosts; i++) {
        const RmHostView *view = view_of(reply, local->hosts[i].name);
        *ret_why = view && view->connected && view->text[0] ? view->text : NOT_YET;
        if (!view || !view->connected || !view->reachable)
            return local->hosts[i].name;
    }
    return NULL;
}

static int ask_hosts(struct client *client, struct arena *arena, RmReply **ret_reply,
                     struct rm_err *err)
{
    RmList list = RM_LIST__INIT;
    RmRequest request = client_request(RM_REQUEST__ASK_HOSTS, &list);
    return client_ask(client, &request, 0, arena, ret_reply, err);
}

static int wait_for_hosts(struct local *local, struct client *client, struct rm_err *err)
{
    usec_t now = env_now(env_system()), until = now + HOSTS_IN, told_at = 0;
    for (int r = 0; r >= 0;) {
        struct arena *arena = arena_new(0);
        const char *missing = NULL, *why = "";
        RmReply *reply;
        r = arena ? ask_hosts(client, arena, &reply, err) : rm_fail(err, -ENOMEM, "no memory");
        if (r >= 0)
            missing = missing_host(local, reply, &why);
        bool done = r >= 0 && !missing;
        now = env_now(env_system());
        told_at = !missing || strcmp(why, NOT_YET) == 0 ? 0 : told_at ? told_at : now;
        bool is_late = now >= until || (told_at && now >= told_at + TOLD_IN);
        if (missing && (is_late || has_ended(&local->keeper)))
            r = rm_fail(err, -EHOSTUNREACH, "%s: %s", missing, why);
        arena_free(arena);
        if (done)
            return 0;
        if (r >= 0)
            r = client_sleep(client, LOOK);
        if (r < 0) {
            if (r != -EINTR && has_ended(&local->keeper))
                show_log(local, "rmigrate-worker");
            return r;
        }
    }
    return 0;
}

/* What earlier commands have not done, as they were killed: before there is a worker, so that nothing moves that this
 * command has not asked for. */
static int end_others(struct client *client, struct rm_err *err)
{
    RmSelect what = RM_SELECT__INIT;
    what.all = true;
    what.reason = (char *)"the command with --local that asked for it is gone";
    RmRequest request = client_request(RM_REQUEST__ASK_CANCEL, &what);
    RmReply *reply;
    int r = client_ask(client, &request, 0, client_arena(client), &reply, err);
    for (size_t i = 0; r >= 0 && i < reply->n_outcomes; i++)
        out_note("of an earlier command: job %" PRIu64 " %s", reply->outcomes[i]->job,
                 reply->outcomes[i]->text);
    return r;
}

static bool has_host(const struct local *local, const char *name)
{
    for (size_t i = 0; i < local->n_hosts; i++)
        if (strcmp(local->hosts[i].name, name) == 0)
            return true;
    return false;
}

/* The first one that is still being moved between hypervisors that are there; NULL: none is. */
static const RmJobView *first_left(const struct local *local, const struct job_pages *pages)
{
    for (size_t i = 0; i < pages->n; i++)
        if (has_host(local, pages->jobs[i]->source) &&
            (!pages->jobs[i]->destination[0] || has_host(local, pages->jobs[i]->destination)))
            return pages->jobs[i];
    return NULL;
}

/* Its guests are moved by nobody else until then. Returns the exit code. */
static int wait_for_others(const struct local *local, struct client *client)
{
    usec_t until = env_now(env_system()) + OTHERS_IN;
    bool told = false;
    for (;;) {
        struct arena *arena = arena_new(0);
        struct job_pages pages = {0};
        RmListJobs list = RM_LIST_JOBS__INIT;
        RmSelect what = RM_SELECT__INIT;
        what.all = true;
        list.what = &what;
        int code = arena ? job_pages_ask(client, &list, 0, arena, &pages) : out_no_memory();
        const RmJobView *left = code == EXIT_OK ? first_left(local, &pages) : NULL;
        if (left && !told)
            out_note("waiting for what an earlier command has begun: %s: %s", left->job->guest,
                     left->text[0] ? left->text : job_state_name(left->state));
        told = told || left;
        arena_free(arena);
        if (!left || env_now(env_system()) >= until)
            return code;
        int r = client_sleep(client, LOOK);
        if (r < 0)
            return client_code(client, r);
    }
}

static int set_hosts(struct client *client, const char *names, RmHostState state,
                     const char *reason, struct rm_err *err)
{
    RmHostChange change = RM_HOST_CHANGE__INIT;
    change.hosts = (char *)names;
    change.state = state;
    change.reason = (char *)reason;
    RmRequest request = client_request(RM_REQUEST__ASK_HOST_CHANGE, &change);
    RmReply *reply;
    return client_ask(client, &request, 0, client_arena(client), &reply, err);
}

/* The destinations are open, whatever an earlier command has done to them; nobody is sent to hypervisors of earlier
 * ones, which have no worker. */
static int open_destinations(struct local *local, struct client *client, struct rm_err *err)
{
    RmReply *reply;
    char *others = NULL;
    size_t length = 0;
    int r = ask_hosts(client, client_arena(client), &reply, err);
    if (r < 0)
        return r;
    FILE *file = open_memstream(&others, &length);
    for (size_t i = 0; file && i < reply->n_hosts; i++) {
        const RmHost *host = reply->hosts[i]->host;
        if (host && host->state == RM_HOST_STATE__HOST_OPEN && !has_host(local, host->name))
            fprintf(file, "%s%s", ftell(file) > 0 ? "," : "", host->name);
    }
    if (!file || fclose(file) != 0)
        r = rm_fail(err, -ENOMEM, "no memory");
    if (r >= 0 && others[0])
        r = set_hosts(client, others, RM_HOST_STATE__HOST_CLOSED, "of an earlier command", err);
    free(others);
    return r < 0 ? r : set_hosts(client, local->to, RM_HOST_STATE__HOST_OPEN, "", err);
}

int local_begin(struct args *args, struct local **ret_local, struct client **ret_client)
{
    struct rm_err err = {0};
    struct local *local = *ret_local = calloc(1, sizeof(*local));
    if (!local)
        return out_no_memory();
    local->lock = local->word = -1;
    int r = take_hosts(local, args, &err);
    if (r < 0) {
        out_error("%s", err.text);
        return EXIT_USAGE;
    }
    char settings[PATH_MAX];
    r = take_place(local, &err);
    text_format(settings, sizeof(settings), "%s/rmigrate.conf",
                local->directory ? local->directory : "");
    if (r >= 0)
        r = write_settings(local, settings, &err);
    if (r >= 0)
        r = start_keeper(local, &err);
    if (r >= 0)
        r = connect_to(settings, args->line, ret_client, &err);
    if (r >= 0)
        r = wait_for_broker(local, *ret_client, &err);
    if (r >= 0)
        r = end_others(*ret_client, &err);
    if (r >= 0)
        r = start_worker(local, &err);
    if (r >= 0)
        r = wait_for_hosts(local, *ret_client, &err);
    if (r >= 0)
        r = open_destinations(local, *ret_client, &err);
    if (r >= 0) {
        client_watch(*ret_client, &(struct client_watch){.fd = local->word,
                                                         .every = LOOK,
                                                         .turn = watch_keeper,
                                                         .with = local,
                                                         .why = KEEPER_GONE});
        return wait_for_others(local, *ret_client);
    }
    if (r != -EINTR)
        out_error("%s", err.text);
    return r == -EINTR ? client_code(*ret_client, r) : EXIT_SOME_FAILED;
}

/* ---- the end */

/* What was interrupted twice goes on: its end is not waited for. */
static void end_keeper(struct local *local)
{
    usec_t until = env_now(env_system()) + END_IN;
    close(local->word);
    while (!has_ended(&local->keeper) && env_now(env_system()) < until)
        env_sleep(env_system(), LOOK / 10);
    if (local->keeper)
        out_note("a migration goes on, and is looked after until its end (%s)", local->directory);
}

void local_end(struct local *local)
{
    if (!local)
        return;
    if (local->word >= 0)
        end_keeper(local);
    for (size_t i = 0; i < local->n_hosts; i++) {
        free(local->hosts[i].name);
        free(local->hosts[i].uri);
    }
    if (local->lock >= 0)
        close(local->lock);
    free(local->from);
    free(local->to);
    free(local->directory);
    free(local);
}
