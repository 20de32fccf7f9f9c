/* smapisim.c - a simulator of z/VM's SMAPI for one SSI cluster: options, and what all parts use
 *
 * tests/zvm/README.md says how to use it.
 */
#include "sim.h"

#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- bytes and words */

void *must_alloc(size_t n)
{
    void *at = calloc(1, n);

    if (at == NULL)
        abort();
    return at;
}

void bytes_add(struct bytes *b, const void *data, size_t n)
{
    if (b->n + n + 1 > b->size) {
        b->size = (b->n + n + 1) * 2;
        b->at = realloc(b->at, b->size);
        if (b->at == NULL)
            abort();
    }
    if (n > 0)
        memcpy(b->at + b->n, data, n);
    b->n += n;
    b->at[b->n] = '\0';
}

void bytes_u32(struct bytes *b, uint32_t value)
{
    const unsigned char at[4] = {(unsigned char)(value >> 24), (unsigned char)(value >> 16),
                                 (unsigned char)(value >> 8), (unsigned char)value};

    bytes_add(b, at, sizeof(at));
}

void bytes_printf(struct bytes *b, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    int n;

    va_start(args, format);
    n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0)
        abort();
    bytes_add(b, text, (size_t)n);
    free(text);
}

void bytes_cut(struct bytes *b, size_t n)
{
    if (n == 0)
        return;
    memmove(b->at, b->at + n, b->n - n + 1);
    b->n -= n;
}

void bytes_done(struct bytes *b)
{
    free(b->at);
    *b = (struct bytes){0};
}

uint32_t read_u32(const void *at)
{
    const unsigned char *p = at;

    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool same_word(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

bool is_char42(const char *text)
{
    for (; *text != '\0'; text++)
        if (!isascii(*text) || (!isalnum(*text) && strchr("@#$+-:", *text) == NULL))
            return false;
    return true;
}

bool read_name(char ret_name[static NAME_MAX_8 + 1], const char *text)
{
    size_t n = strlen(text);

    if (n == 0 || n > NAME_MAX_8 || !is_char42(text))
        return false;
    for (size_t i = 0; i <= n; i++)
        ret_name[i] = (char)toupper((unsigned char)text[i]);
    return true;
}

bool read_seconds(const char *text, int64_t *ret_msec)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end != '\0' || !(seconds >= 0 && seconds < 1e9))
        return false;
    *ret_msec = (int64_t)(seconds * 1000 + 0.5);
    return true;
}

/* ---- the program */

static const char usage[] =
    "usage: smapisim --member NAME=HOST:PORT... --user USERID:PASSWORD --control SOCKET\n"
    "                [--tls NAME=HOST:PORT...] [--cert FILE --key FILE] [--ssi NAME]\n"
    "                [--guest USERID@MEMBER...] [--duration SECONDS] [--log FILE] [--with-stdin]\n"
    "       smapisim ctl SOCKET COMMAND...\n"
    "       smapisim cert CERT-FILE KEY-FILE\n"
    "       smapisim tls HOST:PORT CA-FILE <REQUEST >REPLY\n";

enum {
    OPT_SSI = 1,
    OPT_MEMBER,
    OPT_TLS,
    OPT_USER,
    OPT_GUEST,
    OPT_CONTROL,
    OPT_CERT,
    OPT_KEY,
    OPT_DURATION,
    OPT_LOG,
    OPT_STDIN
};

static const struct option options[] = {
    {"ssi", required_argument, NULL, OPT_SSI},
    {"member", required_argument, NULL, OPT_MEMBER},
    {"tls", required_argument, NULL, OPT_TLS},
    {"user", required_argument, NULL, OPT_USER},
    {"guest", required_argument, NULL, OPT_GUEST},
    {"control", required_argument, NULL, OPT_CONTROL},
    {"cert", required_argument, NULL, OPT_CERT},
    {"key", required_argument, NULL, OPT_KEY},
    {"duration", required_argument, NULL, OPT_DURATION},
    {"log", required_argument, NULL, OPT_LOG},
    {"with-stdin", no_argument, NULL, OPT_STDIN},
    {0},
};

static void on_signal(int number)
{
    (void)number;
    sim.stop = 1;
}

/* Cuts the text in two at this place; false: there is none. */
static bool split(char *at, char **ret_right)
{
    if (at == NULL)
        return false;
    *at = '\0';
    *ret_right = at + 1;
    return true;
}

static const char *add_listener(char *text, bool tls)
{
    struct member *member;
    char *address;

    if (!split(strchr(text, '='), &address))
        return "not NAME=HOST:PORT";
    member = member_add(text);
    if (member == NULL)
        return "not a name of a member, or too many";
    return listener_add(member, address, tls);
}

static const char *add_user(char *text)
{
    char *password;

    if (!split(strchr(text, ':'), &password))
        return "not USERID:PASSWORD";
    return user_add(text, password) == NULL ? "not a user, or there already" : NULL;
}

static const char *add_guest(char *text)
{
    char *member;

    if (!split(strrchr(text, '@'), &member) || member_find(member) == NULL)
        return "not USERID@MEMBER of a member that was named before";
    return guest_add(text, member_find(member)) == NULL ? "not a guest, or there already" : NULL;
}

struct wanted {
    const char *control, *cert, *key;
    bool with_stdin, tls;
};

static const char *take_option(int option, char *value, struct wanted *wanted)
{
    switch (option) {
    case OPT_SSI:
        return read_name(sim.ssi, value) ? NULL : "not a name";
    case OPT_MEMBER:
        return add_listener(value, /* tls = */ false);
    case OPT_TLS:
        wanted->tls = true;
        return add_listener(value, /* tls = */ true);
    case OPT_USER:
        return add_user(value);
    case OPT_GUEST:
        return add_guest(value);
    case OPT_CONTROL:
        wanted->control = value;
        return NULL;
    case OPT_CERT:
        wanted->cert = value;
        return NULL;
    case OPT_KEY:
        wanted->key = value;
        return NULL;
    case OPT_DURATION:
        return read_seconds(value, &sim.duration) ? NULL : "not seconds";
    case OPT_LOG:
        sim.log = fopen(value, "ae");
        return sim.log != NULL ? NULL : "cannot be opened";
    default:
        wanted->with_stdin = true;
        return NULL;
    }
}

/* 0, or the exit code. */
static int read_options(int argc, char **argv, struct wanted *wanted)
{
    const char *why;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?') {
            fputs(usage, stderr);
            return 2;
        }
        why = take_option(option, optarg, wanted);
        if (why != NULL) {
            fprintf(stderr, "smapisim: %s: %s\n", optarg, why);
            return 2;
        }
    }
    if (optind < argc || sim.n_members == 0 || sim.users == NULL || wanted->control == NULL ||
        (wanted->tls && (wanted->cert == NULL || wanted->key == NULL))) {
        fputs(usage, stderr);
        return 2;
    }
    why = wanted->tls ? tls_setup(wanted->cert, wanted->key) : NULL;
    if (why != NULL)
        fprintf(stderr, "smapisim: %s\n", why);
    return why != NULL ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct wanted wanted = {0};
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t ends, unblocked;
    int r, control_fd = -1;

    if (argc > 1 && strcmp(argv[1], "ctl") == 0)
        return control_client(argc - 2, argv + 2);
    if (argc > 1 && strcmp(argv[1], "cert") == 0)
        return tls_make_cert(argc - 2, argv + 2);
    if (argc > 1 && strcmp(argv[1], "tls") == 0)
        return tls_pipe(argc - 2, argv + 2);
    snprintf(sim.ssi, sizeof(sim.ssi), "SSI");
    snprintf(sim.status_word, sizeof(sim.status_word), "MOVING_MEMORY");
    sim.duration = 1000;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, &unblocked);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    r = read_options(argc, argv, &wanted);
    if (r == 0 && (control_fd = control_listen(wanted.control)) < 0) {
        fprintf(stderr, "smapisim: %s: %s\n", wanted.control, strerror(-control_fd));
        r = 1;
    }
    if (r == 0) {
        listeners_print();
        puts("ready");
        fflush(stdout);
        r = net_loop(control_fd, wanted.with_stdin, &unblocked) < 0;
        close(control_fd);
        unlink(wanted.control);
    }
    net_done();
    requests_done();
    cluster_done();
    if (sim.log != NULL)
        fclose(sim.log);
    return r;
}
