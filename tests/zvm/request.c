/* request.c - what becomes of a request: who may ask it, its id, its reply, what is recorded of it
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct op *ops; /* the newest first */
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
    case FAULT_DROP_REPLY: /* the id may still be on its way */
        conn_finish(op->conn);
        op_forget_conn(op->conn);
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

    request_parse(&request, bytes, n, &refusal);
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
    fault = fault_take(&request, conn_member(conn));
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
