/* bench_queue.c - how fast the broker is, how large, and how long it takes to come back
 *
 * usage: bench_queue [OPTION...] BROKER        BROKER is the program; tests/bench/queue makes tables of it
 *
 * Starts a broker of its own in a directory of its own under TMPDIR, which is on the disk that is measured, and ends it.
 * The simulated site (site.h) shares the machine with it. One figure a line, "what: value unit". Only --check judges. */
#include "tests/bench/process.h"
#include "tests/bench/site.h"
#include "tests/bench/zmtp.h"

#include <dirent.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WRAP_MAX = 32, PATH_SIZE = 256, THREADS_MAX = 32, LOOK_MSEC = 20 };

static const char help[] =
    "usage: bench_queue [OPTION...] BROKER\n"
    "what is done:\n"
    "      (nothing)          jobs from the submit to the acknowledged result, as many as --jobs\n"
    "      --queued           submit that many while no worker has a free slot; SIGKILL; time "
    "until it answers\n"
    "      --connect          --workers workers connect at once; their beats; SIGKILL; time until "
    "all are back\n"
    "      --many-hosts       --hosts hypervisors are evacuated, --guests in all, to as many that "
    "are full\n"
    "      --check            the first, small; fails unless each job was done exactly once\n"
    "how:\n"
    "      --kill SECONDS     with nothing or --check: SIGKILL so often until all is submitted\n"
    "  -j, --jobs N           20000\n"
    "  -c, --clients N        8\n"
    "  -w, --window N         submits of a client that are not answered yet (16)\n"
    "  -l, --list N           guests of one submit (1)\n"
    "  -k, --workers N        16\n"
    "  -H, --hosts N          hypervisors (16)\n"
    "  -s, --slots N          of each (16)\n"
    "  -g, --guests N         as many as jobs\n"
    "      --one-report       workers say finished alone, not accepted before it\n"
    "      --tcp              instead of a local socket\n"
    "      --look             somebody asks ping, jobs and queue every 20 ms\n"
    "      --under COMMAND    words before the broker's, such as a tracer that keeps its number\n"
    "      --seconds N        that --connect and --many-hosts watch (20), and that all else may "
    "take (600)\n"
    "      --keep DIRECTORY   a new directory for the store and the log, which stay\n";

static struct {
    struct site_options site;
    uint64_t jobs;
    enum { LOAD, QUEUED_UP, CONNECT, MANY_HOSTS } what;
    bool check, tcp, look, keep;
    double seconds, most, kill;
    char *wrap[WRAP_MAX];
    size_t n_wrap;
    char *broker;
    char dir[PATH_SIZE];
} bench = {
    .site = {.clients = 8, .window = 16, .list = 1, .workers = 16, .hosts = 16, .slots = 16},
    .jobs = 20000,
    .seconds = 20,
    .most = 600,
};

static pid_t broker;
static usec_t started_at;
static struct site_look looks[SITE_LOOKS] = {{.name = "ping"}, {.name = "jobs"}, {.name = "queue"}};

/* ---- the broker */

static char *path_of(const char *name)
{
    static char path[PATH_SIZE + 32];
    snprintf(path, sizeof(path), "%s/%s", bench.dir, name);
    return path;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void clean_up(void)
{
    if (broker > 0)
        process_end(broker, SIGTERM);
    if (!bench.keep)
        nftw(bench.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void fail(const char *text)
{
    char line[512];
    FILE *log = fopen(path_of("log"), "re");

    fprintf(stderr, "bench_queue: %s; the end of the broker's log:\n", text);
    if (log) {
        fseek(log, -2000, SEEK_END);
        while (fgets(line, sizeof(line), log))
            fputs(line, stderr);
        fclose(log);
    }
    exit(1);
}

static void start_broker(void)
{
    char *argv[WRAP_MAX + 4];
    size_t n = 0;
    char conf[PATH_SIZE + 32];

    snprintf(conf, sizeof(conf), "%s", path_of("rmigrate.conf"));
    for (size_t i = 0; i < bench.n_wrap; i++)
        argv[n++] = bench.wrap[i];
    argv[n++] = bench.broker;
    argv[n++] = (char *)"-c";
    argv[n++] = conf;
    argv[n] = NULL;
    started_at = env_now(site_env());
    broker = process_start(argv, path_of("log"));
}

static void write_conf(const char *listen)
{
    FILE *file = fopen(path_of("rmigrate.conf"), "we");

    if (!file) {
        perror(bench.dir);
        exit(1);
    }
    fprintf(file,
            "broker: {\n    listen = [ \"%s\" ];\n    store = \"%s/store\";\n"
            "    store_size = \"8 GiB\";\n"
            "    limits: { source = 0; destination = 0; cluster = 0; };\n"
            "    heartbeat = \"%s\"; session_timeout = \"%s\";\n};\n",
            listen, bench.dir,
            bench.what == CONNECT ? "5 s"
            : bench.kill > 0      ? "500 ms"
                                  : "2 s",
            bench.what == CONNECT ? "60 s"
            : bench.kill > 0      ? "5 s"
                                  : "30 s");
    fclose(file);
}

static uint64_t store_bytes(void)
{
    struct stat st;
    return stat(path_of("store/data.mdb"), &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

/* ---- instructions, where the processor counts them */

static int counters[THREADS_MAX];
static size_t n_counters;

/* Of each thread that the broker has now. */
static void count_instructions(void)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_HARDWARE,
                                   .size = sizeof(attr),
                                   .config = PERF_COUNT_HW_INSTRUCTIONS,
                                   .exclude_kernel = 1,
                                   .exclude_hv = 1};
    char path[64];
    const struct dirent *entry;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)broker);
    DIR *dir = opendir(path);
    while (dir && (entry = readdir(dir)) && n_counters < THREADS_MAX) {
        int tid = atoi(entry->d_name);
        int fd = tid > 0 ? (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, 0) : -1;
        if (fd >= 0)
            counters[n_counters++] = fd;
    }
    if (dir)
        closedir(dir);
}

static uint64_t instructions(void)
{
    uint64_t all = 0, one;

    for (size_t i = 0; i < n_counters; i++)
        if (read(counters[i], &one, sizeof(one)) == sizeof(one))
            all += one;
    return all;
}

/* ---- what is printed */

static void show_memory(const char *when, const struct usage *usage)
{
    char text[64];

    snprintf(text, sizeof(text), "VmRSS %s", when);
    show(text, (double)usage->resident / 1e6, "MB");
    snprintf(text, sizeof(text), "RssAnon %s", when);
    show(text, (double)usage->own / 1e6, "MB");
}

static double since(usec_t at)
{
    return (double)(env_now(site_env()) - at) / (double)USEC_PER_SEC;
}

/* ---- what is done */

static uint64_t wanted;

static bool all_are_up(void)
{
    return site_counts()->up == bench.site.workers;
}

static bool all_is_done(void)
{
    return site_counts()->done >= wanted;
}

static bool all_is_submitted(void)
{
    return site_counts()->submitted >= wanted;
}

/* The broker is killed again and again until all is submitted, and then left alone: jobs of which nobody knows are
 * looked into in peace. */
static void run_killing(void)
{
    unsigned kills = 0;

    while (!site_run(all_is_submitted, bench.kill)) {
        process_end(broker, SIGKILL);
        start_broker();
        kills++;
        if (kills * bench.kill > bench.most)
            fail("not all jobs were submitted in time");
    }
    process_end(broker, SIGKILL);
    start_broker();
    show("kills", kills + 1, "");
}

static void run_until(bool (*until)(void), const char *what)
{
    usec_t end = env_now(site_env()) + (usec_t)(bench.most * (double)USEC_PER_SEC);

    while (!site_run(until, 1)) {
        if (waitpid(broker, NULL, WNOHANG) != 0) {
            broker = 0;
            fail("the broker has ended");
        }
        if (env_now(site_env()) >= end)
            fail(what);
    }
}

/* Nothing is under way any more: what came before a ping has been worked on. */
static void settle(void)
{
    if (site_first_answer(started_at, bench.most) < 0)
        fail("no answer");
    site_run_for(0.5);
}

static void restart(void)
{
    process_end(broker, SIGKILL);
    start_broker();
    double took = site_first_answer(started_at, bench.most);
    if (took < 0)
        fail("it does not answer after SIGKILL");
    show("SIGKILL: from the start to the first answer", took, "s");
}

static void load(void)
{
    struct site_counts *counts = site_counts();
    struct usage before, after;
    uint64_t bytes = store_bytes();
    double jobs;

    count_instructions();
    before = process_usage(broker);
    uint64_t counted = instructions();
    usec_t began_at = env_now(site_env());
    for (unsigned i = 0; i < SITE_LOOKS && bench.look; i++)
        site_look(&looks[i], LOOK_MSEC / 1000.0);
    site_submit(bench.jobs);
    if (bench.kill > 0)
        run_killing();
    run_until(all_is_done, "not all jobs were done in time");
    double took = since(began_at);
    after = process_usage(broker);
    jobs = (double)counts->done;
    show("jobs a second, submit to done", jobs / took, "/s");
    show_series("submit", &counts->submit);
    show_series("submit to done", &counts->whole);
    show("broker's processor a job, user", (after.user - before.user) * 1e6 / jobs, "us");
    show("broker's processor a job, system", (after.system - before.system) * 1e6 / jobs, "us");
    if (n_counters > 0)
        show("instructions a job, user", (double)(instructions() - counted) / jobs, "");
    show("store a job", (double)(store_bytes() - bytes) / jobs, "bytes");
    show("reports that had to be repeated", (double)counts->repeated, "");
    show_memory("at the end", &after);
    for (unsigned i = 0; i < SITE_LOOKS && bench.look; i++) {
        char text[32];
        snprintf(text, sizeof(text), "%s under load", looks[i].name);
        show_series(text, &looks[i].replies);
    }
}

static void queue_up(void)
{
    struct usage empty = process_usage(broker), full;
    uint64_t bytes = store_bytes();
    usec_t began_at = env_now(site_env());
    double jobs;

    show_memory("before the jobs", &empty);
    site_submit(bench.jobs);
    run_until(all_is_submitted, "not all jobs were submitted in time");
    double took = since(began_at);
    settle();
    full = process_usage(broker);
    jobs = (double)site_counts()->submitted;
    show("submits of jobs that wait", jobs / took, "/s");
    show_memory("with all jobs queued", &full);
    show("memory a queued job", ((double)full.own - (double)empty.own) / jobs, "bytes");
    show("store a queued job", (double)(store_bytes() - bytes) / jobs, "bytes");
    restart();
    struct usage again = process_usage(broker);
    show_memory("right after it", &again);
}

static void connect_all(double took)
{
    struct usage usage;
    double from;

    show("until every worker has a confirmed pull", took, "s");
    usage = process_usage(broker);
    show_memory("with all workers", &usage);
    show("memory a worker", (double)usage.own / bench.site.workers, "bytes");
    site_pulls(5);
    site_run_for(5);
    usec_t began_at = env_now(site_env());
    usage = process_usage(broker);
    from = usage.user + usage.system;
    site_run_for(bench.seconds);
    usage = process_usage(broker);
    show("processor at one pull a worker in 5 s",
         100 * (usage.user + usage.system - from) / since(began_at), "%");
    if (!all_are_up())
        fail("workers were lost");
    restart();
    run_until(all_are_up, "not all workers came back");
    show("SIGKILL: from the start until all are back", since(started_at), "s");
}

static void evacuate(void)
{
    RmEvacuate evacuation = RM_EVACUATE__INIT;
    RmRequest request = RM_REQUEST__INIT;
    char hosts[64];

    snprintf(hosts, sizeof(hosts), "h[0000-%04u]", bench.site.hosts - 1);
    evacuation.hosts = hosts;
    request.ask_case = RM_REQUEST__ASK_EVACUATE;
    request.evacuate = &evacuation;
    site_look(&looks[0], LOOK_MSEC / 1000.0);
    usec_t began_at = env_now(site_env());
    const RmReply *reply = site_ask(&request, bench.most);
    if (!reply)
        fail("evacuate was not answered");
    show("evacuate: answered after", since(began_at), "s");
    show("evacuate: jobs that wait", reply->count, "");
    if (reply->count == 0)
        fail(reply->n_outcomes > 0 ? reply->outcomes[0]->text : reply->text);
    site_look(&looks[0], 0);
    site_run_for(0.1);
    looks[0].replies.n = 0;
    site_look(&looks[0], LOOK_MSEC / 1000.0);
    site_run_for(bench.seconds);
    show_series("ping while they wait", &looks[0].replies);
}

/* How many jobs the broker knows of, and how many of them are done. */
static uint64_t count_jobs(uint64_t *ret_done)
{
    RmListJobs list = RM_LIST_JOBS__INIT;
    RmRequest request = RM_REQUEST__INIT;
    uint64_t n = 0, done = 0;

    request.ask_case = RM_REQUEST__ASK_LIST_JOBS;
    request.list_jobs = &list;
    list.finished = true;
    do {
        const RmReply *reply = site_ask(&request, bench.most);
        if (!reply)
            fail("jobs was not answered");
        n += reply->n_jobs;
        for (size_t i = 0; i < reply->n_jobs; i++)
            done += reply->jobs[i]->state == RM_STATE__DONE;
        list.before = reply->next;
    } while (list.before != 0);
    *ret_done = done;
    return n;
}

static void judge(void)
{
    const struct site_counts *counts = site_counts();

    printf("%" PRIu64 " jobs submitted, %" PRIu64 " moved, %" PRIu64 " done, %" PRIu64
           " more than once\n",
           counts->submitted, counts->moved, counts->done, counts->again);
    if (counts->submitted != wanted || counts->moved != wanted || counts->done != wanted ||
        counts->again != 0)
        fail("that is not each job exactly once");
    uint64_t done, jobs = count_jobs(&done);
    if (jobs != wanted || done != wanted)
        fail("the broker has other jobs than the books");
    if (!site_is_true(bench.most))
        fail("the broker says of a guest that it is elsewhere than the books say");
}

/* ---- */

enum {
    QUEUED_OPTION = 256,
    CONNECT_OPTION,
    MANY_OPTION,
    CHECK,
    ONE_REPORT,
    TCP,
    LOOK,
    UNDER,
    SECONDS,
    KEEP,
    KILL
};

static const struct option options[] = {
    {"queued", 0, NULL, QUEUED_OPTION},
    {"connect", 0, NULL, CONNECT_OPTION},
    {"many-hosts", 0, NULL, MANY_OPTION},
    {"check", 0, NULL, CHECK},
    {"jobs", 1, NULL, 'j'},
    {"clients", 1, NULL, 'c'},
    {"window", 1, NULL, 'w'},
    {"list", 1, NULL, 'l'},
    {"workers", 1, NULL, 'k'},
    {"hosts", 1, NULL, 'H'},
    {"slots", 1, NULL, 's'},
    {"guests", 1, NULL, 'g'},
    {"one-report", 0, NULL, ONE_REPORT},
    {"tcp", 0, NULL, TCP},
    {"look", 0, NULL, LOOK},
    {"under", 1, NULL, UNDER},
    {"seconds", 1, NULL, SECONDS},
    {"keep", 1, NULL, KEEP},
    {"kill", 1, NULL, KILL},
    {"help", 0, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static unsigned number(const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (n == 0 || n > UINT32_MAX || *end != '\0') {
        fprintf(stderr, "bench_queue: %s is no number from 1 on\n", text);
        exit(2);
    }
    return (unsigned)n;
}

static void read_option(int option)
{
    switch (option) {
    case 'j':
        bench.jobs = number(optarg);
        break;
    case 'c':
        bench.site.clients = number(optarg);
        break;
    case 'w':
        bench.site.window = number(optarg);
        break;
    case 'l':
        bench.site.list = number(optarg);
        break;
    case 'k':
        bench.site.workers = number(optarg);
        break;
    case 'H':
        bench.site.hosts = number(optarg);
        break;
    case 's':
        bench.site.slots = number(optarg);
        break;
    case 'g':
        bench.site.guests = number(optarg);
        break;
    case QUEUED_OPTION:
        bench.what = QUEUED_UP;
        break;
    case CONNECT_OPTION:
        bench.what = CONNECT;
        break;
    case MANY_OPTION:
        bench.what = MANY_HOSTS;
        break;
    case CHECK:
        bench.check = true;
        bench.jobs = 2000;
        bench.site.guests = 256;
        break;
    case ONE_REPORT:
        bench.site.one_report = true;
        break;
    case TCP:
        bench.tcp = true;
        break;
    case LOOK:
        bench.look = true;
        break;
    case UNDER:
        for (char *word = strtok(optarg, " "); word && bench.n_wrap < WRAP_MAX;
             word = strtok(NULL, " "))
            bench.wrap[bench.n_wrap++] = word;
        break;
    case SECONDS:
        bench.seconds = bench.most = number(optarg);
        break;
    case KEEP:
        bench.keep = true;
        snprintf(bench.dir, sizeof(bench.dir), "%s", optarg);
        break;
    case KILL:
        bench.kill = number(optarg);
        bench.site.dies = true;
        break;
    case 'h':
        fputs(help, stdout);
        exit(0);
    default:
        fputs(help, stderr);
        exit(2);
    }
}

static void read_options(int argc, char *argv[])
{
    for (int option; (option = getopt_long(argc, argv, "j:c:w:l:k:H:s:g:h", options, NULL)) >= 0;)
        read_option(option);
    if (optind + 1 != argc)
        read_option('?');
    bench.broker = argv[optind];
    if (bench.what == CONNECT)
        bench.site.hosts = bench.site.workers;
    if (bench.what == MANY_HOSTS) {
        bench.site.full = bench.site.hosts;
        bench.site.workers = 2 * bench.site.hosts;
    }
    if (bench.site.guests == 0)
        bench.site.guests = bench.what == CONNECT      ? 1
                            : bench.what == MANY_HOSTS ? bench.site.hosts
                                                       : (unsigned)bench.jobs;
    if (bench.site.hosts < 2 || bench.site.hosts < bench.site.workers / 2) {
        fprintf(stderr, "bench_queue: a guest needs two hypervisors, and a worker one\n");
        exit(2);
    }
    if (bench.what == QUEUED_UP)
        bench.site.slots = 0;
    wanted = (bench.jobs + bench.site.list - 1) / bench.site.list * bench.site.list;
}

int main(int argc, char *argv[])
{
    static char endpoint[PATH_SIZE + 64];
    struct rlimit files;

    read_options(argc, argv);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (bench.keep) {
        if (mkdir(bench.dir, 0700) < 0) {
            perror(bench.dir);
            return 1;
        }
    } else {
        const char *temporary = getenv("TMPDIR");
        snprintf(bench.dir, sizeof(bench.dir), "%s/bench_queue.XXXXXX",
                 temporary ? temporary : "/tmp");
        if (!mkdtemp(bench.dir)) {
            perror(bench.dir);
            return 1;
        }
    }
    if (bench.tcp)
        snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%u",
                 (unsigned)(20000 + env_random(env_system()) % 10000));
    else
        snprintf(endpoint, sizeof(endpoint), "ipc://%s/broker", bench.dir);
    atexit(clean_up);
    bench.site.endpoint = endpoint;
    write_conf(endpoint);
    start_broker();
    usec_t began_at = env_now(env_system());
    site_begin(&bench.site);
    run_until(all_are_up, "not all workers have a session");
    double took = since(began_at);
    if (bench.what == CONNECT) {
        connect_all(took);
        return 0;
    }
    settle();
    if (bench.what == LOAD)
        load();
    if (bench.what == QUEUED_UP)
        queue_up();
    if (bench.what == MANY_HOSTS)
        evacuate();
    if (bench.check)
        judge();
    return 0;
}
