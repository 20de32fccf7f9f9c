/* conf.c - the settings of each program: their tables, and what must hold between them */
#include "conf/conf.h"

#include "conf/endpoint.h"
#include "conf/setting.h"
#include "conf/source.h"
#include "conf/word.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB    UINT64_C(1024)
#define MIB    (KIB * KIB)
#define TIB    (MIB * MIB)
#define MINUTE (60 * USEC_PER_SEC)
#define DAY    (1440 * MINUTE)

#ifdef RMIGRATE_ZVM
enum { HAS_ZVM = 1 };
#else
enum { HAS_ZVM = 0 };
#endif

enum {
    HEARTBEATS_MIN = 3,       /* of one session: two may be lost */
    ATTEMPTS_MAX = 1000,      /* tries of one job */
    VCPUS_PER_CPU_MAX = 1000, /* vCPUs on one CPU */
    VCPUS_MAX = 100000,       /* CPUs of one host */
    HOST_BYTES = 256,         /* of a host's own name; the kernel's has 64 */
};

/* clang-format off */
#define COUNT(name_, type, field, low_, high_, standard_)                                          \
    {.name = (name_), .kind = SETTING_COUNT, .offset = offsetof(type, field),                      \
     .low = (low_), .high = (high_), .standard = (standard_)}
#define UNIT(kind_, name_, type, field, flags_, low_, high_, standard_)                            \
    {.name = (name_), .kind = (kind_), .offset = offsetof(type, field), .flags = (flags_),         \
     .low = (low_), .high = (high_), .standard = (standard_)}
#define TEXT(name_, type, field, flags_, check_, standard_)                                        \
    {.name = (name_), .kind = SETTING_TEXT, .offset = offsetof(type, field), .flags = (flags_),    \
     .check = (check_), .standard = (standard_)}
#define TEXTS(name_, type, field, count_, flags_, most, check_, standard_)                         \
    {.name = (name_), .kind = SETTING_TEXTS, .offset = offsetof(type, field), .flags = (flags_),   \
     .count_offset = offsetof(type, count_), .high = (most), .size = sizeof(char *),               \
     .check = (check_), .standard = (standard_)}
#define WORD(name_, type, field, flags_, word_, standard_)                                         \
    {.name = (name_), .kind = SETTING_WORD, .offset = offsetof(type, field), .flags = (flags_),    \
     .size = sizeof(((type *)NULL)->field), .parse = word_parse_##word_,                           \
     .show = word_show_##word_, .standard = (standard_)}
#define GROUP(name_, table_, offset_)                                                              \
    {.name = (name_), .kind = SETTING_GROUP, .table = (table_), .offset = (offset_)}
#define ROWS(name_, table_, type, field, count_, most)                                             \
    {.name = (name_), .kind = SETTING_ROWS, .table = (table_), .offset = offsetof(type, field),    \
     .count_offset = offsetof(type, count_), .high = (most),                                       \
     .size = sizeof(*((type *)NULL)->field)}
#define END {.name = NULL}

static const struct setting key_table[] = {
    TEXT("name", struct conf_key, name, SETTING_REQUIRED, word_check_name, NULL),
    WORD("role", struct conf_key, role, SETTING_REQUIRED, role, NULL),
    WORD("public", struct conf_key, public_key, SETTING_REQUIRED, z85, NULL),
    TEXTS("hosts", struct conf_key, hosts, n_hosts, 0, CONF_HYPERVISORS_MAX, word_check_name, NULL),
    END,
};

static const struct setting limits_table[] = {
    COUNT("source", struct conf_broker, limit_source, 0, CONF_LIMIT_MAX, "2"),
    COUNT("destination", struct conf_broker, limit_destination, 0, CONF_LIMIT_MAX, "2"),
    COUNT("cluster", struct conf_broker, limit_cluster, 0, CONF_LIMIT_MAX, "0"),
    END,
};

static const struct setting migration_table[] = {
    /* libvirt counts in MiB/s, its 0 has no cap: less than one would be none */
    UNIT(SETTING_RATE, "bandwidth", struct conf_migration, bandwidth, SETTING_ZERO,
         MIB, TIB, "0"),
    /* QEMU's own range */
    UNIT(SETTING_DURATION, "downtime", struct conf_migration, downtime, SETTING_ZERO,
         USEC_PER_MSEC, 2000 * USEC_PER_SEC, "0"),
    UNIT(SETTING_DURATION, "timeout", struct conf_migration, timeout, SETTING_ZERO,
         USEC_PER_SEC, 365 * DAY, "1 h"),
    UNIT(SETTING_DURATION, "stall", struct conf_migration, stall, SETTING_ZERO,
         USEC_PER_SEC, 365 * DAY, "3 min"),
    {.name = "auto_converge", .kind = SETTING_BOOL,
     .offset = offsetof(struct conf_migration, auto_converge), .standard = "false"},
    WORD("fence", struct conf_migration, fence, 0, fence, "always"),
    END,
};

static const struct setting broker_table[] = {
    TEXTS("listen", struct conf_broker, listen, n_listen, SETTING_FIXED, CONF_LISTEN_MAX,
          word_check_listen, RM_BROKER_DEFAULT),
    TEXT("store", struct conf_broker, store, SETTING_FIXED, NULL, "/var/lib/rmigrate"),
    UNIT(SETTING_SIZE, "store_size", struct conf_broker, store_size, SETTING_FIXED, MIB, 16 * TIB,
         "16 GiB"),
    TEXT("key", struct conf_broker, key_file, SETTING_FIXED, NULL, NULL),
    ROWS("allow", key_table, struct conf_broker, keys, n_keys, CONF_KEYS_MAX),
    WORD("socket_mode", struct conf_broker, socket_mode, SETTING_FIXED, mode, "0660"),
    TEXT("socket_group", struct conf_broker, socket_group, SETTING_FIXED, word_check_user, NULL),
    TEXTS("viewers", struct conf_broker, viewers, n_viewers, 0, CONF_USERS_MAX, word_check_user,
          NULL),
    TEXTS("operators", struct conf_broker, operators, n_operators, 0, CONF_USERS_MAX,
          word_check_user, NULL),
    GROUP("limits", limits_table, 0),
    UNIT(SETTING_DURATION, "heartbeat", struct conf_broker, heartbeat, SETTING_FIXED,
         100 * USEC_PER_MSEC, 60 * MINUTE, "2 s"),
    UNIT(SETTING_DURATION, "session_timeout", struct conf_broker, session_timeout, SETTING_FIXED,
         300 * USEC_PER_MSEC, DAY, "10 s"),
    COUNT("attempts", struct conf_broker, attempts, 1, ATTEMPTS_MAX, "3"),
    UNIT(SETTING_DURATION, "retry_wait", struct conf_broker, retry_wait, 0,
         USEC_PER_MSEC, 5 * MINUTE, "10 s"),
    UNIT(SETTING_DURATION, "unreachable", struct conf_broker, unreachable, SETTING_ZERO,
         100 * USEC_PER_MSEC, 365 * DAY, "10 min"),
    UNIT(SETTING_DURATION, "keep", struct conf_broker, keep, SETTING_ZERO,
         MINUTE, 36500 * DAY, "400 d"),
    COUNT("keep_jobs", struct conf_broker, keep_jobs, 0, CONF_KEEP_MAX, "5000000"),
    COUNT("vcpus_per_cpu", struct conf_broker, vcpus_per_cpu, 1, VCPUS_PER_CPU_MAX, "4"),
    WORD("reserve", struct conf_broker, reserve, 0, reserve, "0"),
    TEXT("exclude_nodes", struct conf_broker, exclude_nodes, SETTING_EMPTY, NULL, ""),
    TEXT("hierarchical_attrs", struct conf_broker, hierarchical_attrs, SETTING_EMPTY, NULL, ""),
    GROUP("migration", migration_table, offsetof(struct conf_broker, migration)),
    END,
};

static const struct setting hypervisor_table[] = {
    TEXT("name", struct conf_hypervisor, name, SETTING_REQUIRED, word_check_name, NULL),
    TEXT("connect", struct conf_hypervisor, connect, 0, word_check_uri, NULL),
    TEXT("peer", struct conf_hypervisor, peer, 0, word_check_uri, NULL),
    TEXT("migration", struct conf_hypervisor, migration, 0, word_check_migration, NULL),
    UNIT(SETTING_SIZE, "memory", struct conf_hypervisor, memory, SETTING_ZERO,
         MIB, 1024 * TIB, "0"),
    COUNT("vcpus", struct conf_hypervisor, vcpus, 0, VCPUS_MAX, "0"),
    WORD("reserve", struct conf_hypervisor, reserve, 0, reserve, NULL),
    TEXT("smapi", struct conf_hypervisor, smapi, 0, word_check_smapi, NULL),
    TEXT("login", struct conf_hypervisor, login, 0, NULL, NULL),
    TEXT("ca", struct conf_hypervisor, ca, 0, NULL, NULL),
    END,
};

static const struct setting worker_table[] = {
    TEXT("broker", struct conf_worker, broker, 0, word_check_broker, RM_BROKER_DEFAULT),
    TEXT("key", struct conf_worker, key_file, 0, NULL, NULL),
    TEXT("server", struct conf_worker, server_key, 0, word_check_z85, NULL),
    COUNT("slots", struct conf_worker, slots, 1, CONF_SLOTS_MAX, "2"),
    UNIT(SETTING_DURATION, "connect_timeout", struct conf_worker, connect_timeout, 0,
         100 * USEC_PER_MSEC, 60 * MINUTE, "10 s"),
    UNIT(SETTING_DURATION, "call_timeout", struct conf_worker, call_timeout, 0,
         100 * USEC_PER_MSEC, 60 * MINUTE, "30 s"),
    ROWS("hypervisors", hypervisor_table, struct conf_worker, hypervisors, n_hypervisors,
         CONF_HYPERVISORS_MAX),
    END,
};

static const struct setting client_table[] = {
    TEXT("broker", struct conf_client, broker, 0, word_check_broker, RM_BROKER_DEFAULT),
    TEXT("key", struct conf_client, key_file, 0, NULL, NULL),
    TEXT("server", struct conf_client, server_key, 0, word_check_z85, NULL),
    UNIT(SETTING_DURATION, "timeout", struct conf_client, timeout, 0,
         10 * USEC_PER_MSEC, DAY, "30 s"),
    END,
};

static const struct setting notify_table[] = {
    TEXT("name", struct conf_notify, name, SETTING_REQUIRED, word_check_name, NULL),
    TEXTS("on", struct conf_notify, on, n_on, 0, CONF_USERS_MAX, word_check_news, NULL),
    TEXT("command", struct conf_notify, command, 0, word_check_command, NULL),
    TEXT("url", struct conf_notify, url, 0, word_check_url, NULL),
    TEXT("headers", struct conf_notify, headers_file, 0, NULL, NULL),
    UNIT(SETTING_DURATION, "wait", struct conf_notify, wait, SETTING_ZERO,
         USEC_PER_MSEC, DAY, "10 s"),
    UNIT(SETTING_DURATION, "timeout", struct conf_notify, timeout, 0,
         100 * USEC_PER_MSEC, 60 * MINUTE, "30 s"),
    COUNT("tries", struct conf_notify, tries, 1, ATTEMPTS_MAX, "20"),
    END,
};

static const struct setting watch_table[] = {
    TEXT("broker", struct conf_watch, client.broker, 0, word_check_broker, RM_BROKER_DEFAULT),
    TEXT("key", struct conf_watch, client.key_file, 0, NULL, NULL),
    TEXT("server", struct conf_watch, client.server_key, 0, word_check_z85, NULL),
    UNIT(SETTING_DURATION, "timeout", struct conf_watch, client.timeout, 0,
         10 * USEC_PER_MSEC, DAY, "30 s"),
    TEXT("listen", struct conf_watch, listen, SETTING_EMPTY, word_check_http, "127.0.0.1:9750"),
    TEXT("token", struct conf_watch, token_file, 0, NULL, NULL),
    ROWS("notify", notify_table, struct conf_watch, notify, n_notify, CONF_NOTIFY_MAX),
    TEXT("state", struct conf_watch, state, 0, NULL, RM_WATCH_STATE),
    UNIT(SETTING_DURATION, "away", struct conf_watch, away, 0, USEC_PER_SEC, DAY, "30 s"),
    UNIT(SETTING_DURATION, "stuck", struct conf_watch, stuck, 0, USEC_PER_SEC, 365 * DAY, "10 min"),
    END,
};

/* The only names that may stand at the top of a file. */
static const struct setting sections[] = {
    {.name = "broker", .table = broker_table, .size = sizeof(struct conf_broker)},
    {.name = "worker", .table = worker_table, .size = sizeof(struct conf_worker)},
    {.name = "client", .table = client_table, .size = sizeof(struct conf_client)},
    {.name = "watch", .table = watch_table, .size = sizeof(struct conf_watch)},
    END,
};
/* clang-format on */

void conf_visit(void (*visit)(void *ctx, const char *name, const char *standard), void *ctx)
{
    for (const struct setting *section = sections; section->name; section++)
        setting_visit(section->table, section->name, visit, ctx);
}

/* The place of a setting for an error: its own, or that of its group. */
static const config_setting_t *place(const config_setting_t *group, const char *name)
{
    const config_setting_t *member = group ? config_setting_get_member(group, name) : NULL;
    return member ? member : group;
}

/* Row i of a list; NULL where there is no list. */
static const config_setting_t *row(const config_setting_t *group, const char *list, size_t i)
{
    const config_setting_t *rows = group ? config_setting_get_member(group, list) : NULL;
    return rows ? config_setting_get_elem(rows, (unsigned)i) : NULL;
}

struct once {
    const char *text;
    size_t row;
};

static int compare_once(const void *a, const void *b)
{
    const struct once *x = a, *y = b;
    int r = strcmp(x->text, y->text);
    if (r)
        return r;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Refuses a list in which two rows have the same text (a char * at offset; inside: the text itself
 * is there). NULL is no text. */
static int check_once(const struct setting_reader *rd, const config_setting_t *group,
                      const char *list, const char *name, const void *rows, size_t n, size_t size,
                      size_t offset, bool inside)
{
    if (n < 2)
        return 0;
    struct once *texts = calloc(n, sizeof(*texts));
    if (!texts)
        return rm_fail(rd->err, -ENOMEM, "%s", strerror(ENOMEM));
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        const char *at = (const char *)rows + i * size + offset;
        const char *text = inside ? at : *(char *const *)(const void *)at;
        if (text)
            texts[found++] = (struct once){.text = text, .row = i};
    }
    qsort(texts, found, sizeof(*texts), compare_once);
    int r = 0;
    for (size_t i = 1; i < found && r == 0; i++)
        if (strcmp(texts[i - 1].text, texts[i].text) == 0)
            r = setting_fail(rd, place(row(group, list, texts[i].row), name),
                             "%s[%zu].%s: '%s' is also that of %s[%zu]", list, texts[i].row, name,
                             texts[i].text, list, texts[i - 1].row);
    free(texts);
    return r;
}

#define CHECK_ONCE(rd, group, list, name, rows, n, field, inside)                                  \
    check_once((rd), (group), (list), (name), (rows), (n), sizeof(*(rows)),                        \
               offsetof(__typeof__(*(rows)), field), (inside))

static int relate_keys(struct conf_broker *conf, const struct setting_reader *rd,
                       const config_setting_t *group)
{
    int r = CHECK_ONCE(rd, group, "allow", "name", conf->keys, conf->n_keys, name, false);
    if (r == 0)
        r = CHECK_ONCE(rd, group, "allow", "public", conf->keys, conf->n_keys, public_key, true);
    for (size_t i = 0; i < conf->n_keys && r == 0; i++) {
        struct conf_key *key = &conf->keys[i];
        if (key->role != ROLE_WORKER && key->n_hosts > 0)
            return setting_fail(rd, place(row(group, "allow", i), "hosts"),
                                "broker.allow[%zu].hosts: only a worker speaks for hosts, '%s' "
                                "is %s",
                                i, key->name, role_name(key->role));
        if (key->role != ROLE_WORKER || key->n_hosts > 0)
            continue;
        key->hosts = calloc(2, sizeof(char *));
        if (!key->hosts || !(key->hosts[0] = strdup(key->name)))
            return rm_fail(rd->err, -ENOMEM, "%s", strerror(ENOMEM));
        key->n_hosts = 1;
    }
    return r;
}

/* What goes over a network is commands to hypervisors: without keys anyone could send them. */
static int relate_listen(const struct conf_broker *conf, const struct setting_reader *rd,
                         const config_setting_t *group)
{
    if (conf->n_keys > 0 && !conf->key_file)
        return setting_fail(rd, place(group, "allow"),
                            "broker.allow has no effect without broker.key, the broker's own key");
    for (size_t i = 0; i < conf->n_listen; i++)
        if (!endpoint_is_local(conf->listen[i]) && (!conf->key_file || conf->n_keys == 0))
            return setting_fail(
                rd, place(group, "listen"),
                "broker.listen: '%s' can be reached from other machines, so CURVE keys are needed: "
                "make them with `rmigrate keygen`, set broker.key to the broker's and name "
                "everyone else's public key in broker.allow",
                conf->listen[i]);
    return 0;
}

static int relate_users(const struct conf_broker *conf, const struct setting_reader *rd,
                        const config_setting_t *group)
{
    for (size_t i = 0; i < conf->n_viewers; i++)
        for (size_t k = 0; k < conf->n_operators; k++)
            if (strcmp(conf->viewers[i], conf->operators[k]) == 0)
                return setting_fail(rd, place(group, "viewers"),
                                    "broker.viewers: '%s' is also one of broker.operators",
                                    conf->viewers[i]);
    return 0;
}

static int relate_broker(void *ret, const struct setting_reader *rd, const config_setting_t *group)
{
    struct conf_broker *conf = ret;
    if (conf->n_listen == 0)
        return setting_fail(rd, place(group, "listen"), "broker.listen names no endpoint");
    if (conf->session_timeout < HEARTBEATS_MIN * conf->heartbeat)
        return setting_fail(rd, place(group, "session_timeout"),
                            "broker.session_timeout must be at least %d times broker.heartbeat",
                            HEARTBEATS_MIN);
    int r = relate_keys(conf, rd, group);
    if (r == 0)
        r = relate_listen(conf, rd, group);
    if (r == 0)
        r = relate_users(conf, rd, group);
    return r;
}

/* key and server of one who connects: both or neither, and both where a network lies between. */
static int relate_peer(const char *section, const char *broker, const char *key_file,
                       const char *server_key, const struct setting_reader *rd,
                       const config_setting_t *group)
{
    if (!key_file != !server_key)
        return setting_fail(
            rd, place(group, key_file ? "key" : "server"), "%s.%s needs %s.%s beside it", section,
            key_file ? "key" : "server", section,
            key_file ? "server, the broker's public key" : "key, the file of its own key");
    if (!key_file && !endpoint_is_local(broker))
        return setting_fail(rd, place(group, "broker"),
                            "%s.broker: '%s' is another machine, so CURVE keys are needed: make "
                            "them with `rmigrate keygen`, set %s.key to its file and %s.server to "
                            "the broker's public key",
                            section, broker, section, section);
    return 0;
}

static int check_hypervisor(const struct conf_hypervisor *hypervisor, size_t i,
                            const struct setting_reader *rd, const config_setting_t *at)
{
    bool iucv = hypervisor->smapi && strncmp(hypervisor->smapi, "iucv:", 5) == 0;
    const char *wrong = NULL;
    if (!HAS_ZVM && (hypervisor->smapi || hypervisor->login || hypervisor->ca))
        wrong = ": smapi, login and ca are z/VM's, and this program was built without it "
                "(RMIGRATE_ZVM)";
    else if (!hypervisor->connect && !hypervisor->smapi)
        wrong = " needs the setting 'connect' (or, for z/VM, 'smapi' and 'login')";
    else if (hypervisor->smapi ? !hypervisor->login && !iucv : hypervisor->login != NULL)
        wrong = ": smapi and login belong together";
    else if (hypervisor->smapi ? hypervisor->connect || hypervisor->migration
                               : hypervisor->ca != NULL)
        wrong = ": connect and migration are libvirt's, smapi, login and ca are z/VM's";
    if (wrong)
        return setting_fail(rd, at, "worker.hypervisors[%zu]%s", i, wrong);
    if (!hypervisor->smapi)
        return 0;
    struct rm_err err = {""};
    if (word_check_member(hypervisor->name, &err) < 0)
        return setting_fail(rd, at, "worker.hypervisors[%zu]: %s", i, err.text);
    if (hypervisor->peer && word_check_smapi(hypervisor->peer, &err) < 0)
        return setting_fail(rd, at, "worker.hypervisors[%zu].peer of a z/VM member: %s", i,
                            err.text);
    return 0;
}

/* The hypervisor that the worker runs on, under the first part of the host's name. */
static int add_own_host(struct conf_worker *conf, const struct setting_reader *rd)
{
    char name[HOST_BYTES];
    if (gethostname(name, sizeof(name)) < 0)
        return rm_fail(rd->err, -errno, "the name of this host: %s", strerror(errno));
    name[sizeof(name) - 1] = '\0';
    name[strcspn(name, ".")] = '\0';
    if (!conf_name_is_valid(name))
        return rm_fail(rd->err, -EINVAL,
                       "this host's name '%s' cannot name a hypervisor: set worker.hypervisors",
                       name);
    conf->hypervisors = calloc(1, sizeof(*conf->hypervisors));
    if (!conf->hypervisors)
        return rm_fail(rd->err, -ENOMEM, "%s", strerror(ENOMEM));
    conf->n_hypervisors = 1;
    struct conf_hypervisor *own = conf->hypervisors;
    own->name = strdup(name);
    own->connect = strdup("qemu:///system");
    if (asprintf(&own->peer, "qemu+tls://%s/system", name) < 0)
        own->peer = NULL;
    if (!own->name || !own->connect || !own->peer)
        return rm_fail(rd->err, -ENOMEM, "%s", strerror(ENOMEM));
    return 0;
}

static int relate_worker(void *ret, const struct setting_reader *rd, const config_setting_t *group)
{
    struct conf_worker *conf = ret;
    int r = relate_peer("worker", conf->broker, conf->key_file, conf->server_key, rd, group);
    if (r < 0)
        return r;
    if (conf->n_hypervisors == 0)
        return add_own_host(conf, rd);
    for (size_t i = 0; i < conf->n_hypervisors; i++) {
        r = check_hypervisor(&conf->hypervisors[i], i, rd, row(group, "hypervisors", i));
        if (r < 0)
            return r;
    }
    /* One hypervisor under two names would be counted, limited and filled twice. */
    struct conf_hypervisor *all = conf->hypervisors;
    size_t n = conf->n_hypervisors;
    r = CHECK_ONCE(rd, group, "hypervisors", "name", all, n, name, false);
    if (r == 0)
        r = CHECK_ONCE(rd, group, "hypervisors", "connect", all, n, connect, false);
    if (r == 0)
        r = CHECK_ONCE(rd, group, "hypervisors", "peer", all, n, peer, false);
    if (r == 0)
        r = CHECK_ONCE(rd, group, "hypervisors", "smapi", all, n, smapi, false);
    return r;
}

/* The environment's broker counts before that of the file. */
static int relate_broker_of(const char *section, struct conf_client *conf,
                            const struct setting_reader *rd, const config_setting_t *group)
{
    const char *broker = getenv("RMIGRATE_BROKER");
    if (broker && *broker) {
        int r = word_check_broker(broker, rd->err);
        if (r < 0)
            return rm_prefix(rd->err, r, "RMIGRATE_BROKER");
        char *copy = strdup(broker);
        if (!copy)
            return rm_fail(rd->err, -ENOMEM, "%s", strerror(ENOMEM));
        free(conf->broker);
        conf->broker = copy;
    }
    return relate_peer(section, conf->broker, conf->key_file, conf->server_key, rd, group);
}

static int relate_client(void *ret, const struct setting_reader *rd, const config_setting_t *group)
{
    return relate_broker_of("client", ret, rd, group);
}

static int check_notify(const struct conf_notify *notify, size_t i, const struct setting_reader *rd,
                        const config_setting_t *at)
{
    if (!notify->command == !notify->url)
        return setting_fail(rd, at, "watch.notify[%zu] needs one of 'command' and 'url'", i);
    if (notify->headers_file && !notify->url)
        return setting_fail(rd, at, "watch.notify[%zu]: headers are those of a url", i);
    return 0;
}

/* What every user of this machine may see is no secret to them; beyond it nobody looks without a token. */
static int relate_watch(void *ret, const struct setting_reader *rd, const config_setting_t *group)
{
    struct conf_watch *conf = ret;
    int r = relate_broker_of("watch", &conf->client, rd, group);
    if (r == 0 && conf->listen && !conf->token_file && !http_is_local(conf->listen))
        r = setting_fail(rd, place(group, "listen"),
                         "watch.listen: '%s' can be reached from other machines, so watch.token is "
                         "needed: a file with the token that every request must bear",
                         conf->listen);
    for (size_t i = 0; i < conf->n_notify && r == 0; i++)
        r = check_notify(&conf->notify[i], i, rd, row(group, "notify", i));
    if (r == 0)
        r = CHECK_ONCE(rd, group, "notify", "name", conf->notify, conf->n_notify, name, false);
    return r;
}

/* Checks the names at the top and returns the section, NULL where the file has none. */
static int find_section(const struct setting_reader *rd, const config_t *config, const char *name,
                        const config_setting_t **ret_group)
{
    const config_setting_t *root = config_root_setting(config);
    const config_setting_t *found = NULL;
    int n = config_setting_length(root);
    for (int i = 0; i < n; i++) {
        const config_setting_t *group = config_setting_get_elem(root, (unsigned)i);
        const char *there = config_setting_name(group);
        if (!setting_find(sections, there))
            return setting_unknown(rd, sections, group, "");
        if (!config_setting_is_group(group))
            return setting_fail(rd, group, "%s must be a group { }", there);
        if (strcmp(there, name) == 0)
            found = group;
    }
    *ret_group = found;
    return 0;
}

/* What must hold between the settings of a section. */
typedef int relate_f(void *conf, const struct setting_reader *rd, const config_setting_t *group);

static int read_section(const struct setting_reader *rd, config_t *config,
                        const struct setting *section, relate_f *relate, void *conf)
{
    const config_setting_t *group = NULL;
    if (rd->source) {
        if (!config_read_string(config, source_text(rd->source))) {
            unsigned line;
            const char *file = source_file(rd->source, (unsigned)config_error_line(config), &line);
            return rm_fail(rd->err, -EINVAL, "%s:%u: %s", file, line, config_error_text(config));
        }
        int r = find_section(rd, config, section->name, &group);
        if (r < 0)
            return r;
    }
    int r = setting_read(rd, section->table, group, section->name, conf);
    return r < 0 ? r : relate(conf, rd, group);
}

/* NULL: nobody named one. */
static const char *named_file(const char *file)
{
    const char *named = file ? file : getenv("RMIGRATE_CONF");
    return named && *named ? named : NULL;
}

const char *conf_file(const char *file)
{
    const char *named = named_file(file);
    return named ? named : RM_CONF_DEFAULT;
}

/* A file that nobody named may be missing when optional. */
static int load(const char *file, const struct setting *section, bool optional, relate_f *relate,
                void *ret_conf, struct rm_err *err)
{
    struct source *source = NULL;
    int r = source_read(conf_file(file), &source, err);
    if (r < 0 && !(r == -ENOENT && optional && !named_file(file)))
        return r;
    if (r < 0 && err)
        err->text[0] = '\0';

    const struct setting_reader rd = {.source = source, .err = err};
    config_t config;
    config_init(&config);
    void *conf = calloc(1, section->size);
    r = conf ? read_section(&rd, &config, section, relate, conf)
             : rm_fail(err, -ENOMEM, "%s", strerror(ENOMEM));
    if (r == 0)
        memcpy(ret_conf, conf, section->size);
    else if (conf)
        setting_done(section->table, conf);
    free(conf);
    config_destroy(&config);
    source_free(source);
    return r;
}

int conf_broker_load(const char *file, struct conf_broker *ret_conf, struct rm_err *err)
{
    return load(file, &sections[0], /* optional = */ false, relate_broker, ret_conf, err);
}

int conf_worker_load(const char *file, struct conf_worker *ret_conf, struct rm_err *err)
{
    return load(file, &sections[1], /* optional = */ false, relate_worker, ret_conf, err);
}

int conf_client_load(const char *file, struct conf_client *ret_conf, struct rm_err *err)
{
    return load(file, &sections[2], /* optional = */ true, relate_client, ret_conf, err);
}

int conf_broker_again(const char *file, const struct conf_broker *now, struct conf_broker *ret_next,
                      conf_change_f *visit, void *ctx, struct rm_err *err)
{
    struct conf_broker next;
    int r = conf_broker_load(file, &next, err);
    if (r < 0)
        return r;
    r = change_visit(broker_table, "broker", now, &next, visit, ctx);
    if (r >= 0)
        r = change_undo_fixed(broker_table, now, &next);
    if (r < 0) {
        conf_broker_done(&next);
        return rm_fail(err, r, "%s", strerror(-r));
    }
    *ret_next = next;
    return 0;
}

int conf_watch_load(const char *file, struct conf_watch *ret_conf, struct rm_err *err)
{
    return load(file, &sections[3], /* optional = */ false, relate_watch, ret_conf, err);
}

void conf_broker_done(struct conf_broker *conf)
{
    setting_done(broker_table, conf);
}

void conf_worker_done(struct conf_worker *conf)
{
    setting_done(worker_table, conf);
}

void conf_client_done(struct conf_client *conf)
{
    setting_done(client_table, conf);
}

void conf_watch_done(struct conf_watch *conf)
{
    setting_done(watch_table, conf);
}
