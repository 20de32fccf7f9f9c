/* test_check.c - which guests may leave, by how their source shows them; what stands in the way */
#include "worker/libvirt/check.h"
#include "worker/libvirt/look.h"

#include <libvirt/libvirt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int leaves(int state, int reason, struct hv_outcome *outcome)
{
    struct hv_look look = {.answered = true, .defined = true, .active = true};
    memset(outcome, 0, sizeof(*outcome));
    lv_set_state(&look, state, reason);
    return lv_may_leave("hyp01", &look, outcome);
}

static void a_guest_that_runs_or_is_paused_may_leave(void **state)
{
    (void)state;
    struct hv_outcome outcome;
    assert_int_equal(leaves(VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED, &outcome), 0);
    assert_int_equal(leaves(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER, &outcome), 0);
}

static void a_guest_that_sleeps_is_named_and_not_moved(void **state)
{
    (void)state;
    struct hv_outcome outcome;
    assert_true(leaves(VIR_DOMAIN_PMSUSPENDED, 0, &outcome) < 0);
    assert_int_equal(outcome.class_, RM_CLASS__CLASS_FATAL);
    assert_non_null(strstr(outcome.text, "pmsuspended"));
    assert_non_null(strstr(outcome.text, "virsh dompmwakeup"));
}

static void a_guest_that_shuts_down_is_looked_at_again(void **state)
{
    (void)state;
    struct hv_outcome outcome;
    assert_true(leaves(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_SHUTTING_DOWN, &outcome) < 0);
    assert_non_null(strstr(outcome.text, "in shutdown"));
    assert_true(leaves(VIR_DOMAIN_SHUTDOWN, 0, &outcome) < 0);
    assert_int_equal(outcome.class_, RM_CLASS__CLASS_RETRY);
    assert_non_null(strstr(outcome.text, "in shutdown"));
}

static bool find(struct lv_findings *found, struct hv_outcome *outcome, int code, const char *text)
{
    outcome->code = code;
    return lv_findings_add(found, outcome,
                           lv_give(outcome, -EINVAL, RM_CLASS__CLASS_UNFIT, "%s", text));
}

static void before_a_migration_the_first_finding_is_enough(void **state)
{
    (void)state;
    struct hv_outcome outcome = {.ok = false};
    struct lv_findings found = {.all = false};
    assert_true(lv_findings_add(&found, &outcome, 0));
    assert_int_equal(lv_findings_give(&found, &outcome), 0);
    assert_false(find(&found, &outcome, 0, "a disk is missing"));
    assert_int_equal(lv_findings_give(&found, &outcome), -EINVAL);
    assert_string_equal(outcome.text, "a disk is missing");
}

static void who_asks_hears_all_findings_once_and_the_class_of_the_first(void **state)
{
    (void)state;
    struct hv_outcome outcome = {.ok = false};
    struct lv_findings found = {.all = true};
    assert_true(lv_findings_add(&found, &outcome,
                                lv_give(&outcome, -EIO, RM_CLASS__CLASS_FATAL, "shared memory")));
    assert_true(find(&found, &outcome, 91, "CPU lacks aes"));
    assert_true(lv_findings_add(&found, &outcome, 0));
    assert_true(find(&found, &outcome, 91, "CPU lacks aes"));
    assert_true(find(&found, &outcome, 0, "CPU"));
    assert_true(find(&found, &outcome, 0, "aes"));
    assert_int_equal(lv_findings_give(&found, &outcome), -EIO);
    assert_int_equal(outcome.class_, RM_CLASS__CLASS_FATAL);
    assert_int_equal(outcome.code, 0);
    assert_string_equal(outcome.text, "shared memory; CPU lacks aes; CPU; aes");
}

static void a_finding_without_room_is_left_out_and_never_cut(void **state)
{
    (void)state;
    char longest[RM_ERR_MAX];
    struct hv_outcome outcome = {.ok = false};
    struct lv_findings found = {.all = true};
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 4] = '\0';
    find(&found, &outcome, 0, longest);
    find(&found, &outcome, 0, "ab");
    find(&found, &outcome, 0, "c");
    lv_findings_give(&found, &outcome);
    assert_int_equal(strlen(outcome.text), sizeof(outcome.text) - 1);
    assert_null(strstr(outcome.text, "a"));
    assert_non_null(strstr(outcome.text, "x; c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_that_runs_or_is_paused_may_leave),
        cmocka_unit_test(a_guest_that_sleeps_is_named_and_not_moved),
        cmocka_unit_test(a_guest_that_shuts_down_is_looked_at_again),
        cmocka_unit_test(before_a_migration_the_first_finding_is_enough),
        cmocka_unit_test(who_asks_hears_all_findings_once_and_the_class_of_the_first),
        cmocka_unit_test(a_finding_without_room_is_left_out_and_never_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
