/* sim.h - what the parts of the SMAPI simulator know of each other
 *
 * smapisim.c  options, the loop, what is printed
 * listen.c    the ports of the members
 * net.c       connections: bytes in, bytes out, TLS
 * parse.c     from bytes to a request
 * request.c   what becomes of it
 * fault.c     what is done wrong on purpose
 * functions.c what each SMAPI function does
 * cluster.c   members, users, guests and their moves
 * ctl.c       the control socket and its client
 * tls.c       a certificate and a TLS client for tests
 *
 * One thread, one state. Nothing here is shared with the worker: both were written from the same
 * facts, so that each shows the mistakes of the other. Memory that runs out ends the program.
 */
#ifndef TESTS_ZVM_SIM_H
#define TESTS_ZVM_SIM_H

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    NAME_MAX_8 = 8,           /* of a user id, a member, a guest */
    PASSWORD_MAX = 200,       /* bytes */
    FUNCTION_MAX = 43,        /* bytes of a function's name */
    TOTAL_MIN = 16,           /* of a request, without the field itself */
    TOTAL_MAX = 64 << 10,     /* the same */
    MEMBERS_MAX = 8,          /* of an SSI cluster, in this simulator */
    RECOVERABLE = 256,        /* replies that are kept for Response_Recovery */
    BYTES_KEPT = 64,          /* requests that are kept as hex */
    WRONG_PASSWORDS = 3,      /* in a row; then the user is locked */
    REQUEST_MSEC = 30 * 1000, /* within which a request must be there */
    DRAIN_MSEC = 2000,        /* for the client to close after its reply */
    BYTE_MSEC = 1,            /* between two bytes of the fault bytewise */
    EVENTS_MAX = 1 << 20,     /* bytes that a subscriber may leave unread */
    NO_LIMIT = -1,
};

/* Numbers in the place of CP's message numbers that are not recorded anywhere: of this simulator's
 * own making, all above 9900, so that nobody takes them for real ones. */
#define HCP_NOT_LOGGED_ON  "0045" /* recorded */
#define HCP_NO_RELOCATION  "1926" /* recorded */
#define HCP_MOVING_ALREADY "9901"
#define HCP_SAME_MEMBER    "9902"
#define HCP_UNKNOWN_MEMBER "9903"
#define HCP_MEMBER_DOWN    "9904"
#define HCP_CANCELLED      "9905"
#define HCP_MAX_TOTAL      "9906"
#define HCP_MAX_QUIESCE    "9907"
#define HCP_SERVICE_USER   "9908"
#define HCP_LOGGED_OFF     "9909"
#define HCP_MEMBER_LOST    "9910"
#define HCP_RELOCATION_OFF "9911"

/* ---- bytes */

/* A zeroed one is empty. There is always a NUL after the last byte, which n does not count. */
struct bytes {
    char *at;
    size_t n;
    size_t size;
};

void bytes_add(struct bytes *b, const void *data, size_t n);
void bytes_u32(struct bytes *b, uint32_t value);
void bytes_printf(struct bytes *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void bytes_cut(struct bytes *b, size_t n); /* takes the first n away */
void bytes_done(struct bytes *b);
void *must_alloc(size_t n); /* zeroed */
uint32_t read_u32(const void *at);
bool same_word(const char *a, const char *b); /* whatever the case */
/* Upper case into a name of at most 8 characters. False: too long, empty, or not char42. */
bool read_name(char ret_name[static NAME_MAX_8 + 1], const char *text);
bool is_char42(const char *text);
bool read_seconds(const char *text, int64_t *ret_msec);

/* ---- the cluster */

enum mode {
    MODE_JOINED,
    MODE_DOWN,
    MODE_SILENT,
    MODE_REFUSE,
    MODE_REPAIR,
    MODE_NOSSI,
    MODE_UNSTABLE,
};
extern const char *const mode_names[];
enum { N_MODES = MODE_UNSTABLE + 1 };

struct member {
    char name[NAME_MAX_8 + 1];
    enum mode mode;
};

struct user {
    char name[NAME_MAX_8 + 1];
    char password[PASSWORD_MAX + 1];
    unsigned wrong_in_row;
    unsigned wrong;
    bool expired;
    uint64_t denied; /* a bit for each function */
    struct user *next;
};

/* Why a guest is not fit to move there. */
struct unfit {
    char destination[NAME_MAX_8 + 1]; /* "*": any */
    char numbers[256];                /* separated by blanks */
    char force[16];                   /* the word that lifts it, or empty */
    struct unfit *next;
};

struct guest {
    char name[NAME_MAX_8 + 1];
    struct member *member; /* where it is logged on; NULL: nowhere */
    int64_t duration;      /* msec of its moves; -1: as all */
    int64_t quiesce;       /* msec for which it must stop */
    struct unfit *unfit;
    bool relocation_off; /* by VMRELOCATE_Image_Attributes */
    unsigned begun, completed, cancelled;
    struct guest *next;
};

struct op;

struct move {
    struct guest *guest;
    struct member *from, *to;
    char by[NAME_MAX_8 + 1];
    int64_t began_at, ends_at;
    int64_t max_total, max_quiesce; /* msec, or NO_LIMIT */
    struct op *op;                  /* the request that waits for its end */
    struct move *next;
};

struct sim {
    char ssi[NAME_MAX_8 + 1];
    struct member members[MEMBERS_MAX];
    size_t n_members;
    struct user *users;
    struct guest *guests;
    struct move *moves;
    int64_t duration;      /* msec of a move */
    char status_word[16];  /* of a move that is listed, or empty */
    int64_t now;           /* msec since the start */
    struct bytes requests; /* a line for each */
    struct bytes violations;
    struct bytes broken; /* what was found to be impossible */
    FILE *log;           /* or NULL */
    volatile sig_atomic_t stop;
};
extern struct sim sim;

struct member *member_find(const char *name);
struct member *member_add(const char *name);
void member_set(struct member *member, enum mode mode);
struct user *user_find(const char *name);
struct user *user_add(const char *name, const char *password);
struct guest *guest_find(const char *name);
struct guest *guest_add(const char *name, struct member *member);
void guest_log_off(struct guest *guest);
/* System users are active on every member at once, and are never moved. */
bool is_service(const char *name);
const char *service_name(size_t i); /* NULL: there are no more */
bool is_active(const char *name, const struct member *member);
bool is_up(const struct member *member);

struct move *move_of(const struct guest *guest);
void move_begin(struct guest *guest, struct member *to, const char *by, int64_t max_total,
                int64_t max_quiesce, struct op *op);
void move_complete(struct move *move);
void move_cancel(struct move *move, const char *number);
/* Does what is due; returns when something is due next, -1: nothing. */
int64_t cluster_tick(void);
void cluster_check(struct bytes *out);
void cluster_done(void);

/* ---- requests */

enum fault_kind {
    FAULT_NONE,
    FAULT_CLOSE_BEFORE_ID,
    FAULT_CLOSE_BEFORE_ID_TAKEN,
    FAULT_CLOSE_AFTER_ID,
    FAULT_BYTEWISE,
    FAULT_LATE,
    FAULT_LATE_ID,
    FAULT_GARBAGE_LENGTH,
    FAULT_SHORT_LENGTH,
    FAULT_WRONG_ID,
    FAULT_ASYNC,
    FAULT_ASYNC_RS,
    FAULT_DROP_REPLY,
    FAULT_NO_RECOVERY,
    FAULT_RC,
    FAULT_RC_TAKEN,
};

struct fault {
    char what[FUNCTION_MAX + 1]; /* a function, MOVE, TEST, CANCEL, or "*" */
    char member[NAME_MAX_8 + 1]; /* or empty: any */
    enum fault_kind kind;
    long count;      /* how often still */
    int64_t msec;    /* of late */
    uint32_t rc, rs; /* of rc */
    char data[256];  /* the same */
    struct fault *next;
};

enum { KEYS_MAX = 16 };

struct request {
    char name[FUNCTION_MAX + 1];
    char userid[NAME_MAX_8 + 1];
    const char *password; /* in the bytes of the request */
    size_t n_password;
    char target[NAME_MAX_8 + 1];
    const char *rest; /* what follows the target */
    size_t n_rest;
    int position; /* of the first parameter in the rest, counted from 1, the function's name */
    size_t n_keys;
    struct {
        const char *key, *value; /* NUL-terminated */
    } keys[KEYS_MAX];
    struct bytes text; /* the keys and values, upper case values, that point into it */
};

struct conn;

/* A request that was accepted: lives until its reply is too old to be recovered. */
struct op {
    uint32_t id;
    const struct member *member;
    char userid[NAME_MAX_8 + 1];
    char name[FUNCTION_MAX + 1];
    struct conn *conn; /* NULL: nobody waits any more */
    struct fault fault;
    bool done;          /* there is an answer */
    bool finished;      /* the work itself is over */
    bool forgotten;     /* cannot be recovered */
    bool delivered;     /* or given up */
    struct bytes reply; /* id, rc, rs and data */
    uint32_t async_id;  /* 0: none */
    uint32_t async_rc;  /* of the work */
    int64_t began_at;
    struct op *next;
};

enum { RC_SYNTAX = 24, RC_FRAME = 900 };

/* Why a request is refused; rc 0: it is not. */
struct refusal {
    uint32_t rc, rs;
    char why[128];
};

/* Notes the first reason only. */
void refuse(struct refusal *refusal, uint32_t rc, uint32_t rs, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Reads all of it that can be read; refusal says what cannot. */
void request_parse(struct request *request, const char *at, size_t n, struct refusal *refusal);

void request_arrived(struct conn *conn, const char *bytes, size_t n);
/* Refuses what is no request at all: before an op exists. */
void request_refuse(struct conn *conn, uint32_t rc, uint32_t rs, const char *why, const char *bytes,
                    size_t n);
/* The end of an op; data may be NULL. A text is sent with its NUL. */
void op_finish(struct op *op, uint32_t rc, uint32_t rs, const void *data, size_t n);
void op_finish_text(struct op *op, uint32_t rc, uint32_t rs, const char *text);
struct op *op_find(uint32_t id);
struct op *op_find_async(uint32_t async_id);
void op_forget_conn(struct conn *conn);
int64_t requests_tick(void); /* as cluster_tick() */
void requests_done(void);
const char *fault_add(int argc, char **argv);
/* The fault that this request meets, taken from the list. */
struct fault fault_take(const struct request *request, const struct member *member);
void faults_list(struct bytes *out);
void bytes_list(struct bytes *out, size_t n);
void violation(const struct conn *conn, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void say(const char *format, ...) __attribute__((format(printf, 1, 2))); /* a line of the log */

/* ---- functions */

struct function {
    const char *name;
    bool has_target;
    const char *const *keys; /* that it knows; NULL: takes no keys */
    bool takes_bytes;        /* reads the rest itself */
    void (*run)(struct op *op, const struct request *request, struct member *member);
};
extern const struct function functions[];
extern const size_t n_functions;
const struct function *function_find(const char *name);
const char *request_key(const struct request *request, const char *key); /* NULL: not given */
/* MOVE, TEST or CANCEL of a VMRELOCATE, as it is given; NULL for others. */
const char *request_action(const struct request *request);

/* ---- connections */

/* HOST:PORT on the loopback; returns an error text or NULL. */
const char *listener_add(struct member *member, const char *address, bool tls);
void listeners_print(void);
void listener_mode(const struct member *member); /* follows the member's mode */
size_t n_listeners(void);
int listener_fd(size_t i); /* -1: it does not listen now */
void listener_accept(size_t i);
void listeners_done(void);
const char *tls_setup(const char *cert, const char *key);

void conn_new(int fd, struct member *member, bool with_tls); /* takes fd */
struct member *conn_member(const struct conn *conn);
unsigned long conn_number(const struct conn *conn);
void conn_op(struct conn *conn, struct op *op);
struct op *conn_get_op(const struct conn *conn);
void conn_send(struct conn *conn, const void *data, size_t n);
void conn_bytewise(struct conn *conn);
void conn_finish(struct conn *conn);    /* closes it when all is sent */
void conn_drop(struct conn *conn);      /* closes it now */
void conn_subscribe(struct conn *conn); /* stays open for events */
void conn_damaged(struct conn *conn);   /* what else comes has been complained of already */
void events_send(const struct member *member, const void *data, size_t n);
void members_conns_drop(const struct member *member);
/* Until sim.stop, which a signal sets that is let in only while it waits. */
int net_loop(int control_fd, bool with_stdin, const sigset_t *unblocked);
void net_done(void);

/* ---- TLS, for tests */

int tls_make_cert(int argc, char **argv); /* CERT KEY */
int tls_pipe(int argc, char **argv);      /* HOST:PORT CA: stdin there, what it answers to stdout */

/* ---- control */

int control_listen(const char *path);
/* One command; answers into out and ends it with "ok" or "error TEXT". */
void control_command(char *line, struct bytes *out);
int control_client(int argc, char **argv);

#endif
