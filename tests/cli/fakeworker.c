/* fakeworker.c - the real worker over hypervisors that are directories: for tests of the command
 * line
 *
 * worker/main.c is compiled into this program, with a table of drivers of its own; all but the
 * driver of libvirt is the worker as it is installed. A hypervisor is a directory, `connect` and
 * `peer` name it:
 *
 *     connect = "fake:///tmp/world/hyp01"
 *
 * A guest on it is a file of its name, one line: UUID STATE MEMORY VCPUS REASON, memory in MiB,
 * state one of running, paused, suspended, in_shutdown, shutoff, crashed. Moving a guest is a rename(2), so it is
 * never in two places by accident. A file ".down" makes the hypervisor unreachable; what stands in it is the
 * reason. With a file ".old" it changes no migration that runs, as a worker of before modify.
 *
 * How the tries of a guest's migration end stands in ../plan/GUEST, a line for each try, which is
 * taken out; without one it works at once. VERB MSEC [CLASS CODE TEXT], class as in RmClass (retry,
 * unfit, fatal, ambiguous):
 *
 *     ok        works, after MSEC milliseconds
 *     refuse    the check beforehand fails
 *     fail      fails, the guest stayed
 *     hang      goes on until it is stopped
 *     crawl     goes on until it gets another bandwidth, then works, MSEC after its beginning at the soonest
 *     arrive    works, but the call says that it failed
 *     vanish    fails, and the guest is nowhere afterwards
 *     double    fails, and the guest runs on both sides afterwards
 *     end       fails, because the guest has shut itself down
 */
#include "wire/job.h"
#include "worker/drivers.h"
#include "worker/stall.h"
#ifdef RMIGRATE_ZVM
#include "worker/zvm/driver.h"
#endif

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* What a host has, of which the settings may give guests less. */
#define HOST_MEMORY (64ULL << 30)

enum {
    HOST_CPUS = 64,
    UUID_TEXT = 37,
    WORD = 32,
    LINE = 1024,
    PATH = 1024,
    STEP_MSEC = 5,      /* how often a migration looks whether it is over */
    FIGURES_MSEC = 50,  /* and says how far it is */
    CHANGES = 4096,     /* bytes of inotify events that are read at once */
    DOWNTIME_MSEC = 38, /* of every migration */
    THROTTLE = 20,      /* percent, of one with auto_converge */
};

struct hv {
    const struct conf_hypervisor *conf;
    const struct env *env;
    char directory[PATH];
    int changes; /* inotify */
};

struct guest {
    char name[CONF_NAME_MAX + 1];
    char uuid[UUID_TEXT];
    char state[WORD];
    unsigned long memory; /* MiB */
    unsigned vcpus;
    char reason[WORD];
};

struct plan {
    char verb[WORD];
    unsigned long msec;
    RmClass class_;
    int code;
    char text[LINE];
};

/* A migration that runs in this process. */
struct running {
    const char *uuid;
    usec_t began_at;
    unsigned long msec;
    uint64_t total;
    uint64_t bandwidth; /* as the hypervisor has it now */
    bool crawls;
    bool slow; /* auto_converge */
    bool stop;
    struct running *next;
};
static struct running *all_running;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- directories and files */

static const char *directory_of(const char *uri)
{
    const char *colon = strstr(uri, "://");
    return colon ? colon + 3 : uri;
}

static const char *side(const struct hv *hv, const char *peer)
{
    return peer ? directory_of(peer) : hv->directory;
}

/* The first line of a file; false: there is none. */
static bool read_line(const char *path, char line[static LINE])
{
    FILE *file = fopen(path, "re");
    bool there = file;
    line[0] = '\0';
    if (there) {
        if (!fgets(line, LINE, file))
            line[0] = '\0';
        fclose(file);
        line[strcspn(line, "\n")] = '\0';
    }
    return there;
}

/* Does the hypervisor answer? */
static bool answers(const char *directory, struct rm_err *err)
{
    char path[PATH + WORD], line[LINE];
    snprintf(path, sizeof(path), "%s/.down", directory);
    if (read_line(path, line)) {
        rm_fail(err, -EIO, "%s", line[0] != '\0' ? line : "Connection refused");
        return false;
    }
    if (access(directory, X_OK) < 0) {
        rm_fail(err, -errno, "unable to connect to server at '%s': %s", directory, strerror(errno));
        return false;
    }
    return true;
}

static bool read_guest(const char *directory, const char *name, struct guest *guest)
{
    char path[PATH + CONF_NAME_MAX + 2], line[LINE];
    memset(guest, 0, sizeof(*guest));
    snprintf(guest->name, sizeof(guest->name), "%s", name);
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return read_line(path, line) && sscanf(line, "%36s %31s %lu %u %31s", guest->uuid, guest->state,
                                           &guest->memory, &guest->vcpus, guest->reason) >= 4;
}

/* Whole or not at all: an inventory may read it at any time. */
static int write_guest(const char *directory, const struct guest *guest)
{
    char path[PATH + CONF_NAME_MAX + 2], new[PATH + CONF_NAME_MAX + 8];
    snprintf(path, sizeof(path), "%s/%s", directory, guest->name);
    snprintf(new, sizeof(new), "%s/.%s.new", directory, guest->name);
    FILE *file = fopen(new, "we");
    if (!file)
        return -errno;
    fprintf(file, "%s %s %lu %u %s\n", guest->uuid, guest->state, guest->memory, guest->vcpus,
            guest->reason);
    if (fclose(file) != 0 || rename(new, path) < 0)
        return -errno;
    return 0;
}

static void remove_guest(const char *directory, const char *name)
{
    char path[PATH + CONF_NAME_MAX + 2];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    unlink(path);
}

/* The guest with this uuid. */
static bool find_guest(const char *directory, const char *uuid, struct guest *ret_guest)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    bool found = false;
    if (!dir)
        return false;
    while (!found && (entry = readdir(dir)))
        found = entry->d_name[0] != '.' && read_guest(directory, entry->d_name, ret_guest) &&
                strcmp(ret_guest->uuid, uuid) == 0;
    closedir(dir);
    return found;
}

/* "\\n" becomes a newline. */
static void break_lines(char *text)
{
    for (char *at; (at = strstr(text, "\\n"));) {
        *at = '\n';
        memmove(at + 1, at + 2, strlen(at + 2) + 1);
    }
}

/* Takes the next line out of the guest's plan. */
static struct plan next_plan(const struct hv *hv, const char *name, bool check)
{
    static const char *const classes[] = {"-", "retry", "unfit", "fatal", "ambiguous", "aborted"};
    char path[PATH + CONF_NAME_MAX + WORD], rest[LINE * 8] = "", line[LINE], word[WORD] = "-";
    struct plan plan = {.verb = "ok", .class_ = RM_CLASS__CLASS_RETRY};
    int text = 0;

    snprintf(path, sizeof(path), "%s/../plan/%s", hv->directory, name);
    FILE *file = fopen(path, "r+e");
    if (!file)
        return plan;
    if (fgets(line, sizeof(line), file) && (strncmp(line, "refuse ", 7) == 0) == check) {
        size_t n = fread(rest, 1, sizeof(rest) - 1, file);
        line[strcspn(line, "\n")] = '\0';
        sscanf(line, "%31s %lu %31s %d %n", plan.verb, &plan.msec, word, &plan.code, &text);
        if (text > 0)
            snprintf(plan.text, sizeof(plan.text), "%s", line + text);
        break_lines(plan.text);
        for (size_t i = 1; i < sizeof(classes) / sizeof(classes[0]); i++)
            if (strcmp(word, classes[i]) == 0)
                plan.class_ = (RmClass)i;
        rewind(file);
        if (ftruncate(fileno(file), 0) == 0)
            fwrite(rest, 1, n, file);
    }
    fclose(file);
    return plan;
}

/* ---- what is there */

static RmGuestState state_of(const struct guest *guest)
{
    static const struct {
        const char *name;
        RmGuestState state;
    } states[] = {
        {"running", RM_GUEST_STATE__GUEST_RUNNING},
        {"paused", RM_GUEST_STATE__GUEST_PAUSED},
        {"shutoff", RM_GUEST_STATE__GUEST_SHUTOFF},
        {"crashed", RM_GUEST_STATE__GUEST_CRASHED},
        {"incoming", RM_GUEST_STATE__GUEST_INCOMING},
        {"suspended", RM_GUEST_STATE__GUEST_SUSPENDED},
        {"in_shutdown", RM_GUEST_STATE__GUEST_IN_SHUTDOWN},
    };

    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (strcmp(guest->state, states[i].name) == 0)
            return states[i].state;
    return RM_GUEST_STATE__GUEST_UNKNOWN;
}

static enum hv_reason reason_of(const struct guest *guest)
{
    static const struct {
        const char *name;
        enum hv_reason reason;
    } reasons[] = {
        {"migrated", HV_REASON_MIGRATED},
        {"user", HV_REASON_USER},
        {"shutdown", HV_REASON_SHUTDOWN},
        {"canceled", HV_REASON_MIGRATION_CANCELED},
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (strcmp(guest->reason, reasons[i].name) == 0)
            return reasons[i].reason;
    return HV_REASON_OTHER;
}

static bool is_running(const char *uuid)
{
    const struct running *one;
    pthread_mutex_lock(&lock);
    for (one = all_running; one && strcmp(one->uuid, uuid) != 0; one = one->next)
        ;
    pthread_mutex_unlock(&lock);
    return one;
}

static struct hv *fake_open(const struct conf_hypervisor *conf, const struct conf_worker *worker,
                            const struct env *env, struct rm_err *err)
{
    (void)err;
    struct hv *hv = calloc(1, sizeof(*hv));
    (void)worker;
    if (!hv)
        return NULL;
    hv->conf = conf;
    hv->env = env;
    snprintf(hv->directory, sizeof(hv->directory), "%s", directory_of(conf->connect));
    hv->changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    inotify_add_watch(hv->changes, hv->directory,
                      IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE);
    return hv;
}

static void fake_close(struct hv *hv)
{
    if (!hv)
        return;
    close(hv->changes);
    free(hv);
}

static RmDomain *domain_of(const struct guest *guest, struct arena *arena)
{
    RmDomain *domain = arena_alloc(arena, sizeof(*domain));
    if (!domain)
        return NULL;
    rm_domain__init(domain);
    domain->name = arena_strdup(arena, guest->name);
    domain->uuid = arena_strdup(arena, guest->uuid);
    domain->state = state_of(guest);
    domain->memory = (uint64_t)guest->memory << 20;
    domain->vcpus = guest->vcpus;
    domain->persistent = true;
    domain->migrating = is_running(guest->uuid);
    return domain->name && domain->uuid ? domain : NULL;
}

static int fake_inventory(struct hv *hv, struct arena *arena, RmInventory **ret_inventory)
{
    RmInventory *inventory = arena_alloc(arena, sizeof(*inventory));
    struct rm_err err = {0};
    struct dirent *entry;
    uint64_t used = 0;
    int r = 0;
    if (!inventory)
        return -ENOMEM;
    rm_inventory__init(inventory);
    inventory->host = hv->conf->name;
    inventory->reachable = answers(hv->directory, &err);
    inventory->text = arena_strdup(arena, err.text);
    inventory->memory = hv->conf->memory > 0 ? hv->conf->memory : HOST_MEMORY;
    inventory->vcpus = hv->conf->vcpus > 0 ? hv->conf->vcpus : HOST_CPUS;
    DIR *dir = inventory->reachable ? opendir(hv->directory) : NULL;
    while (r >= 0 && dir && (entry = readdir(dir))) {
        struct guest guest;
        RmDomain *domain;
        if (entry->d_name[0] == '.' || !read_guest(hv->directory, entry->d_name, &guest))
            continue;
        domain = domain_of(&guest, arena);
        r = domain ? ARENA_PUSH(arena, inventory->n_domains, inventory->domains, domain) : -ENOMEM;
        used += (uint64_t)guest.memory << 20;
    }
    if (dir)
        closedir(dir);
    inventory->memory_free = inventory->memory > used ? inventory->memory - used : 0;
    *ret_inventory = inventory;
    return r;
}

static int fake_wait_change(struct hv *hv, usec_t wait_for)
{
    usec_t until_at = env_now(hv->env) + wait_for;
    do {
        char events[CHANGES] __attribute__((aligned(8)));
        if (read(hv->changes, events, sizeof(events)) > 0)
            return 1;
        env_sleep(hv->env, STEP_MSEC * USEC_PER_MSEC);
    } while (env_now(hv->env) < until_at);
    return 0;
}

static int fake_look(struct hv *hv, const char *peer, const char *uuid, struct hv_look *ret_look,
                     struct rm_err *err)
{
    const char *directory = side(hv, peer);
    struct guest guest;
    *ret_look = (struct hv_look){.state = RM_GUEST_STATE__GUEST_UNKNOWN};
    ret_look->answered = answers(directory, err);
    if (!ret_look->answered || !find_guest(directory, uuid, &guest))
        return 0;
    ret_look->defined = true;
    ret_look->state = state_of(&guest);
    ret_look->active = guest_is_active(ret_look->state);
    ret_look->reason = reason_of(&guest);
    return 0;
}

/* ---- migrating */

static void fail(struct hv_outcome *outcome, RmClass class_, int code, const char *text)
{
    outcome->ok = false;
    outcome->class_ = class_;
    outcome->code = code;
    snprintf(outcome->text, sizeof(outcome->text), "%s", text);
}

static int fake_check(struct hv *hv, const struct hv_migration *migration,
                      struct hv_outcome *outcome)
{
    static const char *const fences[] = {
        [FENCE_AUTO] = "paused", [FENCE_ALWAYS] = "paused", [FENCE_NEVER] = "none"};
    struct guest guest, other;
    struct plan plan;

    memset(outcome, 0, sizeof(*outcome));
    outcome->stats = (RmStats)RM_STATS__INIT;
    snprintf(outcome->fence, sizeof(outcome->fence), "%s", fences[migration->fence]);
    if (!find_guest(hv->directory, migration->uuid, &guest)) {
        fail(outcome, RM_CLASS__CLASS_RETRY, 42, "Domain not found: no domain with matching uuid");
        return -ENOENT;
    }
    outcome->guest_paused = state_of(&guest) == RM_GUEST_STATE__GUEST_PAUSED;
    outcome->had_definition = find_guest(directory_of(migration->peer), migration->uuid, &other);
    plan = next_plan(hv, guest.name, /* check = */ true);
    if (strcmp(plan.verb, "refuse") != 0)
        return 0;
    fail(outcome, plan.class_, plan.code, plan.text);
    return -ECANCELED;
}

static RmStats figures(const struct running *one, usec_t now, bool over)
{
    RmStats stats = RM_STATS__INIT;
    usec_t whole = (usec_t)one->msec * USEC_PER_MSEC;
    stats.elapsed_for = now - one->began_at + 1;
    stats.total = one->total;
    stats.remaining = over || whole == 0 ? 0
                      : stats.elapsed_for < whole
                          ? one->total - one->total / whole * stats.elapsed_for
                          : one->total / 100;
    stats.processed = one->total - stats.remaining;
    stats.rate =
        one->bandwidth ? one->bandwidth : stats.processed * USEC_PER_SEC / stats.elapsed_for;
    stats.iterations = 1;
    stats.downtime_for = DOWNTIME_MSEC * USEC_PER_MSEC;
    stats.measured_downtime = over;
    stats.throttle = one->slow ? THROTTLE : 0;
    return stats;
}

/* Lets the time of the plan go by. False: it was stopped; text: why, where its limits stopped it. */
static bool pass_time(struct hv *hv, const struct hv_migration *migration, struct running *one,
                      bool hangs, char *text, size_t size)
{
    usec_t told_at = 0;
    bool stopped = false;
    struct stall stall;
    stall_begin(&stall, migration, one->began_at);
    for (;;) {
        usec_t now = env_now(hv->env);
        pthread_mutex_lock(&lock);
        stopped = one->stop;
        bool crawls = one->crawls;
        pthread_mutex_unlock(&lock);
        if (migration->may && migration->may(migration->ctx) == HV_MAY_NEVER)
            return false;
        if (stall_is_over(&stall, now, text, size) != STALL_GOES_ON)
            return false;
        if (stopped || (!hangs && !crawls && now >= one->began_at + one->msec * USEC_PER_MSEC))
            return !stopped;
        if (migration->progress && now >= told_at + FIGURES_MSEC * USEC_PER_MSEC) {
            RmStats stats = figures(one, now, /* over = */ false);
            migration->progress(migration->ctx, &stats);
            told_at = now;
        }
        env_sleep(hv->env, STEP_MSEC * USEC_PER_MSEC);
    }
}

static int move(struct hv *hv, const struct hv_migration *migration, struct guest *guest)
{
    char from[PATH + CONF_NAME_MAX + 2], to[PATH + CONF_NAME_MAX + 2];
    snprintf(guest->reason, sizeof(guest->reason), "%s",
             strcmp(guest->state, "running") == 0 ? "migrated" : "user");
    if (write_guest(hv->directory, guest) < 0)
        return -EIO;
    snprintf(from, sizeof(from), "%s/%s", hv->directory, guest->name);
    snprintf(to, sizeof(to), "%s/%s", directory_of(migration->peer), guest->name);
    return rename(from, to) < 0 ? -errno : 0;
}

/* What the plan says of the end. */
static void carry_out(struct hv *hv, const struct hv_migration *migration, const struct plan *plan,
                      struct guest *guest, struct hv_outcome *outcome)
{
    bool works = strcmp(plan->verb, "ok") == 0 || strcmp(plan->verb, "crawl") == 0;
    bool moves = works || strcmp(plan->verb, "arrive") == 0;
    struct rm_err err = {0};
    if (moves && !answers(directory_of(migration->peer), &err)) {
        fail(outcome, RM_CLASS__CLASS_RETRY, 38, err.text);
        return;
    }
    if (moves && move(hv, migration, guest) < 0) {
        fail(outcome, RM_CLASS__CLASS_FATAL, 1, "the file could not be moved");
        return;
    }
    if (works) {
        outcome->ok = true;
        if (strcmp(outcome->fence, "paused") == 0) {
            outcome->resumed = true;
            snprintf(outcome->resumed_by, sizeof(outcome->resumed_by), "call returned");
        }
        return;
    }
    fail(outcome, plan->class_, plan->code, plan->text);
    if (strcmp(plan->verb, "vanish") == 0)
        remove_guest(hv->directory, guest->name);
    if (strcmp(plan->verb, "double") == 0)
        write_guest(directory_of(migration->peer), guest);
    if (strcmp(plan->verb, "end") == 0) {
        snprintf(guest->state, sizeof(guest->state), "shutoff");
        snprintf(guest->reason, sizeof(guest->reason), "shutdown");
        write_guest(hv->directory, guest);
    }
}

static void enlist(struct running *one)
{
    pthread_mutex_lock(&lock);
    one->next = all_running;
    all_running = one;
    pthread_mutex_unlock(&lock);
}

static void delist(struct running *one)
{
    struct running **at = &all_running;
    pthread_mutex_lock(&lock);
    while (*at != one)
        at = &(*at)->next;
    *at = one->next;
    pthread_mutex_unlock(&lock);
}

static void fake_migrate(struct hv *hv, const struct hv_migration *migration,
                         struct hv_outcome *outcome)
{
    struct running one = {.uuid = migration->uuid,
                          .began_at = env_now(hv->env),
                          .slow = migration->auto_converge,
                          .bandwidth = migration->bandwidth};
    char text[RM_ERR_MAX] = "";
    struct guest guest;
    if (fake_check(hv, migration, outcome) < 0)
        return;
    find_guest(hv->directory, migration->uuid, &guest);
    struct plan plan = next_plan(hv, guest.name, /* check = */ false);
    one.msec = plan.msec;
    one.total = (uint64_t)guest.memory << 20;
    one.crawls = strcmp(plan.verb, "crawl") == 0;
    enlist(&one);
    if (pass_time(hv, migration, &one, strcmp(plan.verb, "hang") == 0, text, sizeof(text)))
        carry_out(hv, migration, &plan, &guest, outcome);
    else
        fail(outcome, text[0] ? RM_CLASS__CLASS_UNFIT : RM_CLASS__CLASS_ABORTED, text[0] ? 0 : 78,
             text[0] ? text : "operation aborted: migration out: canceled by client");
    delist(&one);
    outcome->stats = figures(&one, env_now(hv->env), outcome->ok);
}

static int fake_abort(struct hv *hv, const char *uuid, struct rm_err *err)
{
    (void)hv;
    (void)err;
    pthread_mutex_lock(&lock);
    for (struct running *one = all_running; one; one = one->next)
        if (strcmp(one->uuid, uuid) == 0)
            one->stop = true;
    pthread_mutex_unlock(&lock);
    return 0;
}

static int fake_modify(struct hv *hv, const char *uuid, const RmOptions *limits, struct rm_err *err)
{
    char path[PATH + WORD];
    snprintf(path, sizeof(path), "%s/.old", hv->directory);
    if (access(path, F_OK) == 0)
        return rm_fail(err, -EOPNOTSUPP, "this hypervisor cannot do that");
    pthread_mutex_lock(&lock);
    for (struct running *one = all_running; one && limits->bandwidth; one = one->next)
        if (strcmp(one->uuid, uuid) == 0) {
            one->bandwidth = limits->bandwidth;
            one->crawls = false;
        }
    pthread_mutex_unlock(&lock);
    return 0;
}

static int fake_progress(struct hv *hv, const char *uuid, RmStats *ret_stats)
{
    int r = -ENOENT;
    pthread_mutex_lock(&lock);
    for (struct running *one = all_running; one && r < 0; one = one->next)
        if (strcmp(one->uuid, uuid) == 0) {
            *ret_stats = figures(one, env_now(hv->env), /* over = */ false);
            r = 0;
        }
    pthread_mutex_unlock(&lock);
    return r;
}

static int fake_repair(struct hv *hv, const char *peer, const char *uuid, enum hv_repair what,
                       struct rm_err *err)
{
    const char *directory = side(hv, peer);
    struct guest guest;
    if (!answers(directory, err))
        return -EIO;
    if (!find_guest(directory, uuid, &guest))
        return 0;
    bool runs = state_of(&guest) == RM_GUEST_STATE__GUEST_RUNNING;
    bool paused = state_of(&guest) == RM_GUEST_STATE__GUEST_PAUSED;
    if ((what == HV_DESTROY && runs) || (what == HV_UNDEFINE && (runs || paused)))
        return rm_fail(err, -EBUSY, "%s is %s", guest.name, guest.state);
    if (what == HV_RESUME) {
        snprintf(guest.state, sizeof(guest.state), "running");
        return write_guest(directory, &guest);
    }
    remove_guest(directory, guest.name);
    return 0;
}

static const struct driver fake_driver = {
    .open = fake_open,
    .close = fake_close,
    .inventory = fake_inventory,
    .wait_change = fake_wait_change,
    .look = fake_look,
    .check = fake_check,
    .migrate = fake_migrate,
    .abort = fake_abort,
    .modify = fake_modify,
    .progress = fake_progress,
    .repair = fake_repair,
};

const struct driver_row drivers[] = {
    {"connect", offsetof(struct conf_hypervisor, connect), RM_KIND__KIND_LIBVIRT, &fake_driver},
#ifdef RMIGRATE_ZVM
    {"smapi", offsetof(struct conf_hypervisor, smapi), RM_KIND__KIND_ZVM, &zvm_driver},
#endif
    {.driver = NULL},
};
