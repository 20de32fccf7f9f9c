/* test_conf.c - settings: what is read, every refusal with its file and line, and that
 * conf/rmigrate.conf says the truth about all of them */
#include "conf/conf.h"
#include "conf/endpoint.h"
#include "conf/source.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Public keys that `rmigrate keygen` made; their secrets are gone. */
#define KEY_A "E<&]SKx/voy4nS6ZFDJ:($FQlK<=:GGg8ycl@QS%"
#define KEY_B "+u1C2oCw?S@afjax<9XFq+SChxa-TLlrKoBPDeh7"

static char directory[64];
static char main_file[128];

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/rmigrate-test-conf-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(main_file, sizeof(main_file), "%s/a.conf", directory);
    unsetenv("RMIGRATE_CONF");
    unsetenv("RMIGRATE_BROKER");
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    return system(command) == 0 ? 0 : -1;
}

enum program { BROKER, WORKER, CLIENT, WATCH };

/* Loads for one program and throws the result away. */
static int load(enum program program, const char *file, struct rm_err *err)
{
    int r;
    if (program == BROKER) {
        struct conf_broker conf = {0};
        r = conf_broker_load(file, &conf, err);
        conf_broker_done(&conf);
    } else if (program == WORKER) {
        struct conf_worker conf = {0};
        r = conf_worker_load(file, &conf, err);
        conf_worker_done(&conf);
    } else if (program == WATCH) {
        struct conf_watch conf = {0};
        r = conf_watch_load(file, &conf, err);
        conf_watch_done(&conf);
    } else {
        struct conf_client conf = {0};
        r = conf_client_load(file, &conf, err);
        conf_client_done(&conf);
    }
    return r;
}

static void assert_loads(enum program program, const char *text)
{
    struct rm_err err = {0};
    write_file("a.conf", text);
    int r = load(program, main_file, &err);
    if (r != 0)
        fail_msg("'%s': %d, %s", text, r, err.text);
    assert_string_equal(err.text, "");
}

/* The error is "a.conf:LINE: WHY..."; line 0: it names no line. */
static void assert_refused(enum program program, const char *text, unsigned line, const char *why)
{
    struct rm_err err = {0};
    char begin[256];
    write_file("a.conf", text);
    int r = load(program, main_file, &err);
    if (line > 0)
        snprintf(begin, sizeof(begin), "%s:%u: ", main_file, line);
    else
        snprintf(begin, sizeof(begin), "%s: ", main_file);
    if (r != -EINVAL || strncmp(err.text, begin, strlen(begin)) != 0 || !strstr(err.text, why))
        fail_msg("'%s': %d, '%s', want line %u '%s'", text, r, err.text, line, why);
    assert_int_equal(load(program, main_file, NULL), -EINVAL);
}

static void broker_defaults_are_those_of_the_design(void **state)
{
    (void)state;
    struct conf_broker conf;
    write_file("a.conf", "");
    assert_int_equal(conf_broker_load(main_file, &conf, NULL), 0);
    assert_int_equal(conf.n_listen, 1);
    assert_string_equal(conf.listen[0], "ipc:///run/rmigrate/broker");
    assert_string_equal(conf.store, "/var/lib/rmigrate");
    assert_int_equal(conf.store_size, UINT64_C(16) << 30);
    assert_null(conf.key_file);
    assert_int_equal(conf.n_keys, 0);
    assert_int_equal(conf.socket_mode, 0660);
    assert_null(conf.socket_group);
    assert_int_equal(conf.n_viewers + conf.n_operators, 0);
    assert_int_equal(conf.limit_source, 2);
    assert_int_equal(conf.limit_destination, 2);
    assert_int_equal(conf.limit_cluster, 0);
    assert_int_equal(conf.heartbeat, 2 * USEC_PER_SEC);
    assert_int_equal(conf.session_timeout, 10 * USEC_PER_SEC);
    assert_int_equal(conf.attempts, 3);
    assert_int_equal(conf.retry_wait, 10 * USEC_PER_SEC);
    assert_int_equal(conf.unreachable, 600 * USEC_PER_SEC);
    assert_int_equal(conf.keep, 400 * 86400 * USEC_PER_SEC);
    assert_int_equal(conf.keep_jobs, 5000000);
    assert_int_equal(conf.vcpus_per_cpu, 4);
    assert_null(conf.exclude_nodes);
    assert_int_equal(conf.migration.bandwidth, 0);
    assert_int_equal(conf.migration.downtime, 0);
    assert_int_equal(conf.migration.timeout, 3600 * USEC_PER_SEC);
    assert_int_equal(conf.migration.stall, 180 * USEC_PER_SEC);
    assert_false(conf.migration.auto_converge);
    assert_int_equal(conf.migration.fence, FENCE_ALWAYS);
    conf_broker_done(&conf);
}

static void broker_reads_every_setting(void **state)
{
    (void)state;
    struct conf_broker conf;
    struct rm_err err = {0};
    write_file(
        "a.conf",
        "broker: { listen = [ \"ipc:///tmp/s\", \"tcp://*:9749\" ]; store = \"/s\";\n"
        "store_size = \"2 GiB\"; key = \"/k\"; socket_mode = \"600\"; socket_group = \"g\";\n"
        "allow = ( { name = \"hyp01\"; role = \"worker\"; public = \"" KEY_A "\"; },\n"
        " { name = \"alice\"; role = \"admin\"; public = \"" KEY_B "\"; } );\n"
        "viewers = [ \"v\" ]; operators = ( \"o1\", \"o2@dom\" );\n"
        "limits: { source = 3; destination = 4; cluster = 5L; };\n"
        "heartbeat = \"1 s\"; session_timeout = \"3 s\"; attempts = 7;\n"
        "retry_wait = \"1 min\"; unreachable = \"0\"; vcpus_per_cpu = 8;\n"
        "reserve = \"12 %\";\n"
        "exclude_nodes = \"mgmt,/vios.*\";\n"
        "migration: { bandwidth = \"1 Gbit/s\"; downtime = \"300 ms\"; timeout = \"0\";\n"
        "stall = \"30 s\"; auto_converge = true; fence = \"always\"; }; };\n");
    int r = conf_broker_load(main_file, &conf, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(r, 0);
    assert_int_equal(conf.n_listen, 2);
    assert_string_equal(conf.listen[0], "ipc:///tmp/s");
    assert_string_equal(conf.listen[1], "tcp://*:9749");
    assert_string_equal(conf.store, "/s");
    assert_int_equal(conf.store_size, UINT64_C(2) << 30);
    assert_string_equal(conf.key_file, "/k");
    assert_int_equal(conf.n_keys, 2);
    assert_string_equal(conf.keys[0].name, "hyp01");
    assert_int_equal(conf.keys[0].role, ROLE_WORKER);
    assert_string_equal(conf.keys[0].public_key, KEY_A);
    assert_int_equal(conf.keys[1].role, ROLE_ADMIN);
    assert_string_equal(conf.keys[1].public_key, KEY_B);
    assert_int_equal(conf.keys[1].n_hosts, 0);
    assert_int_equal(conf.socket_mode, 0600);
    assert_string_equal(conf.socket_group, "g");
    assert_int_equal(conf.n_viewers, 1);
    assert_string_equal(conf.viewers[0], "v");
    assert_int_equal(conf.n_operators, 2);
    assert_string_equal(conf.operators[1], "o2@dom");
    assert_int_equal(conf.limit_source, 3);
    assert_int_equal(conf.limit_destination, 4);
    assert_int_equal(conf.limit_cluster, 5);
    assert_int_equal(conf.heartbeat, USEC_PER_SEC);
    assert_int_equal(conf.session_timeout, 3 * USEC_PER_SEC);
    assert_int_equal(conf.attempts, 7);
    assert_int_equal(conf.retry_wait, 60 * USEC_PER_SEC);
    assert_int_equal(conf.unreachable, 0);
    assert_int_equal(conf.vcpus_per_cpu, 8);
    assert_int_equal(conf.reserve.per_cent, 12);
    assert_string_equal(conf.exclude_nodes, "mgmt,/vios.*");
    assert_int_equal(conf.migration.bandwidth, 125000000);
    assert_int_equal(conf.migration.downtime, 300 * USEC_PER_MSEC);
    assert_int_equal(conf.migration.timeout, 0);
    assert_int_equal(conf.migration.stall, 30 * USEC_PER_SEC);
    assert_true(conf.migration.auto_converge);
    assert_int_equal(conf.migration.fence, FENCE_ALWAYS);
    conf_broker_done(&conf);
}

static void a_workers_key_speaks_for_its_name_or_for_the_hosts_it_lists(void **state)
{
    (void)state;
    struct conf_broker conf;
    write_file("a.conf",
               "broker: { key = \"k\"; allow = (\n"
               "{ name = \"hyp01\"; role = \"worker\"; public = \"" KEY_A "\"; },\n"
               "{ name = \"rack\"; role = \"worker\"; public = \"" KEY_B "\"; hosts = [ \"a\", "
               "\"b\" ]; } ); };");
    assert_int_equal(conf_broker_load(main_file, &conf, NULL), 0);
    assert_int_equal(conf.keys[0].n_hosts, 1);
    assert_string_equal(conf.keys[0].hosts[0], "hyp01");
    assert_null(conf.keys[0].hosts[1]);
    assert_int_equal(conf.keys[1].n_hosts, 2);
    assert_string_equal(conf.keys[1].hosts[0], "a");
    assert_string_equal(conf.keys[1].hosts[1], "b");
    assert_null(conf.keys[1].hosts[2]);
    conf_broker_done(&conf);
    assert_null(conf.keys);
    assert_int_equal(conf.n_keys, 0);
    conf_broker_done(&conf); /* twice is fine */
}

static void worker_reads_every_setting(void **state)
{
    (void)state;
    struct conf_worker conf;
    struct rm_err err = {0};
    write_file(
        "a.conf",
        "worker: { broker = \"tcp://mgmt:9749\"; key = \"/k\"; server = \"" KEY_A "\";\n"
        "slots = 4; connect_timeout = \"5 s\"; call_timeout = \"1 min\"; hypervisors = (\n"
        "{ name = \"hyp01\"; connect = \"qemu:///system\"; peer = \"qemu+tcp://hyp01/system\";"
        " migration = \"tcp://10.77.0.11\"; memory = \"64 GiB\"; vcpus = 16; },\n"
        "{ name = \"hyp02\"; connect = \"qemu+ssh://hyp02/system\"; } ); };");
    int r = conf_worker_load(main_file, &conf, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(r, 0);
    assert_string_equal(conf.broker, "tcp://mgmt:9749");
    assert_string_equal(conf.key_file, "/k");
    assert_string_equal(conf.server_key, KEY_A);
    assert_int_equal(conf.slots, 4);
    assert_int_equal(conf.connect_timeout, 5 * USEC_PER_SEC);
    assert_int_equal(conf.call_timeout, 60 * USEC_PER_SEC);
    assert_int_equal(conf.n_hypervisors, 2);
    const struct conf_hypervisor *h = conf.hypervisors;
    assert_string_equal(h[0].name, "hyp01");
    assert_string_equal(h[0].connect, "qemu:///system");
    assert_string_equal(h[0].peer, "qemu+tcp://hyp01/system");
    assert_string_equal(h[0].migration, "tcp://10.77.0.11");
    assert_int_equal(h[0].memory, UINT64_C(64) << 30);
    assert_int_equal(h[0].vcpus, 16);
    assert_null(h[0].smapi);
    assert_string_equal(h[1].connect, "qemu+ssh://hyp02/system");
    assert_null(h[1].peer);
    assert_null(h[1].migration);
    assert_int_equal(h[1].memory, 0);
    assert_int_equal(h[1].vcpus, 0);
    conf_worker_done(&conf);
    conf_worker_done(&conf);
}

#define MEMBER                                                                                     \
    "worker: { broker = \"ipc:///b\"; hypervisors = (\n"                                           \
    "{ name = \"pokdev61\"; smapi = \"iucv://VSMREQIU\"; login = \"/l\"; } ); };"

#ifdef RMIGRATE_ZVM
static void a_member_of_zvm_has_smapi_and_login(void **state)
{
    (void)state;
    struct conf_worker conf;
    write_file("a.conf", MEMBER);
    assert_int_equal(conf_worker_load(main_file, &conf, NULL), 0);
    assert_null(conf.hypervisors[0].connect);
    assert_string_equal(conf.hypervisors[0].smapi, "iucv://VSMREQIU");
    assert_string_equal(conf.hypervisors[0].login, "/l");
    conf_worker_done(&conf);
}
#else
static void a_member_of_zvm_is_refused_by_a_worker_without_it(void **state)
{
    (void)state;
    assert_refused(WORKER, MEMBER, 2,
                   "worker.hypervisors[0]: smapi, login and ca are z/VM's, and this program was "
                   "built without it (RMIGRATE_ZVM)");
}
#endif

static void worker_serves_its_own_host_unless_told_otherwise(void **state)
{
    (void)state;
    char name[256], peer[300];
    assert_int_equal(gethostname(name, sizeof(name)), 0);
    name[strcspn(name, ".")] = '\0';
    snprintf(peer, sizeof(peer), "qemu+tls://%s/system", name);
    static const char *const texts[] = {"", "worker: { };", "worker: { hypervisors = (); };"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct conf_worker conf;
        write_file("a.conf", texts[i]);
        assert_int_equal(conf_worker_load(main_file, &conf, NULL), 0);
        assert_string_equal(conf.broker, RM_BROKER_DEFAULT);
        assert_int_equal(conf.slots, 2);
        assert_int_equal(conf.connect_timeout, 10 * USEC_PER_SEC);
        assert_int_equal(conf.call_timeout, 30 * USEC_PER_SEC);
        assert_int_equal(conf.n_hypervisors, 1);
        assert_string_equal(conf.hypervisors[0].name, name);
        assert_string_equal(conf.hypervisors[0].connect, "qemu:///system");
        assert_string_equal(conf.hypervisors[0].peer, peer);
        assert_null(conf.hypervisors[0].migration);
        conf_worker_done(&conf);
    }
}

static void client_reads_every_setting_and_has_defaults(void **state)
{
    (void)state;
    struct conf_client conf;
    write_file("a.conf", "client: { broker = \"tcp://mgmt:9749\"; key = \"/k\"; server = \"" KEY_B
                         "\"; timeout = \"1.5 s\"; };");
    assert_int_equal(conf_client_load(main_file, &conf, NULL), 0);
    assert_string_equal(conf.broker, "tcp://mgmt:9749");
    assert_string_equal(conf.key_file, "/k");
    assert_string_equal(conf.server_key, KEY_B);
    assert_int_equal(conf.timeout, 1500 * USEC_PER_MSEC);
    conf_client_done(&conf);

    write_file("a.conf", "broker: { };");
    assert_int_equal(conf_client_load(main_file, &conf, NULL), 0);
    assert_string_equal(conf.broker, RM_BROKER_DEFAULT);
    assert_null(conf.key_file);
    assert_null(conf.server_key);
    assert_int_equal(conf.timeout, 30 * USEC_PER_SEC);
    conf_client_done(&conf);
}

static void watch_reads_who_is_told(void **state)
{
    (void)state;
    struct conf_watch conf;
    struct rm_err err = {0};
    write_file("a.conf", "watch: { state = \"/s\"; away = \"1 min\"; stuck = \"1 h\"; notify = (\n"
                         "{ name = \"mail\"; command = \"/bin/mail a b\"; },\n"
                         "{ name = \"chat\"; on = [ \"failed\", \"doubt\" ]; url = "
                         "\"https://x/y\"; headers = \"/h\";\n"
                         "wait = \"0\"; timeout = \"1 s\"; tries = 3; } ); };");
    int r = conf_watch_load(main_file, &conf, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(r, 0);
    assert_string_equal(conf.state, "/s");
    assert_int_equal(conf.away, 60 * USEC_PER_SEC);
    assert_int_equal(conf.stuck, 3600 * USEC_PER_SEC);
    assert_int_equal(conf.n_notify, 2);
    assert_string_equal(conf.notify[0].name, "mail");
    assert_string_equal(conf.notify[0].command, "/bin/mail a b");
    assert_null(conf.notify[0].url);
    assert_int_equal(conf.notify[0].n_on, 0);
    assert_int_equal(conf.notify[0].wait, 10 * USEC_PER_SEC);
    assert_int_equal(conf.notify[0].timeout, 30 * USEC_PER_SEC);
    assert_int_equal(conf.notify[0].tries, 20);
    assert_int_equal(conf.notify[1].n_on, 2);
    assert_string_equal(conf.notify[1].on[1], "doubt");
    assert_string_equal(conf.notify[1].url, "https://x/y");
    assert_string_equal(conf.notify[1].headers_file, "/h");
    assert_int_equal(conf.notify[1].wait, 0);
    assert_int_equal(conf.notify[1].timeout, USEC_PER_SEC);
    assert_int_equal(conf.notify[1].tries, 3);
    conf_watch_done(&conf);
}

static void watch_refuses_who_cannot_be_told(void **state)
{
    (void)state;
#define ROWS(rows) "watch: {\nnotify = (\n" rows "); };"
    assert_refused(WATCH, ROWS("{ command = \"/x\"; }"), 3, "needs the setting 'name'");
    assert_refused(WATCH, ROWS("{ name = \"a\"; }"), 3,
                   "watch.notify[0] needs one of 'command' and 'url'");
    assert_refused(WATCH, ROWS("{ name = \"a\"; command = \"/x\"; url = \"https://x\"; }"), 3,
                   "watch.notify[0] needs one of 'command' and 'url'");
    assert_refused(WATCH, ROWS("{ name = \"a\"; command = \"/x\"; headers = \"/h\"; }"), 3,
                   "watch.notify[0]: headers are those of a url");
    assert_refused(WATCH, ROWS("{ name = \"a\"; command = \"mail\"; }"), 3,
                   "'mail' does not begin with the whole path of a program");
    assert_refused(WATCH, ROWS("{ name = \"a\"; url = \"ftp://x\"; }"), 3,
                   "this is neither https://HOST/... nor http://HOST/...");
    assert_refused(WATCH, ROWS("{ name = \"a\"; url = \"https:///x\"; }"), 3, "neither https");
    assert_refused(WATCH, ROWS("{ name = \"a\"; command = \"/x\";\non = [ \"fail\" ]; }"), 4,
                   "watch.notify[0].on[0]: 'fail' is not evacuation, failed, doubt, locked, "
                   "worker or broker");
    assert_refused(WATCH, ROWS("{ name = \"a\"; command = \"/x\"; comand = \"/x\"; }"), 3,
                   "unknown setting 'watch.notify[0].comand': did you mean 'command'?");
    assert_refused(WATCH,
                   ROWS("{ name = \"a\"; command = \"/x\"; },\n"
                        "{ name = \"a\"; command = \"/y\"; }"),
                   4, "notify[1].name: 'a' is also that of notify[0]");
    assert_refused(WATCH, ROWS("{ name = \"a\"; command = \"/x\"; tries = 0; }"), 3,
                   "0 is out of range");
#undef ROWS
}

static void client_listens_to_the_environment_for_its_broker(void **state)
{
    (void)state;
    struct conf_client conf;
    struct rm_err err = {0};
    write_file("a.conf", "client: { broker = \"ipc:///x\"; };");
    setenv("RMIGRATE_BROKER", "tcp://127.0.0.1:1234", 1);
    assert_int_equal(conf_client_load(main_file, &conf, NULL), 0);
    assert_string_equal(conf.broker, "tcp://127.0.0.1:1234");
    conf_client_done(&conf);

    setenv("RMIGRATE_BROKER", "", 1);
    assert_int_equal(conf_client_load(main_file, &conf, NULL), 0);
    assert_string_equal(conf.broker, "ipc:///x");
    conf_client_done(&conf);

    setenv("RMIGRATE_BROKER", "mgmt", 1);
    assert_int_equal(conf_client_load(main_file, &conf, &err), -EINVAL);
    assert_non_null(strstr(err.text, "RMIGRATE_BROKER: 'mgmt' is neither ipc://"));
    unsetenv("RMIGRATE_BROKER");
}

static void file_comes_from_the_option_or_the_environment(void **state)
{
    (void)state;
    struct conf_client conf;
    char other[128];
    write_file("a.conf", "client: { timeout = \"1 s\"; };");
    write_file("b.conf", "client: { timeout = \"2 s\"; };");
    snprintf(other, sizeof(other), "%s/b.conf", directory);
    setenv("RMIGRATE_CONF", other, 1);
    assert_int_equal(conf_client_load(NULL, &conf, NULL), 0);
    assert_int_equal(conf.timeout, 2 * USEC_PER_SEC);
    conf_client_done(&conf);
    assert_int_equal(conf_client_load(main_file, &conf, NULL), 0);
    assert_int_equal(conf.timeout, USEC_PER_SEC);
    conf_client_done(&conf);
    unsetenv("RMIGRATE_CONF");
}

static void a_file_that_was_named_must_be_there(void **state)
{
    (void)state;
    struct rm_err err = {0};
    char path[128], want[256];
    snprintf(path, sizeof(path), "%s/none.conf", directory);
    snprintf(want, sizeof(want), "%s: No such file or directory", path);
    for (int program = BROKER; program <= WATCH; program++) {
        assert_int_equal(load((enum program)program, path, &err), -ENOENT);
        assert_string_equal(err.text, want);
    }
    setenv("RMIGRATE_CONF", path, 1);
    assert_int_equal(load(CLIENT, NULL, &err), -ENOENT);
    assert_string_equal(err.text, want);
    unsetenv("RMIGRATE_CONF");
}

static void only_a_client_can_do_without_the_usual_file(void **state)
{
    (void)state;
    if (access(RM_CONF_DEFAULT, F_OK) == 0)
        skip(); /* this machine has one */
    struct rm_err err = {0};
    assert_int_equal(load(CLIENT, NULL, &err), 0);
    assert_string_equal(err.text, "");
    assert_int_equal(load(BROKER, NULL, &err), -ENOENT);
    assert_string_equal(err.text, RM_CONF_DEFAULT ": No such file or directory");
    assert_int_equal(load(WORKER, NULL, &err), -ENOENT);
}

static void what_is_no_text_file_is_refused(void **state)
{
    (void)state;
    struct rm_err err = {0};
    char want[256];
    assert_int_equal(load(BROKER, directory, &err), -EINVAL);
    snprintf(want, sizeof(want), "%s: not a regular file", directory);
    assert_string_equal(err.text, want);

    char fifo[128];
    snprintf(fifo, sizeof(fifo), "%s/fifo", directory);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(load(BROKER, fifo, &err), -EINVAL);
    assert_non_null(strstr(err.text, "not a regular file"));

    FILE *file = fopen(main_file, "w");
    assert_non_null(file);
    assert_int_equal(fwrite("broker: { };\0x", 1, 14, file), 14);
    fclose(file);
    assert_int_equal(load(BROKER, main_file, &err), -EINVAL);
    assert_non_null(strstr(err.text, "NUL byte"));

    assert_int_equal(truncate(main_file, SOURCE_BYTES_MAX + 1), 0);
    assert_int_equal(load(BROKER, main_file, &err), -EINVAL);
    assert_non_null(strstr(err.text, "more than"));
}

static void unknown_settings_are_refused_with_the_name_that_was_meant(void **state)
{
    (void)state;
    assert_refused(BROKER, "broker:\n{\n  limitz: { };\n};\n", 3,
                   "unknown setting 'broker.limitz': did you mean 'limits'?");
    assert_refused(BROKER, "broker: {\nlimits: {\n\nsoruce = 1; }; };", 4,
                   "unknown setting 'broker.limits.soruce': did you mean 'source'?");
    assert_refused(BROKER, "broker: {\nnothing_like_it = 1; };", 2,
                   "unknown setting 'broker.nothing_like_it'");
    assert_refused(BROKER,
                   "broker: { key = \"k\"; allow = (\n{ name = \"a\"; role = \"admin\"; public = "
                   "\"" KEY_A "\"; },\n{ name = \"b\";\nrolle = \"x\"; } ); };",
                   4, "unknown setting 'broker.allow[1].rolle': did you mean 'role'?");
    assert_refused(CLIENT, "client: {\nslots = 2; };", 2, "unknown setting 'client.slots'");
}

static void unknown_names_at_the_top_are_refused_by_every_program(void **state)
{
    (void)state;
    for (int program = BROKER; program <= WATCH; program++) {
        assert_refused((enum program)program, "broker: { };\nbrokr: { };\n", 2,
                       "unknown setting 'brokr': did you mean 'broker'?");
        assert_refused((enum program)program, "\n\nmonitoring = 1;\n", 3,
                       "unknown setting 'monitoring'");
        assert_refused((enum program)program, "\nworker = 1;\n", 2, "worker must be a group { }");
    }
}

static void other_programs_sections_are_left_to_them(void **state)
{
    (void)state;
    static const char text[] = "broker: {\n limitz = 1; };\nworker: { slots = 0; };\n";
    assert_loads(CLIENT, text);
    assert_refused(BROKER, text, 2, "limitz");
    assert_refused(WORKER, text, 3, "worker.slots: 0 is out of range: 1 to 64");
}

static void syntax_errors_name_file_and_line(void **state)
{
    (void)state;
    assert_refused(BROKER, "broker: {\n store = \n};\n", 3, "syntax error");
    assert_refused(BROKER, "broker: {\n store = \"a\";\n store = \"b\"; };\n", 3,
                   "duplicate setting name");
    assert_refused(BROKER, "broker: {\n\n store = \"abc;\n };\n", 3,
                   "a text in quotes begins here and does not end");
    assert_refused(BROKER, "\n/* x\n\n", 2, "a comment begins here and does not end");
    assert_refused(BROKER, "broker: { listen = [ \"a\", 1 ]; };", 1, "mismatched element type");
}

static void values_of_a_wrong_type_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"store = 5;", "broker.store must be a text in quotes, not a number"},
        {"store = [ \"a\" ];", "broker.store must be a text in quotes, not a list [ ]"},
        {"store_size = 17179869;", "broker.store_size must be a size with a unit in quotes"},
        {"heartbeat = 2;", "broker.heartbeat must be a duration with a unit in quotes"},
        {"migration: { bandwidth = 5; };", "broker.migration.bandwidth must be a rate"},
        {"attempts = \"3\";", "broker.attempts must be a whole number, not a text in quotes"},
        {"attempts = 3.0;", "broker.attempts must be a whole number, not a number with a point"},
        {"attempts = true;", "broker.attempts must be a whole number, not true or false"},
        {"migration: { auto_converge = 1; };",
         "broker.migration.auto_converge must be true or false, not a number"},
        {"migration: { fence = true; };", "broker.migration.fence must be a text"},
        {"limits = 2;", "broker.limits must be a group { }, not a number"},
        {"limits = ( );", "broker.limits must be a group { }, not a list ( )"},
        {"listen = \"ipc:///x\";", "broker.listen must be a list of texts"},
        {"listen = [ 1 ];", "broker.listen[0] must be a text in quotes, not a number"},
        {"listen = ( { } );", "broker.listen[0] must be a text in quotes, not a group { }"},
        {"allow = { };", "broker.allow must be a list of groups"},
        {"allow = [ ];", "broker.allow must be a list of groups"},
        {"allow = ( \"x\" );", "broker.allow[0] must be a group { }, not a text"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "broker: {\n%s };", rows[i].text);
        assert_refused(BROKER, text, 2, rows[i].why);
    }
}

static void values_out_of_range_are_refused(void **state)
{
    (void)state;
    static const struct {
        enum program program;
        const char *text, *why;
    } rows[] = {
        {BROKER, "store_size = \"4 KiB\";", "'4 KiB' is out of range: 1.00 MiB to 16.0 TiB"},
        {BROKER, "store_size = \"0\";", "broker.store_size: '0' is out of range"},
        {BROKER, "store_size = \"30\";", "broker.store_size: '30' has no unit"},
        {BROKER, "store_size = \"\";", "broker.store_size: '' is not a size"},
        {BROKER, "store = \"\";", "broker.store: the text is empty"},
        {BROKER, "store = \"a\tb\";", "broker.store: the text holds a control character"},
        {BROKER, "heartbeat = \"0\";", "broker.heartbeat: '0' is out of range"},
        {BROKER, "heartbeat = \"10 ms\";", "out of range: 100 ms to 1 h"},
        {BROKER, "retry_wait = \"6 min\";", "out of range: 1 ms to 5 min"},
        {BROKER, "attempts = 0;", "broker.attempts: 0 is out of range: 1 to 1000"},
        {BROKER, "attempts = -1;", "broker.attempts: -1 is out of range"},
        {BROKER, "attempts = 5000L;", "broker.attempts: 5000 is out of range"},
        {BROKER, "vcpus_per_cpu = 0;", "broker.vcpus_per_cpu: 0 is out of range"},
        {BROKER, "limits: { source = 10001; };", "broker.limits.source: 10001 is out of range"},
        {BROKER, "migration: { bandwidth = \"1 kB/s\"; };", "out of range: 0, or 1.00 MiB/s to"},
        {BROKER, "migration: { downtime = \"1 h\"; };", "out of range: 0, or 1 ms to"},
        {BROKER, "migration: { fence = \"maybe\"; };", "'maybe' is not auto, always or never"},
        {BROKER, "reserve = \"101 %\";", "'101 %' is more than all that there is"},
        {BROKER, "reserve = \"10\";", "'10' is neither a size, as \"8 GiB\", nor a share"},
        {BROKER, "reserve = \"%\";", "'%' is neither a size"},
        {BROKER, "reserve = \"99999999999999999999 %\";", "is more than all that there is"},
        {BROKER, "reserve = \"-1 GiB\";", "'-1 GiB' is neither a size"},
        {BROKER, "socket_mode = \"0999\";", "'0999' is not a file's mode in octal"},
        {BROKER, "socket_mode = \"4755\";", "'4755' is not a file's mode in octal"},
        {BROKER, "socket_group = \"a b\";", "'a b' is not the name of a user or group"},
        {BROKER, "viewers = [ \"a\", \"\" ];", "broker.viewers[1]: the text is empty"},
        {WORKER, "slots = 65;", "worker.slots: 65 is out of range: 1 to 64"},
        {WORKER, "call_timeout = \"2 h\";", "worker.call_timeout: '2 h' is out of range"},
        {WORKER, "server = \"abc\";", "worker.server: this is not a key: 40 characters of Z85"},
        {CLIENT, "timeout = \"1 ms\";", "client.timeout: '1 ms' is out of range: 10 ms to 1 d"},
    };
    static const char *const sections[] = {"broker", "worker", "client"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "%s: {\n%s };", sections[rows[i].program], rows[i].text);
        assert_refused(rows[i].program, text, 2, rows[i].why);
    }
}

static void integers_that_libconfig_would_cut_are_refused(void **state)
{
    (void)state;
    /* libconfig 1.5 reads these as 2, 2, 705032704 and 0 */
    assert_refused(BROKER, "broker: {\nattempts = 4294967298; };", 2,
                   "the number 4294967298 is too large");
    assert_refused(BROKER, "broker: {\nattempts = 0x100000002; };", 2,
                   "the number 0x100000002 is too large");
    assert_refused(BROKER, "broker: {\n\nvcpus_per_cpu = 5000000000; };", 3, "is too large");
    assert_refused(BROKER, "broker: {\nattempts = 99999999999999999999999L; };", 2, "too large");
    assert_refused(BROKER, "broker: {\nattempts = -4294967298; };", 2, "too large");
    /* not integers: in texts, comments and names */
    assert_loads(BROKER, "/* 4294967298 */ broker: { # 4294967298\n// 4294967298\n"
                         "store = \"4294967298 \\\" 4294967298\"; };");
    assert_refused(BROKER, "broker: {\nx4294967298 = 1; };", 2, "unknown setting");
    assert_refused(BROKER, "broker: {\nattempts = 42949672980.5; };", 2, "with a point");
    assert_loads(BROKER, "broker: { attempts = 0x10; };");
}

static void lists_have_a_most_and_name_things_once(void **state)
{
    (void)state;
    char text[4096] = "broker: {\nlisten = [ \"ipc:///0\"";
    for (int i = 1; i <= CONF_LISTEN_MAX; i++) {
        char one[32];
        snprintf(one, sizeof(one), ", \"ipc:///%d\"", i);
        strcat(text, one);
    }
    strcat(text, " ]; };");
    assert_refused(BROKER, text, 2, "broker.listen: 17 entries are more than 16");
    assert_refused(BROKER, "broker: {\nlisten = [ ]; };", 2, "broker.listen names no endpoint");
    assert_refused(BROKER, "broker: {\nviewers = [ \"a\",\n\"b\", \"a\" ]; };", 3,
                   "broker.viewers names 'a' twice");
    assert_refused(BROKER, "broker: { viewers = [ \"x\",\"y\" ]; operators = [ \"y\" ]; };", 1,
                   "broker.viewers: 'y' is also one of broker.operators");
}

static void endpoints_are_ipc_or_tcp(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "mgmt:9749",   "udp://x:1",   "ipc://",        "tcp://",         "tcp://mgmt",
        "tcp://:1",    "tcp://mgmt:", "tcp://m:65536", "tcp://m:http",   "tcp://m:-1",
        "tcp://a b:1", "inproc://x",  "ipc:///a b",    "tcp://m:000001",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "broker: {\nlisten = [ \"%s\" ]; };", wrong[i]);
        assert_refused(BROKER, text, 2, "broker.listen[0]");
        snprintf(text, sizeof(text), "client: {\nbroker = \"%s\"; };", wrong[i]);
        assert_refused(CLIENT, text, 2, "client.broker");
    }
    /* any port is something to listen on, not to go to */
    assert_loads(BROKER, "broker: { listen = [ \"tcp://127.0.0.1:*\", \"tcp://127.0.0.1:0\" ]; };");
    assert_refused(CLIENT, "client: { broker = \"tcp://127.0.0.1:*\"; };", 1, "needs a host");
    assert_refused(CLIENT, "client: { broker = \"tcp://127.0.0.1:0\"; };", 1, "needs a host");
}

static void an_endpoint_is_local_when_no_other_machine_reaches_it(void **state)
{
    (void)state;
    static const char *const local[] = {
        "ipc:///run/x",  "tcp://127.0.0.1:1", "tcp://127.9.9.9:1", "tcp://localhost:1",
        "tcp://[::1]:1", "tcp://::1:1",       "tcp://127.0.0.1:*"};
    static const char *const open[] = {"tcp://*:1",
                                       "tcp://0.0.0.0:1",
                                       "tcp://10.0.0.1:1",
                                       "tcp://[::]:1",
                                       "tcp://127.evil.com:1",
                                       "tcp://127.0.0.1.x:1",
                                       "tcp://1.2.7.1:1",
                                       "tcp://eth0:1",
                                       "tcp://localhost.x:1",
                                       "tcp://mgmt:1",
                                       "tcp://[fe80::1]:1",
                                       "tcp://lo:1",
                                       "tcp://127:1",
                                       "udp://127.0.0.1:1",
                                       "tcp://127.0.0.1",
                                       ""};
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
        if (!endpoint_is_local(local[i]))
            fail_msg("%s", local[i]);
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
        if (endpoint_is_local(open[i]))
            fail_msg("%s", open[i]);
}

#define ROW_A "{ name = \"a\"; role = \"admin\"; public = \"" KEY_A "\"; }"

static void a_broker_that_others_reach_needs_keys(void **state)
{
    (void)state;
    static const char *const open[] = {"tcp://*:9749", "tcp://10.0.0.1:9749", "tcp://127.x.org:1"};
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        char text[512];
        snprintf(text, sizeof(text), "broker: {\nlisten = [ \"ipc:///x\", \"%s\" ]; };", open[i]);
        assert_refused(BROKER, text, 2,
                       "can be reached from other machines, so CURVE keys are needed: make them "
                       "with `rmigrate keygen`");
        snprintf(text, sizeof(text), "broker: {\nlisten = [ \"%s\" ]; key = \"/k\"; };", open[i]);
        assert_refused(BROKER, text, 2, "CURVE keys are needed");
        snprintf(text, sizeof(text),
                 "broker: {\nlisten = [ \"%s\" ]; key = \"/k\"; allow = ( ); };", open[i]);
        assert_refused(BROKER, text, 2, "CURVE keys are needed");
        snprintf(text, sizeof(text),
                 "broker: {\nlisten = [ \"%s\" ]; key = \"/k\"; allow = ( %s ); };", open[i],
                 ROW_A);
        assert_loads(BROKER, text);
    }
    assert_loads(BROKER,
                 "broker: { listen = [ \"tcp://127.0.0.1:9749\", \"tcp://[::1]:9749\" ]; };");
    /* an allow-list that nothing enforces would be worse than none */
    assert_refused(BROKER,
                   "broker: { listen = [ \"tcp://127.0.0.1:1\" ];\nallow = ( " ROW_A " ); };", 2,
                   "broker.allow has no effect without broker.key");
}

static void workers_and_clients_of_another_machine_need_keys(void **state)
{
    (void)state;
    assert_refused(WORKER, "worker: {\nbroker = \"tcp://mgmt:9749\"; };", 2,
                   "worker.broker: 'tcp://mgmt:9749' is another machine, so CURVE keys");
    assert_refused(CLIENT, "client: {\nbroker = \"tcp://mgmt:9749\"; };", 2, "client.key");
    assert_refused(CLIENT, "client: {\nkey = \"/k\"; };", 2,
                   "client.key needs client.server, the broker's public key beside it");
    assert_refused(WORKER, "worker: {\nserver = \"" KEY_A "\"; };", 2,
                   "worker.server needs worker.key");
    assert_loads(WORKER, "worker: { broker = \"tcp://localhost:9749\"; };");
}

static void a_session_lasts_three_heartbeats_at_least(void **state)
{
    (void)state;
    assert_refused(BROKER, "broker: {\nheartbeat = \"5 s\"; };", 1,
                   "session_timeout must be at least 3 times broker.heartbeat");
    assert_refused(BROKER, "broker: {\nheartbeat = \"1 s\";\nsession_timeout = \"2999 ms\"; };", 3,
                   "at least 3 times");
    assert_loads(BROKER, "broker: { heartbeat = \"1 s\"; session_timeout = \"3 s\"; };");
}

static void rows_of_the_allow_list_are_checked(void **state)
{
    (void)state;
    static const struct {
        unsigned line;
        const char *rows, *why;
    } rows[] = {
        {2, "{ role = \"admin\"; public = \"" KEY_A "\"; }",
         "broker.allow[0] needs the setting 'name'"},
        {2, "{ name = \"a\"; public = \"" KEY_A "\"; }",
         "broker.allow[0] needs the setting 'role'"},
        {2, "{ name = \"a\"; role = \"admin\"; }", "broker.allow[0] needs the setting 'public'"},
        {2, "{ name = \"a b\"; role = \"admin\"; public = \"" KEY_A "\"; }",
         "broker.allow[0].name: 'a b' is not a name"},
        {2, "{ name = \"a\"; role = \"root\"; public = \"" KEY_A "\"; }",
         "'root' is not viewer, operator, admin or worker"},
        {2, "{ name = \"a\"; role = \"none\"; public = \"" KEY_A "\"; }", "'none' is not viewer"},
        {2, "{ name = \"a\"; role = \"admin\"; public = \"abc\"; }",
         "broker.allow[0].public: this is not a key: 40 characters of Z85"},
        {2,
         "{ name = \"a\"; role = \"admin\"; public = \"~<&]SKx/voy4nS6ZFDJ:($FQlK<=:GGg8ycl@QS%\"; "
         "}",
         "is not a key"},
        /* ##### is 85^5 - 1, more than 32 bits */
        {2,
         "{ name = \"a\"; role = \"admin\"; public = \"#####Kx/voy4nS6ZFDJ:($FQlK<=:GGg8ycl@QS%\"; "
         "}",
         "is not a key"},
        {2, "{ name = \"a\"; role = \"admin\"; public = \"" KEY_A "\"; hosts = [ \"h\" ]; }",
         "only a worker speaks for hosts, 'a' is admin"},
        {2, "{ name = \"a\"; role = \"worker\"; public = \"" KEY_A "\"; hosts = [ \"h:1\" ]; }",
         "broker.allow[0].hosts[0]: 'h:1' is not a name"},
        {3, ROW_A ",\n{ name = \"a\"; role = \"admin\"; public = \"" KEY_B "\"; }",
         "allow[1].name: 'a' is also that of allow[0]"},
        {4, ROW_A ",\n{ name = \"b\"; role = \"admin\";\npublic = \"" KEY_A "\"; }",
         "allow[1].public: '" KEY_A "' is also that of allow[0]"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[1024];
        snprintf(text, sizeof(text), "broker: { key = \"k\"; allow = (\n%s ); };", rows[i].rows);
        assert_refused(BROKER, text, rows[i].line, rows[i].why);
    }
}

static void rows_of_hypervisors_are_checked(void **state)
{
    (void)state;
    static const struct {
        unsigned line;
        const char *rows, *why;
    } rows[] = {
        {2, "{ connect = \"qemu:///system\"; }", "worker.hypervisors[0] needs the setting 'name'"},
        {2, "{ name = \"a\"; }", "worker.hypervisors[0] needs the setting 'connect'"},
        {2, "{ name = \"a/b\"; connect = \"qemu:///system\"; }", "'a/b' is not a name"},
        {2, "{ name = \"a\"; connect = \"localhost\"; }", "'localhost' is not a connection URI"},
        {2, "{ name = \"a\"; connect = \"qemu:///s\"; peer = \"://x\"; }",
         "is not a connection URI"},
        {2, "{ name = \"a\"; connect = \"qemu:///s\"; migration = \"10.0.0.1\"; }",
         "'10.0.0.1' is not tcp://ADDRESS"},
        {2, "{ name = \"a\"; connect = \"qemu:///s\"; memory = 64; }", "must be a size"},
#ifdef RMIGRATE_ZVM
        {2, "{ name = \"a\"; connect = \"qemu:///s\"; login = \"/l\"; }", "smapi and login belong"},
        {2, "{ name = \"a\"; smapi = \"tcp://x:1\"; }", "smapi and login belong together"},
        {2, "{ name = \"a\"; smapi = \"http://x\"; login = \"/l\"; }", "begins with none of"},
        {2, "{ name = \"a\"; smapi = \"tcp://x:1\"; login = \"/l\"; connect = \"qemu:///s\"; }",
         "connect and migration are libvirt's"},
        {2, "{ name = \"a\"; connect = \"qemu:///s\"; ca = \"/c\"; }", "login and ca are z/VM's"},
        {2, "{ name = \"pokdev61x\"; smapi = \"tcp://x:1\"; login = \"/l\"; }",
         "'pokdev61x' is no system id of a z/VM member"},
        {2, "{ name = \"pok_61\"; smapi = \"tcp://x:1\"; login = \"/l\"; }",
         "'pok_61' is no system id of a z/VM member"},
        {2, "{ name = \"a\"; smapi = \"tcp://x:1\"; login = \"/l\"; peer = \"qemu+tls://a/s\"; }",
         "peer of a z/VM member: 'qemu+tls://a/s' begins with none of"},
#else
        {2, "{ name = \"a\"; smapi = \"tcp://x:1\"; login = \"/l\"; }", "was built without it"},
        {2, "{ name = \"a\"; connect = \"x:///s\"; login = \"/l\"; }", "was built without it"},
        {2, "{ name = \"a\"; connect = \"x:///s\"; ca = \"/c\"; }", "was built without it"},
#endif
        {4, "{ name = \"a\"; connect = \"x:///1\"; },\n{ connect = \"x:///2\";\nname = \"a\"; }",
         "hypervisors[1].name: 'a' is also that of hypervisors[0]"},
        {3, "{ name = \"a\"; connect = \"x:///1\"; },\n{ name = \"b\"; connect = \"x:///1\"; }",
         "hypervisors[1].connect: 'x:///1' is also that of hypervisors[0]"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[1024];
        snprintf(text, sizeof(text), "worker: { hypervisors = (\n%s ); };", rows[i].rows);
        assert_refused(WORKER, text, rows[i].line, rows[i].why);
    }
}

static void included_files_count_from_the_file_that_includes(void **state)
{
    (void)state;
    struct conf_broker conf;
    char sub[128], text[512];
    struct rm_err err = {0};
    snprintf(sub, sizeof(sub), "%s/sub", directory);
    assert_int_equal(mkdir(sub, 0700), 0);
    write_file("sub/b.conf", "attempts = 9;\n@include \"c.conf\"");
    write_file("sub/c.conf", "vcpus_per_cpu = 5;");
    write_file("d.conf", "retry_wait = \"1 s\";");
    snprintf(text, sizeof(text),
             "broker: {\n  @include \"sub/b.conf\" # more\n@include \"%s/d.conf\"\n"
             "store = \"/s\"; };",
             directory);
    write_file("a.conf", text);
    int r = conf_broker_load(main_file, &conf, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(r, 0);
    assert_int_equal(conf.attempts, 9);
    assert_int_equal(conf.vcpus_per_cpu, 5);
    assert_int_equal(conf.retry_wait, USEC_PER_SEC);
    assert_string_equal(conf.store, "/s");
    conf_broker_done(&conf);
}

/* Errors in and behind an included file name their own file and line. */
static void errors_in_included_files_name_those(void **state)
{
    (void)state;
    static const char main_text[] = "broker: {\n@include \"b.conf\"\nheartbeat = \"2 s\"; };\n";
    char want[256];
    struct rm_err err = {0};
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"\n\nlimitz = 1;\n",
         "%s/b.conf:3: unknown setting 'broker.limitz': did you mean 'limits'?"},
        {"\nattempts = 4294967298;", "%s/b.conf:2: the number 4294967298 is too large"},
        {"\nattempts = = 1;", "%s/b.conf:2: syntax error"},
        {"\n/* open", "%s/b.conf:2: a comment begins here"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_file("a.conf", main_text);
        write_file("b.conf", rows[i].text);
        assert_int_equal(load(BROKER, main_file, &err), -EINVAL);
        snprintf(want, sizeof(want), rows[i].want, directory);
        assert_non_null(strstr(err.text, want));
    }
    write_file("b.conf", "attempts = 4;\n\n\n");
    assert_refused(BROKER, "broker: {\n@include \"b.conf\"\nheartbeet = \"2 s\"; };\n", 3,
                   "unknown setting 'broker.heartbeet'");
    assert_refused(BROKER, "broker: {\n@include \"b.conf\"\nattempts = 4; };\n", 3, "duplicate");
}

static void includes_that_cannot_be_are_refused(void **state)
{
    (void)state;
    assert_refused(BROKER, "\n@include \"none.conf\"\n", 2, "none.conf: No such file or directory");
    assert_refused(BROKER, "\n@include \"/tmp\"\n", 2, "/tmp: not a regular file");
    assert_refused(BROKER, "\n@include \"a.conf\"\n", 2, "more than 10 deep");
    assert_refused(BROKER, "\n@include \"\"\n", 2, "needs a file's name in quotes");
    assert_refused(BROKER, "\n@include \"x\n\"\n", 2, "needs a file's name in quotes");
    write_file("b.conf", "");
    assert_refused(BROKER, "\n@include \"b.conf\" @include \"/tmp\"\n", 2, "nothing may follow");
    assert_loads(BROKER, "@include \"b.conf\"");
    /* not includes: in a text and in a comment */
    assert_loads(BROKER, "/*\n@include \"/tmp\"\n*/ # \n#@include \"/tmp\"\n");
    assert_refused(BROKER, "broker: { store = \"\n@include \\\"/tmp\\\"\"; };", 1,
                   "broker.store: the text holds a control character");

    char text[32 * (SOURCE_FILES_MAX + 1)] = "";
    for (int i = 0; i < SOURCE_FILES_MAX; i++)
        strcat(text, "@include \"b.conf\"\n");
    assert_true(strlen(text) < sizeof(text));
    assert_refused(BROKER, text, SOURCE_FILES_MAX, "more than 256 files");
}

static void names_are_what_a_noderange_can_carry(void **state)
{
    (void)state;
    char longest[CONF_NAME_MAX + 2];
    memset(longest, 'n', sizeof(longest));
    longest[CONF_NAME_MAX + 1] = '\0';
    assert_false(conf_name_is_valid(longest));
    longest[CONF_NAME_MAX] = '\0';
    assert_true(conf_name_is_valid(longest));
    static const char *const right[] = {"a", "kvm1", "hyp01.example.org", "rack-7_b", "A[1]", "!~"};
    static const char *const wrong[] = {"",    " ",   "a b", "a:b", "a,b", "a'b",  "a\"b",    "a(b",
                                        "a)b", "a@b", "a^b", "a/b", "a\n", "\x7f", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
        if (!conf_name_is_valid(right[i]))
            fail_msg("'%s'", right[i]);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (conf_name_is_valid(wrong[i]))
            fail_msg("'%s'", wrong[i]);
}

static void roles_and_fences_have_names_both_ways(void **state)
{
    (void)state;
    for (int i = ROLE_VIEWER; i <= ROLE_WORKER; i++) {
        enum role role = ROLE_NONE;
        assert_int_equal(role_parse(role_name((enum role)i), &role), 0);
        assert_int_equal(role, i);
    }
    enum role role = ROLE_ADMIN;
    assert_int_equal(role_parse("none", &role), -EINVAL);
    assert_int_equal(role_parse("Admin", &role), -EINVAL);
    assert_int_equal(role, ROLE_ADMIN);
    assert_string_equal(role_name(ROLE_NONE), "none");
    static const char *const fences[] = {"auto", "always", "never"};
    for (int i = FENCE_AUTO; i <= FENCE_NEVER; i++) {
        enum fence_mode mode = FENCE_AUTO;
        assert_int_equal(fence_parse(fences[i], &mode), 0);
        assert_int_equal(mode, i);
    }
    enum fence_mode mode = FENCE_NEVER;
    assert_int_equal(fence_parse("", &mode), -EINVAL);
    assert_int_equal(mode, FENCE_NEVER);
}

static void a_full_allow_list_is_read(void **state)
{
    (void)state;
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    char path[128];
    snprintf(path, sizeof(path), "%s/a.conf", directory);
    for (int more = 0; more < 2; more++) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs("broker: { key = \"k\"; allow = (", file);
        for (int i = 0; i < CONF_KEYS_MAX + more; i++)
            fprintf(file, "%s{ name = \"h%d\"; role = \"worker\"; public = \"%c%c%c%s\"; }",
                    i ? ",\n" : "", i, digits[i % 62], digits[i / 62 % 62], digits[i / 62 / 62],
                    &KEY_A[3]);
        fputs("); };", file);
        fclose(file);
        struct conf_broker conf;
        struct rm_err err = {0};
        int r = conf_broker_load(path, &conf, &err);
        if (more) {
            assert_int_equal(r, -EINVAL);
            assert_non_null(strstr(err.text, "broker.allow: 16385 entries are more than 16384"));
        } else {
            assert_string_equal(err.text, "");
            assert_int_equal(r, 0);
            assert_int_equal(conf.n_keys, CONF_KEYS_MAX);
            assert_string_equal(conf.keys[16383].hosts[0], "h16383");
            conf_broker_done(&conf);
        }
    }
}

static void a_watch_is_served_to_this_machine_or_with_a_token(void **state)
{
    (void)state;
    struct conf_watch conf;
    write_file("a.conf", "broker: { };");
    assert_int_equal(conf_watch_load(main_file, &conf, NULL), 0);
    assert_string_equal(conf.listen, "127.0.0.1:9750");
    assert_string_equal(conf.client.broker, RM_BROKER_DEFAULT);
    assert_null(conf.token_file);
    conf_watch_done(&conf);
    write_file("a.conf", "watch: { listen = \"\"; };");
    assert_int_equal(conf_watch_load(main_file, &conf, NULL), 0);
    assert_null(conf.listen);
    conf_watch_done(&conf);
    assert_loads(WATCH, "watch: { listen = \"[::1]:80\"; };");
    assert_loads(WATCH, "watch: { listen = \"/run/rmigrate-watch/http\"; };");
    assert_loads(WATCH, "watch: { listen = \"0.0.0.0:9750\"; token = \"/t\"; };");
    assert_refused(WATCH, "watch: {\nlisten = \"0.0.0.0:9750\"; };", 2,
                   "watch.listen: '0.0.0.0:9750' can be reached from other machines");
    assert_refused(WATCH, "watch: {\nlisten = \"[::]:9750\"; };", 2, "watch.listen: '[::]:9750'");
    assert_refused(WATCH, "watch: {\nlisten = \"localhost:80\"; };", 2, "watch.listen: 'localhost");
    assert_refused(WATCH, "watch: {\nlisten = \"127.0.0.1\"; };", 2, "watch.listen: '127.0.0.1'");
    assert_refused(WATCH, "watch: {\nlisten = \"127.0.0.1:65536\"; };", 2, "watch.listen");
    assert_refused(WATCH, "watch: {\nbroker = \"tcp://mgmt:9749\"; };", 2, "watch.key");
}

static char example[65536];

static void read_example(void)
{
    FILE *file = fopen(SOURCE_DIR "/conf/rmigrate.conf", "r");
    assert_non_null(file);
    size_t n = fread(example, 1, sizeof(example) - 1, file);
    assert_true(n > 0 && n < sizeof(example) - 1);
    example[n] = '\0';
    fclose(file);
}

static void the_example_loads_for_every_program_and_is_all_defaults(void **state)
{
    (void)state;
    const char *path = SOURCE_DIR "/conf/rmigrate.conf";
    struct rm_err err = {0};
    for (int program = BROKER; program <= WATCH; program++) {
        int r = load((enum program)program, path, &err);
        assert_string_equal(err.text, "");
        assert_int_equal(r, 0);
    }
}

/* True for a line that is a setting commented out or goes on with one: "#name = ..." or "#  ...",
 * while prose is "# word". */
static bool is_setting_line(const char *line)
{
    line += strspn(line, " ");
    if (*line != '#')
        return false;
    return isalnum((unsigned char)line[1]) || line[1] == ')' ||
           (line[1] == ' ' && line[2] == ' ' && strchr("{ ", line[3]) != NULL && line[3] &&
            strpbrk(line, "{}") != NULL);
}

/* The example with every commented setting taken in. */
static void write_uncommented(void)
{
    static char text[sizeof(example)];
    char *to = text;
    for (char *line = example; *line;) {
        size_t length = strcspn(line, "\n");
        char one[512];
        assert_true(length < sizeof(one));
        snprintf(one, sizeof(one), "%.*s", (int)length, line);
        if (is_setting_line(one))
            *strchr(one, '#') = ' ';
        to += sprintf(to, "%s\n", one);
        line += length + (line[length] == '\n');
    }
    write_file("a.conf", text);
}

static void the_example_loads_too_when_all_is_taken_in(void **state)
{
    (void)state;
    struct rm_err err = {0};
    read_example();
    write_uncommented();
    for (int program = BROKER; program <= WATCH; program++) {
        int r = load((enum program)program, main_file, &err);
#ifndef RMIGRATE_ZVM
        if (program == WORKER) {
            assert_non_null(strstr(err.text, "this program was built without it (RMIGRATE_ZVM)"));
            assert_int_equal(r, -EINVAL);
            err = (struct rm_err){0};
            continue;
        }
#endif
        assert_string_equal(err.text, "");
        assert_int_equal(r, 0);
    }
    /* and the examples are there, that is, the comments were really taken away */
    struct conf_broker broker;
    assert_int_equal(conf_broker_load(main_file, &broker, NULL), 0);
    assert_true(broker.n_keys == 3 && broker.n_viewers == 1 && broker.n_operators == 2);
    assert_string_equal(broker.key_file, "/etc/rmigrate/broker.key");
    /* what has a default shows that and nothing else */
    assert_int_equal(broker.n_listen, 1);
    assert_int_equal(broker.limit_source, 2);
    assert_int_equal(broker.migration.timeout, 3600 * USEC_PER_SEC);
    conf_broker_done(&broker);
#ifdef RMIGRATE_ZVM
    struct conf_worker worker;
    assert_int_equal(conf_worker_load(main_file, &worker, NULL), 0);
    assert_int_equal(worker.n_hypervisors, 2);
    assert_non_null(worker.server_key);
    conf_worker_done(&worker);
#endif
}

/* The text of the group `name:` from `from` on, up to the brace that closes it, in ret. */
static char *group_text(const char *from, const char *name)
{
    char head[64];
    snprintf(head, sizeof(head), "%s:\n", name);
    const char *begin = strstr(from, head);
    while (begin && begin != from && begin[-1] != '\n' && begin[-1] != ' ')
        begin = strstr(begin + 1, head);
    if (!begin)
        return NULL;
    begin = strchr(begin, '{');
    assert_non_null(begin);
    int depth = 0;
    const char *end = begin;
    bool comment = false;
    do {
        if (*end == '#')
            comment = true;
        if (*end == '\n')
            comment = false;
        depth += !comment && *end == '{' ? 1 : !comment && *end == '}' ? -1 : 0;
        assert_true(*end != '\0');
        end++;
    } while (depth > 0);
    return strndup(begin, (size_t)(end - begin));
}

/* The line before `at`, without the blanks at its begin; NULL before the first. */
static const char *line_before(const char *text, const char *at)
{
    while (at > text && at[-1] != '\n')
        at--;
    if (at == text)
        return NULL;
    at--;
    while (at > text && at[-1] != '\n')
        at--;
    return at + strspn(at, " ");
}

static unsigned n_described;

/* A setting of a group: "#name = DEFAULT;" behind a comment; without a default the comment says so.
 */
static void check_setting(const char *text, const char *whole, const char *name,
                          const char *standard)
{
    char begin[64], full[512];
    snprintf(begin, sizeof(begin), "\n#%s = ", name);
    const char *at = text, *found = NULL;
    while (!found && (at = strchr(at, '\n'))) {
        const char *line = at + 1 + strspn(at + 1, " ");
        if (strncmp(line, begin + 1, strlen(begin + 1)) == 0)
            found = line;
        at++;
    }
    if (!found)
        fail_msg("%s does not stand in the example", whole);
    const char *before = line_before(text, found);
    if (!before || strncmp(before, "# ", 2) != 0)
        fail_msg("%s has no comment", whole);
    if (standard) {
        snprintf(full, sizeof(full), "#%s = %s;\n", name, standard);
        if (strncmp(found, full, strlen(full)) != 0)
            fail_msg("%s: the default is %s", whole, standard);
        return;
    }
    bool says = false;
    for (const char *line = before; line && strncmp(line, "# ", 2) == 0;
         line = line_before(text, line)) {
        const char *none = strstr(line, "Default: none");
        says = says || (none && none < strchr(line, '\n'));
    }
    if (!says)
        fail_msg("%s: its comment does not say 'Default: none'", whole);
}

/* A setting of a row: "#   name   words", up to the next of them "Default: STANDARD". */
static void check_row_setting(const char *text, const char *whole, const char *name,
                              const char *standard)
{
    char begin[64], want[128];
    snprintf(begin, sizeof(begin), "#   %s ", name);
    const char *at = strstr(text, begin);
    if (!at)
        fail_msg("%s is not described in the example", whole);
    const char *end = at;
    do
        end = strchr(end, '\n') + 1;
    while (strncmp(end + strspn(end, " "), "#      ", 7) == 0);
    snprintf(want, sizeof(want), "Default: %s", standard ? standard : "none");
    char *words = strndup(at, (size_t)(end - at));
    bool says = strstr(words, want) != NULL;
    free(words);
    if (!says)
        fail_msg("%s: its description does not say '%s'", whole, want);
}

static void check_described(void *ctx, const char *whole, const char *standard)
{
    (void)ctx;
    char path[256], *save = NULL;
    snprintf(path, sizeof(path), "%s", whole);
    char *text = strdup(example), *part = strtok_r(path, ".", &save);
    for (char *next; (next = strtok_r(NULL, ".", &save)); part = next) {
        char *inner = group_text(text, part);
        if (!inner) { /* a list of rows, described where the list is */
            check_row_setting(text, whole, next, standard);
            break;
        }
        free(text);
        text = inner;
        if (!strchr(save, '.') && *save == '\0')
            check_setting(text, whole, next, standard);
    }
    free(text);
    n_described++;
}

static void the_example_describes_every_setting_with_its_true_default(void **state)
{
    (void)state;
    read_example();
    n_described = 0;
    conf_visit(check_described, NULL);
    assert_true(n_described > 0);
}

/* ---- a broker that runs reads its settings again */

static char told[4096];

static void note_change(void *ctx, const struct conf_change *change)
{
    (void)ctx;
    size_t used = strlen(told);
    snprintf(told + used, sizeof(told) - used, "%s: %s -> %s%s\n", change->name,
             change->from ? change->from : "-", change->to ? change->to : "-",
             change->fixed ? " (fixed)" : "");
}

static void read_again(const char *first, const char *second, struct conf_broker *ret_next)
{
    struct conf_broker now;
    struct rm_err err = {0};
    told[0] = '\0';
    write_file("a.conf", first);
    assert_int_equal(conf_broker_load(main_file, &now, &err), 0);
    write_file("a.conf", second);
    assert_int_equal(conf_broker_again(main_file, &now, ret_next, note_change, NULL, &err), 0);
    conf_broker_done(&now);
}

static void what_has_changed_is_told_by_name(void **state)
{
    (void)state;
    struct conf_broker next;
    read_again(
        "broker: { key = \"k\"; allow = ({ name = \"b\"; role = \"viewer\"; public = \"" KEY_A
        "\"; }, { name = \"a\"; role = \"worker\"; public = \"" KEY_B "\"; }); };",
        "broker: { key = \"k\"; limits: { source = 3; }; keep = \"1 d\"; reserve = \"10 %\";"
        "  viewers = [ \"x\", \"y\" ]; exclude_nodes = \"h1\"; migration: { auto_converge = true;"
        "  bandwidth = \"1 Gbit/s\"; fence = \"never\"; };"
        "  allow = ({ name = \"c\"; role = \"admin\"; public = \"" KEY_B
        "\"; }, { name = \"b\"; role = \"operator\"; public = \"" KEY_A "\"; }); };",
        &next);
    assert_string_equal(told, "broker.allow: a -> -\n"
                              "broker.allow.b.role: viewer -> operator\n"
                              "broker.allow: - -> c\n"
                              "broker.viewers: none -> x, y\n"
                              "broker.limits.source: 2 -> 3\n"
                              "broker.keep: 400 d -> 1 d\n"
                              "broker.reserve: 0 B -> 10 %\n"
                              "broker.exclude_nodes: none -> h1\n"
                              "broker.migration.bandwidth: 0 B/s -> 119 MiB/s\n"
                              "broker.migration.auto_converge: false -> true\n"
                              "broker.migration.fence: always -> never\n");
    assert_int_equal(next.limit_source, 3);
    assert_int_equal(next.n_keys, 2);
    conf_broker_done(&next);

    read_again("broker: { attempts = 4; };", "broker: { attempts = 4; };", &next);
    assert_string_equal(told, "");
    conf_broker_done(&next);
}

static void what_looks_the_same_is_told_exactly(void **state)
{
    (void)state;
    struct conf_broker next;
    read_again("broker: { keep = \"4000001 s\"; };", "broker: { keep = \"4000002 s\"; };", &next);
    assert_string_equal(told, "broker.keep: 4000001000000 -> 4000002000000\n");
    assert_int_equal(next.keep, 4000002 * USEC_PER_SEC);
    conf_broker_done(&next);
}

static void what_is_fixed_stays_and_is_told(void **state)
{
    (void)state;
    struct conf_broker next;
    read_again("broker: { listen = [ \"ipc:///run/a\", \"ipc:///run/b\" ]; key = \"k\"; store = "
               "\"/s\"; };",
               "broker: { listen = [ \"ipc:///run/a\" ]; store = \"/t\"; store_size = \"1 GiB\";"
               "  socket_mode = \"0600\"; socket_group = \"g\"; heartbeat = \"1 s\";"
               "  session_timeout = \"5 s\"; attempts = 5; };",
               &next);
    assert_string_equal(told, "broker.listen: ipc:///run/a, ipc:///run/b -> ipc:///run/a (fixed)\n"
                              "broker.store: /s -> /t (fixed)\n"
                              "broker.store_size: 16.0 GiB -> 1.00 GiB (fixed)\n"
                              "broker.key: k -> none (fixed)\n"
                              "broker.socket_mode: 0660 -> 0600 (fixed)\n"
                              "broker.socket_group: none -> g (fixed)\n"
                              "broker.heartbeat: 2 s -> 1 s (fixed)\n"
                              "broker.session_timeout: 10 s -> 5 s (fixed)\n"
                              "broker.attempts: 3 -> 5\n");
    assert_int_equal(next.n_listen, 2);
    assert_string_equal(next.listen[1], "ipc:///run/b");
    assert_null(next.listen[2]);
    assert_string_equal(next.store, "/s");
    assert_string_equal(next.key_file, "k");
    assert_null(next.socket_group);
    assert_int_equal(next.store_size, 16ULL << 30);
    assert_int_equal(next.socket_mode, 0660);
    assert_int_equal(next.heartbeat, 2 * USEC_PER_SEC);
    assert_int_equal(next.session_timeout, 10 * USEC_PER_SEC);
    assert_int_equal(next.attempts, 5);
    conf_broker_done(&next);
}

static void settings_that_are_wrong_are_not_taken(void **state)
{
    (void)state;
    struct conf_broker now, next;
    struct rm_err err = {0};
    told[0] = '\0';
    write_file("a.conf", "broker: { attempts = 4; };");
    assert_int_equal(conf_broker_load(main_file, &now, &err), 0);
    write_file("a.conf", "broker: {\n attempts = 5;\n keep = 3; };");
    assert_int_equal(conf_broker_again(main_file, &now, &next, note_change, NULL, &err), -EINVAL);
    assert_non_null(strstr(err.text, "a.conf:3: broker.keep"));
    assert_string_equal(told, "");
    conf_broker_done(&now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)
        TEST(broker_defaults_are_those_of_the_design),
        TEST(broker_reads_every_setting),
        TEST(a_workers_key_speaks_for_its_name_or_for_the_hosts_it_lists),
        TEST(worker_reads_every_setting),
#ifdef RMIGRATE_ZVM
        TEST(a_member_of_zvm_has_smapi_and_login),
#else
        TEST(a_member_of_zvm_is_refused_by_a_worker_without_it),
#endif
        TEST(worker_serves_its_own_host_unless_told_otherwise),
        TEST(client_reads_every_setting_and_has_defaults),
        TEST(watch_reads_who_is_told),
        TEST(watch_refuses_who_cannot_be_told),
        TEST(client_listens_to_the_environment_for_its_broker),
        TEST(file_comes_from_the_option_or_the_environment),
        TEST(a_file_that_was_named_must_be_there),
        TEST(only_a_client_can_do_without_the_usual_file),
        TEST(what_is_no_text_file_is_refused),
        TEST(unknown_settings_are_refused_with_the_name_that_was_meant),
        TEST(unknown_names_at_the_top_are_refused_by_every_program),
        TEST(other_programs_sections_are_left_to_them),
        TEST(syntax_errors_name_file_and_line),
        TEST(values_of_a_wrong_type_are_refused),
        TEST(values_out_of_range_are_refused),
        TEST(integers_that_libconfig_would_cut_are_refused),
        TEST(lists_have_a_most_and_name_things_once),
        TEST(endpoints_are_ipc_or_tcp),
        TEST(an_endpoint_is_local_when_no_other_machine_reaches_it),
        TEST(a_broker_that_others_reach_needs_keys),
        TEST(workers_and_clients_of_another_machine_need_keys),
        TEST(a_session_lasts_three_heartbeats_at_least),
        TEST(rows_of_the_allow_list_are_checked),
        TEST(rows_of_hypervisors_are_checked),
        TEST(included_files_count_from_the_file_that_includes),
        TEST(errors_in_included_files_name_those),
        TEST(includes_that_cannot_be_are_refused),
        TEST(names_are_what_a_noderange_can_carry),
        TEST(roles_and_fences_have_names_both_ways),
        TEST(a_full_allow_list_is_read),
        TEST(a_watch_is_served_to_this_machine_or_with_a_token),
        TEST(the_example_loads_for_every_program_and_is_all_defaults),
        TEST(the_example_loads_too_when_all_is_taken_in),
        TEST(the_example_describes_every_setting_with_its_true_default),
        TEST(what_has_changed_is_told_by_name),
        TEST(what_looks_the_same_is_told_exactly),
        TEST(what_is_fixed_stays_and_is_told),
        TEST(settings_that_are_wrong_are_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
