/* test_check.c - which guests may leave, by how their source shows them */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_that_runs_or_is_paused_may_leave),
        cmocka_unit_test(a_guest_that_sleeps_is_named_and_not_moved),
        cmocka_unit_test(a_guest_that_shuts_down_is_looked_at_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
