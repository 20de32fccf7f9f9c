/* board.c - what is known of the site, for many who look at once */
#include "submit/watch/board.h"

#include "conf/text.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define IDLE_FOR     (10 * USEC_PER_SEC) /* after the last look of anybody: no more questions */
#define PATIENCE_FOR (5 * USEC_PER_SEC)  /* with one answer */
#define REST_FOR                                                                                   \
    (3600 * USEC_PER_SEC) /* while nobody wants anything: a bell ends it, or a signal */

struct kept {
    struct sight sight; /* first: board_give_back() gets its address */
    unsigned refs;      /* under the lock */
    usec_t old_at;      /* two looks later */
    struct arena *arena;
};

struct ask {
    RmRequest *request;
    struct arena *arena;
    RmReply *reply;
    struct rm_err *err;
    int result;
    bool done;
    struct ask *next;
};

struct board {
    struct client *client;
    struct arena *arena; /* of the client's own questions */
    int bell;            /* eventfd: somebody wants something */
    pthread_mutex_t lock;
    pthread_cond_t news; /* a sight, an answer, the end */
    /* Under the lock. */
    struct kept *kept;  /* the last sight; NULL: none */
    usec_t wanted_at;   /* when somebody looked last; 0: nobody has */
    unsigned n_looking; /* who wait for a sight */
    uint64_t number;    /* of the last sight */
    struct ask *asks;   /* that wait, the oldest first */
    unsigned n_asks;
    bool stopped;
    /* Of the first thread. */
    usec_t look_at;                         /* the next look at the broker */
    void (*see)(const struct sight *sight); /* NULL: nobody is told of each sight */
    usec_t see_every;
    usec_t see_at; /* the next look at the broker for see() */
};

static usec_t now(void)
{
    return env_now(env_system());
}

int board_new(const struct conf_client *conf, struct board **ret_board, struct rm_err *err)
{
    struct board *board = calloc(1, sizeof(*board));
    pthread_condattr_t attributes;
    if (!board)
        return rm_fail(err, -ENOMEM, "no memory");
    pthread_mutex_init(&board->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&board->news, &attributes);
    pthread_condattr_destroy(&attributes);
    board->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = board->bell < 0 ? rm_fail(err, -errno, "eventfd: %s", strerror(errno)) : 0;
    if (r >= 0)
        r = client_new(conf, "rmigrate-watch", &board->client, err);
    if (r < 0) {
        board_free(board);
        return r;
    }
    client_be_brief(board->client, PATIENCE_FOR);
    *ret_board = board;
    return 0;
}

void board_witness(struct board *board, void (*see)(const struct sight *sight), usec_t every)
{
    board->see = see;
    board->see_every = every;
}

/* Under the lock. */
static void unref(struct kept *kept)
{
    if (!kept || --kept->refs > 0)
        return;
    arena_free(kept->arena);
    free(kept);
}

void board_free(struct board *board)
{
    if (!board)
        return;
    unref(board->kept);
    client_free(board->client);
    if (board->bell >= 0)
        close(board->bell);
    pthread_cond_destroy(&board->news);
    pthread_mutex_destroy(&board->lock);
    free(board);
}

/* ---- of those who look */

static void ring(struct board *board)
{
    const uint64_t one = 1;
    (void)!write(board->bell, &one, sizeof(one)); /* full: it rings already */
}

/* Under the lock: false when the time is over. */
static bool wait_until(struct board *board, usec_t end)
{
    const struct timespec at = {.tv_sec = (time_t)(end / USEC_PER_SEC),
                                .tv_nsec = (long)(end % USEC_PER_SEC) * 1000};
    return pthread_cond_timedwait(&board->news, &board->lock, &at) != ETIMEDOUT;
}

bool board_is_new(const struct sight *sight)
{
    return sight && now() < ((const struct kept *)(const void *)sight)->old_at;
}

/* Under the lock. */
static bool has_news(const struct board *board, uint64_t after)
{
    return board->number > after && board_is_new(&board->kept->sight);
}

const struct sight *board_look(struct board *board, uint64_t after, usec_t wait_for)
{
    usec_t end = now() + wait_for;
    pthread_mutex_lock(&board->lock);
    board->n_looking++;
    ring(board);
    while (!board->stopped && !has_news(board, after) && wait_until(board, end))
        ;
    board->n_looking--;
    board->wanted_at = now();
    struct kept *kept = board->kept;
    if (kept)
        kept->refs++;
    pthread_mutex_unlock(&board->lock);
    return kept ? &kept->sight : NULL;
}

void board_give_back(struct board *board, const struct sight *sight)
{
    if (!sight)
        return;
    pthread_mutex_lock(&board->lock);
    unref((struct kept *)(void *)sight);
    pthread_mutex_unlock(&board->lock);
}

int board_ask(struct board *board, RmRequest *request, struct arena *arena, RmReply **ret_reply,
              struct rm_err *err)
{
    struct ask ask = {.request = request, .arena = arena, .err = err, .result = -ECANCELED};
    pthread_mutex_lock(&board->lock);
    if (board->n_asks >= BOARD_ASKS_MAX) {
        pthread_mutex_unlock(&board->lock);
        return rm_fail(err, -EAGAIN, "%d questions to the broker wait already", BOARD_ASKS_MAX);
    }
    struct ask **at = &board->asks;
    while (*at)
        at = &(*at)->next;
    *at = &ask;
    board->n_asks++;
    ring(board);
    while (!ask.done && !board->stopped)
        pthread_cond_wait(&board->news, &board->lock);
    if (!ask.done) { /* the first thread takes nothing any more */
        rm_fail(err, -ECANCELED, "rmigrate-watch ends");
        for (at = &board->asks; *at; at = &(*at)->next)
            if (*at == &ask) {
                *at = ask.next;
                break;
            }
    }
    board->n_asks--;
    pthread_mutex_unlock(&board->lock);
    *ret_reply = ask.reply;
    return ask.result;
}

const char *board_site(const struct board *board)
{
    return client_server(board->client);
}

/* ---- of the first thread */

/* Errors of a reply that says nothing of what was asked. */
static int reply_error(const RmReply *reply, struct rm_err *err)
{
    switch (reply->code) {
    case RM_CODE__CODE_OK:
    case RM_CODE__CODE_SOME_FAILED:
        return 0;
    case RM_CODE__CODE_NOT_PERMITTED:
        return rm_fail(err, -EPERM, "%s", reply->text);
    case RM_CODE__CODE_TRY_AGAIN:
        return rm_fail(err, -ETIMEDOUT, "%s", reply->text);
    default:
        return rm_fail(err, -EINVAL, "%s", reply->text);
    }
}

static int question(struct board *board, struct arena *arena, RmRequest__AskCase ask, void *message,
                    const RmReply **ret_reply, struct rm_err *err)
{
    RmRequest request = client_request(ask, message);
    RmReply *reply;
    int r = client_ask(board->client, &request, 0, arena, &reply, err);
    if (r >= 0)
        r = reply_error(reply, err);
    if (r >= 0)
        *ret_reply = reply;
    return r;
}

static int look(struct board *board, struct kept *kept, struct rm_err *err)
{
    RmPing ping = RM_PING__INIT;
    RmList list = RM_LIST__INIT;
    RmAskMetrics metrics = RM_ASK_METRICS__INIT;
    RmListJobs jobs = RM_LIST_JOBS__INIT;
    RmState states[] = {RM_STATE__ASSIGNED, RM_STATE__RUNNING, RM_STATE__CANCELLING,
                        RM_STATE__DOUBT};
    struct sight *sight = &kept->sight;
    jobs.states = states;
    jobs.n_states = sizeof(states) / sizeof(states[0]);
    jobs.limit = BOARD_JOBS_MAX;
    int r = question(board, kept->arena, RM_REQUEST__ASK_PING, &ping, &sight->pong, err);
    if (r >= 0)
        r = question(board, kept->arena, RM_REQUEST__ASK_QUEUE, &list, &sight->hosts, err);
    if (r >= 0) {
        r = question(board, kept->arena, RM_REQUEST__ASK_METRICS, &metrics, &sight->metrics, err);
        r = r == -EINVAL ? 0 : r; /* a broker of before that question: the rest is told */
    }
    if (r >= 0)
        r = question(board, kept->arena, RM_REQUEST__ASK_LIST_JOBS, &jobs, &sight->jobs, err);
    return r;
}

static void show(struct board *board, struct kept *kept, usec_t began_at)
{
    pthread_mutex_lock(&board->lock);
    kept->refs = 1;
    kept->old_at = now() + 2 * (board->look_at - began_at);
    kept->sight.number = ++board->number;
    unref(board->kept);
    board->kept = kept;
    pthread_cond_broadcast(&board->news);
    pthread_mutex_unlock(&board->lock);
}

/* The last sight as it was, with the trouble of the new one. */
static int stay(struct board *board, struct kept *kept)
{
    const struct kept *old = board->kept; /* only this thread changes it */
    if (!old)
        return 0;
    const struct sight from = old->sight;
    const RmReply *const replies[] = {from.pong, from.hosts, from.metrics, from.jobs};
    const RmReply **const to[] = {&kept->sight.pong, &kept->sight.hosts, &kept->sight.metrics,
                                  &kept->sight.jobs};
    arena_reset(kept->arena);
    for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
        *to[i] = NULL;
        if (replies[i] &&
            !(*to[i] = (const RmReply *)(void *)msg_copy(kept->arena, &replies[i]->base)))
            return -ENOMEM;
    }
    kept->sight.at = from.at;
    return 0;
}

static bool is_away(int r)
{
    return r == -ETIMEDOUT || r == -EACCES;
}

/* The broker is away: whoever waits for an answer gets this one, for each would wait anew. */
static void fail_asks(struct board *board, int r, const struct rm_err *err)
{
    pthread_mutex_lock(&board->lock);
    for (struct ask *ask = board->asks; ask; ask = ask->next) {
        if (ask->err)
            *ask->err = *err;
        ask->result = r;
        ask->done = true;
    }
    board->asks = NULL;
    pthread_cond_broadcast(&board->news);
    pthread_mutex_unlock(&board->lock);
}

static int refresh(struct board *board, struct rm_err *err)
{
    struct kept *kept = calloc(1, sizeof(*kept));
    usec_t began_at = now();
    if (!kept || !(kept->arena = arena_new(0))) {
        free(kept);
        return rm_fail(err, -ENOMEM, "no memory");
    }
    kept->sight.at = env_wall(env_system());
    int r = look(board, kept, err);
    usec_t took = now() - began_at, rest_for = 10 * took > BOARD_EVERY ? 10 * took : BOARD_EVERY;
    if (r < 0 && r != -EINTR) {
        text_format(kept->sight.trouble, sizeof(kept->sight.trouble), "%s", err->text);
        rest_for = BOARD_EVERY; /* it took long because nobody answered, who has no work with it */
        if (is_away(r))
            fail_asks(board, r, err);
        r = stay(board, kept);
    }
    board->look_at = now() + rest_for;
    if (r >= 0) {
        show(board, kept, began_at);
        return 0;
    }
    arena_free(kept->arena);
    free(kept);
    return r;
}

/* The oldest question that waits; NULL: none. */
static struct ask *take_ask(struct board *board)
{
    pthread_mutex_lock(&board->lock);
    struct ask *ask = board->asks;
    if (ask)
        board->asks = ask->next;
    pthread_mutex_unlock(&board->lock);
    return ask;
}

static int answer(struct board *board, struct ask *ask)
{
    struct rm_err err = {0};
    int r = client_ask(board->client, ask->request, 0, ask->arena, &ask->reply, &err);
    pthread_mutex_lock(&board->lock);
    ask->result = r;
    if (r < 0 && ask->err)
        *ask->err = err;
    ask->done = true;
    pthread_cond_broadcast(&board->news);
    pthread_mutex_unlock(&board->lock);
    if (is_away(r))
        fail_asks(board, r, &err);
    return r == -EINTR ? r : 0;
}

static bool is_wanted(struct board *board)
{
    pthread_mutex_lock(&board->lock);
    bool wanted =
        board->n_looking > 0 || (board->wanted_at != 0 && now() < board->wanted_at + IDLE_FOR);
    pthread_mutex_unlock(&board->lock);
    return wanted;
}

/* While the client waits: somebody rings. That does not hurry an answer. */
static int turn(void *with)
{
    struct board *board = with;
    uint64_t n;
    return read(board->bell, &n, sizeof(n)) == sizeof(n) ? -ECANCELED : 0;
}

/* When the broker is looked at next; USEC_NEVER: not before somebody wants it. */
static usec_t next_look(struct board *board)
{
    if (is_wanted(board))
        return board->look_at;
    return !board->see                      ? USEC_NEVER
           : board->see_at > board->look_at ? board->see_at
                                            : board->look_at;
}

static int renew(struct board *board, struct rm_err *err)
{
    int r = refresh(board, err);
    if (r >= 0 && board->see && board->kept)
        board->see(&board->kept->sight); /* only this thread changes it */
    board->see_at = now() + board->see_every;
    return r;
}

static int rest(struct board *board)
{
    usec_t wait_for = REST_FOR, at = next_look(board);
    if (at != USEC_NEVER)
        wait_for = at > now() ? at - now() : 0;
    client_watch(
        board->client,
        &(struct client_watch){.fd = board->bell, .every = REST_FOR, .turn = turn, .with = board});
    int r = wait_for > 0 ? client_sleep(board->client, wait_for) : 0;
    client_watch(board->client, &(struct client_watch){.fd = -1});
    return r == -ECANCELED ? 0 : r;
}

int board_run(struct board *board, struct rm_err *err)
{
    int r = 0;
    while (r >= 0) {
        struct ask *ask;
        if (now() >= next_look(board))
            r = renew(board, err);
        else if ((ask = take_ask(board)))
            r = answer(board, ask);
        else
            r = rest(board);
    }
    return r == -EINTR ? 0 : r;
}

void board_stop(struct board *board)
{
    pthread_mutex_lock(&board->lock);
    board->stopped = true;
    pthread_cond_broadcast(&board->news);
    pthread_mutex_unlock(&board->lock);
}
