/* hvtool.c - the driver of libvirt by hand: what a worker asks of it, one command at a time
 *
 * Runs inside a lab's hypervisor (`lab exec hyp01 hvtool ...`) without a broker; lines of key=value
 * on stdout. */
#include "conf/env.h"
#include "conf/log.h"
#include "worker/libvirt/driver.h"
#include "worker/settle.h"
#include "worker/task.h"

#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "hvtool [options] COMMAND\n"
    "  inventory [SECONDS]       what is there; with SECONDS: each change in that time\n"
    "  look UUID [PEER]          what one side says of a guest\n"
    "  check UUID PEER           may it go there\n"
    "  migrate UUID PEER         check is not made, nothing is settled\n"
    "  task UUID PEER            the whole task of a worker: check, migrate, settle\n"
    "  settle UUID PEER          find out, adopt, repair\n"
    "  abort UUID | progress UUID\n"
    "  resume|destroy|undefine UUID [PEER]\n"
    "options: --connect URI --address URI --fence auto|always|never --bandwidth BYTES/S\n"
    "  --downtime MS --timeout S --stall S --auto-converge --unsafe --cancel-after MS\n"
    "  --call-timeout MS --connect-timeout MS --known-fence TEXT --paused --source-peer URI\n";

static struct options {
    const char *connect, *address, *known_fence, *source_peer;
    enum fence_mode fence;
    uint64_t bandwidth;
    usec_t downtime, timeout, stall, cancel_after, call_timeout, connect_timeout;
    bool auto_converge, unsafe, paused;
} opt = {.connect = "qemu:///system",
         .known_fence = "",
         .source_peer = "",
         .fence = FENCE_ALWAYS,
         .call_timeout = 10 * USEC_PER_SEC,
         .connect_timeout = 5 * USEC_PER_SEC};

static usec_t started_at;

static double seconds(void)
{
    return (double)(env_now(env_system()) - started_at) / 1e6;
}

static const char *state_text(RmGuestState state)
{
    static const char *const names[] = {"unknown", "running",  "paused",    "shutoff",
                                        "crashed", "incoming", "suspended", "postcopy"};
    return (unsigned)state < 8 ? names[state] : "?";
}

static const char *reason_text(enum hv_reason reason)
{
    static const char *const names[] = {"other",           "migrated", "migration-canceled",
                                        "migrating",       "user",     "postcopy",
                                        "postcopy-failed", "shutdown", "failed"};
    return (unsigned)reason < 9 ? names[reason] : "?";
}

static const char *class_text(RmClass class_)
{
    static const char *const names[] = {"none", "retry", "unfit", "fatal", "ambiguous", "aborted"};
    return (unsigned)class_ < 6 ? names[class_] : "?";
}

static const char *verdict_text(RmVerdict verdict)
{
    static const char *const names[] = {"none",    "destination", "source", "migrating",
                                        "unknown", "nowhere",     "both",   "ended"};
    return (unsigned)verdict < 8 ? names[verdict] : "?";
}

static void print_stats(const RmStats *s)
{
    printf(" elapsed_ms=%" PRIu64 " downtime_us=%" PRIu64 " measured=%d total=%" PRIu64
           " processed=%" PRIu64 " remaining=%" PRIu64 " rate=%" PRIu64 " dirty=%" PRIu64
           " rounds=%u",
           s->elapsed_for / 1000, s->downtime_for, s->measured_downtime, s->total, s->processed,
           s->remaining, s->rate, s->dirty_rate, s->iterations);
}

static void print_inventory(const RmInventory *inventory)
{
    printf("t=%.3f host=%s reachable=%d memory=%" PRIu64 " free=%" PRIu64
           " vcpus=%u guests=%zu %s\n",
           seconds(), inventory->host, inventory->reachable, inventory->memory,
           inventory->memory_free, inventory->vcpus, inventory->n_domains, inventory->text);
    for (size_t i = 0; i < inventory->n_domains; i++) {
        const RmDomain *d = inventory->domains[i];
        printf("  guest=%s uuid=%s state=%s memory=%" PRIu64
               " vcpus=%u persistent=%d migrating=%d\n",
               d->name, d->uuid, state_text(d->state), d->memory, d->vcpus, d->persistent,
               d->migrating);
    }
}

static void print_outcome(int r, const struct hv_outcome *o)
{
    printf("t=%.3f r=%d ok=%d class=%s code=%d fence='%s' paused=%d resumed=%d by='%s' had=%d",
           seconds(), r, o->ok, class_text(o->class_), o->code, o->fence, o->guest_paused,
           o->resumed, o->resumed_by, o->had_definition);
    print_stats(&o->stats);
    printf("\n  text=%s\n", o->text);
}

static void print_report(const RmReport *report)
{
    static const char *const kinds[] = {"none", "accepted", "refused", "progress", "finished"};
    printf("t=%.3f report=%s phase=%s verdict=%s class=%s code=%d fence='%s' paused=%d already=%d",
           seconds(), kinds[report->kind], report->phase, verdict_text(report->verdict),
           class_text(report->class_), report->code, report->fence, report->guest_paused,
           report->already);
    if (report->stats)
        print_stats(report->stats);
    printf("\n");
    if (report->text[0] || report->notes[0])
        printf("  text=%s\n  notes=%s\n", report->text, report->notes);
    fflush(stdout);
}

static void on_progress(void *ctx, const RmStats *stats)
{
    (void)ctx;
    printf("t=%.3f progress", seconds());
    print_stats(stats);
    printf("\n");
    fflush(stdout);
}

static struct hv_migration migration_of(const char *uuid, const char *peer)
{
    return (struct hv_migration){.uuid = uuid,
                                 .destination = "destination",
                                 .peer = peer,
                                 .address = opt.address,
                                 .bandwidth = opt.bandwidth,
                                 .downtime = opt.downtime,
                                 .timeout = opt.timeout,
                                 .stall = opt.stall,
                                 .auto_converge = opt.auto_converge,
                                 .unsafe = opt.unsafe,
                                 .fence = opt.fence,
                                 .progress = on_progress};
}

/* The worker's own way: threads, messages, one assignment. */
static int run_task(const struct conf_worker *conf, const char *uuid, const char *peer, bool settle)
{
    const struct driver *const drivers[] = {&libvirt_driver};
    struct tasks *tasks;
    struct rm_err err = {""};
    if (tasks_new(conf, drivers, env_system(), &tasks, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 2;
    }
    RmOptions options = RM_OPTIONS__INIT;
    options.bandwidth = opt.bandwidth;
    options.downtime_for = opt.downtime;
    options.timeout_for = opt.timeout;
    options.stall_for = opt.stall;
    options.auto_converge = opt.auto_converge;
    options.unsafe = opt.unsafe;
    options.fence = 1 + (unsigned)opt.fence; /* 0 = as the settings say */
    RmAssignment assignment = RM_ASSIGNMENT__INIT;
    assignment.job = 1;
    assignment.attempt = 1;
    assignment.settle = settle;
    assignment.guest = "guest";
    assignment.uuid = (char *)uuid;
    bool from_destination = opt.source_peer[0] != '\0';
    assignment.host = from_destination ? "source" : "here";
    assignment.destination = from_destination ? "here" : "destination";
    assignment.peer = from_destination ? "" : (char *)peer;
    assignment.source_peer = (char *)opt.source_peer;
    assignment.migration = opt.address ? (char *)opt.address : "";
    assignment.options = &options;
    assignment.fence = (char *)opt.known_fence;
    assignment.guest_paused = opt.paused;
    tasks_lease(tasks, /* session = */ 1, USEC_NEVER);
    int r = tasks_start(tasks, &assignment, settle, /* session = */ 1);
    if (r < 0) {
        fprintf(stderr, "tasks_start: %s\n", strerror(-r));
        return 2;
    }
    struct arena *arena = arena_new(0);
    bool cancelled = false;
    int status = -1;
    while (status < 0) {
        struct pollfd fd = {.fd = tasks_fd(tasks), .events = POLLIN};
        poll(&fd, 1, 20);
        if (opt.cancel_after && !cancelled &&
            env_now(env_system()) - started_at > opt.cancel_after) {
            printf("t=%.3f abort\n", seconds());
            tasks_abort(tasks, 1);
            cancelled = true;
        }
        struct mail mail;
        while (tasks_next(tasks, arena, &mail)) {
            if (mail.report)
                print_report(mail.report);
            if (mail.report && (mail.report->kind == RM_REPORT_KIND__REPORT_REFUSED ||
                                mail.report->kind == RM_REPORT_KIND__REPORT_FINISHED))
                status = mail.report->verdict == RM_VERDICT__VERDICT_DESTINATION ? 0 : 1;
            arena_reset(arena);
        }
    }
    arena_free(arena);
    tasks_free(tasks);
    return status;
}

static int run_inventory(struct hv *hv, usec_t span)
{
    struct arena *arena = arena_new(0);
    for (;;) {
        RmInventory *inventory;
        double before = seconds();
        if (libvirt_driver.inventory(hv, arena, &inventory) < 0)
            return 1;
        printf("took=%.3f ", seconds() - before);
        print_inventory(inventory);
        fflush(stdout);
        arena_reset(arena);
        if (env_now(env_system()) - started_at >= span)
            break;
        libvirt_driver.wait_change(hv, USEC_PER_SEC);
    }
    arena_free(arena);
    return 0;
}

static int run_migrate(struct hv *hv, const char *uuid, const char *peer)
{
    struct hv_migration migration = migration_of(uuid, peer);
    struct hv_outcome outcome;
    libvirt_driver.migrate(hv, &migration, &outcome);
    print_outcome(0, &outcome);
    return outcome.ok ? 0 : 1;
}

static int run_look(struct hv *hv, const char *uuid, const char *peer)
{
    struct hv_look look;
    struct rm_err err = {""};
    double before = seconds();
    libvirt_driver.look(hv, peer, uuid, &look, &err);
    printf("took=%.4f answered=%d defined=%d active=%d state=%s reason=%s outgoing=%d incoming=%d "
           "%s\n",
           seconds() - before, look.answered, look.defined, look.active, state_text(look.state),
           reason_text(look.reason), look.outgoing, look.incoming, err.text);
    return look.answered ? 0 : 1;
}

static int simple(int r, const struct rm_err *err)
{
    printf("t=%.3f r=%d %s\n", seconds(), r, err->text);
    return r < 0 ? 1 : 0;
}

static int run_one(struct hv *hv, const char *command, const char *uuid, const char *peer)
{
    struct rm_err err = {""};
    if (strcmp(command, "inventory") == 0)
        return run_inventory(hv, uuid ? (usec_t)(atof(uuid) * 1e6) : 0);
    if (!uuid)
        return 2;
    if (strcmp(command, "look") == 0)
        return run_look(hv, uuid, peer);
    if (strcmp(command, "abort") == 0)
        return simple(libvirt_driver.abort(hv, uuid, &err), &err);
    if (strcmp(command, "progress") == 0) {
        RmStats stats = RM_STATS__INIT;
        int r = libvirt_driver.progress(hv, uuid, &stats);
        print_stats(&stats);
        return simple(r, &err);
    }
    static const char *const repairs[] = {"resume", "destroy", "undefine"};
    for (int i = 0; i < 3; i++)
        if (strcmp(command, repairs[i]) == 0)
            return simple(libvirt_driver.repair(hv, peer, uuid, (enum hv_repair)i, &err), &err);
    if (!peer)
        return 2;
    if (strcmp(command, "migrate") == 0)
        return run_migrate(hv, uuid, peer);
    if (strcmp(command, "check") == 0) {
        struct hv_migration migration = migration_of(uuid, peer);
        struct hv_outcome outcome;
        int r = libvirt_driver.check(hv, &migration, &outcome);
        print_outcome(r, &outcome);
        return r < 0 ? 1 : 0;
    }
    return 2;
}

static usec_t milliseconds(const char *text)
{
    return (usec_t)(atof(text) * 1e3);
}

static int read_options(int argc, char **argv)
{
    static const struct option longs[] = {
        {"connect", 1, NULL, 'c'},      {"address", 1, NULL, 'a'},
        {"fence", 1, NULL, 'f'},        {"bandwidth", 1, NULL, 'b'},
        {"downtime", 1, NULL, 'd'},     {"timeout", 1, NULL, 't'},
        {"stall", 1, NULL, 's'},        {"auto-converge", 0, NULL, 'A'},
        {"unsafe", 0, NULL, 'U'},       {"cancel-after", 1, NULL, 'C'},
        {"call-timeout", 1, NULL, 'T'}, {"connect-timeout", 1, NULL, 'O'},
        {"known-fence", 1, NULL, 'K'},  {"paused", 0, NULL, 'P'},
        {"source-peer", 1, NULL, 'S'},  {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case 'c':
            opt.connect = optarg;
            break;
        case 'a':
            opt.address = optarg;
            break;
        case 'f':
            opt.fence = strcmp(optarg, "always") == 0  ? FENCE_ALWAYS
                        : strcmp(optarg, "never") == 0 ? FENCE_NEVER
                                                       : FENCE_AUTO;
            break;
        case 'b':
            opt.bandwidth = strtoull(optarg, NULL, 10);
            break;
        case 'd':
            opt.downtime = milliseconds(optarg);
            break;
        case 't':
            opt.timeout = 1000 * milliseconds(optarg);
            break;
        case 's':
            opt.stall = 1000 * milliseconds(optarg);
            break;
        case 'A':
            opt.auto_converge = true;
            break;
        case 'U':
            opt.unsafe = true;
            break;
        case 'C':
            opt.cancel_after = milliseconds(optarg);
            break;
        case 'T':
            opt.call_timeout = milliseconds(optarg);
            break;
        case 'O':
            opt.connect_timeout = milliseconds(optarg);
            break;
        case 'K':
            opt.known_fence = optarg;
            break;
        case 'P':
            opt.paused = true;
            break;
        case 'S':
            opt.source_peer = optarg;
            break;
        default:
            return -1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (read_options(argc, argv) < 0 || optind >= argc) {
        fputs(usage, stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    log_open("hvtool", LOG_LEVEL_INFO);
    struct conf_hypervisor hypervisor = {.name = "here", .connect = (char *)opt.connect};
    struct conf_worker conf = {.slots = 4,
                               .connect_timeout = opt.connect_timeout,
                               .call_timeout = opt.call_timeout,
                               .hypervisors = &hypervisor,
                               .n_hypervisors = 1};
    const char *command = argv[optind];
    const char *uuid = optind + 1 < argc ? argv[optind + 1] : NULL;
    const char *peer = optind + 2 < argc ? argv[optind + 2] : NULL;
    started_at = env_now(env_system());
    bool settling = strcmp(command, "settle") == 0;
    int status;
    if (settling || strcmp(command, "task") == 0) {
        status = uuid && (peer || opt.source_peer[0]) ? run_task(&conf, uuid, peer, settling) : 2;
    } else {
        struct rm_err err = {""};
        struct hv *hv = libvirt_driver.open(&hypervisor, &conf, env_system(), &err);
        if (!hv)
            fprintf(stderr, "%s\n", err.text);
        status = hv ? run_one(hv, command, uuid, peer) : 2;
    }
    if (status == 2)
        fputs(usage, stderr);
    fflush(stdout);
    _exit(status); /* threads may hang in libvirt: nothing is torn down under them */
}
