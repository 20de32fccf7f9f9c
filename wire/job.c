/* job.c - the life of a job: the table of legal moves and the names */
#include "wire/job.h"

#include <ctype.h>
#include <pthread.h>
#include <string.h>

/* One row for each move. docs/protocol.md draws this table; tests/unit/test_job.c compares them. */
static const struct move {
    RmState from;
    RmEventKind event;
    RmState to;
} moves[] = {
#define MOVE(from, event, to)                                                                      \
    {                                                                                              \
        RM_STATE__##from, RM_EVENT_KIND__##event, RM_STATE__##to                                   \
    }
    MOVE(NO_STATE, SUBMITTED, QUEUED),

    MOVE(QUEUED, ASSIGN, ASSIGNED),
    MOVE(QUEUED, CANCEL, CANCELLED),
    MOVE(QUEUED, PAUSE, WAITING),
    MOVE(QUEUED, FAILED_FOR_GOOD, FAILED),
    MOVE(QUEUED, FINISHED, DONE), /* seen at its destination before anything was done */

    MOVE(ASSIGNED, ACCEPTED, RUNNING),
    MOVE(ASSIGNED, REFUSED, WAITING),
    MOVE(ASSIGNED, CANCEL, CANCELLING),
    MOVE(ASSIGNED, LOST, DOUBT),
    MOVE(ASSIGNED, FINISHED, DONE),
    MOVE(ASSIGNED, FAILED_FOR_GOOD, FAILED),

    MOVE(RUNNING, FINISHED, DONE),
    MOVE(RUNNING, FAILED_FOR_GOOD, FAILED),
    MOVE(RUNNING, RETRY, WAITING),
    MOVE(RUNNING, CANCEL, CANCELLING),
    MOVE(RUNNING, LOST, DOUBT),
    MOVE(RUNNING, STOPPED, CANCELLED),

    MOVE(CANCELLING, STOPPED, CANCELLED),
    MOVE(CANCELLING, FINISHED, DONE), /* the migration ended before it could be stopped */
    MOVE(CANCELLING, FAILED_FOR_GOOD, FAILED),
    MOVE(CANCELLING, LOST, DOUBT),

    MOVE(WAITING, READY, QUEUED),
    MOVE(WAITING, RESUME, QUEUED),
    MOVE(WAITING, PAUSE, WAITING),
    MOVE(WAITING, CANCEL, CANCELLED),
    MOVE(WAITING, FAILED_FOR_GOOD, FAILED),
    MOVE(WAITING, FINISHED, DONE),

    MOVE(DOUBT, AT_SOURCE, WAITING),
    MOVE(DOUBT, AT_DESTINATION, DONE),
    MOVE(DOUBT, STILL_MIGRATING, RUNNING),
    MOVE(DOUBT, STOPPED, CANCELLED),      /* at its source, and somebody wanted it stopped */
    MOVE(DOUBT, FAILED_FOR_GOOD, FAILED), /* at its source, and no try is left */
    MOVE(DOUBT, MOVED, FAILED),
    MOVE(DOUBT, GUEST_ENDED, FAILED),
    MOVE(DOUBT, NOWHERE, FAILED),
    MOVE(DOUBT, ON_BOTH, FAILED),
    MOVE(DOUBT, RELEASED, FAILED), /* an operator has looked himself */
#undef MOVE
};

RmState job_next(RmState state, RmEventKind event)
{
    for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
        if (moves[i].from == state && moves[i].event == event)
            return moves[i].to;
    return RM_STATE__NO_STATE;
}

bool job_is_final(RmState state)
{
    return state == RM_STATE__DONE || state == RM_STATE__FAILED || state == RM_STATE__CANCELLED;
}

bool job_is_active(RmState state)
{
    return state == RM_STATE__ASSIGNED || state == RM_STATE__RUNNING ||
           state == RM_STATE__CANCELLING || state == RM_STATE__DOUBT;
}

/* The names of the .proto as people read them: "STILL_MIGRATING" becomes "still migrating". They
 * are made once, at the first question, from the descriptors, so that there is no second list. */
enum { NAMES_MAX = 64, NAME_MAX_BYTES = 32 };
struct enum_names {
    char text[NAMES_MAX][NAME_MAX_BYTES]; /* by number; "" = there is none */
};
static struct enum_names state_names, event_names, guest_names;
static pthread_once_t names_once = PTHREAD_ONCE_INIT; /* a worker's tasks are threads */

static void fill(struct enum_names *names, const ProtobufCEnumDescriptor *descriptor,
                 const char *prefix)
{
    for (unsigned i = 0; i < descriptor->n_values; i++) {
        const ProtobufCEnumValue *v = &descriptor->values[i];
        const char *from = v->name;
        if (v->value < 0 || v->value >= NAMES_MAX)
            continue;
        if (strncmp(from, prefix, strlen(prefix)) == 0)
            from += strlen(prefix);
        char *to = names->text[v->value];
        size_t n = 0;
        for (; n < NAME_MAX_BYTES - 1 && from[n] != '\0'; n++)
            to[n] = from[n] == '_' ? ' ' : (char)tolower((unsigned char)from[n]);
        to[n] = '\0';
    }
}

static void make_names(void)
{
    fill(&state_names, &rm_state__descriptor, "");
    fill(&event_names, &rm_event_kind__descriptor, "");
    fill(&guest_names, &rm_guest_state__descriptor, "GUEST_");
}

static const char *name_of(const struct enum_names *names, int value)
{
    pthread_once(&names_once, make_names);
    if (value < 0 || value >= NAMES_MAX || names->text[value][0] == '\0')
        return "?";
    return names->text[value];
}

const char *job_state_name(RmState state)
{
    return name_of(&state_names, (int)state);
}

const char *job_event_name(RmEventKind event)
{
    return name_of(&event_names, (int)event);
}

const char *guest_state_name(RmGuestState state)
{
    return name_of(&guest_names, (int)state);
}

RmState job_state_parse(const char *name)
{
    for (unsigned i = 0; i < rm_state__descriptor.n_values; i++) {
        RmState state = (RmState)rm_state__descriptor.values[i].value;
        if (state != RM_STATE__NO_STATE && strcmp(job_state_name(state), name) == 0)
            return state;
    }
    return RM_STATE__NO_STATE;
}

bool guest_is_active(RmGuestState state)
{
    return state == RM_GUEST_STATE__GUEST_RUNNING || state == RM_GUEST_STATE__GUEST_PAUSED ||
           state == RM_GUEST_STATE__GUEST_SUSPENDED || state == RM_GUEST_STATE__GUEST_POSTCOPY ||
           state == RM_GUEST_STATE__GUEST_IN_SHUTDOWN;
}
