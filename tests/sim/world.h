/* world.h - the whole site in one process: the real broker core, store and agents on a virtual
 * clock
 *
 * Everything that happens is an alarm that rings: a frame that arrives, a turn of the broker, a
 * step of a task, a fault. Alarms ring in the order of their time, and of their setting where that
 * is equal, and all chance comes from the seed: so one seed is one history. After every alarm the
 * rules are held against the truth (rules.c).
 *
 * What is real: broker/core, the store on LMDB, worker/agent, worker/settle, and each message,
 * packed and unpacked. What is played: the hypervisors (hv_sim.h), the network (link.c), the
 * shells around core and agent (office.c, yard.c), the threads of a worker (task.c), the people
 * (client.c), and bad luck (fault.c). */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "broker/core.h"
#include "store/store.h"
#include "tests/sim/hv_sim.h"
#include "wire/msg.h"
#include "worker/agent.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    WORLD_AGENTS_MAX = 12,
    WORLD_CLIENTS_MAX = 6,
    WORLD_TEXT_MAX = 1024,
    WORLD_OFFLINE_MAX = 1000, /* frames that a peer keeps while it is not connected */
};

/* A rule that is broken on purpose, to see that it is missed. */
enum break_rule {
    BREAK_NOTHING,
    BREAK_FENCE,   /* the destination starts by itself although PAUSED was asked for */
    BREAK_LOOK,    /* a task believes the error of its call and asks nobody */
    BREAK_COMMIT,  /* the broker speaks before it has committed */
    BREAK_LIMIT,   /* it allows one more migration than it was told to */
    BREAK_LEASE,   /* an assignment never becomes void */
    BREAK_ATTEMPT, /* reports of an old try count for the new one */
    BREAK_TOKEN,   /* a request that is repeated has a new token */
    BREAK_MEMORY,  /* hosts say that they have twice the memory that they have */
    BREAK_COUNT,   /* a counter in the core is off by one */
    BREAK_REPORT,  /* outside DOUBT a report of any worker is believed */
    BREAK_QUIET,   /* after a start of the broker somebody is asked at once */
    BREAK_INHERIT, /* what a job has left is forgotten when it ends */
    BREAK_OFF,     /* a settler that is called off goes on, and says that it does not */
    BREAK_SETTLER, /* a settler looks at no lease */
    BREAK_REQUEST, /* that a request may still wait in a daemon is forgotten */
    BREAK_CALM,    /* nobody waits until a migration that was asked for can begin no more */
    BREAK_APART,   /* the tables do not say which guests are kept apart */
    BREAK_ANEW,    /* after a full store the memory of before is kept */
    BREAK_RULES
};
extern const char *const break_names[BREAK_RULES];

struct alarm {
    usec_t at;
    uint64_t order;
    size_t place; /* in the heap + 1; 0: not set */
    void (*ring)(void *ctx);
    void *ctx;
};

struct frame {
    struct frame *next;
    struct net_peer peer; /* who sent it, on its way to the broker */
    usec_t at;
    size_t length;
    uint8_t data[];
};

struct frames {
    struct frame *head, **tail;
    size_t n;
};

struct world;

/* A peer's socket and its way to the broker. */
struct link {
    struct world *world;
    struct net_peer peer; /* as the broker sees it; its route changes with each connection */
    bool connected;
    struct frames offline;  /* sent while not connected */
    struct frames up, down; /* on their way */
    struct frames stale;    /* on their way over an older connection, which is gone */
    struct frames inbox;    /* arrived here */
    usec_t cut_until;
    struct alarm up_alarm, down_alarm, stale_alarm, connect_alarm, doom_alarm;
    void (*arrived)(void *owner);
    void *owner;
};

enum crash_point {
    CRASH_NEVER,
    CRASH_BEFORE_COMMIT, /* all that was decided in the turn is lost */
    CRASH_IN_COMMIT,     /* the commit fails */
    CRASH_BEFORE_SEND,   /* nobody hears of it */
    CRASH_WHILE_SENDING, /* some hear of it */
    CRASH_STORE_FULL, /* no crash, where somebody asked for a change: the store has no room, and the
                          * memory is made anew of what it has */
};

struct office { /* where the broker sits */
    char path[256];
    struct store *store;
    struct core *core; /* NULL: it is down */
    struct frames inbox;
    struct alarm turn, start;
    usec_t busy_until;        /* the commit of the last turn lasts so long */
    enum crash_point crash;   /* in the next turn that has something to send */
    bool crash_on_assign;     /* only in one that assigns */
    bool crash_on_ask;        /* only in one in which a change was asked for */
    RmMessage__BodyCase lose; /* the next message of that kind meets a full queue */
    uint64_t n_turns, n_crashes, n_anew;
    struct {
        uint64_t job, turn;
    } stopped[64]; /* turns that this broker has called off, by job */
};

struct sim_ask;
struct sim_task;
struct yard;
struct eye { /* the thread that looks at one hypervisor */
    struct yard *yard;
    unsigned i;
    uint64_t look; /* id of the newest request to look */
};
struct yard { /* a machine with a worker */
    struct world *world;
    unsigned index;
    struct link link;
    struct agent *agent; /* NULL: it is down */
    struct agent_host hosts[SIM_HOSTS_MAX];
    struct hv *hv[SIM_HOSTS_MAX];
    unsigned n_hosts;
    char machine[SIM_NAME_MAX];
    usec_t clock_offset; /* its clock began at another time than ours */
    usec_t hung_until;   /* the whole process stands still */
    bool cannot_look;    /* its version does not know ASK_LOOK */
    bool leaving;        /* it was asked to end, and does so when nothing is in progress */
    usec_t back_in;
    struct alarm wake, start, inventory[SIM_HOSTS_MAX];
    struct eye eyes[SIM_HOSTS_MAX];
    uint64_t seen_changes[SIM_HOSTS_MAX];
    struct frames reports; /* packed reports of tasks */
    struct frames views;   /* packed inventories */
    struct sim_task *tasks;
    uint64_t lease_session; /* tasks of that session may act */
    usec_t lease_until;     /* until then, by its clock */
    struct sim_ask *asks;
    uint64_t life; /* counts processes */
};

struct heard { /* the end of a job, as a follower heard it */
    uint64_t id, epoch;
};
struct client {
    struct world *world;
    unsigned index;
    struct link link;
    struct alarm act, again; /* the next idea; the repetition of what was asked */
    bool has_ideas;          /* false: does what scenarios and peace tell it */
    bool asking;
    RmRequest__AskCase ask;
    struct frame *frame; /* what was asked; owned */
    uint64_t tag;
    usec_t patience; /* until it is asked again */
    usec_t hold;     /* how long the broker may hold the answer */
    bool only_looks; /* a dry run, a modify: its answer is not kept, and may be another one */
    bool doubts;     /* will ask the same once more, to compare the answers */
    bool answered;   /* this token has an answer, which named: */
    uint64_t answer_batch;
    bool wants_to_follow;
    /* Following: */
    bool follows;
    uint64_t batch, epoch, version;
    struct heard *heard; /* owned */
    size_t n_heard, heard_room;
    uint64_t last_batch; /* the newest that it submitted */
    RmCode code;         /* of the last answer */
    char text[256];      /* of its first outcome that is not ok, or as a whole */
    unsigned n_answers;
};

struct ledger_job {
    uint64_t id, batch;
    int guest; /* index in the truth */
    usec_t submitted_at;
    bool final;
    RmState state;
    uint64_t result_hash;
    bool locked;
};

struct ledger {
    struct ledger_job *jobs;
    size_t n, room;
    uint64_t next_id; /* all below have been looked at */
    size_t *live;     /* indices of those that are not final */
    size_t n_live, live_room;
    uint64_t *batches; /* committed */
    size_t n_batches, batches_room;
    usec_t memory_touched[SIM_HOSTS_MAX];
    unsigned n_done, n_failed, n_cancelled, n_locked;
};

/* How often what goes wrong, in means of seconds between two; 0 = never. */
struct luck {
    unsigned broker_crash, agent_crash, agent_hang, agent_leave, cut, lost_connection;
    unsigned daemon_kill, daemon_hang, link_cut, qemu_kill, power, by_hand, clock, stranger;
    unsigned store_full;
    unsigned move_percent;   /* of migrations meet a fault of their own */
    unsigned refuse_percent; /* of them are refused by a hypervisor */
    unsigned busy_percent;   /* of them wait for their guest, see struct sim */
    unsigned drop_permille;  /* of the broker's frames meet a full queue */
};

struct world_options {
    uint64_t seed;
    bool verbose;
    enum break_rule broken;
    FILE *out;                               /* for verbose */
    bool quiet_world;                        /* a scenario: no luck, no ideas of clients */
    unsigned hosts, guests, agents, clients; /* 0: as the seed says */
    usec_t trouble_for;                      /* how long luck is bad; 0: as the seed says */
    uint64_t steps;                          /* at most; 0 = no limit */
};

struct world {
    struct world_options options;
    uint64_t random;
    uint64_t trace; /* hash of all that happened */
    uint64_t order;
    struct alarm **heap;
    size_t n_heap, heap_room;
    uint64_t n_steps;
    struct arena *arena;
    struct sim *sim;
    struct alarm sim_alarm, luck_alarm, peace_alarm;
    struct conf_broker conf;
    unsigned limit_source, limit_destination, limit_cluster; /* as they were meant */
    unsigned apart[SIM_GUESTS_MAX]; /* guests of one number are kept apart; 0: this one is not */
    struct conf_worker conf_worker;
    struct conf_hypervisor conf_hypervisors[SIM_HOSTS_MAX];
    struct office office;
    struct yard yards[WORLD_AGENTS_MAX];
    unsigned n_yards;
    struct client clients[WORLD_CLIENTS_MAX];
    unsigned n_clients; /* the last one is the janitor: no ideas of its own */
    struct luck luck;
    usec_t luck_at[16]; /* by kind: when it strikes next */
    unsigned n_tidied;  /* copies that were removed on request */
    bool peace;         /* faults have stopped */
    usec_t peace_at, tidy_at;
    usec_t delay_least, delay_most;
    usec_t begin_most; /* from a check to the start of the migration */
    uint64_t last_route;
    struct ledger ledger;
    unsigned n_orphans;           /* moves that were begun by workers that are gone */
    char failure[WORLD_TEXT_MAX]; /* "" = all is well */
};

/* ---- world.c */
struct world *world_new(const struct world_options *options);
void world_free(struct world *world);
bool world_step(struct world *world); /* false: nothing will ever happen, or a rule was broken */
void world_run(struct world *world, usec_t until);
/* From trouble to peace to the end of all jobs; false: a rule was broken. */
bool world_live(struct world *world);
void world_fail(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Goes into the trace, and is printed with verbose. */
void world_tell(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
void world_hash(struct world *world, const void *data, size_t length);
uint64_t world_random(struct world *world, uint64_t below);
usec_t world_between(struct world *world, usec_t least, usec_t most);
bool world_chance(struct world *world, unsigned permille);
static inline usec_t world_now(const struct world *world)
{
    return world->sim->now;
}

void alarm_init(struct alarm *alarm, void (*ring)(void *ctx), void *ctx);
void alarm_set(struct world *world, struct alarm *alarm, usec_t at);
void alarm_sooner(struct world *world, struct alarm *alarm,
                  usec_t at); /* never later than it was */
void alarm_stop(struct world *world, struct alarm *alarm);

/* ---- link.c */
void frames_init(struct frames *frames);
void frames_push(struct frames *frames, struct frame *frame); /* takes it */
struct frame *frames_pop(struct frames *frames);
void frames_clear(struct frames *frames);
struct frame *frame_new(const void *data, size_t length);

void link_init(struct link *link, struct world *world, const char *user, enum role role,
               void (*arrived)(void *owner), void *owner);
void link_done(struct link *link);
void link_send(struct link *link, const void *data, size_t length);
int link_answer(struct world *world, const struct net_peer *peer, const void *data, size_t length,
                usec_t at); /* from the broker; -EHOSTUNREACH, -EAGAIN */
void link_break(
    struct link *link); /* the network broke it: a prefix of what is on its way arrives */
void link_anew(struct link *link); /* its owner makes a new one: what was queued is lost too */
void link_cut(struct link *link, usec_t span); /* nothing gets through; broken when it lasts */

/* ---- office.c: the broker's shell */
int office_open(struct world *world);
void office_close(struct world *world);
void office_crash(struct world *world);
void office_wake(struct world *world);

/* ---- yard.c: the worker's shell; task.c: its threads */
void yard_init(struct yard *yard, struct world *world, unsigned index, const unsigned *hosts,
               unsigned n_hosts);
void yard_start(struct yard *yard);
void yard_kill(struct yard *yard, usec_t back_in); /* USEC_NEVER: it does not come back */
void yard_hang(struct yard *yard, usec_t span);
void yard_leave(struct yard *yard, usec_t back_in); /* as SIGTERM has it do */
void yard_done(struct yard *yard);
void yard_report(struct yard *yard, const RmReport *report);
void yard_changes(struct yard *yard); /* has the hypervisor something to tell? */
int yard_find_host(const struct yard *yard, const char *name);

void task_start(struct yard *yard, const RmAssignment *assignment, bool settle, uint64_t session);
void task_off(struct yard *yard, uint64_t job, bool abort);
void task_go_on(struct yard *yard, uint64_t job, uint64_t session);
void task_stop(struct yard *yard, uint64_t job);
void tasks_drop(struct yard *yard);
unsigned tasks_moving(const struct yard *yard, unsigned host); /* begun here, not yet returned */
/* How many tasks there may change something of that guest now; of questions the same. */
unsigned tasks_acting(const struct yard *yard, const char *guest);
unsigned yard_acting(const struct yard *yard, const char *guest);

/* ---- client.c */
void client_init(struct client *client, struct world *world, unsigned index, bool has_ideas);
void client_done(struct client *client);
bool client_is_idle(const struct client *client);
/* Ask; the answer comes when the client is idle again. */
void client_submit(struct client *client, const char *guests, const char *to, bool follow);
void client_evacuate(struct client *client, const char *hosts, bool follow);
void client_cancel(struct client *client, uint64_t batch);
void client_cancel_job(struct client *client, uint64_t id);
void client_resume_all(struct client *client);
void client_lift_all(struct client *client); /* what is paused as a whole */
void client_open_all(struct client *client);
void client_reconcile(struct client *client);
void client_follow(struct client *client, uint64_t batch);
/* The same frame again, as after an answer that was lost. */
void client_repeat(struct client *client);

/* ---- fault.c */
void luck_begin(struct world *world);
void luck_ring(void *world);
void luck_phase(void *world, struct sim *sim, struct sim_move *move);
void luck_request(void *world, struct sim *sim, unsigned host);

/* ---- rules.c: what must be true after every step */
void rules_step(struct world *world);
void rules_commit(struct world *world);
void rules_reply(struct world *world, struct client *client, const RmReply *reply);
void rules_end(struct world *world);
bool rules_all_final(const struct world *world);
/* A job that waits for a host which has no room for it, in truth; 0: none. */
uint64_t rules_without_room(const struct world *world);
/* Is there a guest of which a copy may be left somewhere? */
bool rules_any_mark(const struct world *world);
/* A guest that is locked although it is in one place, as a person would find when he looks; NULL:
 * none. */
const char *rules_locked_guest(const struct world *world);
const struct ledger_job *ledger_find(const struct world *world, uint64_t id);

/* ---- scenario.c */
struct scenario {
    const char *name;
    void (*run)(struct world *world);
    struct world_options options;
};
extern const struct scenario scenarios[];

#endif
