/* request.c - from bytes to a request, who may ask it, the faults, and the reply */
#include "sim.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of rc 24: the reason code is the parameter's position, and one of these. */
enum {
    SYNTAX_CONFLICT = 23,
    SYNTAX_MISSING = 24,
    SYNTAX_EXTRANEOUS = 25,
    SYNTAX_CHAR42 = 42,
    SYNTAX_END = 88,
};
enum { RC_SYNTAX = 24, RC_FRAME = 900, RS_FUNCTION = 12, RS_TOTAL = 20, RS_LENGTH = 36 };

static struct op *ops; /* the newest first */
static struct fault *faults;
static char *hexes[BYTES_KEPT];
static size_t n_hexes;

/* ---- ids: they look random, and none comes twice */

static uint32_t mix(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352dU;
    x ^= x >> 15;
    x *= 0x846ca68bU;
    return x ^ x >> 16;
}

static uint32_t next_id(void)
{
    static uint32_t n;
    uint32_t id = mix(++n);

    return id != 0 ? id : mix(++n);
}

/* ---- ops */

struct op *op_find(uint32_t id)
{
    struct op *op = ops;

    while (op != NULL && op->id != id)
        op = op->next;
    return op;
}

struct op *op_find_async(uint32_t async_id)
{
    struct op *op = ops;

    while (op != NULL && (op->async_id == 0 || op->async_id != async_id))
        op = op->next;
    return op;
}

static void op_free(struct op *op)
{
    bytes_done(&op->reply);
    free(op);
}

static struct op *op_new(struct conn *conn)
{
    struct op *op = must_alloc(sizeof(*op));
    size_t kept = 0;

    op->id = next_id();
    op->member = conn_member(conn);
    op->conn = conn;
    op->began_at = sim.now;
    op->next = ops;
    ops = op;
    conn_op(conn, op);
    for (struct op **at = &ops, *old; (old = *at) != NULL;) {
        if (++kept <= RECOVERABLE || !old->finished || old->conn != NULL) {
            at = &old->next;
            continue;
        }
        *at = old->next;
        op_free(old);
    }
    return op;
}

void op_forget_conn(struct conn *conn)
{
    struct op *op = conn_get_op(conn);

    if (op == NULL)
        return;
    op->conn = NULL;
    conn_op(conn, NULL);
}

/* ---- faults */

static const struct {
    const char *name;
    enum fault_kind kind;
} kinds[] = {
    {"close-before-id", FAULT_CLOSE_BEFORE_ID},
    {"close-before-id-taken", FAULT_CLOSE_BEFORE_ID_TAKEN},
    {"close-after-id", FAULT_CLOSE_AFTER_ID},
    {"bytewise", FAULT_BYTEWISE},
    {"late", FAULT_LATE},
    {"late-id", FAULT_LATE_ID},
    {"garbage-length", FAULT_GARBAGE_LENGTH},
    {"short-length", FAULT_SHORT_LENGTH},
    {"wrong-id", FAULT_WRONG_ID},
    {"592", FAULT_ASYNC},
    {"592-rs", FAULT_ASYNC_RS},
    {"drop-reply", FAULT_DROP_REPLY},
    {"no-recovery", FAULT_NO_RECOVERY},
    {"rc", FAULT_RC},
    {"rc-taken", FAULT_RC_TAKEN},
};

static const char *kind_name(enum fault_kind kind)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].kind == kind)
            return kinds[i].name;
    return "none";
}

static bool is_faulty_name(const char *what)
{
    return strcmp(what, "*") == 0 || same_word(what, "MOVE") || same_word(what, "TEST") ||
           same_word(what, "CANCEL") || function_find(what) != NULL;
}

static bool read_count(const char *text, long *ret_count)
{
    char *end;
    long count = strtol(text, &end, 10);

    if (end == text || *end != '\0' || count < 1)
        return false;
    *ret_count = count;
    return true;
}

static const char *read_fault(struct fault *fault, int argc, char **argv)
{
    int i = 2;
    char *at = strchr(argv[0], '@'), *end;

    if (at != NULL) {
        *at = '\0';
        if (member_find(at + 1) == NULL)
            return "no such member";
        snprintf(fault->member, sizeof(fault->member), "%s", member_find(at + 1)->name);
    }
    if (strlen(argv[0]) > FUNCTION_MAX || !is_faulty_name(argv[0]))
        return "no such function";
    snprintf(fault->what, sizeof(fault->what), "%s", argv[0]);
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
        if (strcmp(kinds[k].name, argv[1]) == 0)
            fault->kind = kinds[k].kind;
    fault->count = 1;
    if (argc >= 4 && strcmp(argv[argc - 2], "times") == 0) {
        if (!read_count(argv[argc - 1], &fault->count))
            return "not a count";
        argc -= 2;
    }
    switch (fault->kind) {
    case FAULT_NONE:
        return "no such kind";
    case FAULT_LATE:
    case FAULT_LATE_ID:
        if (argc < 3 || !read_seconds(argv[i++], &fault->msec))
            return "late: SECONDS";
        break;
    case FAULT_RC:
    case FAULT_RC_TAKEN:
        if (argc < 4)
            return "rc: RC RS [DATA]";
        fault->rc = (uint32_t)strtoul(argv[2], &end, 10);
        if (*end != '\0')
            return "not a return code";
        fault->rs = (uint32_t)strtoul(argv[3], &end, 10);
        if (*end != '\0')
            return "not a reason code";
        for (i = 4; i < argc; i++) {
            size_t n = strlen(fault->data);
            snprintf(fault->data + n, sizeof(fault->data) - n, "%s%s", n > 0 ? " " : "", argv[i]);
        }
        break;
    default:
        break;
    }
    if (i < argc && !read_count(argv[i++], &fault->count))
        return "not a count";
    return i < argc ? "too many words" : NULL;
}

const char *fault_add(int argc, char **argv)
{
    struct fault *fault, **end = &faults;
    const char *why;

    if (argc == 1 && strcmp(argv[0], "clear") == 0) {
        while (faults != NULL) {
            fault = faults;
            faults = fault->next;
            free(fault);
        }
        return NULL;
    }
    if (argc < 2)
        return "fault FUNCTION[@MEMBER] KIND [COUNT] | fault clear";
    fault = must_alloc(sizeof(*fault));
    why = read_fault(fault, argc, argv);
    if (why != NULL) {
        free(fault);
        return why;
    }
    while (*end != NULL)
        end = &(*end)->next;
    *end = fault;
    return NULL;
}

void faults_list(struct bytes *out)
{
    for (const struct fault *fault = faults; fault != NULL; fault = fault->next)
        bytes_printf(out, "%s%s%s %s %ld\n", fault->what, fault->member[0] != '\0' ? "@" : "",
                     fault->member, kind_name(fault->kind), fault->count);
}

/* The fault that this request meets, taken from the list. */
static struct fault take_fault(const struct request *request, const struct member *member)
{
    const char *action = request_action(request);

    for (struct fault **at = &faults, *fault; (fault = *at) != NULL; at = &fault->next) {
        struct fault copy = *fault;
        if (strcmp(fault->what, "*") != 0 && !same_word(fault->what, request->name) &&
            (action == NULL || !same_word(fault->what, action)))
            continue;
        if (fault->member[0] != '\0' && strcmp(fault->member, member->name) != 0)
            continue;
        if (--fault->count == 0) {
            *at = fault->next;
            free(fault);
        }
        say("fault: %s", kind_name(copy.kind));
        return copy;
    }
    return (struct fault){0};
}

/* ---- replies */

static void put_codes(struct bytes *b, uint32_t id, uint32_t rc, uint32_t rs)
{
    bytes_u32(b, id);
    bytes_u32(b, rc);
    bytes_u32(b, rs);
}

/* Sends the second part of the reply, or what a fault makes of it. */
static void op_deliver(struct op *op)
{
    uint32_t length = (uint32_t)op->reply.n;
    struct bytes out = {0};

    op->delivered = true;
    if (op->conn == NULL)
        return;
    switch (op->fault.kind) {
    case FAULT_NO_RECOVERY:
    case FAULT_DROP_REPLY:
        conn_drop(op->conn);
        return;
    case FAULT_GARBAGE_LENGTH:
        length = 0xdeadbeef;
        break;
    case FAULT_SHORT_LENGTH:
        length = 8;
        break;
    default:
        break;
    }
    bytes_u32(&out, length);
    bytes_add(&out, op->reply.at, op->reply.n);
    if (op->fault.kind == FAULT_WRONG_ID)
        out.at[4] = (char)~out.at[4];
    conn_send(op->conn, out.at, out.n);
    conn_finish(op->conn);
    bytes_done(&out);
}

static int64_t op_due_at(const struct op *op)
{
    return op->fault.kind == FAULT_LATE || op->fault.kind == FAULT_LATE_ID
               ? op->began_at + op->fault.msec
               : 0;
}

static void op_answer(struct op *op, uint32_t rc, uint32_t rs, const void *data, size_t n)
{
    op->done = true;
    op->forgotten = op->fault.kind == FAULT_NO_RECOVERY;
    put_codes(&op->reply, op->id, rc, rs);
    bytes_add(&op->reply, data, n);
    say("%08x %s %s: reply rc %u rs %u, %zu bytes", op->id, op->member->name, op->name, rc, rs, n);
    if (op_due_at(op) <= sim.now)
        op_deliver(op);
}

void op_finish(struct op *op, uint32_t rc, uint32_t rs, const void *data, size_t n)
{
    op->finished = true;
    op->async_rc = rc;
    if (op->async_id != 0) {
        say("%08x %s %s: ends in the background with rc %u rs %u", op->id, op->member->name,
            op->name, rc, rs);
        return;
    }
    if (op->fault.kind == FAULT_RC_TAKEN)
        op_answer(op, op->fault.rc, op->fault.rs, op->fault.data,
                  op->fault.data[0] != '\0' ? strlen(op->fault.data) + 1 : 0);
    else
        op_answer(op, rc, rs, data, n);
}

void op_finish_text(struct op *op, uint32_t rc, uint32_t rs, const char *text)
{
    op_finish(op, rc, rs, text, strlen(text) + 1);
}

int64_t requests_tick(void)
{
    int64_t next_at = -1;

    for (struct op *op = ops; op != NULL; op = op->next) {
        int64_t at = op_due_at(op);
        if (op->conn == NULL || at == 0)
            continue;
        if (at > sim.now) {
            next_at = next_at < 0 || at < next_at ? at : next_at;
            continue;
        }
        if (op->fault.kind == FAULT_LATE_ID) {
            struct bytes id = {0};
            op->fault.kind = FAULT_NONE;
            bytes_u32(&id, op->id);
            conn_send(op->conn, id.at, id.n);
            bytes_done(&id);
        }
        if (op->done && !op->delivered)
            op_deliver(op);
    }
    return next_at;
}

/* ---- what is recorded of a request */

void say(const char *format, ...)
{
    va_list args;

    if (sim.log == NULL)
        return;
    fprintf(sim.log, "%lld.%03lld ", (long long)sim.now / 1000, (long long)sim.now % 1000);
    va_start(args, format);
    vfprintf(sim.log, format, args);
    va_end(args);
    fputc('\n', sim.log);
    fflush(sim.log);
}

void violation(const struct conn *conn, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    bytes_printf(&sim.violations, "%lld.%03lld %s #%lu: %s\n", (long long)sim.now / 1000,
                 (long long)sim.now % 1000, conn_member(conn)->name, conn_number(conn), text);
    say("#%lu violation: %s", conn_number(conn), text);
}

/* Keeps the request as hex; what may be a password is shown as xx: from hide_at, n_hide bytes. */
static void keep_bytes(const char *at, size_t n, size_t hide_at, size_t n_hide)
{
    struct bytes hex = {0};
    char **slot = &hexes[n_hexes++ % BYTES_KEPT];

    for (size_t i = 0; i < n; i++)
        if (i >= hide_at && i - hide_at < n_hide)
            bytes_add(&hex, "xx", 2);
        else
            bytes_printf(&hex, "%02x", (unsigned char)at[i]);
    free(*slot);
    *slot = hex.at;
}

void bytes_list(struct bytes *out, size_t n)
{
    size_t kept = n_hexes < BYTES_KEPT ? n_hexes : BYTES_KEPT;

    for (size_t i = n < kept ? n : kept; i > 0; i--)
        bytes_printf(out, "%s\n", hexes[(n_hexes - i) % BYTES_KEPT]);
}

static const char *or_dash(const char *text)
{
    return text[0] != '\0' ? text : "-";
}

static void record(const struct conn *conn, const struct request *request)
{
    struct bytes line = {0};

    bytes_printf(&line, "%lld.%03lld %s %s %s %s", (long long)sim.now / 1000,
                 (long long)sim.now % 1000, conn_member(conn)->name, or_dash(request->name),
                 or_dash(request->userid), or_dash(request->target));
    for (size_t i = 0; i < request->n_keys; i++)
        bytes_printf(&line, " %s=%s", request->keys[i].key, request->keys[i].value);
    bytes_printf(&sim.requests, "%s\n", line.at);
    say("#%lu request%s", conn_number(conn), strchr(line.at, ' '));
    bytes_done(&line);
}

/* ---- parsing */

struct refusal {
    uint32_t rc, rs;
    char why[128];
};

static void refuse(struct refusal *refusal, uint32_t rc, uint32_t rs, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void refuse(struct refusal *refusal, uint32_t rc, uint32_t rs, const char *format, ...)
{
    va_list args;

    if (refusal->rc != 0)
        return;
    refusal->rc = rc;
    refusal->rs = rs;
    va_start(args, format);
    vsnprintf(refusal->why, sizeof(refusal->why), format, args);
    va_end(args);
}

struct reader {
    const char *at;
    size_t n;
    int position; /* of the field that comes next */
};

/* A length, and as many bytes: at most max of them, and no more than there are. */
static bool read_field(struct reader *reader, const char *name, size_t min, size_t max,
                       const char **ret_at, size_t *ret_n, struct refusal *refusal)
{
    uint32_t length;

    reader->position++;
    if (reader->n < 4) {
        refuse(refusal, RC_SYNTAX,
               (uint32_t)reader->position * 100 + (reader->n == 0 ? SYNTAX_MISSING : SYNTAX_END),
               "the %s is missing", name);
        return false;
    }
    length = read_u32(reader->at);
    if (length < min || length > max || length > reader->n - 4) {
        refuse(refusal, RC_FRAME, RS_LENGTH, "the %s says it has %u bytes, and %zu are left", name,
               length, reader->n - 4);
        return false;
    }
    *ret_at = reader->at + 4;
    *ret_n = length;
    reader->at += 4 + length;
    reader->n -= 4 + length;
    return true;
}

/* The same, as a name of up to 8 characters in upper case. */
static bool read_name_field(struct reader *reader, const char *name, size_t min,
                            char ret_name[static NAME_MAX_8 + 1], struct refusal *refusal)
{
    char text[NAME_MAX_8 + 1] = "";
    const char *at;
    size_t n;

    if (!read_field(reader, name, min, NAME_MAX_8, &at, &n, refusal))
        return false;
    memcpy(text, at, n);
    if (n > 0 && (strlen(text) != n || !read_name(ret_name, text))) {
        refuse(refusal, RC_SYNTAX, (uint32_t)reader->position * 100 + SYNTAX_CHAR42,
               "the %s has other characters than char42", name);
        return false;
    }
    return true;
}

static bool is_known_key(const struct function *function, const char *key)
{
    for (size_t i = 0; function->keys[i] != NULL; i++)
        if (strcmp(function->keys[i], key) == 0)
            return true;
    return false;
}

/* key=value, each ended by a NUL, in any order. What is wrong with the value is not looked at. */
static void parse_keys(struct request *request, const struct function *function,
                       struct refusal *refusal)
{
    uint32_t position = (uint32_t)request->position;

    bytes_add(&request->text, request->rest, request->n_rest);
    for (size_t at = 0; at < request->n_rest; position++) {
        char *key = request->text.at + at, *value;
        size_t n = strlen(key);
        if (at + n == request->n_rest) {
            refuse(refusal, RC_SYNTAX, position * 100 + SYNTAX_END,
                   "the last parameter is not ended by a NUL");
            return;
        }
        at += n + 1;
        value = strchr(key, '=');
        if (value != NULL)
            *value++ = '\0';
        if (value == NULL || !is_known_key(function, key)) {
            refuse(refusal, 8, 3002, "unknown parameter");
            continue;
        }
        for (char *p = value; *p != '\0'; p++)
            *p = (char)toupper((unsigned char)*p);
        if (request_key(request, key) != NULL || request->n_keys == KEYS_MAX) {
            refuse(refusal, RC_SYNTAX, position * 100 + SYNTAX_CONFLICT, "%s comes twice", key);
            continue;
        }
        request->keys[request->n_keys].key = key;
        request->keys[request->n_keys++].value = value;
    }
}

/* Reads all of it that can be read; refusal says what cannot. */
static void parse(struct request *request, const char *at, size_t n, struct refusal *refusal)
{
    struct reader reader = {.at = at + 4, .n = n - 4};
    const struct function *function;
    const char *name;
    size_t n_name;

    if (!read_field(&reader, "function", 1, FUNCTION_MAX, &name, &n_name, refusal))
        return;
    memcpy(request->name, name, n_name);
    function = function_find(request->name);
    if (strlen(request->name) != n_name || function == NULL)
        refuse(refusal, RC_FRAME, RS_FUNCTION, "there is no such function");
    for (char *p = request->name; *p != '\0'; p++)
        if (!isgraph((unsigned char)*p))
            *p = '?';
    if (!read_name_field(&reader, "user id", 0, request->userid, refusal))
        return;
    if (!read_field(&reader, "password", 0, PASSWORD_MAX, &request->password, &request->n_password,
                    refusal))
        return;
    if (refusal->rc != 0)
        return;
    if (function->has_target) {
        /* Every active image: the one target that is no name. */
        if (strcmp(function->name, "Image_Status_Query") == 0 && reader.n >= 5 &&
            read_u32(reader.at) == 1 && reader.at[4] == '*') {
            memcpy(request->target, "*", 2);
            reader.at += 5;
            reader.n -= 5;
            reader.position++;
        } else if (!read_name_field(&reader, "target", 1, request->target, refusal)) {
            return;
        }
    }
    request->position = reader.position + 1;
    request->rest = reader.at;
    request->n_rest = reader.n;
    if (function->keys != NULL)
        parse_keys(request, function, refusal);
    else if (!function->takes_bytes && reader.n > 0)
        refuse(refusal, RC_SYNTAX, (uint32_t)request->position * 100 + SYNTAX_EXTRANEOUS,
               "%zu bytes after the last parameter", reader.n);
}

/* ---- who may */

static void authenticate(const struct request *request, struct refusal *refusal)
{
    struct user *user = user_find(request->userid);
    bool right = user != NULL && strlen(user->password) == request->n_password &&
                 memcmp(user->password, request->password, request->n_password) == 0;

    if (user == NULL) {
        refuse(refusal, 120, 0, "unknown user");
    } else if (!right) {
        user->wrong++;
        user->wrong_in_row++;
        refuse(refusal, 120, 0, "wrong password, %u in a row, %u in all", user->wrong_in_row,
               user->wrong);
    } else if (user->wrong_in_row >= WRONG_PASSWORDS) {
        refuse(refusal, 120, 0, "the user is locked after %u wrong passwords", user->wrong_in_row);
    } else {
        user->wrong_in_row = 0;
        if (user->expired)
            refuse(refusal, 128, 0, "the password has expired");
    }
}

static void authorise(const struct request *request, const struct function *function,
                      struct refusal *refusal)
{
    const struct user *user = user_find(request->userid);

    if (user != NULL && (user->denied >> (function - functions) & 1) != 0)
        refuse(refusal, 100, 16, "%s may not do this", user->name);
}

/* ---- a request */

static void send_id(struct op *op)
{
    struct bytes id = {0};

    bytes_u32(&id, op->id);
    conn_send(op->conn, id.at, id.n);
    bytes_done(&id);
}

void request_refuse(struct conn *conn, uint32_t rc, uint32_t rs, const char *why, const char *bytes,
                    size_t n)
{
    struct op *op = op_new(conn);

    keep_bytes(bytes, n, 4, n);
    violation(conn, "%u/%u: %s", rc, rs, why);
    snprintf(op->name, sizeof(op->name), "-");
    send_id(op);
    op_finish(op, rc, rs, NULL, 0);
}

/* Tells the client that the work goes on in the background. */
static void answer_async(struct op *op)
{
    struct bytes data = {0};

    op->async_id = (op->id & 0x7fffffff) | 1;
    bytes_u32(&data, op->async_id);
    if (op->fault.kind == FAULT_ASYNC)
        op_answer(op, 592, 0, data.at, data.n);
    else
        op_answer(op, 592, op->async_id, NULL, 0);
    bytes_done(&data);
}

/* An accepted request: the id goes out, and the work begins. */
static void carry_out(struct op *op, const struct request *request, const struct function *function,
                      const struct refusal *refusal)
{
    struct conn *conn = op->conn;

    if (op->fault.kind == FAULT_CLOSE_BEFORE_ID_TAKEN) {
        conn_drop(conn);
    } else {
        if (op->fault.kind == FAULT_BYTEWISE)
            conn_bytewise(conn);
        if (op->fault.kind != FAULT_LATE_ID)
            send_id(op);
        if (op->fault.kind == FAULT_CLOSE_AFTER_ID) {
            conn_finish(conn);
            op_forget_conn(conn);
        }
    }
    if (op->fault.kind == FAULT_ASYNC || op->fault.kind == FAULT_ASYNC_RS)
        answer_async(op);
    if (op->fault.kind == FAULT_RC)
        op_finish(op, op->fault.rc, op->fault.rs, op->fault.data,
                  op->fault.data[0] != '\0' ? strlen(op->fault.data) + 1 : 0);
    else if (refusal->rc != 0)
        op_finish(op, refusal->rc, refusal->rs, NULL, 0);
    else
        function->run(op, request, conn_member(conn));
}

void request_arrived(struct conn *conn, const char *bytes, size_t n)
{
    struct request request = {0};
    struct refusal refusal = {0};
    const struct function *function;
    struct op *op;
    struct fault fault;
    size_t password_at;

    parse(&request, bytes, n, &refusal);
    password_at = request.password != NULL ? (size_t)(request.password - bytes) : 0;
    if (request.password != NULL)
        keep_bytes(bytes, n, password_at, request.n_password);
    else
        keep_bytes(bytes, n, 4, n);
    record(conn, &request);
    if (refusal.rc == RC_FRAME || refusal.rc == RC_SYNTAX)
        violation(conn, "%u/%u: %s", refusal.rc, refusal.rs, refusal.why);
    function = function_find(request.name);
    if (refusal.rc != RC_FRAME && refusal.rc != RC_SYNTAX) {
        struct refusal first = {0};
        authenticate(&request, &first);
        authorise(&request, function, &first);
        refusal = first.rc != 0 ? first : refusal;
    }
    fault = take_fault(&request, conn_member(conn));
    if (fault.kind == FAULT_CLOSE_BEFORE_ID) {
        conn_drop(conn);
    } else {
        op = op_new(conn);
        op->fault = fault;
        snprintf(op->name, sizeof(op->name), "%s", request.name);
        snprintf(op->userid, sizeof(op->userid), "%s", request.userid);
        if (refusal.rc != 0)
            say("%08x refused: %s", op->id, refusal.why);
        carry_out(op, &request, function, &refusal);
    }
    bytes_done(&request.text);
}

void requests_done(void)
{
    while (ops != NULL) {
        struct op *op = ops;
        ops = op->next;
        op_free(op);
    }
    fault_add(1, (char *[]){"clear"});
    for (size_t i = 0; i < BYTES_KEPT; i++)
        free(hexes[i]);
}
