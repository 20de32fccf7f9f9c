/* ctl.c - the control socket of the simulator: the commands of tests, and the client that sends
 * them
 */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WORDS_MAX = 64, COUNT_DEFAULT = 16 };

/* NULL, or the text of an error. */
typedef const char *run_command(int argc, char **argv, struct bytes *out);

static const char *no_guest = "no such guest";
static const char *no_member = "no such member";
static const char *no_user = "no such user";

/* ---- guests */

static const char *run_guest(int argc, char **argv, struct bytes *out)
{
    char *at = strrchr(argv[0], '@'); /* a user id may have one itself */

    (void)argc;
    (void)out;
    if (at == NULL)
        return "not USERID@MEMBER";
    *at = '\0';
    if (member_find(at + 1) == NULL)
        return no_member;
    return guest_add(argv[0], member_find(at + 1)) == NULL ? "not a guest, or there already" : NULL;
}

static const char *run_logoff(int argc, char **argv, struct bytes *out)
{
    struct guest *guest = guest_find(argv[0]);

    (void)argc;
    (void)out;
    if (guest == NULL)
        return no_guest;
    guest_log_off(guest);
    return NULL;
}

static const char *run_logon(int argc, char **argv, struct bytes *out)
{
    struct guest *guest = guest_find(argv[0]);

    (void)argc;
    (void)out;
    if (guest == NULL)
        return no_guest;
    if (guest->member != NULL)
        return "it is logged on already";
    guest->member = member_find(argv[1]);
    return guest->member == NULL ? no_member : NULL;
}

static const char *run_duration(int argc, char **argv, struct bytes *out)
{
    struct guest *guest = argc > 1 ? guest_find(argv[1]) : NULL;

    (void)out;
    if (argc > 1 && guest == NULL)
        return no_guest;
    return read_seconds(argv[0], guest != NULL ? &guest->duration : &sim.duration) ? NULL
                                                                                   : "not seconds";
}

static const char *run_quiesce(int argc, char **argv, struct bytes *out)
{
    struct guest *guest = guest_find(argv[0]);

    (void)argc;
    (void)out;
    if (guest == NULL)
        return no_guest;
    return read_seconds(argv[1], &guest->quiesce) ? NULL : "not seconds";
}

static const char *run_finish(int argc, char **argv, struct bytes *out)
{
    struct guest *guest = guest_find(argv[0]);
    struct move *move = guest != NULL ? move_of(guest) : NULL;

    (void)argc;
    (void)out;
    if (move == NULL)
        return "it does not move";
    move_complete(move);
    return NULL;
}

static const char *run_ineligible(int argc, char **argv, struct bytes *out)
{
    struct guest *guest = guest_find(argv[0]);
    struct unfit *unfit, **end;
    struct bytes numbers = {0};

    (void)out;
    if (guest == NULL)
        return no_guest;
    unfit = must_alloc(sizeof(*unfit));
    if (argc > 4 && strcmp(argv[argc - 2], "unless") == 0) {
        snprintf(unfit->force, sizeof(unfit->force), "%s", argv[argc - 1]);
        for (char *p = unfit->force; *p != '\0'; p++)
            *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
        argc -= 2;
    }
    if (strcmp(argv[1], "*") == 0) {
        memcpy(unfit->destination, "*", 2);
    } else if (!read_name(unfit->destination, argv[1])) {
        free(unfit);
        return "not a destination";
    }
    for (int i = 2; i < argc; i++)
        bytes_printf(&numbers, "%s%s", i > 2 ? " " : "", argv[i]);
    snprintf(unfit->numbers, sizeof(unfit->numbers), "%s", numbers.at);
    bytes_done(&numbers);
    for (end = &guest->unfit; *end != NULL; end = &(*end)->next)
        ;
    *end = unfit;
    return NULL;
}

static const char *run_eligible(int argc, char **argv, struct bytes *out)
{
    struct guest *guest = guest_find(argv[0]);

    (void)argc;
    (void)out;
    if (guest == NULL)
        return no_guest;
    while (guest->unfit != NULL) {
        struct unfit *unfit = guest->unfit;
        guest->unfit = unfit->next;
        free(unfit);
    }
    return NULL;
}

static void put_where(const struct guest *guest, struct bytes *out)
{
    const struct move *move = move_of(guest);

    if (guest->member == NULL)
        bytes_printf(out, "- off\n");
    else if (!is_up(guest->member))
        bytes_printf(out, "%s down\n", guest->member->name);
    else if (move != NULL)
        bytes_printf(out, "%s moving %s\n", guest->member->name, move->to->name);
    else
        bytes_printf(out, "%s on\n", guest->member->name);
}

static const char *run_where(int argc, char **argv, struct bytes *out)
{
    const struct guest *guest = guest_find(argv[0]);

    (void)argc;
    if (guest == NULL)
        return no_guest;
    put_where(guest, out);
    return NULL;
}

static const char *run_moves(int argc, char **argv, struct bytes *out)
{
    const struct guest *guest = guest_find(argv[0]);

    (void)argc;
    if (guest == NULL)
        return no_guest;
    bytes_printf(out, "begun %u completed %u cancelled %u\n", guest->begun, guest->completed,
                 guest->cancelled);
    return NULL;
}

/* ---- members and users */

static const char *run_member(int argc, char **argv, struct bytes *out)
{
    struct member *member = member_find(argv[0]);

    (void)argc;
    (void)out;
    if (member == NULL)
        return no_member;
    for (int mode = 0; mode < N_MODES; mode++)
        if (strcmp(mode_names[mode], argv[1]) == 0) {
            member_set(member, (enum mode)mode);
            return NULL;
        }
    return "down, joined, silent, refuse, repair, nossi or unstable";
}

/* The functions that are named, or all with "*", as a set. */
static const char *read_functions(int argc, char **argv, uint64_t *ret_set)
{
    *ret_set = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "*") == 0)
            *ret_set = ~(uint64_t)0;
        else if (function_find(argv[i]) == NULL)
            return "no such function";
        else
            *ret_set |= (uint64_t)1 << (function_find(argv[i]) - functions);
    }
    return NULL;
}

static const char *run_authorise(int argc, char **argv, struct bytes *out)
{
    struct user *user = user_find(argv[0]);
    uint64_t set;
    const char *why = read_functions(argc - 1, argv + 1, &set);

    (void)out;
    if (user == NULL || why != NULL)
        return why != NULL ? why : no_user;
    user->denied &= ~set;
    return NULL;
}

static const char *run_deny(int argc, char **argv, struct bytes *out)
{
    struct user *user = user_find(argv[0]);
    uint64_t set;
    const char *why = read_functions(argc - 1, argv + 1, &set);

    (void)out;
    if (user == NULL || why != NULL)
        return why != NULL ? why : no_user;
    user->denied |= set;
    return NULL;
}

static const char *run_password(int argc, char **argv, struct bytes *out)
{
    struct user *user = user_find(argv[0]);

    (void)argc;
    (void)out;
    if (user == NULL)
        return no_user;
    snprintf(user->password, sizeof(user->password), "%s", argv[1]);
    user->wrong_in_row = 0;
    user->expired = false;
    return NULL;
}

static const char *run_expire(int argc, char **argv, struct bytes *out)
{
    struct user *user = user_find(argv[0]);

    (void)argc;
    (void)out;
    if (user == NULL)
        return no_user;
    user->expired = true;
    return NULL;
}

/* ---- what is seen */

static const char *run_fault(int argc, char **argv, struct bytes *out)
{
    (void)out;
    return fault_add(argc, argv);
}

static const char *run_faults(int argc, char **argv, struct bytes *out)
{
    (void)argc;
    (void)argv;
    faults_list(out);
    return NULL;
}

static const char *run_status_word(int argc, char **argv, struct bytes *out)
{
    (void)out;
    snprintf(sim.status_word, sizeof(sim.status_word), "%s", argc > 0 ? argv[0] : "");
    return NULL;
}

static const char *run_state(int argc, char **argv, struct bytes *out)
{
    (void)argc;
    (void)argv;
    for (size_t i = 0; i < sim.n_members; i++)
        bytes_printf(out, "member %s %s\n", sim.members[i].name, mode_names[sim.members[i].mode]);
    for (const struct user *user = sim.users; user != NULL; user = user->next)
        bytes_printf(out, "user %s wrong %u%s%s\n", user->name, user->wrong,
                     user->wrong_in_row >= WRONG_PASSWORDS ? " locked" : "",
                     user->expired ? " expired" : "");
    for (const struct guest *guest = sim.guests; guest != NULL; guest = guest->next) {
        bytes_printf(out, "guest %s ", guest->name);
        put_where(guest, out);
    }
    return NULL;
}

static void put_all(struct bytes *out, const struct bytes *from)
{
    bytes_add(out, from->at, from->n);
}

static const char *run_requests(int argc, char **argv, struct bytes *out)
{
    if (argc > 0 && strcmp(argv[0], "clear") == 0)
        bytes_cut(&sim.requests, sim.requests.n);
    put_all(out, &sim.requests);
    return NULL;
}

static const char *run_bytes(int argc, char **argv, struct bytes *out)
{
    int n = argc > 0 ? atoi(argv[0]) : COUNT_DEFAULT;

    bytes_list(out, n > 0 ? (size_t)n : 0);
    return NULL;
}

static const char *run_violations(int argc, char **argv, struct bytes *out)
{
    if (argc > 0 && strcmp(argv[0], "clear") == 0)
        bytes_cut(&sim.violations, sim.violations.n);
    put_all(out, &sim.violations);
    return NULL;
}

static const char *run_check(int argc, char **argv, struct bytes *out)
{
    (void)argc;
    (void)argv;
    put_all(out, &sim.broken);
    cluster_check(out);
    return out->n > 0 ? "the cluster is not sound" : NULL;
}

static const struct {
    const char *name;
    int min, max; /* words after it */
    run_command *run;
} commands[] = {
    {"guest", 1, 1, run_guest},
    {"logoff", 1, 1, run_logoff},
    {"logon", 2, 2, run_logon},
    {"duration", 1, 2, run_duration},
    {"quiesce", 2, 2, run_quiesce},
    {"finish", 1, 1, run_finish},
    {"ineligible", 3, WORDS_MAX, run_ineligible},
    {"eligible", 1, 1, run_eligible},
    {"where", 1, 1, run_where},
    {"moves", 1, 1, run_moves},
    {"member", 2, 2, run_member},
    {"authorise", 2, WORDS_MAX, run_authorise},
    {"deny", 2, WORDS_MAX, run_deny},
    {"password", 2, 2, run_password},
    {"expire", 1, 1, run_expire},
    {"fault", 1, WORDS_MAX, run_fault},
    {"faults", 0, 0, run_faults},
    {"status-word", 0, 1, run_status_word},
    {"state", 0, 0, run_state},
    {"requests", 0, 1, run_requests},
    {"bytes", 0, 1, run_bytes},
    {"violations", 0, 1, run_violations},
    {"check", 0, 0, run_check},
};

void control_command(char *line, struct bytes *out)
{
    char *words[WORDS_MAX], *rest = line;
    struct bytes answer = {0};
    const char *why = "unknown command, or the wrong number of words";
    int n = 0;

    while (n < WORDS_MAX && (words[n] = strsep(&rest, " ")) != NULL)
        n += words[n][0] != '\0';
    for (size_t i = 0; n > 0 && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(commands[i].name, words[0]) == 0 && n - 1 >= commands[i].min &&
            n - 1 <= commands[i].max)
            why = commands[i].run(n - 1, words + 1, &answer);
    put_all(out, &answer);
    bytes_done(&answer);
    if (why != NULL)
        bytes_printf(out, "error %s\n", why);
    else
        bytes_printf(out, "ok\n");
}

/* ---- the socket */

static int control_socket(const char *path, int type, struct sockaddr_un *address)
{
    int fd;

    if (strlen(path) >= sizeof(address->sun_path))
        return -ENAMETOOLONG;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

int control_listen(const char *path)
{
    struct sockaddr_un address;
    int fd = control_socket(path, SOCK_STREAM | SOCK_NONBLOCK, &address);

    if (fd < 0)
        return fd;
    unlink(path);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, SOMAXCONN) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

/* Prints the answer without its last line, which says how it went. */
static int print_answer(const struct bytes *answer)
{
    const char *last;
    size_t n = answer->n;

    while (n > 0 && answer->at[n - 1] == '\n')
        answer->at[--n] = '\0';
    if (n == 0)
        return 2;
    last = strrchr(answer->at, '\n');
    last = last != NULL ? last + 1 : answer->at;
    fwrite(answer->at, 1, (size_t)(last - answer->at), stdout);
    if (strcmp(last, "ok") == 0)
        return 0;
    fprintf(stderr, "%s\n", last);
    return 1;
}

int control_client(int argc, char **argv)
{
    struct sockaddr_un address;
    struct bytes line = {0}, answer = {0};
    char buffer[BUFSIZ];
    ssize_t n;
    int fd, r;

    if (argc < 2) {
        fprintf(stderr, "usage: smapisim ctl SOCKET COMMAND...\n");
        return 2;
    }
    fd = control_socket(argv[0], SOCK_STREAM, &address);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        fprintf(stderr, "smapisim: %s: %s\n", argv[0], strerror(fd < 0 ? -fd : errno));
        return 2;
    }
    for (int i = 1; i < argc; i++)
        bytes_printf(&line, "%s%s", argv[i], i + 1 < argc ? " " : "\n");
    n = send(fd, line.at, line.n, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    while (n > 0 && (n = read(fd, buffer, sizeof(buffer))) > 0)
        bytes_add(&answer, buffer, (size_t)n);
    close(fd);
    r = print_answer(&answer);
    bytes_done(&line);
    bytes_done(&answer);
    return r;
}
