/* settle.c - where is the guest, and what must be repaired: the table of decisions
 *
 * The rules that no row may break (tests/unit/test_settle.c tries every combination):
 *  - no side is resumed unless the other one answered and holds nothing that could run;
 *  - no side that runs is destroyed; a paused one only when it cannot be the newer copy and the
 *    other side is whole;
 *  - no definition goes unless the other side has one;
 *  - what cannot be asked is not guessed.
 *
 * What a look can prove. A copy that stands in "paused (migrating)" without a job was left so by a
 * daemon that died in a migration; it cannot go on by itself. "Paused (user)" at the destination,
 * of a guest that ran before, is the fence's doing: libvirt finished there, the memory is whole.
 * "Shut off (migrated)" at the source, or a persistent guest that the source knows no more, is the
 * source's word that it gave the guest away. "Shut off (shutdown)" means that the guest itself ran
 * there to its end, so any copy elsewhere is older. */
#include "worker/settle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A look, as far as decisions go. */
enum side {
    SIDE_ABSENT, /* the uuid is not known */
    SIDE_OFF,    /* a definition, no process */
    SIDE_RUNS,
    SIDE_PAUSED,   /* by somebody, or by the fence */
    SIDE_STANDS,   /* paused in the middle of a migration that nobody carries on */
    SIDE_STARTING, /* its start, or its arrival, has just begun */
    SIDE_HALTED,   /* paused for some other reason: an I/O error, a watchdog */
    SIDE_LEAVING,  /* an outgoing migration runs */
    SIDE_COMING,   /* an incoming one */
    SIDE_POSTCOPY,
    SIDE_CRASHED, /* its process is kept */
    SIDE_ODD,     /* contradicts itself: things are moving */
};

static enum side classify(const struct hv_look *look)
{
    if (!look->active) {
        if (look->state == RM_GUEST_STATE__GUEST_UNKNOWN)
            return look->defined ? SIDE_ODD : SIDE_ABSENT;
        return look->state == RM_GUEST_STATE__GUEST_SHUTOFF ||
                       look->state == RM_GUEST_STATE__GUEST_CRASHED
                   ? SIDE_OFF
                   : SIDE_ODD;
    }
    if (look->reason == HV_REASON_POSTCOPY || look->reason == HV_REASON_POSTCOPY_FAILED ||
        look->state == RM_GUEST_STATE__GUEST_POSTCOPY)
        return SIDE_POSTCOPY;
    if (look->outgoing)
        return SIDE_LEAVING;
    if (look->incoming || look->state == RM_GUEST_STATE__GUEST_INCOMING)
        return look->reason == HV_REASON_STARTING ? SIDE_STARTING : SIDE_COMING;
    switch (look->state) {
    case RM_GUEST_STATE__GUEST_RUNNING:
    case RM_GUEST_STATE__GUEST_SUSPENDED:   /* it wakes by itself */
    case RM_GUEST_STATE__GUEST_IN_SHUTDOWN: /* it ends by itself, or goes on */
        return SIDE_RUNS;
    case RM_GUEST_STATE__GUEST_PAUSED:
        if (look->reason == HV_REASON_MIGRATING)
            return SIDE_STANDS;
        if (look->reason == HV_REASON_MOMENT)
            return SIDE_RUNS; /* it goes on by itself */
        if (look->reason == HV_REASON_STARTING)
            return SIDE_STARTING;
        return look->reason == HV_REASON_USER ? SIDE_PAUSED : SIDE_HALTED;
    case RM_GUEST_STATE__GUEST_CRASHED:
        return SIDE_CRASHED;
    default:
        return SIDE_ODD;
    }
}

static struct settle_decision decided(RmVerdict verdict, const char *text)
{
    return (struct settle_decision){.verdict = verdict, .text = text};
}

static struct settle_decision repair(unsigned repairs, const char *text)
{
    return (struct settle_decision){
        .verdict = RM_VERDICT__NO_VERDICT, .repairs = repairs, .text = text};
}

static struct settle_decision look_again(void)
{
    return decided(RM_VERDICT__NO_VERDICT, "things are still moving");
}

/* Both sides have answered, and the guest runs on neither: what stands there is for a person to
 * judge, and asking again would bring nothing new. */
static struct settle_decision nowhere(const char *text)
{
    return decided(RM_VERDICT__VERDICT_NOWHERE, text);
}

static struct settle_decision unknown(const char *text)
{
    return decided(RM_VERDICT__VERDICT_UNKNOWN, text);
}

/* A definition that the migration left at the destination, the guest being at the source. */
static unsigned leftover_at_destination(const struct settle_facts *f)
{
    return f->destination.defined && f->source.defined && !f->had_definition
               ? SETTLE_UNDEFINE_DESTINATION
               : 0;
}

static unsigned leftover_at_source(const struct settle_facts *f)
{
    return f->source.defined && f->destination.defined ? SETTLE_UNDEFINE_SOURCE : 0;
}

/* The copy at the destination stands still since it came, and nobody but us would start it. */
static bool copy_never_ran(const struct settle_facts *f)
{
    return f->fenced || f->guest_paused;
}

static struct settle_decision drop_copy(const struct settle_facts *f)
{
    return repair(SETTLE_DESTROY_DESTINATION | leftover_at_destination(f),
                  "a paused copy is left on the destination");
}

static struct settle_decision stayed(const struct settle_facts *f)
{
    struct settle_decision decision =
        decided(RM_VERDICT__VERDICT_SOURCE, "the guest stayed on the source");
    if (classify(&f->destination) == SIDE_OFF)
        decision.repairs = leftover_at_destination(f);
    return decision;
}

static struct settle_decision arrived(const struct settle_facts *f)
{
    struct settle_decision decision =
        decided(RM_VERDICT__VERDICT_DESTINATION, "the guest is on the destination");
    if (classify(&f->source) == SIDE_OFF && f->source.reason == HV_REASON_MIGRATED)
        decision.repairs = leftover_at_source(f);
    return decision;
}

static struct settle_decision both(const char *text)
{
    return decided(RM_VERDICT__VERDICT_BOTH, text);
}

/* Only the source answered. */
static struct settle_decision without_destination(const struct settle_facts *f, enum side source)
{
    switch (source) {
    case SIDE_RUNS:
        /* With the fence nothing runs there by itself. */
        if (f->fenced)
            return decided(
                RM_VERDICT__VERDICT_SOURCE,
                "the guest runs on the source; the destination cannot be asked, and cannot "
                "run it");
        return unknown("the guest runs on the source, but the destination cannot be asked");
    case SIDE_PAUSED:
        if (copy_never_ran(f))
            return decided(
                RM_VERDICT__VERDICT_SOURCE,
                "the guest is paused on the source; the destination cannot be asked, and "
                "does not run it by itself");
        return unknown("the guest is paused on the source, and the destination cannot be asked");
    case SIDE_OFF:
        if (f->fenced && f->source.reason == HV_REASON_SHUTDOWN)
            return decided(RM_VERDICT__VERDICT_ENDED, "the guest shut itself down on the source");
        return unknown("the guest is shut off on the source, and the destination cannot be asked");
    case SIDE_ABSENT:
        return unknown("the guest is not on the source, and the destination cannot be asked");
    case SIDE_STANDS:
        return unknown("the guest stands still in the middle of a migration on the source, and "
                       "the destination cannot be asked");
    case SIDE_COMING:
    case SIDE_ODD:
        return look_again();
    default:
        return unknown("the destination cannot be asked");
    }
}

static struct settle_decision source_runs(const struct settle_facts *f, enum side destination)
{
    switch (destination) {
    case SIDE_ABSENT:
    case SIDE_OFF:
        return stayed(f);
    case SIDE_RUNS:
        return both("the guest runs on both sides");
    case SIDE_PAUSED:
        if (f->fenced)
            return drop_copy(f);
        return both("the guest runs on the source, and a paused copy that is not the fence's is on "
                    "the destination");
    case SIDE_STARTING:
        /* Its daemon ended before it had a process for the guest, and holds its lock since: nothing
         * can run there, and nothing can be removed. */
        if (f->fenced)
            return decided(RM_VERDICT__VERDICT_SOURCE,
                           "the guest runs on the source; its start on the destination was cut "
                           "short by the end of libvirtd there, and cannot run");
        return look_again();
    case SIDE_CRASHED:
        return both("the guest runs on the source, and a crashed copy is on the destination");
    default:
        return look_again();
    }
}

static struct settle_decision source_paused(const struct settle_facts *f, enum side source,
                                            enum side destination)
{
    switch (destination) {
    case SIDE_ABSENT:
    case SIDE_OFF:
        return stayed(f);
    case SIDE_RUNS:
    case SIDE_CRASHED:
        return both("the guest is on the destination, and a paused copy is on the source");
    case SIDE_PAUSED:
        if (source == SIDE_PAUSED && copy_never_ran(f))
            return drop_copy(f);
        return both("paused copies of the guest are on both sides");
    default:
        return look_again();
    }
}

/* The daemon of the source died in a migration, or never heard how it ended. */
static struct settle_decision source_stands(const struct settle_facts *f, enum side destination)
{
    switch (destination) {
    case SIDE_RUNS:
        return repair(SETTLE_DESTROY_SOURCE | leftover_at_source(f),
                      "the guest runs on the destination; the source did not hear it");
    case SIDE_PAUSED:
        /* Both copies are whole, neither runs. Back is the way on which nothing is destroyed before
         * the guest runs: forward would end the source's copy and trust that the other one can be
         * started. */
        if (!copy_never_ran(f))
            return both("the guest stands still on the source, and is paused on the destination");
        if (f->guest_paused)
            return drop_copy(f);
        return repair(SETTLE_RESUME_SOURCE, "the guest stands still on both sides");
    case SIDE_ABSENT:
        if (f->guest_paused)
            return stayed(f);
        /* A persistent guest that ran over there would have left a definition. */
        if (f->fenced || f->source.defined)
            return repair(SETTLE_RESUME_SOURCE, "the guest stands still on the source");
        return nowhere("the guest is transient and stands still on the source; the destination "
                       "does not know it, but may have run it to its end");
    case SIDE_OFF:
        if (f->guest_paused)
            return stayed(f);
        if (f->fenced || f->destination.reason == HV_REASON_FAILED)
            return repair(SETTLE_RESUME_SOURCE, "the guest stands still on the source");
        return nowhere("the guest stands still on the source, and is shut off on the destination, "
                       "which may have run it to its end");
    case SIDE_HALTED:
    case SIDE_CRASHED:
        return both("the guest stands still on the source, and stopped on the destination");
    default:
        return look_again();
    }
}

/* The destination's copy is paused or stands, the source has no process any more. */
static struct settle_decision copy_waits(const struct settle_facts *f, enum side source,
                                         enum side destination)
{
    bool shut_off = source == SIDE_OFF;
    /* A definition came with the guest: it was persistent, and the source forgets those only when
     * they have gone. */
    bool given = f->handed_over ||
                 (shut_off ? f->source.reason == HV_REASON_MIGRATED : f->destination.defined);
    if (f->may_be_left && !f->handed_over)
        return nowhere("the guest is not on the source any more, and the paused copy on the "
                       "destination may be one that an older try left there");
    if (given) {
        /* Nobody but libvirt writes "paused (migrating)", so such a one was not paused on purpose.
         */
        bool ours = f->fenced || f->fence_unknown || destination == SIDE_STANDS;
        if (!f->guest_paused && ours)
            return repair(SETTLE_RESUME_DESTINATION, "the guest waits on the destination");
        return arrived(f);
    }
    if (destination == SIDE_STANDS)
        return shut_off ? look_again()
                        : nowhere("the guest is transient; the source does not know it any more, "
                                  "and the destination did not start it");
    if (shut_off && f->source.reason == HV_REASON_SHUTDOWN && f->fenced)
        return drop_copy(f);
    if (shut_off)
        return decided(
            RM_VERDICT__VERDICT_NOWHERE,
            "the guest ended on the source, and a paused copy that may be older is on the "
            "destination");
    if (f->guest_paused || !(f->fenced || f->fence_unknown))
        return arrived(f);
    return nowhere("the guest is transient; the source does not know it any more, and a paused "
                   "copy that may be older is on the destination");
}

static struct settle_decision source_gone(const struct settle_facts *f, enum side source,
                                          enum side destination)
{
    bool absent = source == SIDE_ABSENT;
    switch (destination) {
    case SIDE_RUNS:
    case SIDE_LEAVING:
        return arrived(f);
    case SIDE_PAUSED:
    case SIDE_STANDS:
        return copy_waits(f, source, destination);
    case SIDE_HALTED:
        return absent || f->source.reason == HV_REASON_MIGRATED ? arrived(f) : look_again();
    case SIDE_ABSENT:
        if (absent)
            return decided(RM_VERDICT__VERDICT_NOWHERE, "neither side knows the guest");
        if (f->source.reason == HV_REASON_MIGRATED)
            return decided(RM_VERDICT__VERDICT_NOWHERE,
                           "the source gave the guest away, and the destination does not know it");
        return decided(RM_VERDICT__VERDICT_ENDED, "the guest is shut off on the source");
    case SIDE_OFF:
    case SIDE_CRASHED:
        return decided(RM_VERDICT__VERDICT_ENDED, absent
                                                      ? "the guest is shut off on the destination"
                                                      : "the guest is shut off");
    default:
        return look_again();
    }
}

static struct settle_decision source_crashed(enum side destination)
{
    switch (destination) {
    case SIDE_ABSENT:
    case SIDE_OFF:
    case SIDE_CRASHED:
        return decided(RM_VERDICT__VERDICT_ENDED, "the guest has crashed");
    case SIDE_RUNS:
        return both("the guest is on the destination, and a crashed copy is on the source");
    case SIDE_PAUSED:
        return decided(RM_VERDICT__VERDICT_NOWHERE,
                       "the guest crashed on the source, and a paused copy is on the destination");
    default:
        return look_again();
    }
}

static struct settle_decision decide(const struct settle_facts *f)
{
    if (!f->source.answered)
        return unknown("the source cannot be asked");
    enum side source = classify(&f->source);
    if (source == SIDE_LEAVING)
        return decided(RM_VERDICT__VERDICT_MIGRATING, "the migration goes on");
    if (!f->destination.answered)
        return source == SIDE_POSTCOPY
                   ? decided(RM_VERDICT__VERDICT_MIGRATING, "the guest's memory is on both sides")
                   : without_destination(f, source);
    enum side destination = classify(&f->destination);
    if (source == SIDE_POSTCOPY && f->source.reason == HV_REASON_POSTCOPY_FAILED &&
        (destination == SIDE_ABSENT || destination == SIDE_OFF))
        return decided(RM_VERDICT__VERDICT_NOWHERE,
                       "the destination lost the guest in post-copy; it must be restarted");
    if (source == SIDE_POSTCOPY || destination == SIDE_POSTCOPY)
        return decided(RM_VERDICT__VERDICT_MIGRATING, "the guest's memory is on both sides");
    switch (source) {
    case SIDE_RUNS:
        return source_runs(f, destination);
    case SIDE_PAUSED:
    case SIDE_HALTED:
        return source_paused(f, source, destination);
    case SIDE_STANDS:
        return source_stands(f, destination);
    case SIDE_OFF:
    case SIDE_ABSENT:
        return source_gone(f, source, destination);
    case SIDE_CRASHED:
        return source_crashed(destination);
    default: /* COMING: somebody brings it back; ODD */
        return look_again();
    }
}

void settle_decide(const struct settle_facts *facts, struct settle_decision *ret_decision)
{
    *ret_decision = decide(facts);
}

/* ---- one round */

struct repair {
    enum settle_repair repair;
    bool at_source;
    enum hv_repair what;
    const char *done, *failed;
};

/* In an order that is safe where one of them fails: the process first, its definition after it. */
static const struct repair rows[] = {
    {SETTLE_RESUME_SOURCE, true, HV_RESUME, "resumed the guest on", "cannot resume the guest on"},
    {SETTLE_RESUME_DESTINATION, false, HV_RESUME, "resumed the guest on",
     "cannot resume the guest on"},
    {SETTLE_DESTROY_SOURCE, true, HV_DESTROY, "removed the copy left on",
     "cannot remove the copy left on"},
    {SETTLE_DESTROY_DESTINATION, false, HV_DESTROY, "removed the copy left on",
     "cannot remove the copy left on"},
    {SETTLE_UNDEFINE_SOURCE, true, HV_UNDEFINE, "removed the definition left on",
     "cannot remove the definition left on"},
    {SETTLE_UNDEFINE_DESTINATION, false, HV_UNDEFINE, "removed the definition left on",
     "cannot remove the definition left on"},
};

static void note(char *notes, size_t size, const char *done, const char *where)
{
    size_t length = strnlen(notes, size);
    if (length < size)
        snprintf(notes + length, size - length, "%s%s %s", length ? "; " : "", done, where);
}

/* 0, or -errno of the one that did not work. */
static int carry_out(const struct driver *driver, struct hv *hv, const struct settle_case *one,
                     struct settle_round *round, char *notes, size_t size, struct rm_err *err)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct repair *row = &rows[i];
        if (!(round->decision.repairs & row->repair))
            continue;
        if (one->may && one->may(one->ctx) != HV_MAY) {
            round->held = true;
            round->decision = look_again();
            return 0;
        }
        const char *peer = row->at_source ? one->source_peer : one->destination_peer;
        const char *name = row->at_source ? one->source : one->destination;
        if (!name)
            name = row->at_source ? "the source" : "the destination";
        struct rm_err why = {""};
        int r = driver->repair(hv, peer, one->uuid, row->what, &why);
        if (r == -ETIMEDOUT)
            *(row->at_source ? &round->source_unanswered : &round->destination_unanswered) = true;
        if (r < 0) {
            rm_err_set(err, "%s %s: %s", row->failed, name, why.text);
            return r;
        }
        note(notes, size, row->done, name);
    }
    return 0;
}

static bool same(const struct hv_look *a, const struct hv_look *b)
{
    return a->answered == b->answered && a->defined == b->defined && a->active == b->active &&
           a->state == b->state && a->reason == b->reason && a->outgoing == b->outgoing &&
           a->incoming == b->incoming;
}

RmVerdict settle_step(const struct driver *driver, struct hv *hv, const struct settle_case *one,
                      char *notes, size_t size, struct rm_err *err, struct settle_round *ret_round)
{
    struct settle_round round = {.facts = {.fenced = one->fenced,
                                           .fence_unknown = one->fence_unknown,
                                           .handed_over = one->handed_over,
                                           .guest_paused = one->guest_paused,
                                           .had_definition = one->had_definition,
                                           .may_be_left = one->may_be_left}};
    struct settle_facts *facts = &round.facts;
    struct hv_look again = {.answered = false};
    struct rm_err source_err = {""}, destination_err = {""};
    rm_err_set(err, "%s", "");
    driver->look(hv, one->source_peer, one->uuid, &facts->source, &source_err);
    if (facts->source.answered) {
        driver->look(hv, one->destination_peer, one->uuid, &facts->destination, &destination_err);
        /* The two looks are not made at one moment: what the source answered must still be true
         * afterwards. */
        driver->look(hv, one->source_peer, one->uuid, &again, &source_err);
    }
    settle_decide(facts, &round.decision);
    if (facts->source.answered && !same(&facts->source, &again))
        round.decision = look_again();
    if (source_err.text[0])
        rm_err_set(err, "%s: %s", one->source ? one->source : "the source", source_err.text);
    else if (destination_err.text[0])
        rm_err_set(err, "%s: %s", one->destination ? one->destination : "the destination",
                   destination_err.text);
    int r = carry_out(driver, hv, one, &round, notes, size, err);
    round.refused = r < 0 && r != -ETIMEDOUT && r != -EAGAIN;
    if (ret_round)
        *ret_round = round;
    return round.decision.verdict;
}
