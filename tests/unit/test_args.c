/* test_args.c - the command line of rmigrate */
#include "submit/cmdline.h"
#include "submit/option.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { WORDS_MAX = 32 };

/* Parses words that blanks divide. */
static int parse(const char *line, struct args *ret_args)
{
    static char copy[1024]; /* the arguments point into it */
    static char *argv[WORDS_MAX];
    int argc = 0;
    char *save = NULL;
    assert_true(strlen(line) < sizeof(copy));
    strcpy(copy, line);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        assert_true(argc < WORDS_MAX - 1);
        argv[argc++] = w;
    }
    argv[argc] = NULL;
    const struct command *command;
    return cmdline_parse(argc, argv, ARGP_NO_EXIT | ARGP_NO_ERRS, &command, ret_args);
}

static void is(const char *line, const char *command, const char *first)
{
    struct args args;
    assert_int_equal(parse(line, &args), 0);
    assert_string_equal(args.command, command);
    assert_string_equal(args.n_operands > 0 ? args.operands[0] : "", first);
    args_done(&args);
}

static void is_wrong(const char *line)
{
    struct args args;
    if (parse(line, &args) != -EINVAL)
        fail_msg("'%s' was taken", line);
}

static void args_without_a_command_mean_submit(void **state)
{
    (void)state;
    struct args args;
    is("rmigrate kvm1 hyp02", "submit", "kvm1");
    is("rmigrate kvm1", "submit", "kvm1");
    is("rmigrate submit jobs hyp02", "submit", "jobs");
    assert_int_equal(parse("rmigrate kvm1 hyp02", &args), 0);
    assert_string_equal(args.to, "hyp02");
    assert_string_equal(args.line, "rmigrate kvm1 hyp02");
    args_done(&args);
}

static void args_find_the_command_behind_options_with_values(void **state)
{
    (void)state;
    is("rmigrate -c jobs show 12", "show", "12");
    is("rmigrate --config=x --json jobs", "jobs", "");
    is("rmigrate --reason queue --detach evacuate hyp01", "evacuate", "hyp01");
    is("rmigrate --reas queue evacuate hyp01", "evacuate", "hyp01");
    is("rmigrate -Vc jobs show 12", "show", "12");
    is("rmigrate --to hyp02 kvm1", "submit", "kvm1");
    is("rmigrate -- jobs hyp02", "submit", "jobs");
}

static void args_take_options_before_and_after(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "rmigrate --detach --priority 7 kvm1 hyp02",
        "rmigrate kvm1 --detach hyp02 --priority=7",
        "rmigrate submit kvm1 hyp02 --detach --priority 7",
        "rmigrate --priority 7 submit kvm1 --to hyp02 --detach",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct args args;
        assert_int_equal(parse(lines[i], &args), 0);
        assert_string_equal(args.operands[0], "kvm1");
        assert_int_equal(args.n_operands, 1);
        assert_string_equal(args.to, "hyp02");
        assert_int_equal(args.priority, 7);
        assert_true(args.detach);
        args_done(&args);
    }
}

static void args_read_what_a_move_is_asked_for(void **state)
{
    (void)state;
    struct args args;
    assert_int_equal(parse("rmigrate kvm1 --bandwidth 200MiB/s --downtime 300ms --timeout 20min "
                           "--stall 1min --fence never --attempts 5 --unsafe --anywhere "
                           "--auto-converge",
                           &args),
                     0);
    assert_int_equal(args.options.bandwidth, 200u << 20);
    assert_int_equal(args.options.downtime_for, 300000);
    assert_int_equal(args.options.timeout_for, 20 * 60 * USEC_PER_SEC);
    assert_int_equal(args.options.stall_for, 60 * USEC_PER_SEC);
    assert_int_equal(args.options.fence, 1 + FENCE_NEVER);
    assert_int_equal(args.options.attempts, 5);
    assert_true(args.options.unsafe && args.options.anywhere && args.options.auto_converge);
    args_done(&args);
}

static void args_take_a_destination_in_the_form_of_xcat(void **state)
{
    (void)state;
    struct args args;
    assert_int_equal(parse("rmigrate kvm1 Destination=hyp02", &args), 0);
    assert_string_equal(args.to, "hyp02");
    args_done(&args);
    assert_int_equal(parse("rmigrate kvm1 hyp02 destination=hyp02", &args), 0);
    assert_string_equal(args.to, "hyp02");
    args_done(&args);
    assert_int_equal(parse("rmigrate kvm1 mgt==kvm", &args), 0);
    assert_string_equal(args.to, "mgt==kvm");
    args_done(&args);
    is_wrong("rmigrate kvm1 hyp02 destination=hyp03");
    is_wrong("rmigrate kvm1 destination=hyp02 destination=hyp02");
    is_wrong("rmigrate kvm1 destination=hyp02 --to hyp03");
    is_wrong("rmigrate kvm1 destination=");
}

static void args_take_operands_of_zvm(void **state)
{
    (void)state;
    struct args args;
    RmRelocation relocation;
    assert_int_equal(parse("rmigrate --detach gpok3 max_total=00600 FORCE=domain,storage "
                           "pokdev62 action=move immediate=yes max_quiesce=nolimit",
                           &args),
                     0);
    assert_string_equal(args.command, "submit");
    assert_string_equal(args.operands[0], "gpok3");
    assert_int_equal(args.n_operands, 1);
    assert_string_equal(args.to, "pokdev62");
    assert_true(args.detach && !args.dry_run);
    assert_true(operands_relocation(&args.zvm, &relocation));
    assert_string_equal(relocation.action, "move");
    assert_string_equal(relocation.force, "domain storage");
    assert_string_equal(relocation.immediate, "yes");
    assert_string_equal(relocation.max_total, "600");
    assert_string_equal(relocation.max_quiesce, "nolimit");
    args_done(&args);
    assert_int_equal(parse("rmigrate gpok3 destination=pokdev62", &args), 0);
    assert_false(operands_relocation(&args.zvm, &relocation));
    args_done(&args);
    assert_int_equal(parse("rmigrate evacuate pokdev61 max_total=600 --to pokdev62", &args), 0);
    assert_string_equal(args.zvm.max_total, "600");
    args_done(&args);
    is_wrong("rmigrate gpok3 destination=pokdev62 action=WALK");
    is_wrong("rmigrate gpok3 destination=pokdev62 max_total=0");
    is_wrong("rmigrate gpok3 dest=pokdev62");
    is_wrong("rmigrate gpok3 pokdev62 pokdev63 action=MOVE");
    is_wrong("rmigrate evacuate pokdev61 action=TEST");
}

static void args_know_what_goes_with_an_action(void **state)
{
    (void)state;
    struct args args;
    assert_int_equal(parse("rmigrate gpok3 pokdev62 action=Test", &args), 0);
    assert_true(args.dry_run);
    args_done(&args);
    assert_int_equal(parse("rmigrate gpok3 pokdev62 action=TEST --dry-run", &args), 0);
    assert_true(args.dry_run);
    args_done(&args);
    assert_int_equal(parse("rmigrate gpok3 pokdev62 action=MOVE --dry-run", &args), 0);
    assert_true(args.dry_run);
    args_done(&args);
    assert_int_equal(parse("rmigrate gpok3 action=CANCEL force=DOMAIN max_total=5", &args), 0);
    assert_int_equal(args.zvm.action, ACTION_CANCEL);
    assert_false(args.dry_run);
    args_done(&args);
    is_wrong("rmigrate gpok3 action=CANCEL --dry-run");
    is_wrong("rmigrate gpok3 action=CANCEL --detach");
    is_wrong("rmigrate gpok3 pokdev62 action=TEST --detach");
}

static void args_of_modify_are_jobs_and_limits(void **state)
{
    (void)state;
    struct args args;
    assert_int_equal(parse("rmigrate modify 12 max_quiesce=30 13 MAX_TOTAL=NOLIMIT", &args), 0);
    assert_int_equal(args.n_operands, 2);
    assert_string_equal(args.operands[1], "13");
    assert_string_equal(args.zvm.max_quiesce, "30");
    assert_string_equal(args.zvm.max_total, "NOLIMIT");
    args_done(&args);
    is("rmigrate modify max_total=5 --guests gpok3", "modify", "");
    is("rmigrate modify max_total=5 --all", "modify", "");
    is("rmigrate modify max_total=5 --batch 7", "modify", "");
    assert_int_equal(
        parse("rmigrate modify 12 BANDWIDTH=200MiB/s 13 downtime=300ms --timeout 20min "
              "stall=1min priority=7",
              &args),
        0);
    assert_int_equal(args.n_operands, 2);
    assert_int_equal(args.options.bandwidth, 200u << 20);
    assert_int_equal(args.options.downtime_for, 300000);
    assert_int_equal(args.options.timeout_for, 20 * 60 * USEC_PER_SEC);
    assert_int_equal(args.options.stall_for, 60 * USEC_PER_SEC);
    assert_int_equal(args.priority, 7);
    args_done(&args);
    is_wrong("rmigrate modify 12 timeout=5");
    is_wrong("rmigrate modify 12 timeout=0");
    is_wrong("rmigrate modify 12 bandwidth=");
    is_wrong("rmigrate modify 12 attempts=5");
    is_wrong("rmigrate modify 12 timeout=5min max_total=5");
    is_wrong("rmigrate modify 12");
    is_wrong("rmigrate modify --all");
    is_wrong("rmigrate modify max_total=5");
    is_wrong("rmigrate modify 12 max_total=-5");
    is_wrong("rmigrate modify 12 max_total=5 max_total=6");
    is_wrong("rmigrate modify 12 force=DOMAIN");
}

static void args_refuse_what_does_not_fit(void **state)
{
    (void)state;
    is_wrong("rmigrate");
    is_wrong("rmigrate --json");
    is_wrong("rmigrate submit");
    is_wrong("rmigrate evacuate hyp01 hyp02");
    is_wrong("rmigrate kvm1 hyp02 hyp03");
    is_wrong("rmigrate kvm1 hyp02 --to hyp03");
    is_wrong("rmigrate kvm1 --bandwidth 200");
    is_wrong("rmigrate kvm1 --bandwidth 0");
    is_wrong("rmigrate kvm1 --priority 0");
    is_wrong("rmigrate kvm1 --priority -1");
    is_wrong("rmigrate kvm1 --priority 1x");
    is_wrong("rmigrate kvm1 --attempts 1001");
    is_wrong("rmigrate kvm1 --fence maybe");
    is_wrong("rmigrate kvm1 --nosuch");
    is_wrong("rmigrate kvm1 --detach --dry-run");
    is_wrong("rmigrate jobs --detach");
    is_wrong("rmigrate jobs --state running,asleep");
    is_wrong("rmigrate cancel");
    is_wrong("rmigrate wait");
    is_wrong("rmigrate show");
    is_wrong("rmigrate workers hyp01");
    is_wrong("rmigrate jobs --batch 99999999999999999999");
}

static void args_read_states_and_selections(void **state)
{
    (void)state;
    struct args args;
    assert_int_equal(
        parse("rmigrate jobs --state running,doubt -a --batch 12 --host hyp01 kvm", &args), 0);
    assert_int_equal(args.n_states, 2);
    assert_int_equal(args.states[0], RM_STATE__RUNNING);
    assert_int_equal(args.states[1], RM_STATE__DOUBT);
    assert_true(args.finished);
    assert_int_equal(args.batch, 12);
    assert_string_equal(args.host, "hyp01");
    args_done(&args);
    is("rmigrate cancel --all", "cancel", "");
    is("rmigrate pause --guests kvm1", "pause", "");
    is("rmigrate retry 12 13", "retry", "12");
}

static void number_is_decimal_and_not_0(void **state)
{
    (void)state;
    uint64_t n = 0;
    assert_int_equal(args_number("18446744073709551615", UINT64_MAX, &n), 0);
    assert_true(n == UINT64_MAX);
    static const char *const wrong[] = {"",   "0",  "-1",  "+1",
                                        " 1", "1 ", "0x1", "18446744073709551616"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(args_number(wrong[i], UINT64_MAX, &n), -EINVAL);
    assert_int_equal(args_number("11", 10, &n), -EINVAL);
}

/* Which word is the command is decided before its options are known: options of one name must
 * agree. */
static void options_agree_on_which_of_them_take_values(void **state)
{
    (void)state;
    for (size_t i = 0; command_at(i); i++)
        for (size_t j = 0; command_at(j); j++) {
            struct argp_option a[OPTIONS_MAX], b[OPTIONS_MAX];
            option_list(command_at(i)->options, a);
            option_list(command_at(j)->options, b);
            for (size_t k = 0; a[k].key; k++)
                for (size_t l = 0; b[l].key; l++)
                    if (a[k].key == b[l].key || strcmp(a[k].name, b[l].name) == 0)
                        assert_int_equal(!a[k].arg, !b[l].arg);
        }
}

static void options_of_a_command_have_names_of_their_own(void **state)
{
    (void)state;
    for (size_t i = 0; command_at(i); i++) {
        struct argp_option a[OPTIONS_MAX];
        option_list(command_at(i)->options, a);
        for (size_t k = 0; a[k].key; k++)
            for (size_t l = 0; l < k; l++)
                if (a[k].key == a[l].key || strcmp(a[k].name, a[l].name) == 0)
                    fail_msg("%s has two options --%s", command_at(i)->name, a[k].name);
    }
}

static void options_keep_their_old_names(void **state)
{
    (void)state;
    static const char *const lines[] = {"rmigrate reconcile --repair", "rmigrate reconcile --mend"};
    for (size_t i = 0; i < 2; i++) {
        struct args args;
        assert_int_equal(parse(lines[i], &args), 0);
        assert_true(args.repair);
        args_done(&args);
    }
}

static void commands_are_whole(void **state)
{
    (void)state;
    for (size_t i = 0; command_at(i); i++) {
        const struct command *c = command_at(i);
        assert_ptr_equal(command_find(c->name), c);
        assert_true(c->run && c->doc && c->operands && c->least <= c->most);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(args_without_a_command_mean_submit),
        cmocka_unit_test(args_find_the_command_behind_options_with_values),
        cmocka_unit_test(args_take_options_before_and_after),
        cmocka_unit_test(args_read_what_a_move_is_asked_for),
        cmocka_unit_test(args_take_a_destination_in_the_form_of_xcat),
        cmocka_unit_test(args_take_operands_of_zvm),
        cmocka_unit_test(args_know_what_goes_with_an_action),
        cmocka_unit_test(args_of_modify_are_jobs_and_limits),
        cmocka_unit_test(args_refuse_what_does_not_fit),
        cmocka_unit_test(args_read_states_and_selections),
        cmocka_unit_test(number_is_decimal_and_not_0),
        cmocka_unit_test(options_agree_on_which_of_them_take_values),
        cmocka_unit_test(options_of_a_command_have_names_of_their_own),
        cmocka_unit_test(options_keep_their_old_names),
        cmocka_unit_test(commands_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
