/* test_settle.c - the table of decisions after a migration, in every combination, and one round of
 * asking and repairing over a scripted pair of hypervisors */
#include "worker/settle.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- looks as libvirt gives them */

static const struct hv_look nobody = {.answered = false};
static const struct hv_look absent = {.answered = true};

static struct hv_look off(enum hv_reason reason)
{
    return (struct hv_look){.answered = true,
                            .defined = true,
                            .state = RM_GUEST_STATE__GUEST_SHUTOFF,
                            .reason = reason};
}

static struct hv_look on(RmGuestState state, enum hv_reason reason)
{
    return (struct hv_look){
        .answered = true, .defined = true, .active = true, .state = state, .reason = reason};
}

static struct hv_look runs(enum hv_reason reason)
{
    return on(RM_GUEST_STATE__GUEST_RUNNING, reason);
}

static struct hv_look paused(enum hv_reason reason)
{
    return on(RM_GUEST_STATE__GUEST_PAUSED, reason);
}

static struct hv_look leaving(RmGuestState state, enum hv_reason reason)
{
    struct hv_look look = on(state, reason);
    look.outgoing = true;
    return look;
}

static struct hv_look coming(void)
{
    struct hv_look look = on(RM_GUEST_STATE__GUEST_INCOMING, HV_REASON_MIGRATING);
    look.incoming = true;
    look.defined = false;
    return look;
}

static struct hv_look transient(struct hv_look look)
{
    look.defined = false;
    return look;
}

static struct settle_decision decide(struct hv_look source, struct hv_look destination,
                                     struct settle_facts how)
{
    struct settle_decision decision;
    how.source = source;
    how.destination = destination;
    settle_decide(&how, &decision);
    assert_non_null(decision.text);
    return decision;
}

static const struct settle_facts plain, fenced = {.fenced = true},
                                        unknown_fence = {.fence_unknown = true},
                                        fenced_paused = {.fenced = true, .guest_paused = true};

#define EXPECT(source, destination, how, wanted, wanted_mends)                                     \
    do {                                                                                           \
        struct settle_decision d_ = decide((source), (destination), (how));                        \
        if (d_.verdict != RM_VERDICT__##wanted || d_.repairs != (unsigned)(wanted_mends))          \
            fail_msg("%s:%d: verdict %d, repairs %#x (%s)", __FILE__, __LINE__, (int)d_.verdict,   \
                     d_.repairs, d_.text);                                                         \
    } while (0)

/* ---- the rows that were measured */

static void rows_of_a_guest_that_stayed(void **state)
{
    (void)state;
    struct hv_look again = runs(HV_REASON_MIGRATION_CANCELED);
    EXPECT(again, absent, plain, VERDICT_SOURCE, 0);
    EXPECT(again, off(HV_REASON_FAILED), fenced, VERDICT_SOURCE, SETTLE_UNDEFINE_DESTINATION);
    struct settle_facts had = {.fenced = true, .had_definition = true};
    EXPECT(again, off(HV_REASON_OTHER), had, VERDICT_SOURCE, 0);
    EXPECT(again, nobody, fenced, VERDICT_SOURCE, 0);
    EXPECT(again, nobody, plain, VERDICT_UNKNOWN, 0);
    EXPECT(again, nobody, unknown_fence, VERDICT_UNKNOWN, 0);
    EXPECT(paused(HV_REASON_USER), absent, fenced_paused, VERDICT_SOURCE, 0);
    EXPECT(paused(HV_REASON_USER), nobody, fenced_paused, VERDICT_SOURCE, 0);
    EXPECT(paused(HV_REASON_USER), nobody, plain, VERDICT_UNKNOWN, 0);
}

static void a_start_that_ended_with_its_daemon_decides_nothing(void **state)
{
    (void)state;
    struct hv_look begun = coming();
    begun.reason = HV_REASON_STARTING;
    EXPECT(runs(HV_REASON_OTHER), begun, fenced, VERDICT_SOURCE, 0);
    EXPECT(runs(HV_REASON_OTHER), begun, plain, NO_VERDICT, 0);
    EXPECT(leaving(RM_GUEST_STATE__GUEST_RUNNING, HV_REASON_OTHER), begun, fenced,
           VERDICT_MIGRATING, 0);
    EXPECT(runs(HV_REASON_OTHER), coming(), fenced, NO_VERDICT, 0);
    EXPECT(paused(HV_REASON_MIGRATING), begun, fenced, NO_VERDICT, 0);
    EXPECT(absent, begun, fenced, NO_VERDICT, 0);
}

static void a_guest_that_is_paused_for_a_moment_runs(void **state)
{
    (void)state;
    struct hv_look dumped = paused(HV_REASON_MOMENT);
    EXPECT(dumped, absent, fenced, VERDICT_SOURCE, 0);
    EXPECT(dumped, transient(paused(HV_REASON_USER)), fenced, NO_VERDICT,
           SETTLE_DESTROY_DESTINATION);
    EXPECT(absent, dumped, fenced, VERDICT_DESTINATION, 0);
}

static void row_9_with_the_fence_removes_the_paused_copy(void **state)
{
    (void)state;
    struct hv_look again = runs(HV_REASON_MIGRATION_CANCELED);
    EXPECT(again, paused(HV_REASON_USER), fenced, NO_VERDICT,
           SETTLE_DESTROY_DESTINATION | SETTLE_UNDEFINE_DESTINATION);
    struct settle_facts had = {.fenced = true, .had_definition = true};
    EXPECT(again, paused(HV_REASON_USER), had, NO_VERDICT, SETTLE_DESTROY_DESTINATION);
    EXPECT(transient(again), transient(paused(HV_REASON_USER)), fenced, NO_VERDICT,
           SETTLE_DESTROY_DESTINATION);
}

static void row_9_without_the_fence_is_an_alarm(void **state)
{
    (void)state;
    struct hv_look again = runs(HV_REASON_MIGRATION_CANCELED);
    EXPECT(again, runs(HV_REASON_MIGRATED), plain, VERDICT_BOTH, 0);
    EXPECT(again, runs(HV_REASON_MIGRATED), fenced, VERDICT_BOTH, 0);
    EXPECT(again, paused(HV_REASON_USER), plain, VERDICT_BOTH, 0);
    EXPECT(again, paused(HV_REASON_USER), unknown_fence, VERDICT_BOTH, 0);
}

static void row_8_ends_the_source_only_where_the_destination_runs(void **state)
{
    (void)state;
    struct hv_look stands = paused(HV_REASON_MIGRATING);
    EXPECT(stands, runs(HV_REASON_MIGRATED), plain, NO_VERDICT,
           SETTLE_DESTROY_SOURCE | SETTLE_UNDEFINE_SOURCE);
    EXPECT(stands, transient(runs(HV_REASON_MIGRATED)), plain, NO_VERDICT, SETTLE_DESTROY_SOURCE);
    EXPECT(stands, paused(HV_REASON_USER), fenced, NO_VERDICT, SETTLE_RESUME_SOURCE);
    EXPECT(stands, paused(HV_REASON_USER), plain, VERDICT_BOTH, 0);
    EXPECT(stands, nobody, fenced, VERDICT_UNKNOWN, 0);
    EXPECT(stands, nobody, plain, VERDICT_UNKNOWN, 0);
}

static void row_7_resumes_the_source_when_nothing_can_have_run_elsewhere(void **state)
{
    (void)state;
    struct hv_look stands = paused(HV_REASON_MIGRATING);
    EXPECT(stands, absent, plain, NO_VERDICT, SETTLE_RESUME_SOURCE);
    EXPECT(stands, absent, fenced, NO_VERDICT, SETTLE_RESUME_SOURCE);
    EXPECT(transient(stands), absent, plain, VERDICT_NOWHERE, 0);
    EXPECT(transient(stands), absent, fenced, NO_VERDICT, SETTLE_RESUME_SOURCE);
    EXPECT(stands, off(HV_REASON_SHUTDOWN), plain, VERDICT_NOWHERE, 0);
    EXPECT(stands, off(HV_REASON_FAILED), plain, NO_VERDICT, SETTLE_RESUME_SOURCE);
    EXPECT(stands, absent, fenced_paused, VERDICT_SOURCE, 0);
}

static void rows_of_a_guest_that_arrived(void **state)
{
    (void)state;
    EXPECT(absent, runs(HV_REASON_MIGRATED), plain, VERDICT_DESTINATION, 0);
    EXPECT(off(HV_REASON_MIGRATED), runs(HV_REASON_MIGRATED), plain, VERDICT_DESTINATION,
           SETTLE_UNDEFINE_SOURCE);
    EXPECT(off(HV_REASON_MIGRATED), transient(runs(HV_REASON_MIGRATED)), plain, VERDICT_DESTINATION,
           0);
    EXPECT(off(HV_REASON_OTHER), runs(HV_REASON_MIGRATED), plain, VERDICT_DESTINATION, 0);
    EXPECT(absent, paused(HV_REASON_USER), fenced, NO_VERDICT, SETTLE_RESUME_DESTINATION);
    EXPECT(absent, paused(HV_REASON_USER), unknown_fence, NO_VERDICT, SETTLE_RESUME_DESTINATION);
    EXPECT(absent, paused(HV_REASON_MIGRATING), plain, NO_VERDICT, SETTLE_RESUME_DESTINATION);
    EXPECT(off(HV_REASON_MIGRATED), paused(HV_REASON_USER), fenced, NO_VERDICT,
           SETTLE_RESUME_DESTINATION);
    EXPECT(absent, paused(HV_REASON_USER), fenced_paused, VERDICT_DESTINATION, 0);
    EXPECT(absent, paused(HV_REASON_USER), plain, VERDICT_DESTINATION, 0);
}

static void
a_transient_guest_is_resumed_only_when_its_source_is_known_to_have_given_it(void **state)
{
    (void)state;
    struct settle_facts given = {.fenced = true, .handed_over = true};
    EXPECT(absent, transient(paused(HV_REASON_USER)), fenced, VERDICT_NOWHERE, 0);
    EXPECT(absent, transient(paused(HV_REASON_USER)), given, NO_VERDICT, SETTLE_RESUME_DESTINATION);
}

static void a_copy_older_than_what_ran_is_never_resumed(void **state)
{
    (void)state;
    EXPECT(off(HV_REASON_SHUTDOWN), paused(HV_REASON_USER), fenced, NO_VERDICT,
           SETTLE_DESTROY_DESTINATION | SETTLE_UNDEFINE_DESTINATION);
    EXPECT(off(HV_REASON_OTHER), paused(HV_REASON_USER), fenced, VERDICT_NOWHERE, 0);
    EXPECT(off(HV_REASON_SHUTDOWN), paused(HV_REASON_USER), plain, VERDICT_NOWHERE, 0);
}

static void rows_of_a_migration_that_goes_on(void **state)
{
    (void)state;
    struct hv_look copies = leaving(RM_GUEST_STATE__GUEST_RUNNING, HV_REASON_OTHER);
    EXPECT(copies, coming(), plain, VERDICT_MIGRATING, 0);
    EXPECT(copies, nobody, plain, VERDICT_MIGRATING, 0);
    EXPECT(leaving(RM_GUEST_STATE__GUEST_PAUSED, HV_REASON_MIGRATING), paused(HV_REASON_USER),
           fenced, VERDICT_MIGRATING, 0);
    struct hv_look post = on(RM_GUEST_STATE__GUEST_POSTCOPY, HV_REASON_POSTCOPY);
    EXPECT(post, post, plain, VERDICT_MIGRATING, 0);
    EXPECT(on(RM_GUEST_STATE__GUEST_POSTCOPY, HV_REASON_POSTCOPY_FAILED), off(HV_REASON_OTHER),
           plain, VERDICT_NOWHERE, 0);
}

static void rows_of_a_guest_that_ended(void **state)
{
    (void)state;
    EXPECT(off(HV_REASON_SHUTDOWN), absent, plain, VERDICT_ENDED, 0);
    EXPECT(off(HV_REASON_OTHER), absent, fenced, VERDICT_ENDED, 0);
    EXPECT(off(HV_REASON_MIGRATED), off(HV_REASON_SHUTDOWN), plain, VERDICT_ENDED, 0);
    EXPECT(off(HV_REASON_MIGRATED), absent, plain, VERDICT_NOWHERE, 0);
    EXPECT(absent, absent, plain, VERDICT_NOWHERE, 0);
    EXPECT(absent, off(HV_REASON_SHUTDOWN), plain, VERDICT_ENDED, 0);
    EXPECT(off(HV_REASON_SHUTDOWN), nobody, fenced, VERDICT_ENDED, 0);
    EXPECT(off(HV_REASON_SHUTDOWN), nobody, plain, VERDICT_UNKNOWN, 0);
}

static void what_moves_is_looked_at_again(void **state)
{
    (void)state;
    EXPECT(runs(HV_REASON_OTHER), coming(), plain, NO_VERDICT, 0);
    EXPECT(absent, coming(), plain, NO_VERDICT, 0);
    EXPECT(coming(), absent, plain, NO_VERDICT, 0);
    struct hv_look odd = runs(HV_REASON_OTHER);
    odd.active = false;
    EXPECT(odd, absent, plain, NO_VERDICT, 0);
}

static void nothing_is_said_when_the_source_is_silent(void **state)
{
    (void)state;
    EXPECT(nobody, runs(HV_REASON_MIGRATED), plain, VERDICT_UNKNOWN, 0);
    EXPECT(nobody, nobody, fenced, VERDICT_UNKNOWN, 0);
    EXPECT(absent, nobody, fenced, VERDICT_UNKNOWN, 0);
}

/* ---- every combination */

static size_t all_looks(struct hv_look looks[], size_t room)
{
    static const enum hv_reason reasons[] = {
        HV_REASON_OTHER,           HV_REASON_MIGRATED, HV_REASON_MIGRATION_CANCELED,
        HV_REASON_MIGRATING,       HV_REASON_USER,     HV_REASON_POSTCOPY,
        HV_REASON_POSTCOPY_FAILED, HV_REASON_SHUTDOWN, HV_REASON_FAILED,
        HV_REASON_MOMENT,          HV_REASON_STARTING};
    size_t n = 0;
    looks[n++] = nobody;
    for (int state = RM_GUEST_STATE__GUEST_UNKNOWN; state <= RM_GUEST_STATE__GUEST_IN_SHUTDOWN;
         state++)
        for (size_t r = 0; r < COUNT(reasons); r++)
            for (int bits = 0; bits < 12; bits++) { /* also those that contradict themselves */
                int job = bits % 3;
                struct hv_look look = {.answered = true,
                                       .defined = bits / 3 % 2,
                                       .active = bits / 6,
                                       .state = (RmGuestState)state,
                                       .reason = reasons[r],
                                       .outgoing = job == 1,
                                       .incoming = job == 2};
                assert_true(n < room);
                looks[n++] = look;
            }
    return n;
}

static bool may_run(const struct hv_look *look)
{
    return look->active &&
           (look->state == RM_GUEST_STATE__GUEST_RUNNING ||
            look->state == RM_GUEST_STATE__GUEST_SUSPENDED ||
            look->state == RM_GUEST_STATE__GUEST_POSTCOPY ||
            look->state == RM_GUEST_STATE__GUEST_IN_SHUTDOWN ||
            (look->state == RM_GUEST_STATE__GUEST_PAUSED && look->reason == HV_REASON_MOMENT));
}

static bool stands_still(const struct hv_look *look)
{
    return look->active && look->state == RM_GUEST_STATE__GUEST_PAUSED && !look->outgoing &&
           !look->incoming && look->reason != HV_REASON_MOMENT;
}

static bool has_postcopy(const struct hv_look *look)
{
    return look->active &&
           (look->state == RM_GUEST_STATE__GUEST_POSTCOPY || look->reason == HV_REASON_POSTCOPY ||
            look->reason == HV_REASON_POSTCOPY_FAILED);
}

static void check_resume(const struct settle_facts *f, unsigned repairs)
{
    const struct hv_look *s = &f->source, *d = &f->destination;
    assert_false(f->guest_paused);
    assert_true(s->answered && d->answered);
    assert_false(has_postcopy(s) || has_postcopy(d));
    if (repairs & SETTLE_RESUME_SOURCE) {
        assert_int_equal(repairs, SETTLE_RESUME_SOURCE);
        assert_true(stands_still(s) && s->reason == HV_REASON_MIGRATING);
        /* A copy that could run is not there, or only the fence's, which nobody starts. */
        assert_true(!d->active || (stands_still(d) && d->reason == HV_REASON_USER && f->fenced));
        /* Without the fence it must not have run there and ended. */
        if (!f->fenced)
            assert_true(d->reason == HV_REASON_FAILED ||
                        (d->state == RM_GUEST_STATE__GUEST_UNKNOWN && s->defined));
    } else {
        assert_int_equal(repairs, SETTLE_RESUME_DESTINATION);
        assert_true(stands_still(d));
        assert_false(s->active);
        /* The source gave it away, by its own word or by the call's. */
        assert_true(f->handed_over || s->reason == HV_REASON_MIGRATED || d->defined);
        assert_false(s->defined && s->reason == HV_REASON_SHUTDOWN && !f->handed_over);
    }
}

static void check_destroy(const struct settle_facts *f, unsigned repairs)
{
    const struct hv_look *s = &f->source, *d = &f->destination;
    assert_true(s->answered && d->answered);
    assert_false((repairs & SETTLE_DESTROY_SOURCE) && (repairs & SETTLE_DESTROY_DESTINATION));
    if (repairs & SETTLE_DESTROY_SOURCE) {
        assert_true(stands_still(s) && s->reason == HV_REASON_MIGRATING);
        assert_true(may_run(d) && !d->incoming);
    } else {
        assert_true(stands_still(d));
        assert_true(d->reason == HV_REASON_USER && (f->fenced || f->guest_paused));
        /* The newer copy is at the source, whole, or ran there to its end. */
        assert_true((s->active && !s->incoming && !s->outgoing) ||
                    (s->reason == HV_REASON_SHUTDOWN && f->fenced));
    }
}

static void check_undefine(const struct settle_facts *f, unsigned repairs)
{
    const struct hv_look *s = &f->source, *d = &f->destination;
    assert_true(s->answered && d->answered && s->defined && d->defined);
    assert_false((repairs & SETTLE_UNDEFINE_SOURCE) && (repairs & SETTLE_UNDEFINE_DESTINATION));
    if (repairs & SETTLE_UNDEFINE_SOURCE) {
        assert_true(d->active);
        assert_true(!s->active || (repairs & SETTLE_DESTROY_SOURCE));
    } else {
        assert_false(f->had_definition);
        assert_true(!d->active || (repairs & SETTLE_DESTROY_DESTINATION));
    }
}

static void check_verdict(const struct settle_facts *f, const struct settle_decision *decision)
{
    const struct hv_look *s = &f->source, *d = &f->destination;
    unsigned heavy =
        decision->repairs & ~(unsigned)(SETTLE_UNDEFINE_SOURCE | SETTLE_UNDEFINE_DESTINATION);
    if (!s->answered)
        assert_int_equal(decision->verdict, RM_VERDICT__VERDICT_UNKNOWN);
    if (heavy)
        assert_int_equal(decision->verdict, RM_VERDICT__NO_VERDICT);
    /* A start behind the fence that is not complete is nobody's guest. */
    bool begun =
        f->fenced && may_run(s) && d->active && !d->outgoing && d->reason == HV_REASON_STARTING;
    switch (decision->verdict) {
    case RM_VERDICT__VERDICT_DESTINATION:
        assert_true(d->answered && d->active && s->answered && !s->active);
        break;
    case RM_VERDICT__VERDICT_SOURCE:
        assert_true(s->answered && s->active);
        assert_true(!d->answered || !d->active || begun);
        break;
    case RM_VERDICT__VERDICT_MIGRATING:
        assert_true(s->outgoing || has_postcopy(s) || has_postcopy(d));
        break;
    case RM_VERDICT__VERDICT_NOWHERE:
    case RM_VERDICT__VERDICT_ENDED:
        assert_true(s->answered);
        if (!has_postcopy(s))
            assert_false(may_run(s) || (d->answered && may_run(d)));
        break;
    case RM_VERDICT__VERDICT_BOTH:
        assert_true(s->answered && d->answered && s->active && d->active);
        break;
    default:
        break;
    }
    /* Two sides that run are never taken for anything good. */
    if (s->answered && d->answered && may_run(s) && may_run(d) && !s->outgoing && !s->incoming &&
        !d->outgoing && !d->incoming && !has_postcopy(s) && !has_postcopy(d))
        assert_int_equal(decision->verdict, RM_VERDICT__VERDICT_BOTH);
}

static void no_combination_breaks_a_rule(void **state)
{
    (void)state;
    static struct hv_look looks[2048];
    size_t n = all_looks(looks, COUNT(looks)), combinations = 0;
    for (size_t s = 0; s < n; s++)
        for (size_t d = 0; d < n; d++)
            for (unsigned how = 0; how < 18; how++) {
                unsigned fence = how % 3, rest = how / 3;
                struct settle_facts f = {.source = looks[s],
                                         .destination = looks[d],
                                         .fenced = fence == 1,
                                         .fence_unknown = fence == 2,
                                         .handed_over = rest == 3 || rest == 4,
                                         .guest_paused = rest % 3 == 1,
                                         .had_definition = rest == 2 || rest == 5};
                struct settle_decision decision;
                settle_decide(&f, &decision);
                combinations++;
                if (decision.repairs & (SETTLE_RESUME_SOURCE | SETTLE_RESUME_DESTINATION))
                    check_resume(&f, decision.repairs);
                if (decision.repairs & (SETTLE_DESTROY_SOURCE | SETTLE_DESTROY_DESTINATION))
                    check_destroy(&f, decision.repairs);
                if (decision.repairs & (SETTLE_UNDEFINE_SOURCE | SETTLE_UNDEFINE_DESTINATION))
                    check_undefine(&f, decision.repairs);
                check_verdict(&f, &decision);
            }
    assert_true(combinations > 10000000);
}

/* ---- rounds over a scripted pair */

struct pair {
    struct hv_look source, destination;
    unsigned looks;      /* at the source, so far */
    unsigned changes_at; /* the look before which the source changes; 0 = never */
    struct hv_look becomes;
    int repair_result;
    char done[256]; /* repairs in order */
};

static struct pair *pair; /* a driver knows only struct hv */

static int pair_look(struct hv *hv, const char *peer, const char *uuid, struct hv_look *ret_look,
                     struct rm_err *err)
{
    (void)hv;
    assert_string_equal(uuid, "u");
    if (!peer && ++pair->looks == pair->changes_at)
        pair->source = pair->becomes;
    *ret_look = peer ? pair->destination : pair->source;
    if (!ret_look->answered)
        rm_err_set(err, "no answer");
    return 0;
}

static int pair_mend(struct hv *hv, const char *peer, const char *uuid, enum hv_repair what,
                     struct rm_err *err)
{
    (void)hv;
    (void)uuid;
    static const char *const names[] = {"resume", "destroy", "undefine"};
    size_t length = strlen(pair->done);
    snprintf(pair->done + length, sizeof(pair->done) - length, "%s-%s ", names[what],
             peer ? "destination" : "source");
    if (pair->repair_result < 0)
        return rm_fail(err, pair->repair_result, "the daemon says no");
    struct hv_look *look = peer ? &pair->destination : &pair->source;
    if (what == HV_RESUME) {
        look->state = RM_GUEST_STATE__GUEST_RUNNING;
        look->reason = HV_REASON_OTHER;
    } else if (what == HV_DESTROY) {
        look->active = false;
        look->state = look->defined ? RM_GUEST_STATE__GUEST_SHUTOFF : RM_GUEST_STATE__GUEST_UNKNOWN;
        look->reason = HV_REASON_OTHER;
    } else {
        look->defined = false;
        look->state = RM_GUEST_STATE__GUEST_UNKNOWN;
    }
    return 0;
}

static const struct driver pair_ops = {.look = pair_look, .repair = pair_mend};

static RmVerdict settle_all(struct pair *one, struct settle_case how, char *notes, size_t size)
{
    struct rm_err err;
    RmVerdict verdict = RM_VERDICT__NO_VERDICT;
    how.uuid = "u";
    how.destination_peer = "peer";
    pair = one;
    for (int i = 0; i < 5 && verdict == RM_VERDICT__NO_VERDICT; i++)
        verdict = settle_step(&pair_ops, NULL, &how, notes, size, &err, NULL);
    return verdict;
}

static void rounds_mend_a_lost_hand_over_backwards(void **state)
{
    (void)state;
    struct pair one = {.source = paused(HV_REASON_MIGRATING),
                       .destination = paused(HV_REASON_USER)};
    char notes[256] = "";
    RmVerdict verdict = settle_all(
        &one, (struct settle_case){.fenced = true, .source = "hyp01", .destination = "hyp02"},
        notes, sizeof(notes));
    assert_int_equal(verdict, RM_VERDICT__VERDICT_SOURCE);
    assert_string_equal(one.done, "resume-source destroy-destination undefine-destination ");
    assert_string_equal(notes, "resumed the guest on hyp01; removed the copy left on hyp02; "
                               "removed the definition left on hyp02");
}

static void rounds_finish_a_hand_over_that_the_source_did_not_hear(void **state)
{
    (void)state;
    struct pair one = {.source = paused(HV_REASON_MIGRATING),
                       .destination = runs(HV_REASON_MIGRATED)};
    char notes[256] = "";
    RmVerdict verdict =
        settle_all(&one, (struct settle_case){.fenced = false}, notes, sizeof(notes));
    assert_int_equal(verdict, RM_VERDICT__VERDICT_DESTINATION);
    assert_string_equal(one.done, "destroy-source undefine-source ");
}

static void a_source_that_changes_between_the_looks_gives_no_verdict(void **state)
{
    (void)state;
    struct pair one = {.source = paused(HV_REASON_MIGRATING),
                       .destination = absent,
                       .changes_at = 2,
                       .becomes = runs(HV_REASON_MIGRATION_CANCELED)};
    struct settle_case how = {.uuid = "u", .destination_peer = "peer", .fenced = true};
    struct rm_err err;
    char notes[64] = "";
    pair = &one;
    assert_int_equal(settle_step(&pair_ops, NULL, &how, notes, sizeof(notes), &err, NULL),
                     RM_VERDICT__NO_VERDICT);
    assert_string_equal(one.done, "");
    assert_int_equal(settle_step(&pair_ops, NULL, &how, notes, sizeof(notes), &err, NULL),
                     RM_VERDICT__VERDICT_SOURCE);
}

static void a_definition_stays_when_its_process_could_not_be_ended(void **state)
{
    (void)state;
    struct pair one = {.source = runs(HV_REASON_MIGRATION_CANCELED),
                       .destination = paused(HV_REASON_USER),
                       .repair_result = -EBUSY};
    struct settle_case how = {.uuid = "u", .destination_peer = "peer", .fenced = true};
    struct rm_err err;
    char notes[64] = "";
    pair = &one;
    assert_int_equal(settle_step(&pair_ops, NULL, &how, notes, sizeof(notes), &err, NULL),
                     RM_VERDICT__NO_VERDICT);
    assert_string_equal(one.done, "destroy-destination ");
    assert_string_equal(notes, "");
    assert_string_equal(err.text,
                        "cannot remove the copy left on the destination: the daemon says no");
}

static void who_did_not_answer_is_named(void **state)
{
    (void)state;
    struct pair one = {.source = runs(HV_REASON_OTHER), .destination = nobody};
    struct settle_case how = {.uuid = "u", .destination_peer = "peer", .destination = "hyp02"};
    struct rm_err err;
    char notes[64] = "";
    pair = &one;
    assert_int_equal(settle_step(&pair_ops, NULL, &how, notes, sizeof(notes), &err, NULL),
                     RM_VERDICT__VERDICT_UNKNOWN);
    assert_string_equal(err.text, "hyp02: no answer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_a_guest_that_stayed),
        cmocka_unit_test(a_start_that_ended_with_its_daemon_decides_nothing),
        cmocka_unit_test(a_guest_that_is_paused_for_a_moment_runs),
        cmocka_unit_test(row_9_with_the_fence_removes_the_paused_copy),
        cmocka_unit_test(row_9_without_the_fence_is_an_alarm),
        cmocka_unit_test(row_8_ends_the_source_only_where_the_destination_runs),
        cmocka_unit_test(row_7_resumes_the_source_when_nothing_can_have_run_elsewhere),
        cmocka_unit_test(rows_of_a_guest_that_arrived),
        cmocka_unit_test(
            a_transient_guest_is_resumed_only_when_its_source_is_known_to_have_given_it),
        cmocka_unit_test(a_copy_older_than_what_ran_is_never_resumed),
        cmocka_unit_test(rows_of_a_migration_that_goes_on),
        cmocka_unit_test(rows_of_a_guest_that_ended),
        cmocka_unit_test(what_moves_is_looked_at_again),
        cmocka_unit_test(nothing_is_said_when_the_source_is_silent),
        cmocka_unit_test(no_combination_breaks_a_rule),
        cmocka_unit_test(rounds_mend_a_lost_hand_over_backwards),
        cmocka_unit_test(rounds_finish_a_hand_over_that_the_source_did_not_hear),
        cmocka_unit_test(a_source_that_changes_between_the_looks_gives_no_verdict),
        cmocka_unit_test(a_definition_stays_when_its_process_could_not_be_ended),
        cmocka_unit_test(who_did_not_answer_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
