/* maintain_cmd.c - one hypervisor after the other: emptied, worked on, opened, its guests home again */
#include "submit/maintain_cmd.h"

#include "conf/array.h"
#include "conf/env.h"
#include "conf/service.h"
#include "conf/unit.h"
#include "submit/host_view.h"
#include "submit/job_cmd.h"
#include "submit/listing.h"
#include "submit/out.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define PAUSE       (500 * USEC_PER_MSEC)    /* between two looks */
#define BACK_MOST   (30 * 60 * USEC_PER_SEC) /* --back-within */
#define ENVIRONMENT "RMIGRATE_HOST"

/* One hypervisor, as it was just before and just after its command. */
struct place {
    char *name;
    pid_t pid;             /* of its command; 0: it has ended */
    int status;            /* as of waitpid() */
    uint64_t served_since; /* before: when the worker that serves it connected */
    uint64_t seen_at;      /* after: when its worker had last shown what runs there */
};

struct maintenance {
    struct client *client;
    const struct args *args;
    struct place *places;
    size_t n, room;
    size_t first, end; /* those that are worked on now: [first, end) */
    bool interrupted;
};

/* ---- what is said */

struct step {
    char *host, *state;
};

static const struct column step_columns[] = {
    {NULL, "host", FIELD(struct step, host), .show = SHOW_NUMBER},
    {NULL, "maintenance", FIELD(struct step, state), .show = SHOW_NUMBER},
    {0}};

static void tell(const struct maintenance *m, const char *host, const char *state)
{
    const struct step step = {(char *)host, (char *)state};

    if (m->args->json)
        listing_line(step_columns, &step);
    else
        out_result(host, state);
    fflush(stdout);
}

/* "hyp02,hyp03", of [first, end). NULL: no memory. */
static char *names(const struct maintenance *m, size_t first, size_t end)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    for (size_t i = first; file && i < end; i++)
        fprintf(file, "%s%s", i > first ? "," : "", m->places[i].name);
    if (file)
        fclose(file);
    return text;
}

/* What is left to do, for a person who has mended what stopped it. */
static void tell_rest(const struct maintenance *m)
{
    char *now = names(m, m->first, m->end), *rest = names(m, m->first, m->n);

    if (now && rest)
        out_note("stopped at %s, %zu of %zu are done; to go on: rmigrate maintain %s --run ...; to "
                 "leave it: rmigrate restore %s",
                 now, m->first, m->n, rest, now);
    free(now);
    free(rest);
}

/* ---- what the broker knows of the hypervisors */

/* Waits; false: somebody wants the command to end. */
static bool rest(struct maintenance *m, usec_t wait_for)
{
    if (client_sleep(m->client, wait_for) == -EINTR)
        m->interrupted = true;
    return !m->interrupted;
}

/* Asks until the broker is there: what was begun outlives it, and so does this. */
static int ask(struct maintenance *m, RmRequest *request, struct arena *arena, RmReply **ret_reply)
{
    struct rm_err err = {0};
    bool told = false;
    int r;

    *ret_reply = NULL;
    for (;;) {
        r = client_ask(m->client, request, 0, arena, ret_reply, &err);
        bool is_away = r == -ETIMEDOUT;
        if (!is_away && (r < 0 || (*ret_reply)->code != RM_CODE__CODE_TRY_AGAIN))
            break;
        if (!told)
            out_note("%s; waiting for that", is_away ? err.text : (*ret_reply)->text);
        told = true;
        if (!rest(m, PAUSE))
            return EXIT_INTERRUPTED;
    }
    m->interrupted = m->interrupted || r == -EINTR;
    if (r < 0 && r != -EINTR)
        out_error("%s", err.text);
    if (r < 0)
        return client_code(m->client, r);
    if ((*ret_reply)->code == RM_CODE__CODE_OK)
        return EXIT_OK;
    if ((*ret_reply)->text[0])
        out_error("%s", (*ret_reply)->text);
    return (*ret_reply)->code == RM_CODE__CODE_NOT_PERMITTED ? EXIT_NOT_PERMITTED
                                                             : EXIT_SOME_FAILED;
}

static int ask_list(struct maintenance *m, RmRequest__AskCase what, const char *hosts,
                    struct arena *arena, RmReply **ret_reply)
{
    RmList list = RM_LIST__INIT;
    list.host = (char *)hosts;
    RmRequest request = client_request(what, &list);
    return ask(m, &request, arena, ret_reply);
}

static const RmHostView *view_of(const RmReply *reply, const char *name)
{
    for (size_t i = 0; reply && i < reply->n_hosts; i++)
        if (strcmp(reply->hosts[i]->host->name, name) == 0)
            return reply->hosts[i];
    return NULL;
}

/* When the worker that serves a hypervisor connected; 0: there is none. */
static uint64_t served_since(const RmReply *reply, const char *name)
{
    for (size_t i = 0; reply && i < reply->n_workers; i++)
        for (size_t k = 0; k < reply->workers[i]->n_hosts; k++)
            if (strcmp(reply->workers[i]->hosts[k], name) == 0)
                return reply->workers[i]->connected_at;
    return 0;
}

/* ---- before anything is done */

/* A hypervisor that somebody has closed for his own reasons would be open at the end. */
static bool may_begin(const RmHostView *view)
{
    const RmHost *host = view->host;

    if (!view->connected || !view->reachable) {
        out_failure(host->name, view->text[0] ? view->text : "cannot be reached");
        return false;
    }
    if (host->state != RM_HOST_STATE__HOST_OPEN && host->evacuation == 0 && !host->emptying) {
        out_say(
            host->name, "Error: ",
            "is closed (%s%s%s), and would be opened at the end: rmigrate open %s, or leave it out",
            host->changed_by, host->why[0] ? ": " : "", host->why, host->name);
        return false;
    }
    return true;
}

static int find_hosts(struct maintenance *m)
{
    RmReply *reply;
    int code =
        ask_list(m, RM_REQUEST__ASK_HOSTS, m->args->operands[0], client_arena(m->client), &reply);
    bool well = true;

    for (size_t i = 0; code == EXIT_OK && i < reply->n_hosts; i++) {
        struct place *place = ARRAY_ADD(m->places, m->n, m->room);
        if (!place || !(place->name = strdup(reply->hosts[i]->host->name)))
            return out_no_memory();
        well = may_begin(reply->hosts[i]) && well;
    }
    if (code == EXIT_OK && m->n == 0) {
        out_error("%s: no hypervisor is known by that", m->args->operands[0]);
        return EXIT_SOME_FAILED;
    }
    return code == EXIT_OK && !well ? EXIT_SOME_FAILED : code;
}

/* Somebody has said that nothing may leave these hypervisors now: the maintenance waits as their jobs would. */
static int wait_for_leave(struct maintenance *m, const char *group)
{
    struct arena *arena = arena_new(0);
    bool told = false;
    int code = arena ? EXIT_OK : out_no_memory();

    while (code == EXIT_OK) {
        RmReply *reply;
        const RmHostView *held = NULL;
        code = ask_list(m, RM_REQUEST__ASK_HOSTS, group, arena, &reply);
        for (size_t i = 0; code == EXIT_OK && !held && i < reply->n_hosts; i++)
            held = reply->hosts[i]->held[0] ? reply->hosts[i] : NULL;
        if (!held)
            break;
        if (!told)
            out_note("before %s: %s; waiting for that", held->host->name, held->held);
        told = true;
        arena_reset(arena);
        if (!rest(m, PAUSE))
            code = EXIT_INTERRUPTED;
    }
    arena_free(arena);
    return code;
}

/* ---- empty, and home again: with the requests of evacuate and restore */

static int command_of(struct maintenance *m, const char *name, char *group, bool plan,
                      int (*run)(struct client *, const struct args *))
{
    char *operands[] = {group};
    struct args args = *m->args;

    args.command = name;
    args.operands = operands;
    args.n_operands = 1;
    args.plan = plan;
    if (run == job_restore)
        args.to = "";
    int code = run(m->client, &args);
    /* A broker that was away for too long in between: it is asked again when it is back. */
    while (code == EXIT_NO_BROKER && rest(m, PAUSE)) {
        RmReply *reply;
        code = ask_list(m, RM_REQUEST__ASK_HOSTS, group, client_arena(m->client), &reply);
        if (code == EXIT_OK)
            code = run(m->client, &args);
    }
    m->interrupted = m->interrupted || client_signal(m->client) != 0;
    return code;
}

/* Is there a place for all? What has none is said, and nothing was changed. */
static int look_ahead(struct maintenance *m, char *group)
{
    RmOptions options = m->args->options;
    RmEvacuate evacuate = RM_EVACUATE__INIT;
    RmReply *reply;
    struct arena *arena = arena_new(0);

    if (!arena)
        return out_no_memory();
    evacuate.hosts = group;
    evacuate.to = (char *)m->args->to;
    evacuate.options = &options;
    evacuate.plan_only = true;
    evacuate.no_room = m->args->no_room;
    RmRequest request = client_request(RM_REQUEST__ASK_EVACUATE, &evacuate);
    int code = ask(m, &request, arena, &reply);
    for (size_t i = 0; reply && !m->interrupted && i < reply->n_outcomes; i++)
        if (!reply->outcomes[i]->ok) {
            out_failure(reply->outcomes[i]->name, reply->outcomes[i]->text);
            code = EXIT_SOME_FAILED;
        }
    arena_free(arena);
    return code;
}

/* ---- the command */

/* The environment of a command: this one's, with the name of its hypervisor. The array is to be freed, and its first. */
static char **environment(const char *host)
{
    size_t n = 0;

    while (environ[n])
        n++;
    char **copy = calloc(n + 2, sizeof(*copy));
    if (!copy || asprintf(&copy[0], ENVIRONMENT "=%s", host) < 0) {
        free(copy);
        return NULL;
    }
    for (size_t i = 0, k = 1; i < n; i++)
        if (strncmp(environ[i], ENVIRONMENT "=", strlen(ENVIRONMENT) + 1) != 0)
            copy[k++] = environ[i];
    return copy;
}

/* The words are the user's own, from his line, so a shell may read them; the name comes by the environment alone. */
static int begin(const struct maintenance *m, struct place *place)
{
    char *words[] = {(char *)"sh", (char *)"-c", (char *)m->args->run, NULL};
    char **with = environment(place->name);
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, ordinary;

    if (!with)
        return -ENOMEM;
    sigemptyset(&none);
    sigemptyset(&ordinary);
    sigaddset(&ordinary, SIGPIPE);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&how);
    int r = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &ordinary);
    if (r == 0)
        r = posix_spawn(&place->pid, "/bin/sh", &files, &how, words, with);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    free(with[0]);
    free(with);
    return -r;
}

/* Waits for all commands that run. Who interrupts this by a terminal has interrupted them, too; another signal is
 * handed on. */
static void await(struct maintenance *m)
{
    bool handed_on = false, runs = true;

    while (runs) {
        runs = false;
        for (size_t i = m->first; i < m->end; i++) {
            struct place *place = &m->places[i];
            if (place->pid > 0 && waitpid(place->pid, &place->status, WNOHANG) == place->pid)
                place->pid = 0;
            if (place->pid > 0 && m->interrupted && !handed_on &&
                client_signal(m->client) != SIGINT)
                kill(place->pid, client_signal(m->client));
            runs = runs || place->pid > 0;
        }
        handed_on = m->interrupted;
        if (runs)
            (void)rest(m, PAUSE / 5);
    }
}

static int work(struct maintenance *m)
{
    int code = EXIT_OK;

    for (size_t i = m->first; i < m->end; i++) {
        m->places[i].status = 0;
        int r = begin(m, &m->places[i]);
        if (r < 0) {
            out_say(m->places[i].name, "Error: ", "cannot run the command: %s", strerror(-r));
            code = EXIT_SOME_FAILED;
            break;
        }
    }
    await(m);
    for (size_t i = m->first; i < m->end; i++) {
        int status = m->places[i].status;
        if (WIFSIGNALED(status))
            out_say(m->places[i].name, "Error: ", "the command ended by signal %d",
                    WTERMSIG(status));
        else if (WEXITSTATUS(status) != 0)
            out_say(m->places[i].name, "Error: ", "the command ended with %d", WEXITSTATUS(status));
        code = status != 0 ? EXIT_SOME_FAILED : code;
    }
    return m->interrupted ? EXIT_INTERRUPTED : code;
}

/* ---- back */

/* Keeps what says afterwards whether a hypervisor has been away: before its command, and after it. */
static int note(struct maintenance *m, const char *group, bool before)
{
    struct arena *arena = arena_new(0);
    RmReply *hosts = NULL, *workers = NULL;
    int code = arena ? ask_list(m, RM_REQUEST__ASK_HOSTS, group, arena, &hosts) : out_no_memory();

    if (code == EXIT_OK)
        code = ask_list(m, RM_REQUEST__ASK_WORKERS, "", arena, &workers);
    for (size_t i = m->first; code == EXIT_OK && i < m->end; i++) {
        struct place *place = &m->places[i];
        const RmHostView *view = view_of(hosts, place->name);
        if (before)
            place->served_since = served_since(workers, place->name);
        else
            place->seen_at = view ? view->host->seen_at : 0;
    }
    arena_free(arena);
    return code;
}

/* It answers, and has shown what runs there since the command ended; where it was rebooted, over another worker. */
static bool is_back(const struct maintenance *m, const struct place *place, const RmReply *hosts,
                    const RmReply *workers)
{
    const RmHostView *view = view_of(hosts, place->name);

    if (!view || !view->connected || !view->reachable || view->host->seen_at <= place->seen_at)
        return false;
    return !m->args->reboots || served_since(workers, place->name) != place->served_since;
}

static int await_back(struct maintenance *m, const char *group)
{
    struct arena *arena = arena_new(0);
    usec_t within = m->args->back_within ? m->args->back_within : BACK_MOST;
    usec_t end_at = env_now(env_system()) + within;
    int code = arena ? EXIT_OK : out_no_memory();

    for (bool all = false; code == EXIT_OK && !all;) {
        RmReply *hosts, *workers;
        const char *missing = NULL;
        code = ask_list(m, RM_REQUEST__ASK_HOSTS, group, arena, &hosts);
        if (code == EXIT_OK)
            code = ask_list(m, RM_REQUEST__ASK_WORKERS, "", arena, &workers);
        for (size_t i = m->first; code == EXIT_OK && i < m->end; i++)
            if (!is_back(m, &m->places[i], hosts, workers))
                missing = m->places[i].name;
        all = code == EXIT_OK && !missing;
        if (missing && env_now(env_system()) >= end_at) {
            char text[UNIT_TEXT_MAX];
            out_say(missing, "Error: ", "is not back within %s; it stays closed",
                    unit_duration_text(within, text));
            code = EXIT_SOME_FAILED;
        } else if (missing && !rest(m, PAUSE)) {
            code = EXIT_INTERRUPTED;
        }
        arena_reset(arena);
    }
    arena_free(arena);
    return code;
}

/* ---- all of it */

static int maintain_group(struct maintenance *m, char *group)
{
    int code = wait_for_leave(m, group);

    if (code == EXIT_OK)
        code = look_ahead(m, group);
    if (code == EXIT_OK)
        code = command_of(m, "evacuate", group, /* plan = */ false, job_evacuate);
    if (code == EXIT_OK)
        code = note(m, group, /* before = */ true);
    if (code == EXIT_OK)
        code = work(m);
    if (code == EXIT_OK)
        code = note(m, group, /* before = */ false);
    if (code == EXIT_OK)
        code = await_back(m, group);
    if (code == EXIT_OK)
        code = command_of(m, "restore", group, /* plan = */ false, job_restore);
    for (size_t i = m->first; code == EXIT_OK && i < m->end; i++)
        tell(m, m->places[i].name, "maintained");
    return m->interrupted && code == EXIT_OK && m->end < m->n ? EXIT_INTERRUPTED : code;
}

/* The whole order, as things are now: each group finds the hypervisors before it as they were. */
static int plan_group(struct maintenance *m, char *group)
{
    if (!m->args->json)
        printf("%s%zu. %s: empty, run the command, wait until back, open, bring home\n",
               m->first > 0 ? "\n" : "", m->first / (m->args->at_once ? m->args->at_once : 1) + 1,
               group);
    return command_of(m, "evacuate", group, /* plan = */ true, job_evacuate);
}

int maintain_hosts(struct client *client, const struct args *args)
{
    struct maintenance m = {.client = client, .args = args};
    size_t at_once = args->at_once ? args->at_once : 1;

    if (!args->run && !args->plan) {
        out_error("maintain: --run says what is done to each hypervisor, for example --run 'ssh "
                  "$" ENVIRONMENT " apt-get -y upgrade'; --plan only shows the order");
        return EXIT_USAGE;
    }
    if (args->detach) {
        out_error("maintain: it runs the command itself, and cannot be detached");
        return EXIT_USAGE;
    }
    int code = find_hosts(&m), worst = code;
    while (code == EXIT_OK && m.end < m.n) {
        m.first = m.end;
        m.end = m.n - m.first < at_once ? m.n : m.first + at_once;
        char *group = names(&m, m.first, m.end);
        code = !group       ? out_no_memory()
               : args->plan ? plan_group(&m, group)
                            : maintain_group(&m, group);
        free(group);
        worst = code;
        if (args->plan && code == EXIT_SOME_FAILED)
            code = EXIT_OK; /* of the others, too */
    }
    if (worst != EXIT_OK && !args->plan && m.end > 0)
        tell_rest(&m);
    for (size_t i = 0; i < m.n; i++)
        free(m.places[i].name);
    free(m.places);
    return worst;
}
