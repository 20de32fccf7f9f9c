/* test_net.c - sockets: real ones, in a directory of the test and on 127.0.0.1 */
#include "wire/key.h"
#include "wire/msg.h"
#include "wire/net.h"
#include "wire/net_key.h"
#include "wire/who.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

enum { TURN_MS = 10, CLIENTS = 40 };
#define PATIENCE (20 * USEC_PER_SEC) /* what has not come by then will not come */

struct pair {
    char public_key[CONF_Z85_LEN + 1], secret_key[CONF_Z85_LEN + 1];
    char file[128]; /* its key file */
};

struct world {
    char base[64]; /* the directory of the test */
    char path[96]; /* of its local socket */
    char ipc[128]; /* the same as an endpoint */
    char *listen[4];
    char *names[2]; /* lists of one user */
    char *hosts[3];
    struct conf_key keys[4];
    struct conf_broker conf;
    struct net *server, *client;
    struct pair broker, alice, hyp, stranger;
};

/* ---- the world of a test */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void make_pair(struct world *w, struct pair *pair, const char *name)
{
    struct rm_err err = {""};
    assert_int_equal(net_keypair(pair->public_key, pair->secret_key), 0);
    snprintf(pair->file, sizeof(pair->file), "%s/%s.key", w->base, name);
    assert_int_equal(net_key_write(pair->file, pair->public_key, pair->secret_key, NULL, &err), 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    snprintf(w->base, sizeof(w->base), "/tmp/rmigrate-test-XXXXXX");
    assert_non_null(mkdtemp(w->base));
    assert_int_equal(chmod(w->base, 0755), 0); /* other users get as far as the socket */
    snprintf(w->path, sizeof(w->path), "%s/run/broker", w->base);
    snprintf(w->ipc, sizeof(w->ipc), "ipc://%s", w->path);
    w->listen[0] = w->ipc;
    w->conf = (struct conf_broker){.listen = w->listen, .n_listen = 1, .socket_mode = 0660};
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    net_free(w->client);
    net_free(w->server);
    nftw(w->base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(w);
    return 0;
}

/* A broker with keys: tcp with CURVE, and the local socket beside it. */
static void with_keys(struct world *w)
{
    make_pair(w, &w->broker, "broker");
    make_pair(w, &w->alice, "alice");
    make_pair(w, &w->hyp, "hyp");
    make_pair(w, &w->stranger, "stranger");
    w->hosts[0] = "hyp01";
    w->hosts[1] = "hyp02";
    w->keys[0] = (struct conf_key){.name = "alice", .role = ROLE_OPERATOR};
    w->keys[1] =
        (struct conf_key){.name = "hyp", .role = ROLE_WORKER, .hosts = w->hosts, .n_hosts = 2};
    memcpy(w->keys[0].public_key, w->alice.public_key, CONF_Z85_LEN + 1);
    memcpy(w->keys[1].public_key, w->hyp.public_key, CONF_Z85_LEN + 1);
    w->listen[1] = "tcp://127.0.0.1:*";
    w->conf.n_listen = 2;
    w->conf.keys = w->keys;
    w->conf.n_keys = 2;
    w->conf.key_file = w->broker.file;
}

static void must(int r, const struct rm_err *err)
{
    if (r < 0)
        fail_msg("%d: %s", r, err->text);
}

static void serve(struct world *w)
{
    struct rm_err err = {""};
    must(net_listen(&w->conf, &w->server, &err), &err);
}

static struct net *connect_to(const char *endpoint, const struct pair *own,
                              const struct pair *broker)
{
    struct net *net = NULL;
    struct rm_err err = {""};
    must(net_connect(endpoint, own != NULL ? own->file : NULL,
                     broker != NULL ? broker->public_key : NULL, &net, &err),
         &err);
    return net;
}

static void turn(struct net *net)
{
    if (net != NULL)
        assert_true(net_wait(net, NULL, 0, NULL, TURN_MS * USEC_PER_MSEC) >= 0);
}

/* Lets both sides run until `net` has a frame; false when none comes. */
static bool hear_for(struct net *net, struct net *other, struct net_peer *peer, char *text,
                     size_t size, usec_t patience)
{
    usec_t end_at = env_now(env_system()) + patience;
    while (env_now(env_system()) < end_at) {
        struct net_frame frame;
        int r = net_recv(net, peer, &frame);
        if (r == 0) {
            assert_true(frame.length < size);
            memcpy(text, frame.data, frame.length);
            text[frame.length] = '\0';
            net_frame_free(&frame);
            return true;
        }
        assert_int_equal(r, -EAGAIN);
        turn(net);
        turn(other);
    }
    return false;
}

static void expect(struct net *net, struct net *other, struct net_peer *peer, const char *text)
{
    char heard[1024];
    if (!hear_for(net, other, peer, heard, sizeof(heard), PATIENCE))
        fail_msg("'%s' never came", text);
    assert_string_equal(heard, text);
}

static void silence(struct net *net, struct net *other)
{
    char heard[1024];
    struct net_peer peer;
    assert_false(hear_for(net, other, &peer, heard, sizeof(heard), 300 * USEC_PER_MSEC));
}

static int say(struct net *net, const struct net_peer *peer, const char *text)
{
    return net_send(net, peer, (const uint8_t *)text, strlen(text));
}

/* Lets both sides run until the client stands as wanted. */
static void until(struct net *client, struct net *server, enum net_state wanted)
{
    usec_t end_at = env_now(env_system()) + PATIENCE;
    while (net_state(client) != wanted && env_now(env_system()) < end_at) {
        turn(client);
        turn(server);
    }
    assert_string_equal(net_state_text(net_state(client)), net_state_text(wanted));
}

/* A question and its answer; the peer as the server sees it. */
static struct net_peer converse(struct net *client, struct net *server)
{
    struct net_peer peer = {0};
    assert_int_equal(say(client, NULL, "question"), 0);
    expect(server, client, &peer, "question");
    assert_int_equal(say(server, &peer, "answer"), 0);
    expect(client, server, NULL, "answer");
    until(client, server, NET_CONNECTED); /* the word of it may come behind the first frame */
    return peer;
}

static const char *own_name(void)
{
    const struct passwd *entry = getpwuid(geteuid());
    assert_non_null(entry);
    return entry->pw_name;
}

/* ---- local sockets */

static void a_local_peer_is_the_user_that_the_kernel_names(void **state)
{
    struct world *w = *state;
    char address[64];
    serve(w);
    assert_string_equal(net_endpoint(w->server, 0), w->ipc);
    assert_null(net_endpoint(w->server, 1));
    w->client = connect_to(w->ipc, NULL, NULL);
    struct net_peer peer = converse(w->client, w->server);
    snprintf(address, sizeof(address), "pid %d uid %u", (int)getpid(), (unsigned)geteuid());
    assert_string_equal(peer.user, own_name());
    assert_string_equal(peer.address, address);
    assert_int_equal(peer.role, ROLE_ADMIN);
    assert_int_equal(peer.key, 0);
    assert_null(net_peer_hosts(w->server, &peer));
}

static void local_users_have_the_role_of_the_settings(void **state)
{
    struct world *w = *state;
    w->names[0] = (char *)own_name();
    w->conf.viewers = w->names;
    w->conf.n_viewers = 1;
    serve(w);
    w->client = connect_to(w->ipc, NULL, NULL);
    struct net_peer peer = converse(w->client, w->server);
    assert_int_equal(peer.role, ROLE_VIEWER);
    assert_non_null(net_peer_hosts(w->server, &peer));
    assert_null(net_peer_hosts(w->server, &peer)[0]);
    net_free(w->client);
    net_free(w->server);
    w->server = w->client = NULL;

    w->conf.operators = w->names;
    w->conf.n_operators = 1;
    w->conf.n_viewers = 0;
    serve(w);
    w->client = connect_to(w->ipc, NULL, NULL);
    assert_int_equal(converse(w->client, w->server).role, ROLE_OPERATOR);
}

static void what_the_kernel_says_is_read_from_its_end(void **state)
{
    struct world *w = *state;
    struct who *who;
    struct net_peer peer = {0};
    assert_int_equal(who_new(&w->conf, &who, NULL), 0);
    who_local(who, "localhost:0:0:17", &peer);
    assert_string_equal(peer.user, "root");
    assert_string_equal(peer.address, "pid 17 uid 0");
    assert_int_equal(peer.role, ROLE_ADMIN);
    who_local(who, ":0:5:18", &peer);
    assert_string_equal(peer.user, "root");
    who_local(who, "a:1:b:3999999999:0:19", &peer); /* a user without a name */
    assert_string_equal(peer.user, "uid-3999999999");
    assert_int_equal(peer.role, ROLE_ADMIN);
    const char *const strange[] = {"",
                                   "localhost",
                                   "0:0:17",
                                   ":0:17",
                                   "x:0:0:",
                                   "x:0::17",
                                   "x:-1:0:1",
                                   "x:4294967295:0:1",
                                   "x:99999999999999999999:0:1",
                                   "x:0:0:1 ",
                                   NULL};
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        who_local(who, strange[i], &peer);
        assert_int_equal(peer.role, ROLE_NONE);
        assert_string_equal(peer.user, "unknown");
        assert_string_equal(peer.address, "");
    }
    who_free(who);

    /* where roles are given by name, somebody without a name gets the least; by his number he can
     * be named */
    w->names[0] = "uid-3999999998";
    w->conf.operators = w->names;
    w->conf.n_operators = 1;
    assert_int_equal(who_new(&w->conf, &who, NULL), 0);
    who_local(who, "x:3999999999:0:1", &peer);
    assert_int_equal(peer.role, ROLE_VIEWER);
    who_local(who, "x:3999999998:0:1", &peer);
    assert_int_equal(peer.role, ROLE_OPERATOR);
    for (unsigned uid = 3000000000; uid < 3000000600; uid++) { /* more than are remembered */
        char text[64], name[64];
        snprintf(text, sizeof(text), "x:%u:0:1", uid);
        snprintf(name, sizeof(name), "uid-%u", uid);
        who_local(who, text, &peer);
        assert_string_equal(peer.user, name);
    }
    who_free(who);
}

/* A process that visits the broker as `nobody`. It is made while there are no threads: only then
 * may a child do more than exec. */
struct visitor {
    pid_t pid;
    int go; /* it begins when this is closed */
};

/* Ends with 0 when it had an answer, 1 without, 2 when it may not open the socket. */
static struct visitor visitor_make(const char *endpoint)
{
    struct net *net;
    struct net_frame frame;
    struct visitor visitor;
    const struct passwd *nobody = getpwnam("nobody");
    int ends[2];
    char byte;
    assert_non_null(nobody);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    visitor.pid = fork();
    assert_true(visitor.pid >= 0);
    if (visitor.pid > 0) {
        close(ends[0]);
        visitor.go = ends[1];
        return visitor;
    }
    close(ends[1]);
    if (read(ends[0], &byte, 1) != 0 || setgroups(0, NULL) < 0 || setgid(nobody->pw_gid) < 0 ||
        setuid(nobody->pw_uid) < 0 || net_connect(endpoint, NULL, NULL, &net, NULL) < 0 ||
        say(net, NULL, "question") < 0)
        _exit(3);
    usec_t end_at = env_now(env_system()) + PATIENCE;
    while (env_now(env_system()) < end_at) {
        if (net_state(net) == NET_DENIED)
            _exit(2);
        if (net_recv(net, NULL, &frame) == 0)
            _exit(0);
        net_wait(net, NULL, 0, NULL, TURN_MS * USEC_PER_MSEC);
    }
    _exit(1);
}

static void visitor_go(struct visitor *visitor)
{
    close(visitor->go);
}

static void visitor_ended(struct visitor *visitor, int code)
{
    int status;
    assert_int_equal(waitpid(visitor->pid, &status, 0), visitor->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

static bool can_be_nobody(void)
{
    return geteuid() == 0 && getpwnam("nobody") != NULL;
}

static void another_local_user_is_seen_as_such(void **state)
{
    struct world *w = *state;
    struct net_peer peer;
    if (!can_be_nobody())
        skip(); /* only root can become somebody else */
    struct visitor visitor = visitor_make(w->ipc);
    w->names[0] = "nobody";
    w->conf.viewers = w->names;
    w->conf.n_viewers = 1;
    w->conf.socket_mode = 0666;
    serve(w);
    visitor_go(&visitor);
    expect(w->server, NULL, &peer, "question");
    assert_string_equal(peer.user, "nobody");
    assert_int_equal(peer.role, ROLE_VIEWER);
    assert_int_equal(say(w->server, &peer, "answer"), 0);
    visitor_ended(&visitor, 0);
}

static void a_user_whom_the_mode_shuts_out_is_told_so(void **state)
{
    struct world *w = *state;
    if (!can_be_nobody())
        skip();
    struct visitor visitor = visitor_make(w->ipc);
    serve(w);
    visitor_go(&visitor);
    visitor_ended(&visitor, 2);
    silence(w->server, NULL);
}

static void a_local_socket_without_a_file_is_for_the_own_user_and_root(void **state)
{
    struct world *w = *state;
    char endpoint[64];
    struct visitor visitor = {0};
    struct net_peer peer;
    snprintf(endpoint, sizeof(endpoint), "ipc://@rmigrate-test-%d", (int)getpid());
    if (can_be_nobody())
        visitor = visitor_make(endpoint);
    w->listen[0] = endpoint;
    serve(w);
    w->client = connect_to(endpoint, NULL, NULL);
    assert_int_equal(converse(w->client, w->server).role, ROLE_ADMIN);
    if (visitor.pid == 0)
        return;
    visitor_go(&visitor);
    expect(w->server, NULL, &peer, "question");
    assert_int_equal(peer.role, ROLE_NONE);
    assert_string_equal(peer.user, "nobody");
    assert_int_equal(say(w->server, &peer, "answer"), 0);
    visitor_ended(&visitor, 0);
}

static void the_directory_is_made_and_mode_and_group_are_set(void **state)
{
    struct world *w = *state;
    struct stat st;
    struct group *group = getgrgid(getegid());
    assert_non_null(group);
    w->conf.socket_group = group->gr_name;
    w->conf.socket_mode = 0620;
    mode_t before = umask(0077);
    serve(w);
    assert_int_equal(umask(before), 0077);
    assert_int_equal(stat(w->path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0620);
    assert_int_equal(st.st_gid, getegid());
    char directory[96];
    snprintf(directory, sizeof(directory), "%s/run", w->base);
    assert_int_equal(stat(directory, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
}

static void a_group_that_nobody_knows_is_an_error(void **state)
{
    struct world *w = *state;
    struct rm_err err = {""};
    w->conf.socket_group = "no-such-group";
    assert_int_equal(net_listen(&w->conf, &w->server, &err), -EINVAL);
    assert_non_null(strstr(err.text, "no-such-group"));
    assert_null(w->server);
}

static void a_stale_socket_is_replaced_and_a_live_one_is_not(void **state)
{
    struct world *w = *state;
    struct rm_err err = {""};
    struct net *second = NULL;
    serve(w);
    assert_int_equal(net_listen(&w->conf, &second, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, w->path));
    assert_null(second);
    w->client = connect_to(w->ipc, NULL, NULL);
    converse(w->client, w->server); /* the first one still serves there */
    net_free(w->client);
    net_free(w->server);
    w->client = w->server = NULL;
    assert_int_equal(access(w->path, F_OK), -1);

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, w->path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd); /* its file stays, as after a crash */
    serve(w);
    w->client = connect_to(w->ipc, NULL, NULL);
    converse(w->client, w->server);
}

static void a_file_in_the_place_of_the_socket_is_never_replaced(void **state)
{
    struct world *w = *state;
    struct rm_err err = {""};
    struct stat st;
    snprintf(w->path, sizeof(w->path), "%s/precious", w->base);
    snprintf(w->ipc, sizeof(w->ipc), "ipc://%s", w->path);
    int fd = open(w->path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(net_listen(&w->conf, &w->server, &err), -EEXIST);
    assert_int_equal(stat(w->path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
}

static void a_path_that_is_too_long_for_a_local_socket_is_an_error(void **state)
{
    struct world *w = *state;
    char endpoint[256];
    struct rm_err err = {""};
    snprintf(endpoint, sizeof(endpoint), "ipc://%s/%0120d", w->base, 7);
    w->listen[0] = endpoint;
    assert_int_equal(net_listen(&w->conf, &w->server, &err), -ENAMETOOLONG);
}

/* ---- tcp without keys */

static void a_loopback_peer_without_keys_is_the_admin_local(void **state)
{
    struct world *w = *state;
    char *const endpoints[] = {"tcp://127.0.0.1:0", "tcp://localhost:*"};
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        w->listen[0] = endpoints[i];
        serve(w);
        const char *bound = net_endpoint(w->server, 0);
        assert_int_equal(strncmp(bound, "tcp://127.0.0.1:", 16), 0);
        assert_true(atoi(bound + 16) > 0);
        char named[64];
        snprintf(named, sizeof(named), "tcp://localhost:%s", bound + 16);
        w->client = connect_to(i == 0 ? bound : named, NULL, NULL);
        struct net_peer peer = converse(w->client, w->server);
        assert_string_equal(peer.user, "local");
        assert_string_equal(peer.address, "127.0.0.1");
        assert_int_equal(peer.role, ROLE_ADMIN);
        assert_null(net_peer_hosts(w->server, &peer));
        net_free(w->client);
        net_free(w->server);
        w->client = w->server = NULL;
    }
}

static void tcp_over_ipv6_works_where_the_machine_has_it(void **state)
{
    struct world *w = *state;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    if (fd >= 0)
        close(fd);
    if (!has)
        skip();
    w->listen[0] = "tcp://[::1]:*";
    w->listen[1] = "tcp://127.0.0.1:*";
    w->conf.n_listen = 2;
    serve(w);
    w->client = connect_to(net_endpoint(w->server, 0), NULL, NULL);
    assert_string_equal(converse(w->client, w->server).address, "::1");
    net_free(w->client);
    w->client = connect_to(net_endpoint(w->server, 1), NULL, NULL);
    assert_string_equal(converse(w->client, w->server).address, "127.0.0.1");
}

static void tcp_beyond_loopback_needs_keys(void **state)
{
    struct world *w = *state;
    char *const endpoints[] = {"tcp://*:*",
                               "tcp://0.0.0.0:*",
                               "tcp://[::]:*",
                               "tcp://128.0.0.1:9749",
                               "tcp://127.evil.net:1",
                               "tcp://lo:*",
                               "tcp://:9749",
                               "tcp://127.0.0.1",
                               "tcp://"};
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        struct rm_err err = {""};
        w->listen[0] = endpoints[i];
        assert_int_equal(net_listen(&w->conf, &w->server, &err), -EPERM);
        assert_non_null(strstr(err.text, "key_file"));
    }
}

static void an_endpoint_of_another_kind_is_an_error(void **state)
{
    struct world *w = *state;
    struct rm_err err = {""};
    char *const endpoints[] = {"", "udp://127.0.0.1:1", "inproc://x", "/run/broker", "TCP://x:1"};
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        w->listen[0] = endpoints[i];
        assert_int_equal(net_listen(&w->conf, &w->server, &err), -EINVAL);
        assert_int_equal(net_connect(endpoints[i], NULL, NULL, &w->client, &err), -EINVAL);
    }
    char longer[2000] = "ipc:///";
    memset(longer + 7, 'x', sizeof(longer) - 8);
    w->listen[0] = longer;
    assert_int_equal(net_listen(&w->conf, &w->server, &err), -EINVAL);
    assert_int_equal(net_connect(longer, NULL, NULL, &w->client, &err), -EINVAL);
}

static void an_address_in_use_is_an_error_that_names_it(void **state)
{
    struct world *w = *state;
    struct net *second = NULL;
    struct rm_err err = {""};
    char taken[64];
    w->listen[0] = "tcp://127.0.0.1:*";
    serve(w);
    snprintf(taken, sizeof(taken), "%s", net_endpoint(w->server, 0));
    w->listen[0] = taken;
    assert_int_equal(net_listen(&w->conf, &second, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, taken));
}

/* ---- keys */

static void a_known_key_is_known_by_its_name_role_and_hosts(void **state)
{
    struct world *w = *state;
    with_keys(w);
    serve(w);
    w->client = connect_to(net_endpoint(w->server, 1), &w->hyp, &w->broker);
    struct net_peer peer = converse(w->client, w->server);
    assert_string_equal(peer.user, "hyp");
    assert_string_equal(peer.address, "127.0.0.1");
    assert_int_equal(peer.role, ROLE_WORKER);
    char *const *hosts = net_peer_hosts(w->server, &peer);
    assert_string_equal(hosts[0], "hyp01");
    assert_string_equal(hosts[1], "hyp02");
    assert_null(hosts[2]);
    net_free(w->client);
    w->client = connect_to(net_endpoint(w->server, 1), &w->alice, &w->broker);
    peer = converse(w->client, w->server);
    assert_string_equal(peer.user, "alice");
    assert_int_equal(peer.role, ROLE_OPERATOR);
    assert_null(net_peer_hosts(w->server, &peer)[0]); /* speaks for no host */
    assert_int_equal(net_refusal(w->server)->count, 0);
}

static void the_local_socket_needs_no_key_beside_tcp_with_keys(void **state)
{
    struct world *w = *state;
    struct net_peer far, near;
    with_keys(w);
    serve(w);
    /* the settings of a client may name keys for all that: a local socket does without */
    w->client = connect_to(w->ipc, &w->stranger, &w->broker);
    struct net *other = connect_to(net_endpoint(w->server, 1), &w->alice, &w->broker);
    near = converse(w->client, w->server);
    far = converse(other, w->server);
    assert_string_equal(near.user, own_name());
    assert_string_equal(far.user, "alice");
    assert_int_not_equal(near.socket, far.socket);
    /* each answer finds its way */
    assert_int_equal(say(w->server, &near, "to near"), 0);
    assert_int_equal(say(w->server, &far, "to far"), 0);
    expect(other, w->server, NULL, "to far");
    expect(w->client, w->server, NULL, "to near");
    /* an id belongs to its socket */
    near.socket = far.socket;
    assert_int_equal(say(w->server, &near, "astray"), -EHOSTUNREACH);
    near.socket = 7;
    assert_int_equal(say(w->server, &near, "astray"), -EINVAL);
    net_free(other);
}

static void a_key_that_is_not_in_the_list_is_refused_and_the_client_is_told(void **state)
{
    struct world *w = *state;
    with_keys(w);
    serve(w);
    w->client = connect_to(net_endpoint(w->server, 1), &w->stranger, &w->broker);
    assert_int_equal(net_state(w->client), NET_CONNECTING);
    assert_int_equal(say(w->client, NULL, "let me in"), 0);
    until(w->client, w->server, NET_REFUSED_KEY);
    silence(w->server, w->client);
    assert_int_equal(net_refusal(w->server)->count, 1); /* it rests before it tries again */
    assert_string_equal(net_refusal(w->server)->public_key, w->stranger.public_key);
    assert_string_equal(net_refusal(w->server)->address, "127.0.0.1");
    assert_int_equal(say(w->client, NULL, "let me in"), -EAGAIN);
    struct net_frame frame;
    assert_int_equal(net_recv(w->client, NULL, &frame), -EAGAIN);
}

static void a_refused_client_gets_in_once_its_key_is_known(void **state)
{
    struct world *w = *state;
    char endpoint[64];
    with_keys(w);
    w->conf.n_keys = 1;
    serve(w);
    snprintf(endpoint, sizeof(endpoint), "%s", net_endpoint(w->server, 1));
    w->client = connect_to(endpoint, &w->hyp, &w->broker);
    until(w->client, w->server, NET_REFUSED_KEY);
    net_free(w->server);
    w->listen[1] = endpoint;
    w->conf.n_keys = 2;
    serve(w);
    until(w->client, w->server, NET_CONNECTED); /* by itself, after 5 to 10 s */
    assert_string_equal(converse(w->client, w->server).user, "hyp");
}

static void a_client_without_keys_learns_that_the_broker_wants_them(void **state)
{
    struct world *w = *state;
    with_keys(w);
    serve(w);
    w->client = connect_to(net_endpoint(w->server, 1), NULL, NULL);
    assert_int_equal(say(w->client, NULL, "let me in"), 0);
    until(w->client, w->server, NET_NO_HANDSHAKE);
    silence(w->server, w->client);
}

static void a_client_with_the_wrong_server_key_learns_it(void **state)
{
    struct world *w = *state;
    with_keys(w);
    serve(w);
    w->client = connect_to(net_endpoint(w->server, 1), &w->alice, &w->stranger);
    assert_int_equal(say(w->client, NULL, "let me in"), 0);
    until(w->client, w->server, NET_NO_HANDSHAKE);
    silence(w->server, w->client);
    assert_int_equal(net_refusal(w->server)->count, 0); /* it never came as far as its own key */
}

static void a_client_with_keys_never_talks_to_a_broker_without(void **state)
{
    struct world *w = *state;
    with_keys(w);
    w->conf.key_file = NULL;
    serve(w);
    w->client = connect_to(net_endpoint(w->server, 1), &w->alice, &w->broker);
    assert_int_equal(say(w->client, NULL, "secret"), 0);
    until(w->client, w->server, NET_NO_HANDSHAKE);
    silence(w->server, w->client);
}

static void many_peers_with_keys_are_let_in_within_the_loop(void **state)
{
    struct world *w = *state;
    struct net *clients[CLIENTS];
    bool heard[CLIENTS] = {false};
    with_keys(w);
    serve(w);
    for (size_t i = 0; i < CLIENTS; i++) {
        uint8_t number = (uint8_t)i;
        clients[i] =
            connect_to(net_endpoint(w->server, 1), i % 2 ? &w->hyp : &w->alice, &w->broker);
        assert_int_equal(net_send(clients[i], NULL, &number, 1), 0);
    }
    for (size_t n = 0; n < CLIENTS; n++) {
        char text[8];
        struct net_peer peer;
        assert_true(hear_for(w->server, NULL, &peer, text, sizeof(text), PATIENCE));
        size_t i = (uint8_t)text[0];
        assert_true(i < CLIENTS && !heard[i]);
        heard[i] = true;
        assert_string_equal(peer.user, i % 2 ? "hyp" : "alice");
    }
    for (size_t i = 0; i < CLIENTS; i++)
        net_free(clients[i]);
}

static void zap_is_served_while_frames_pour_in(void **state)
{
    struct world *w = *state;
    struct net_peer peer;
    struct net_frame frame;
    with_keys(w);
    serve(w);
    w->client = connect_to(w->ipc, NULL, NULL);
    struct net *late = connect_to(net_endpoint(w->server, 1), &w->alice, &w->broker);
    assert_int_equal(say(late, NULL, "late"), 0);
    bool heard = false;
    usec_t end_at = env_now(env_system()) + PATIENCE;
    while (!heard &&
           env_now(env_system()) < end_at) { /* net_wait() of the server is never called */
        say(w->client, NULL, "busy");
        if (net_recv(w->server, &peer, &frame) < 0)
            continue;
        heard = frame.length == 4 && memcmp(frame.data, "late", 4) == 0;
        net_frame_free(&frame);
    }
    assert_true(heard);
    net_free(late);
}

static void a_list_with_the_same_key_twice_or_none_is_an_error(void **state)
{
    struct world *w = *state;
    struct rm_err err = {""};
    with_keys(w);
    memcpy(w->keys[1].public_key, w->alice.public_key, CONF_Z85_LEN + 1);
    assert_int_equal(net_listen(&w->conf, &w->server, &err), -EINVAL);
    assert_non_null(strstr(err.text, "alice"));
    assert_non_null(strstr(err.text, "hyp"));
    memset(w->keys[1].public_key, ' ', CONF_Z85_LEN);
    assert_int_equal(net_listen(&w->conf, &w->server, &err), -EINVAL);
    w->keys[1].public_key[0] = '\0';
    assert_int_equal(net_listen(&w->conf, &w->server, &err), -EINVAL);
    assert_null(w->server);
}

static void key_and_server_key_go_together(void **state)
{
    struct world *w = *state;
    struct rm_err err = {""};
    with_keys(w);
    assert_int_equal(net_connect("tcp://127.0.0.1:1", w->alice.file, NULL, &w->client, &err),
                     -EINVAL);
    assert_int_equal(net_connect("tcp://127.0.0.1:1", NULL, w->broker.public_key, &w->client, &err),
                     -EINVAL);
    assert_int_equal(net_connect("tcp://127.0.0.1:1", w->alice.file, "short", &w->client, &err),
                     -EINVAL);
    assert_int_equal(
        net_connect("tcp://127.0.0.1:1", "/no/such/key", w->broker.public_key, &w->client, &err),
        -ENOENT);
    assert_non_null(strstr(err.text, "/no/such/key"));
    w->conf.key_file = "/no/such/key";
    assert_int_equal(net_listen(&w->conf, &w->server, &err), -ENOENT);
}

/* ---- key files */

static void a_key_file_is_written_once_and_for_its_owner(void **state)
{
    struct world *w = *state;
    char public_key[CONF_Z85_LEN + 1], secret_key[CONF_Z85_LEN + 1], derived[CONF_Z85_LEN + 1];
    struct rm_err err = {""};
    struct stat st;
    mode_t before = umask(0);
    make_pair(w, &w->alice, "alice");
    umask(before);
    assert_int_equal(stat(w->alice.file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(net_key_read(w->alice.file, public_key, secret_key, &err), 0);
    assert_string_equal(public_key, w->alice.public_key);
    assert_string_equal(secret_key, w->alice.secret_key);
    assert_string_not_equal(public_key, secret_key);
    assert_int_equal(net_key_public(secret_key, derived), 0);
    assert_string_equal(derived, public_key);
    assert_int_equal(net_key_write(w->alice.file, public_key, secret_key, NULL, &err), -EEXIST);
    assert_int_equal(net_key_write("/no/such/place", public_key, secret_key, NULL, &err), -ENOENT);
    assert_int_equal(net_key_write(w->path, "short", secret_key, NULL, &err), -EINVAL);
    /* beside the program */
    char here[1024];
    assert_non_null(getcwd(here, sizeof(here)));
    assert_int_equal(chdir(w->base), 0);
    int r = net_key_write("own.key", public_key, secret_key, NULL, &err);
    assert_int_equal(chdir(here), 0);
    assert_int_equal(r, 0);
    make_pair(w, &w->stranger, "stranger");
    assert_string_not_equal(w->stranger.public_key, w->alice.public_key);
}

static void read_refused(const char *path, int code)
{
    char public_key[CONF_Z85_LEN + 1] = "untouched", secret_key[CONF_Z85_LEN + 1] = "untouched";
    struct rm_err err = {""};
    assert_int_equal(net_key_read(path, public_key, secret_key, &err), code);
    assert_non_null(strstr(err.text, path));
    assert_string_equal(public_key, "untouched");
    assert_string_equal(secret_key, "untouched");
}

static void a_key_file_that_others_may_read_or_own_is_refused(void **state)
{
    struct world *w = *state;
    make_pair(w, &w->alice, "alice");
    const mode_t modes[] = {0640, 0604, 0660, 0610, 0601, 0602};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        assert_int_equal(chmod(w->alice.file, modes[i]), 0);
        read_refused(w->alice.file, -EPERM);
    }
    assert_int_equal(chmod(w->alice.file, 0600), 0);
    read_refused(w->base, -EINVAL);
    read_refused("/no/such/key", -ENOENT);
    if (geteuid() == 0) {
        assert_int_equal(chown(w->alice.file, 65534, 65534), 0);
        read_refused(w->alice.file, -EPERM);
    }
}

/* Reads the key in a process of another user; the text of what went wrong, or "" if nothing did. */
static void read_as(uid_t uid, const char *path, char ret_text[static RM_ERR_MAX])
{
    int pipe_fds[2], status;
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char public_key[CONF_Z85_LEN + 1], secret_key[CONF_Z85_LEN + 1];
        struct rm_err err = {""};
        if (setgid(uid) < 0 || setuid(uid) < 0)
            _exit(1);
        net_key_read(path, public_key, secret_key, &err);
        size_t length = strlen(err.text);
        _exit(write(pipe_fds[1], err.text, length) == (ssize_t)length ? 0 : 1);
    }
    close(pipe_fds[1]);
    ssize_t n = read(pipe_fds[0], ret_text, RM_ERR_MAX - 1);
    close(pipe_fds[0]);
    assert_true(n >= 0);
    ret_text[n] = '\0';
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void a_key_that_root_makes_is_given_to_the_user_who_needs_it(void **state)
{
    enum { SOMEBODY = 65000 }; /* a user without a name */
    struct world *w = *state;
    char text[RM_ERR_MAX], wanted[RM_ERR_MAX];
    struct rm_err err = {""};
    struct stat st;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(w->base, 0755), 0);
    make_pair(w, &w->alice, "alice");
    read_as(SOMEBODY, w->alice.file, text);
    snprintf(wanted, sizeof(wanted),
             "%s: Permission denied: it belongs to uid 0, and this program runs as 65000; chown "
             "65000 %s",
             w->alice.file, w->alice.file);
    assert_string_equal(text, wanted);
    /* The group of the broker's user is that of the local socket too. */
    assert_int_equal(chown(w->alice.file, 0, SOMEBODY), 0);
    assert_int_equal(chmod(w->alice.file, 0640), 0);
    read_as(SOMEBODY, w->alice.file, text);
    snprintf(wanted, sizeof(wanted),
             "%s: others may read or change it (mode 0640); chown 65000 %s && chmod 600 %s",
             w->alice.file, w->alice.file, w->alice.file);
    assert_string_equal(text, wanted);
    assert_int_equal(unlink(w->alice.file), 0);
    const struct passwd owner = {.pw_uid = SOMEBODY, .pw_gid = SOMEBODY};
    assert_int_equal(
        net_key_write(w->alice.file, w->alice.public_key, w->alice.secret_key, &owner, &err), 0);
    assert_int_equal(stat(w->alice.file, &st), 0);
    assert_int_equal(st.st_uid, SOMEBODY);
    assert_int_equal(st.st_mode & 07777, 0600);
    read_as(SOMEBODY, w->alice.file, text);
    assert_string_equal(text, "");
}

static void a_key_file_without_a_pair_is_refused(void **state)
{
    struct world *w = *state;
    char path[128], text[512];
    make_pair(w, &w->alice, "alice");
    make_pair(w, &w->stranger, "stranger");
    const struct {
        const char *public_key, *secret_key, *format;
    } cases[] = {
        {"", "", "%s%s"},
        {"", "", "public = \"%s\";\nsecret = \"%s\";\n"},
        {"", "", "public = 1; secret = 2;\n"},
        {w->alice.public_key, "", "public = \"%s\";\n%s"},
        {w->alice.public_key, w->alice.secret_key, "public = \"%s\nsecret = \"%s\";\n"},
        {w->stranger.public_key, w->alice.secret_key, "public = \"%s\";\nsecret = \"%s\";\n"},
        {w->alice.secret_key, w->alice.public_key, "public = \"%s\";\nsecret = \"%s\";\n"},
        {w->alice.public_key, w->alice.secret_key + 1, "public = \"%s\";\nsecret = \"%s\";\n"},
        {w->alice.public_key, w->alice.secret_key + 1, "public = \"%s\";\nsecret = \" %s\";\n"},
    };
    snprintf(path, sizeof(path), "%s/bad.key", w->base);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        int n =
            snprintf(text, sizeof(text), cases[i].format, cases[i].public_key, cases[i].secret_key);
#pragma GCC diagnostic pop
        assert_int_equal(write(fd, text, (size_t)n), n);
        close(fd);
        read_refused(path, -EINVAL);
    }
    assert_int_equal(truncate(path, 100000), 0);
    read_refused(path, -EINVAL);
}

/* ---- connections that come and go */

static void a_frame_that_is_sent_before_the_broker_is_there_arrives(void **state)
{
    struct world *w = *state;
    struct net_peer peer;
    w->client = connect_to(w->ipc, NULL, NULL);
    assert_int_equal(say(w->client, NULL, "early"), 0);
    turn(w->client);
    assert_int_equal(net_state(w->client), NET_CONNECTING);
    serve(w);
    expect(w->server, w->client, &peer, "early");
}

static void what_is_kept_for_a_broker_that_is_away_has_a_bound(void **state)
{
    struct world *w = *state;
    int r = 0, n = 0;
    w->client = connect_to(w->ipc, NULL, NULL);
    while (n < 2 * NET_OFFLINE_MAX && (r = say(w->client, NULL, "early")) == 0)
        n++;
    assert_int_equal(r, -EAGAIN);
    assert_true(n >= 1 && n <= NET_OFFLINE_MAX);
}

static void a_client_finds_a_broker_that_was_started_again(void **state)
{
    struct world *w = *state;
    char endpoint[64];
    w->listen[0] = "tcp://127.0.0.1:*";
    serve(w);
    snprintf(endpoint, sizeof(endpoint), "%s", net_endpoint(w->server, 0));
    w->client = connect_to(endpoint, NULL, NULL);
    converse(w->client, w->server);
    net_free(w->server);
    w->server = NULL;
    until(w->client, NULL, NET_CONNECTING);
    w->listen[0] = endpoint;
    serve(w);
    until(w->client, w->server, NET_CONNECTED);
    converse(w->client, w->server);
}

static void sending_to_a_peer_that_is_gone_says_so(void **state)
{
    struct world *w = *state;
    serve(w);
    w->client = connect_to(w->ipc, NULL, NULL);
    struct net_peer peer = converse(w->client, w->server);
    net_free(w->client);
    w->client = NULL;
    usec_t end_at = env_now(env_system()) + PATIENCE;
    int r;
    /* Until that is noticed, what is said fills its queue. */
    while (((r = say(w->server, &peer, "anybody there")) == 0 || r == -EAGAIN) &&
           env_now(env_system()) < end_at)
        turn(w->server);
    assert_int_equal(r, -EHOSTUNREACH);
    struct net_peer never = {.route = {0, 1, 2, 3, 4}, .route_length = 5};
    assert_int_equal(say(w->server, &never, "anybody there"), -EHOSTUNREACH);
    never.route_length = NET_ROUTE_MAX + 1;
    assert_int_equal(say(w->server, &never, "anybody there"), -EINVAL);
    never.route_length = 5;
    never.socket = 1; /* there is no tcp socket */
    assert_int_equal(say(w->server, &never, "anybody there"), -EHOSTUNREACH);
    assert_int_equal(say(w->server, NULL, "anybody there"), -EINVAL);
}

static void a_peer_that_does_not_read_has_a_bounded_queue(void **state)
{
    struct world *w = *state;
    static uint8_t frame[2048];
    serve(w);
    w->client = connect_to(w->ipc, NULL, NULL);
    struct net_peer peer = converse(w->client, w->server);
    int r = 0, n = 0;
    while (n < 100 * NET_PEER_MAX && (r = net_send(w->server, &peer, frame, sizeof(frame))) == 0)
        n++;
    assert_int_equal(r, -EAGAIN);
    assert_true(n >= NET_PEER_MAX / 2);
    /* others are served meanwhile */
    struct net *other = connect_to(w->ipc, NULL, NULL);
    converse(other, w->server);
    net_free(other);
}

static void after_net_reconnect_nothing_sent_before_is_answered(void **state)
{
    struct world *w = *state;
    struct net_peer before, after;
    struct rm_err err = {""};
    serve(w);
    w->client = connect_to(w->ipc, NULL, NULL);
    before = converse(w->client, w->server);
    assert_int_equal(say(w->client, NULL, "old question"), 0);
    expect(w->server, w->client, &before, "old question");
    assert_int_equal(net_reconnect(w->client, &err), 0);
    assert_int_equal(net_state(w->client), NET_CONNECTING);
    say(w->server, &before, "old answer");
    after = converse(w->client, w->server); /* reads "answer", so the old one did not come */
    assert_memory_not_equal(before.route, after.route, after.route_length);
    silence(w->client, w->server);
    assert_int_equal(net_reconnect(w->server, &err), -EINVAL);
    for (int i = 0; i < 20; i++)
        assert_int_equal(net_reconnect(w->client, &err), 0);
    converse(w->client, w->server);
}

/* ---- frames */

static void large_and_empty_frames_pass_and_too_large_ones_do_not(void **state)
{
    struct world *w = *state;
    struct net_peer peer;
    struct net_frame frame;
    serve(w);
    w->client = connect_to(w->ipc, NULL, NULL);
    converse(w->client, w->server);
    uint8_t *bytes = malloc((size_t)MSG_MAX + 1);
    memset(bytes, 'x', (size_t)MSG_MAX + 1);
    assert_int_equal(net_send(w->client, NULL, bytes, (size_t)MSG_MAX + 1), -EMSGSIZE);
    assert_int_equal(net_send(w->client, NULL, bytes, MSG_MAX), 0);
    assert_int_equal(net_send(w->client, NULL, NULL, 0), 0);
    usec_t end_at = env_now(env_system()) + PATIENCE;
    int r;
    while ((r = net_recv(w->server, &peer, &frame)) == -EAGAIN && env_now(env_system()) < end_at)
        turn(w->server);
    assert_int_equal(r, 0);
    assert_int_equal(frame.length, MSG_MAX);
    assert_memory_equal(frame.data, bytes, MSG_MAX);
    net_frame_free(&frame);
    net_frame_free(&frame); /* twice is fine */
    expect(w->server, w->client, &peer, "");
    free(bytes);
}

static void frames_of_one_peer_keep_their_order(void **state)
{
    struct world *w = *state;
    struct net_peer peer;
    serve(w);
    w->client = connect_to(w->ipc, NULL, NULL);
    for (int i = 0; i < 300; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(say(w->client, NULL, text), 0);
    }
    for (int i = 0; i < 300; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        expect(w->server, w->client, &peer, text);
    }
}

/* ---- a peer that does not use ZeroMQ: ZMTP 3.0 by hand */

struct property {
    const char *name;
    const char *value;
    size_t length; /* 0 = a text */
};

static const uint8_t greeting[64] = {0xff, [9] = 0x7f, [10] = 3, [12] = 'N', 'U', 'L', 'L'};

static int raw_open(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* What a peer says first: its greeting, and the command READY with these properties. */
static size_t raw_handshake(uint8_t bytes[static 512], const struct property *properties, size_t n)
{
    uint8_t *ready = bytes + sizeof(greeting);
    size_t length = 2;
    memcpy(bytes, greeting, sizeof(greeting));
    memcpy(ready + length, "\5READY", 6);
    length += 6;
    for (size_t i = 0; i < n; i++) {
        size_t name = strlen(properties[i].name);
        size_t value = properties[i].length ? properties[i].length : strlen(properties[i].value);
        ready[length++] = (uint8_t)name;
        memcpy(ready + length, properties[i].name, name);
        length += name;
        memcpy(ready + length, (uint8_t[]){0, 0, 0, (uint8_t)value}, 4);
        length += 4;
        memcpy(ready + length, properties[i].value, value);
        length += value;
    }
    ready[0] = 4; /* a command */
    ready[1] = (uint8_t)(length - 2);
    return sizeof(greeting) + length;
}

static int raw_connect(const char *path, const struct property *properties, size_t n)
{
    uint8_t bytes[512];
    size_t length = raw_handshake(bytes, properties, n);
    int fd = raw_open(path);
    assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), length);
    /* the other side's greeting and READY, so that it knows this one's */
    uint8_t heard[1024];
    size_t got = 0;
    while (memmem(heard, got, "READY", 5) == NULL) {
        ssize_t r = recv(fd, heard + got, sizeof(heard) - got, 0);
        assert_true(r > 0);
        got += (size_t)r;
    }
    return fd;
}

static void raw_send(int fd, const char *bytes, size_t length)
{
    assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), length);
}

static void a_peer_cannot_say_itself_who_it_is(void **state)
{
    struct world *w = *state;
    struct net_peer peer;
    char address[64];
    const struct property lies[] = {
        {"Socket-Type", "DEALER", 0},
        {"User-Id", "alice", 0},
        {"Peer-Address", "localhost:12345:1:1", 0},
    };
    with_keys(w);
    w->names[0] = (char *)own_name();
    w->conf.viewers = w->names;
    w->conf.n_viewers = 1;
    serve(w);
    int fd = raw_connect(w->path, lies, sizeof(lies) / sizeof(lies[0]));
    raw_send(fd, "\0\4true", 6);
    expect(w->server, NULL, &peer, "true");
    snprintf(address, sizeof(address), "pid %d uid %u", (int)getpid(), (unsigned)geteuid());
    assert_string_equal(peer.user, own_name());
    assert_string_equal(peer.address, address);
    assert_int_equal(peer.role, ROLE_VIEWER);
    assert_int_equal(peer.key, 0);
    close(fd);
}

/* Waits until the connection is closed at the other end, and closes it. */
static void expect_closed(struct world *w, int fd)
{
    usec_t end_at = env_now(env_system()) + PATIENCE;
    uint8_t heard[256];
    for (;;) {
        ssize_t n = recv(fd, heard, sizeof(heard), MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
        assert_true(env_now(env_system()) < end_at);
        if (n < 0)
            turn(w->server);
    }
    close(fd);
}

/* Says it in pieces of that size, and waits until the connection is closed. */
static void expect_refused(struct world *w, const uint8_t *bytes, size_t length, size_t piece)
{
    uint64_t before = net_crowd().foul;
    int fd = raw_open(w->path);
    for (size_t i = 0; i < length; i += piece)
        if (send(fd, bytes + i, length - i < piece ? length - i : piece, MSG_NOSIGNAL) < 0)
            break; /* enough was said */
    expect_closed(w, fd);
    assert_int_equal(net_crowd().foul, before + 1);
}

static void a_peer_that_names_a_routing_id_is_refused(void **state)
{
    struct world *w = *state;
    struct net_peer peer;
    const struct property type = {"Socket-Type", "DEALER", 0},
                          chosen[] = {
                              {"Identity", "alice", 0},
                              {"Identity", "a", 0},
                              {"Identity", "\0\1\2\3\4", 5},
                              {"Identity",
                               "a very long routing id, longer than any that ZeroMQ makes", 0},
                          };
    uint8_t bytes[512];
    serve(w);
    for (size_t i = 0; i < sizeof(chosen) / sizeof(chosen[0]); i++) {
        const struct property named[][2] = {{type, chosen[i]}, {chosen[i], type}};
        for (size_t k = 0; k < 2; k++) {
            size_t length = raw_handshake(bytes, named[k], 2);
            expect_refused(w, bytes, length, length);
            expect_refused(w, bytes, length, 1);
        }
    }
    const struct property none[] = {type, {"Identity", "", 0}};
    int fd = raw_connect(w->path, none, 2); /* as libzmq says that it names none */
    raw_send(fd, "\0\4mine", 6);
    expect(w->server, NULL, &peer, "mine");
    close(fd);
}

static void a_peer_of_an_older_protocol_is_refused(void **state)
{
    struct world *w = *state;
    struct {
        size_t at;
        uint8_t value;
    } changes[] = {
        {0, 0x01},                     /* ZMTP 1.0: the length of an id */
        {9, 0x7e},                     /* the same, of a long one */
        {10, 1},                       /* ZMTP 2.0 */
        {sizeof(greeting), 0x00},      /* READY as a message */
        {sizeof(greeting), 0x04 | 0x2} /* as a long command */
    };
    const struct property type = {"Socket-Type", "DEALER", 0};
    uint8_t bytes[512];
    serve(w);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        size_t length = raw_handshake(bytes, &type, 1);
        bytes[changes[i].at] = changes[i].value;
        expect_refused(w, bytes, length, length);
        expect_refused(w, bytes, length, 1);
    }
}

/* An id that libzmq comes to while somebody has it ends the program (router.cpp). */
static void a_routing_id_that_is_the_next_ones_does_no_harm(void **state)
{
    struct world *w = *state;
    struct net_peer peer;
    const struct property type = {"Socket-Type", "DEALER", 0};
    uint8_t bytes[512];
    serve(w);
    int first = raw_connect(w->path, &type, 1), others[4];
    raw_send(first, "\0\4mine", 6);
    expect(w->server, NULL, &peer, "mine");
    for (uint8_t i = 1; i < 4; i++) {
        char next[5];
        memcpy(next, peer.route, sizeof(next));
        next[4] = (char)(next[4] + i); /* not right once in a hundred times, which does no harm */
        const struct property named[] = {type, {"Identity", next, sizeof(next)}};
        expect_refused(w, bytes, raw_handshake(bytes, named, 2), sizeof(bytes));
    }
    for (size_t i = 0; i < 4; i++) {
        others[i] = raw_connect(w->path, &type, 1);
        raw_send(others[i], "\0\4mine", 6);
        expect(w->server, NULL, &peer, "mine");
    }
    for (size_t i = 0; i < 4; i++)
        close(others[i]);
    close(first);
}

/* A peer of its own, with alice's key. */
static void *dealer_with_key(struct world *w, void **ret_context)
{
    void *dealer = zmq_socket(*ret_context = zmq_ctx_new(), ZMQ_DEALER);
    const char *const texts[] = {w->alice.public_key, w->alice.secret_key, w->broker.public_key};
    const int options[] = {ZMQ_CURVE_PUBLICKEY, ZMQ_CURVE_SECRETKEY, ZMQ_CURVE_SERVERKEY};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(zmq_setsockopt(dealer, options[i], texts[i], CONF_Z85_LEN), 0);
    assert_int_equal(zmq_setsockopt(dealer, ZMQ_LINGER, &(int){0}, sizeof(int)), 0);
    return dealer;
}

static void a_peer_with_a_key_that_names_a_routing_id_is_refused(void **state)
{
    struct world *w = *state;
    with_keys(w);
    serve(w);
    for (int names = 0; names < 2; names++) {
        uint64_t before = net_crowd().foul;
        void *context, *dealer = dealer_with_key(w, &context);
        if (names)
            assert_int_equal(zmq_setsockopt(dealer, ZMQ_ROUTING_ID, "mine", 4), 0);
        assert_int_equal(zmq_connect(dealer, net_endpoint(w->server, 1)), 0);
        assert_int_equal(zmq_send(dealer, "mine", 4, 0), 4);
        if (names) {
            usec_t end_at = env_now(env_system()) + PATIENCE;
            while (net_crowd().foul == before && env_now(env_system()) < end_at)
                turn(w->server);
            silence(w->server, NULL);
        } else {
            struct net_peer peer;
            expect(w->server, NULL, &peer, "mine");
            assert_string_equal(peer.user, "alice");
        }
        zmq_close(dealer);
        zmq_ctx_term(context);
        assert_true(names == (net_crowd().foul > before));
    }
}

/* Many connections of one owner do not have as much each as one may have; what is read is given back. */
static void peers_that_do_not_read_have_a_bound_together(void **state)
{
    enum { MANY = 24, LENGTH = 4 * 1024 * 1024, EACH = 16 };
    struct world *w = *state;
    const struct property type = {"Socket-Type", "DEALER", 0};
    uint8_t *large = calloc(1, LENGTH);
    struct net_peer peers[MANY];
    int fds[MANY];
    size_t sent = 0;
    serve(w);
    for (size_t i = 0; i < MANY; i++) {
        fds[i] = raw_connect(w->path, &type, 1);
        raw_send(fds[i], "\0\4mine", 6);
        expect(w->server, NULL, &peers[i], "mine");
        for (size_t k = 0; k < EACH; k++)
            sent += net_send(w->server, &peers[i], large, LENGTH) == 0 ? LENGTH : 0;
    }
    assert_true(sent >= NET_UNSENT_BYTES - LENGTH &&
                sent < NET_UNSENT_BYTES + LENGTH + MANY * 1024 * 1024);
    assert_int_equal(net_send(w->server, &peers[0], large, LENGTH), -EAGAIN);
    for (size_t i = 0; i < MANY; i++)
        close(fds[i]);
    int fd = raw_connect(w->path, &type, 1);
    raw_send(fd, "\0\4mine", 6);
    expect(w->server, NULL, &peers[0], "mine");
    usec_t end_at = env_now(env_system()) + PATIENCE;
    while (net_send(w->server, &peers[0], large, LENGTH) != 0 && env_now(env_system()) < end_at)
        turn(w->server);
    assert_true(env_now(env_system()) < end_at);
    close(fd);
    free(large);
}

/* The first routing id that a broker in a new process gives. */
static void first_route(struct world *w, struct net_peer *ret_peer)
{
    const struct property type[] = {{"Socket-Type", "DEALER", 0}};
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        serve(w);
        int fd = raw_connect(w->path, type, 1);
        raw_send(fd, "\0\4mine", 6);
        expect(w->server, NULL, ret_peer, "mine");
        _exit(write(ends[1], ret_peer, sizeof(*ret_peer)) == sizeof(*ret_peer) ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], ret_peer, sizeof(*ret_peer)), sizeof(*ret_peer));
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ZeroMQ counts routing ids on from a number of the C library's rand(). Unseeded, two processes
 * give the same ones, and a peer that claims the next id brings the broker down. */
static void routing_ids_cannot_be_foreseen(void **state)
{
    struct world *w = *state;
    struct net_peer one = {0}, two = {0};
    first_route(w, &one);
    first_route(w, &two);
    assert_true(one.route_length > 0 && one.route_length == two.route_length);
    assert_memory_not_equal(one.route, two.route, one.route_length);
}

/* What libzmq cannot take of a peer that it knows, as frames. */
static void a_peer_that_sends_what_libzmq_cannot_take_is_cut_off(void **state)
{
    struct world *w = *state;
    const struct property type = {"Socket-Type", "DEALER", 0};
    const struct {
        const char *bytes;
        size_t length;
    } foul[] = {
        {"\1\3one", 5},                                /* a part, of which more follow */
        {"\3\0\0\0\0\0\0\0\3one", 12},                 /* as a long frame */
        {"\4\5\4PING", 7},                             /* without its time to live */
        {"\4\6\4PING\0", 8},                           /* with half of it */
        {"\6\0\0\0\0\0\1\0\0", 9},                     /* a command of 64 KiB */
        {"\10\3one", 5},                               /* a flag that means nothing */
        {"\0\4good\4\7\4PING\0\0\0\4good\1\3bad", 26}, /* after what is sound */
    };
    uint8_t bytes[512];
    serve(w);
    for (size_t i = 0; i < sizeof(foul) / sizeof(foul[0]); i++) {
        size_t length = raw_handshake(bytes, &type, 1);
        memcpy(bytes + length, foul[i].bytes, foul[i].length);
        expect_refused(w, bytes, length + foul[i].length, sizeof(bytes));
        expect_refused(w, bytes, length + foul[i].length, 1);
    }
}

static void a_sound_heartbeat_and_frames_in_every_piece_pass(void **state)
{
    struct world *w = *state;
    struct net_peer peer;
    const struct property type = {"Socket-Type", "DEALER", 0};
    const char said[] = "\4\7\4PING\0\1\0\0\0\3one\2\0\0\0\0\0\0\0\3two\4\12\4PING\0\1abc\0\5three";
    serve(w);
    for (size_t piece = 1; piece < sizeof(said); piece++) {
        int fd = raw_connect(w->path, &type, 1);
        for (size_t i = 0; i < sizeof(said) - 1; i += piece)
            raw_send(fd, said + i, sizeof(said) - 1 - i < piece ? sizeof(said) - 1 - i : piece);
        for (int heard = 0; heard < 4; heard++) {
            const char *texts[] = {"", "one", "two", "three"};
            expect(w->server, NULL, &peer, texts[heard]);
        }
        close(fd);
    }
}

static void a_long_command_before_the_handshake_with_keys_is_cut_off(void **state)
{
    struct world *w = *state;
    uint8_t hello[64 + 9] = {0xff, [9] = 0x7f, [10] = 3, [12] = 'C', 'U', 'R',
                             'V',  'E',        [64] = 6, [71] = 4}; /* 1024 bytes and one */
    hello[72] = 1;
    with_keys(w);
    serve(w);
    uint64_t before = net_crowd().foul;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    address.sin_port = htons((uint16_t)atoi(strrchr(net_endpoint(w->server, 1), ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    raw_send(fd, (const char *)hello, sizeof(hello));

    expect_closed(w, fd);
    assert_int_equal(net_crowd().foul, before + 1);
}

/* Room that is promised to messages which never come to their end is bounded, and given back. */
static void messages_that_are_never_finished_have_a_bound(void **state)
{
    enum { MANY = 5 };
    struct world *w = *state;
    const struct property type = {"Socket-Type", "DEALER", 0};
    const char head[] = "\2\0\0\0\0\4\0\0\0x"; /* 64 MiB follow */
    int fds[MANY];
    struct net_peer peer;
    serve(w);
    for (size_t i = 0; i < MANY; i++) {
        fds[i] = raw_connect(w->path, &type, 1);
        raw_send(fds[i], head, sizeof(head) - 1);
    }
    for (int round = 0; round < 2; round++) {
        uint64_t before = net_crowd().heavy;
        usec_t end_at = env_now(env_system()) + PATIENCE;
        while (net_crowd().heavy == before && env_now(env_system()) < end_at) {
            int fd = raw_connect(w->path, &type, 1);
            raw_send(fd, head, sizeof(head) - 1);
            if (round == 0 || net_crowd().heavy > before)
                expect_closed(w, fd);
            else
                close(fd);
        }
        assert_true(net_crowd().heavy > before);
        int fd = raw_connect(w->path, &type, 1); /* the others are served */
        raw_send(fd, "\0\4mine", 6);
        expect(w->server, NULL, &peer, "mine");
        close(fd);
    }
    for (size_t i = 0; i < MANY; i++)
        close(fds[i]);
    w->client = connect_to(w->ipc, NULL, NULL);
    size_t length = 40 * 1024 * 1024;
    uint8_t *large = calloc(1, length);
    for (int i = 0; i < 3; i++) { /* whole ones give back what they took */
        struct net_frame frame;
        int r;
        assert_int_equal(net_send(w->client, NULL, large, length), 0);
        while ((r = net_recv(w->server, &peer, &frame)) == -EAGAIN) {
            turn(w->client);
            turn(w->server);
        }
        assert_int_equal(r, 0);
        assert_int_equal(frame.length, length);
        net_frame_free(&frame);
    }
    free(large);
}

static void a_peer_with_a_key_that_sends_parts_is_cut_off(void **state)
{
    struct world *w = *state;
    with_keys(w);
    serve(w);
    uint64_t before = net_crowd().foul;
    void *context, *dealer = dealer_with_key(w, &context);
    assert_int_equal(zmq_connect(dealer, net_endpoint(w->server, 1)), 0);
    assert_int_equal(zmq_send(dealer, "one", 3, ZMQ_SNDMORE), 3);
    assert_int_equal(zmq_send(dealer, "two", 3, 0), 3);
    usec_t end_at = env_now(env_system()) + PATIENCE;
    while (net_crowd().foul == before && env_now(env_system()) < end_at)
        turn(w->server);
    assert_true(net_crowd().foul > before);
    silence(w->server, NULL);
    zmq_close(dealer);
    zmq_ctx_term(context);
}

/* A heartbeat of its own among what is not read yet, or one that is due, must not be answered on a
 * connection that is gone: libzmq would end the program. */
static void a_peer_that_is_gone_with_much_unread_does_no_harm(void **state)
{
    enum { MANY = 2000 };
    struct world *w = *state;
    const struct property type[] = {{"Socket-Type", "DEALER", 0}};
    static char many[MANY * 3 + 10];
    struct net_peer peer;
    serve(w);
    int fd = raw_connect(w->path, type, 1);
    for (size_t i = 0; i < MANY; i++)
        memcpy(many + 3 * i, "\0\1x", 3);
    memcpy(many + sizeof(many) - 10, "\4\10\4PING\0\0x", 10);
    raw_send(fd, many, sizeof(many));
    close(fd);
    for (size_t i = 0; i < MANY; i++)
        expect(w->server, NULL, &peer, "x");
    w->client = connect_to(w->ipc, NULL, NULL);
    converse(w->client, w->server);
}

static void a_peer_that_sends_more_than_may_wait_is_disconnected(void **state)
{
    struct world *w = *state;
    const struct property type[] = {{"Socket-Type", "DEALER", 0}};
    static char many[3 * 1000];
    struct net_peer peer = {0};
    struct timeval patience = {.tv_sec = 10};
    serve(w);
    w->client = connect_to(w->ipc, NULL, NULL);
    converse(w->client, w->server);
    assert_false(net_dropped(w->server, &peer));
    int fd = raw_connect(w->path, type, 1);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    for (size_t at = 0; at < sizeof(many); at += 3)
        memcpy(many + at, "\0\1x", 3);
    /* The server does not read; still it takes no more than it may. */
    ssize_t r = 0, sent = 0;
    while (sent < 1000 * 1000 * 1000 && (r = send(fd, many, sizeof(many), MSG_NOSIGNAL)) > 0)
        sent += r;
    assert_true(r < 0 && (errno == EPIPE || errno == ECONNRESET));
    close(fd);
    assert_true(net_dropped(w->server, &peer));
    assert_string_equal(peer.user, own_name());
    assert_non_null(strstr(peer.address, "pid"));
    assert_false(net_dropped(w->server, &peer)); /* told once */
    converse(w->client, w->server);              /* nothing of it is left, others are served */
}

static void a_peer_that_announces_too_large_a_frame_is_cut_off(void **state)
{
    struct world *w = *state;
    const struct property type[] = {{"Socket-Type", "DEALER", 0}};
    char byte;
    serve(w);
    int fd = raw_connect(w->path, type, 1);
    raw_send(fd, "\2\0\0\0\0\4\0\0\1", 9); /* 64 MiB and one byte follow */
    struct timeval patience = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    ssize_t r;
    while ((r = recv(fd, &byte, 1, 0)) > 0)
        ;
    assert_true(r == 0 || errno == ECONNRESET);
    close(fd);
    /* and the broker lives */
    w->client = connect_to(w->ipc, NULL, NULL);
    converse(w->client, w->server);
}

static void a_broker_may_open_as_many_files_as_the_system_lets_it(void **state)
{
    struct world *w = *state;
    struct rlimit before, low, after;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = (struct rlimit){.rlim_cur = 64, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    serve(w);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(after.rlim_max, before.rlim_max);
    assert_true(after.rlim_cur == after.rlim_max || after.rlim_cur == 512 * 1024);
}

/* ---- a share of the connections */

enum { FEW_FILES = 400, FEW_CONNECTIONS = FEW_FILES - 64 };

/* A broker with few files; the limit of before, to be set again. */
static struct rlimit serve_few(struct world *w)
{
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){.rlim_cur = FEW_FILES, .rlim_max = FEW_FILES};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    serve(w);
    assert_int_equal(net_connections_max(w->server), FEW_CONNECTIONS);
    return before;
}

/* True: the broker let it in, and has said so with the first byte that it sends. */
static bool is_let_in(int fd)
{
    char byte;
    return recv(fd, &byte, 1, 0) == 1;
}

static int tcp_connect(const struct world *w)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    const char *endpoint = net_endpoint(w->server, 1);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    name.sin_port = htons((uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10));
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (const struct sockaddr *)&name, sizeof(name)), 0);
    return fd;
}

/* From now on accept4() of this process has no memory. */
static int accept_without_memory(void)
{
    struct sock_filter rows[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_accept4, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof(rows) / sizeof(rows[0]), .filter = rows};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
               ? -1
               : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

/* Of an error that it does not know libzmq says that it is a mistake, and ends the program. */
static void accept_that_finds_no_memory_is_a_connection_that_was_given_up(void **state)
{
    int status;
    (void)state;
    assert_int_equal(accept4(-1, NULL, NULL, 0), -1);
    assert_int_equal(errno, EBADF);
    pid_t pid = fork();
    if (pid == 0) {
        if (accept_without_memory() < 0)
            _exit(77);
        _exit(accept4(-1, NULL, NULL, 0) == -1 && errno == ECONNABORTED ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status == 77 << 8)
        skip(); /* no filters here */
    assert_int_equal(status, 0);
}

static void one_address_has_a_share_of_the_connections(void **state)
{
    enum { SHARE = FEW_CONNECTIONS * NET_SHARE_PERCENT / 100 };
    struct world *w = *state;
    int fds[SHARE], more = -1;
    with_keys(w);
    uint64_t refused = net_crowd().over_share;
    struct rlimit before = serve_few(w);
    for (size_t i = 0; i < SHARE; i++) {
        fds[i] = tcp_connect(w);
        assert_true(is_let_in(fds[i]));
    }
    more = tcp_connect(w);
    assert_false(is_let_in(more));
    close(more);
    assert_int_equal(net_crowd().over_share, refused + 1);
    assert_string_equal(net_crowd().who, "address 127.0.0.1");
    w->client = connect_to(w->ipc, NULL, NULL);
    converse(w->client, w->server); /* another user, whom that does not concern */
    close(fds[0]);
    while (more = tcp_connect(w), !is_let_in(more)) /* as soon as the broker has seen it */
        close(more);
    close(more);
    for (size_t i = 1; i < SHARE; i++)
        close(fds[i]);
    setrlimit(RLIMIT_NOFILE, &before);
}

/* Goes when told, as nobody; ends with 0 when it had its share and not one more. */
static struct visitor crowd_make(const struct world *w)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const struct passwd *nobody = getpwnam("nobody");
    size_t let_in = 0;
    struct visitor visitor;
    int ends[2];
    char byte;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    visitor.pid = fork();
    assert_true(visitor.pid >= 0);
    if (visitor.pid > 0) {
        close(ends[0]);
        visitor.go = ends[1];
        return visitor;
    }
    close(ends[1]);
    snprintf(name.sun_path, sizeof(name.sun_path), "%s", w->path);
    if (read(ends[0], &byte, 1) != 0 || setgroups(0, NULL) < 0 || setgid(nobody->pw_gid) < 0 ||
        setuid(nobody->pw_uid) < 0)
        _exit(3);
    for (size_t i = 0; i < FEW_CONNECTIONS; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&name, sizeof(name)) < 0)
            _exit(2);
        let_in += is_let_in(fd);
    }
    _exit(let_in == FEW_CONNECTIONS * NET_SHARE_PERCENT / 100 ? 0 : 1);
}

static void one_local_user_has_a_share_and_root_is_let_in(void **state)
{
    struct world *w = *state;
    struct rlimit before;
    if (!can_be_nobody())
        skip();
    struct visitor visitor = crowd_make(w);
    w->conf.socket_mode = 0666;
    before = serve_few(w);
    visitor_go(&visitor);
    visitor_ended(&visitor, 0);
    assert_non_null(strstr(net_crowd().who, "uid "));
    w->client = connect_to(w->ipc, NULL, NULL);
    converse(w->client, w->server);
    setrlimit(RLIMIT_NOFILE, &before);
}

/* ---- waiting */

static void net_wait_tells_which_descriptor_is_readable(void **state)
{
    struct world *w = *state;
    int quiet[2], loud[2];
    bool ready[2] = {true, false};
    serve(w);
    assert_int_equal(pipe(quiet), 0);
    assert_int_equal(pipe(loud), 0);
    assert_int_equal(write(loud[1], "x", 1), 1);
    const int fds[] = {quiet[0], loud[0]};
    assert_int_equal(net_wait(w->server, fds, 2, ready, USEC_NEVER), 0);
    assert_false(ready[0]);
    assert_true(ready[1]);
    close(quiet[1]); /* an end is something to be read */
    assert_int_equal(net_wait(w->server, fds, 2, ready, 0), 0);
    assert_true(ready[0]);
    close(quiet[0]);
    close(loud[0]);
    close(loud[1]);
    int many[NET_FDS_MAX + 1] = {0};
    bool all[NET_FDS_MAX + 1];
    assert_int_equal(net_wait(w->server, many, NET_FDS_MAX + 1, all, 0), -EINVAL);
}

static void net_wait_does_not_return_before_the_span_is_over(void **state)
{
    struct world *w = *state;
    const usec_t spans[] = {0, 1, 999, 1000, 1001, 20500};
    serve(w);
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
        usec_t begin_at = env_now(env_system());
        assert_int_equal(net_wait(w->server, NULL, 0, NULL, spans[i]), 0);
        assert_true(env_now(env_system()) - begin_at >= spans[i]);
    }
}

static void net_wait_returns_one_while_a_frame_is_there(void **state)
{
    struct world *w = *state;
    struct net_peer peer;
    serve(w);
    w->client = connect_to(w->ipc, NULL, NULL);
    assert_int_equal(say(w->client, NULL, "one"), 0);
    assert_int_equal(say(w->client, NULL, "two"), 0);
    usec_t end_at = env_now(env_system()) + PATIENCE;
    int r;
    while ((r = net_wait(w->server, NULL, 0, NULL, USEC_PER_SEC)) == 0 &&
           env_now(env_system()) < end_at)
        ;
    assert_int_equal(r, 1);
    expect(w->server, NULL, &peer, "one");
    assert_int_equal(net_wait(w->server, NULL, 0, NULL, PATIENCE), 1);
    expect(w->server, NULL, &peer, "two");
}

static void on_alarm(int number)
{
    (void)number;
}

static void a_signal_ends_net_wait(void **state)
{
    struct world *w = *state;
    struct sigaction action = {.sa_handler = on_alarm}, before;
    const struct itimerval soon = {.it_value = {.tv_usec = 50000}};
    serve(w);
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    int r;
    while ((r = net_wait(w->server, NULL, 0, NULL, PATIENCE)) == 0)
        ;
    sigaction(SIGALRM, &before, NULL);
    assert_int_equal(r, -EINTR);
}

static void every_state_of_a_connection_has_its_words(void **state)
{
    (void)state;
    for (int s = NET_CONNECTING; s <= NET_DENIED; s++) {
        assert_string_not_equal(net_state_text((enum net_state)s), "?");
        for (int t = NET_CONNECTING; t < s; t++)
            assert_string_not_equal(net_state_text((enum net_state)s),
                                    net_state_text((enum net_state)t));
    }
    assert_string_equal(net_state_text((enum net_state)99), "?");
    net_free(NULL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_local_peer_is_the_user_that_the_kernel_names),
        TEST(local_users_have_the_role_of_the_settings),
        TEST(what_the_kernel_says_is_read_from_its_end),
        TEST(another_local_user_is_seen_as_such),
        TEST(a_user_whom_the_mode_shuts_out_is_told_so),
        TEST(a_local_socket_without_a_file_is_for_the_own_user_and_root),
        TEST(the_directory_is_made_and_mode_and_group_are_set),
        TEST(a_group_that_nobody_knows_is_an_error),
        TEST(a_stale_socket_is_replaced_and_a_live_one_is_not),
        TEST(a_file_in_the_place_of_the_socket_is_never_replaced),
        TEST(a_path_that_is_too_long_for_a_local_socket_is_an_error),
        TEST(a_loopback_peer_without_keys_is_the_admin_local),
        TEST(tcp_over_ipv6_works_where_the_machine_has_it),
        TEST(tcp_beyond_loopback_needs_keys),
        TEST(an_endpoint_of_another_kind_is_an_error),
        TEST(an_address_in_use_is_an_error_that_names_it),
        TEST(a_known_key_is_known_by_its_name_role_and_hosts),
        TEST(the_local_socket_needs_no_key_beside_tcp_with_keys),
        TEST(a_key_that_is_not_in_the_list_is_refused_and_the_client_is_told),
        TEST(a_refused_client_gets_in_once_its_key_is_known),
        TEST(a_client_without_keys_learns_that_the_broker_wants_them),
        TEST(a_client_with_the_wrong_server_key_learns_it),
        TEST(a_client_with_keys_never_talks_to_a_broker_without),
        TEST(many_peers_with_keys_are_let_in_within_the_loop),
        TEST(zap_is_served_while_frames_pour_in),
        TEST(a_list_with_the_same_key_twice_or_none_is_an_error),
        TEST(key_and_server_key_go_together),
        TEST(a_key_file_is_written_once_and_for_its_owner),
        TEST(a_key_file_that_others_may_read_or_own_is_refused),
        TEST(a_key_that_root_makes_is_given_to_the_user_who_needs_it),
        TEST(a_key_file_without_a_pair_is_refused),
        TEST(a_frame_that_is_sent_before_the_broker_is_there_arrives),
        TEST(what_is_kept_for_a_broker_that_is_away_has_a_bound),
        TEST(a_client_finds_a_broker_that_was_started_again),
        TEST(sending_to_a_peer_that_is_gone_says_so),
        TEST(a_peer_that_does_not_read_has_a_bounded_queue),
        TEST(peers_that_do_not_read_have_a_bound_together),
        TEST(after_net_reconnect_nothing_sent_before_is_answered),
        TEST(large_and_empty_frames_pass_and_too_large_ones_do_not),
        TEST(frames_of_one_peer_keep_their_order),
        TEST(a_peer_cannot_say_itself_who_it_is),
        TEST(a_peer_that_names_a_routing_id_is_refused),
        TEST(a_peer_of_an_older_protocol_is_refused),
        TEST(a_routing_id_that_is_the_next_ones_does_no_harm),
        TEST(a_peer_with_a_key_that_names_a_routing_id_is_refused),
        TEST(routing_ids_cannot_be_foreseen),
        TEST(a_peer_that_sends_what_libzmq_cannot_take_is_cut_off),
        TEST(a_sound_heartbeat_and_frames_in_every_piece_pass),
        TEST(a_long_command_before_the_handshake_with_keys_is_cut_off),
        TEST(messages_that_are_never_finished_have_a_bound),
        TEST(a_peer_with_a_key_that_sends_parts_is_cut_off),
        TEST(a_peer_that_is_gone_with_much_unread_does_no_harm),
        TEST(a_peer_that_sends_more_than_may_wait_is_disconnected),
        TEST(a_peer_that_announces_too_large_a_frame_is_cut_off),
        TEST(a_broker_may_open_as_many_files_as_the_system_lets_it),
        TEST(accept_that_finds_no_memory_is_a_connection_that_was_given_up),
        TEST(one_address_has_a_share_of_the_connections),
        TEST(one_local_user_has_a_share_and_root_is_let_in),
        TEST(net_wait_tells_which_descriptor_is_readable),
        TEST(net_wait_does_not_return_before_the_span_is_over),
        TEST(net_wait_returns_one_while_a_frame_is_there),
        TEST(a_signal_ends_net_wait),
        TEST(every_state_of_a_connection_has_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
