/* session.c - workers connected now, and what each hypervisor's worker reported of itself last */
#include "broker/session.h"

#include "conf/text.h"

#include <stdio.h>

enum {
    REFUSED_MAX = 1000, /* bytes of the names of refused hypervisors that are shown */
    LEASE_PERCENT = 80, /* of the session time-out: the worker's clock may run slower than ours */
};

/* No broker before this one has given it: a task that waits in a worker since then belongs to that one's
 * session, and a lease of this one must not let it act. */
static uint64_t new_id(struct core *core)
{
    uint64_t id;

    do
        id = core->epoch + ++core->sessions.last_id;
    while (id == 0);
    return id;
}

static struct session_peer key_of(const struct net_peer *peer)
{
    struct session_peer key = {.socket = peer->socket};

    memcpy(key.route, peer->route, peer->route_length);
    return key;
}

/* One word: a line of the log would take more of them for what is said about a guest. */
static void set_machine(struct session *session, const char *name)
{
    text_set(&session->machine, name);
    if (*session->machine == '\0')
        return; /* nobody's own to write in */
    for (char *p = text_one_line(session->machine); (p = strchr(p, ' '));)
        *p++ = '_';
}

struct session *session_open(struct core *core, const struct net_peer *peer, const RmHello *hello)
{
    struct session *session = session_of_peer(core, peer);

    if (!session) {
        session = must(calloc(1, sizeof(*session)));
        session->peer = *peer;
        session->key = key_of(peer);
        DL_APPEND(core->sessions.first, session);
        HASH_ADD(hh, core->sessions.by_peer, key, sizeof(session->key), session);
    } else {
        HASH_DELETE(hh_id, core->sessions.by_id, session);
    }
    session->id = new_id(core);
    HASH_ADD(hh_id, core->sessions.by_id, id, sizeof(session->id), session);
    session->instance = hello->instance;
    session->pid = hello->pid;
    session->turns = hello->turns;
    set_machine(session, hello->machine);
    text_set(&session->version, hello->version);
    text_set(&session->refused, NULL);
    session->connected_wall = session->heard_wall = core->wall;
    session->connected_at = core->now;
    session->heard_at = core->now;
    session->heard = 0;
    session->gone = session->waits = session->told = false;
    return session;
}

void session_refuse(struct session *session, const char *host)
{
    char *list = NULL;

    if (strlen(session->refused) + strlen(host) >= REFUSED_MAX)
        return; /* the journal has them all */
    if (*session->refused == '\0')
        text_set(&session->refused, host);
    else if (asprintf(&list, "%s,%s", session->refused, host) >= 0)
        text_set(&session->refused, list);
    free(list);
}

static void send_orders(struct core *core, const struct net_peer *peer, uint64_t heard,
                        RmOrder *orders, size_t n)
{
    RmMessage message = RM_MESSAGE__INIT;
    RmOrders body = RM_ORDERS__INIT;
    RmOrder **list = must(calloc(n + 1, sizeof(*list)));

    for (size_t i = 0; i < n; i++)
        list[i] = &orders[i];
    body.heard = heard;
    body.n_orders = n;
    body.orders = list;
    message.body_case = RM_MESSAGE__BODY_ORDERS;
    message.orders = &body;
    core_send(core, peer, 0, &message);
    free(list);
}

static void forget_orders(struct session *session)
{
    for (size_t i = 0; i < session->n_orders; i++)
        if (session->orders[i].kind == RM_ORDER_KIND__ORDER_RIVAL)
            free(session->orders[i].text);
    session->n_orders = 0;
}

static void send_own(struct core *core, struct session *session)
{
    if (session->answer || session->n_orders > 0)
        send_orders(core, &session->peer, session->heard, session->orders, session->n_orders);
    session->answer = false;
    forget_orders(session);
}

static void session_free(struct session *session)
{
    text_set(&session->machine, NULL);
    text_set(&session->version, NULL);
    text_set(&session->refused, NULL);
    forget_orders(session);
    free(session->orders);
    free(session);
}

void session_close(struct core *core, struct session *session)
{
    session->answer = false; /* its lease ends with it */
    send_own(core, session);
    DL_DELETE(core->sessions.first, session);
    HASH_DELETE(hh, core->sessions.by_peer, session);
    HASH_DELETE(hh_id, core->sessions.by_id, session);
    session_free(session);
}

void session_free_all(struct core *core)
{
    struct session *session, *next;

    HASH_CLEAR(hh, core->sessions.by_peer);
    HASH_CLEAR(hh_id, core->sessions.by_id);
    DL_FOREACH_SAFE (core->sessions.first, session, next)
        session_free(session);
    core->sessions.first = NULL;
}

struct session *session_of_peer(struct core *core, const struct net_peer *peer)
{
    struct session_peer key = key_of(peer);
    struct session *session;

    HASH_FIND(hh, core->sessions.by_peer, &key, sizeof(key), session);
    return session;
}

struct session *session_by_id(struct core *core, uint64_t id)
{
    struct session *session;

    HASH_FIND(hh_id, core->sessions.by_id, &id, sizeof(id), session);
    return session;
}

void session_heard(struct core *core, struct session *session)
{
    session->heard_at = core->now;
    session->heard_wall = core->wall;
    session->gone = false;
}

void session_gone(struct session *session)
{
    session->gone = true;
}

bool session_is_rival(const struct core *core, const struct session *session, uint64_t instance)
{
    return session && session->instance != instance && !session->gone &&
           core->now < session_over_at(core, session);
}

void session_pulled(struct session *session, const RmPull *pull)
{
    session->heard = pull->sent;
    session->answer = true;
}

usec_t session_lease(const struct core *core)
{
    return core->conf->session_timeout * LEASE_PERCENT / 100;
}

usec_t session_over_at(const struct core *core, const struct session *session)
{
    return session->heard_at + core->conf->session_timeout;
}

/* ---- what is sent */

void session_send_orders(struct core *core)
{
    struct session *session;

    DL_FOREACH (core->sessions.first, session)
        send_own(core, session);
}

static RmOrder *add_order(struct session *session, RmOrderKind kind)
{
    RmOrder *order = ARRAY_MUST_ADD(session->orders, session->n_orders, session->orders_room);

    rm_order__init(order);
    order->kind = kind;
    return order;
}

void session_order(struct session *session, RmOrderKind kind, uint64_t job, uint32_t attempt,
                   uint64_t turn)
{
    RmOrder *order = add_order(session, kind);

    order->job = job;
    order->attempt = attempt;
    order->turn = turn;
}

void session_probe(struct session *session, struct session *other)
{
    session->answer = true; /* confirms its newest pull once more */
    other->waits = true;
}

void session_set_told(struct session *session)
{
    session->told = true;
}

void session_tell_rival(struct core *core, struct session *session, const char *text)
{
    if (!log_allowed(&session->rivals, core->now, RIVAL_SPAN, RIVAL_ORDERS))
        return;
    add_order(session, RM_ORDER_KIND__ORDER_RIVAL)->text = must(strdup(text));
}

void session_stop(struct session *session, uint64_t job, uint32_t attempt, uint64_t turn,
                  bool abort)
{
    session_order(session, RM_ORDER_KIND__ORDER_STOP, job, attempt, turn);
    session->orders[session->n_orders - 1].abort = abort;
}

void session_order_hello(struct core *core, struct session *session, const struct net_peer *peer)
{
    RmOrder order = RM_ORDER__INIT;

    order.kind = RM_ORDER_KIND__ORDER_HELLO;
    if (session)
        add_order(session, order.kind);
    else
        send_orders(core, peer, 0, &order, 1);
}

void session_assign(struct core *core, struct session *session, RmAssignment **jobs, size_t n)
{
    RmMessage message = RM_MESSAGE__INIT;
    RmAssign body = RM_ASSIGN__INIT;

    send_own(core, session);
    body.session = session->id;
    body.n_jobs = n;
    body.jobs = jobs;
    message.body_case = RM_MESSAGE__BODY_ASSIGN;
    message.assign = &body;
    core_send(core, &session->peer, 0, &message);
}

void session_ask(struct core *core, struct session *session, RmAsk *ask)
{
    RmMessage message = RM_MESSAGE__INIT;

    send_own(core, session);
    ask->session = session->id;
    message.body_case = RM_MESSAGE__BODY_ASK;
    message.ask = ask;
    core_send(core, &session->peer, 0, &message);
}

/* ---- links */

void host_link_init(struct host_link *link, usec_t now)
{
    *link = (struct host_link){.lost_at = now};
}

void host_link_done(struct host_link *link)
{
    free(link->text);
    link->text = NULL;
}

void host_link_open(struct host_link *link, struct session *session, unsigned slots)
{
    if (link->session)
        link->session->n_hosts--;
    link->session = session;
    session->n_hosts++;
    link->slots = slots;
    link->credit = 0;
    link->number = 0;
    link->inventory = 0;
    link->seen = false;
}

void host_link_close(struct core *core, struct host_link *link)
{
    if (link->session)
        link->session->n_hosts--;
    link->session = NULL;
    link->lost_at = core->now;
    link->credit = 0;
    link->reachable = false;
    link->answers_at = 0;
    link->seen = false;
}

void host_link_hold(struct host_link *link)
{
    link->credit = 0;
}

bool host_link_is_newer(struct host_link *link, uint64_t sequence)
{
    if (sequence <= link->inventory)
        return false;
    link->inventory = sequence;
    return true;
}

void host_link_answers(struct core *core, struct host_link *link, bool reachable, const char *text)
{
    if (link->reachable && !reachable)
        link->lost_at = core->now;
    if (!reachable)
        link->answers_at = 0;
    else if (link->answers_at == 0)
        link->answers_at = core->now;
    link->reachable = reachable;
    link->seen = link->seen || reachable;
    free(link->text);
    link->text = *text != '\0' ? must(strdup(text)) : NULL;
}

bool host_link_credit(struct host_link *link, const RmCredit *credit, unsigned sent)
{
    if (credit->seen > link->number)
        return false; /* of another session */
    /* An assignment that was lost is never seen: it counts only for as long as its job waits for an
     * answer. */
    uint64_t unseen = link->number - credit->seen;
    if (unseen > sent)
        unseen = sent;
    link->credit = credit->free > unseen ? credit->free - (unsigned)unseen : 0;
    return link->credit > 0;
}

uint64_t host_link_take(struct host_link *link)
{
    link->credit--;
    return ++link->number;
}

const char *host_link_trouble(const struct host_link *link)
{
    if (!link->session)
        return "it has no worker";
    return link->text ? link->text : "it does not answer its worker";
}

bool host_link_is_up(const struct host_link *link)
{
    return link->session && link->reachable;
}
