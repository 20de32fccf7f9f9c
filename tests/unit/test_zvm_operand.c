/* test_zvm_operand.c - the operands of z/VM's relocation, as they are typed */
#include "submit/zvm_operand.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Takes words up to NULL; the last one's result. */
static int take(struct operands *operands, unsigned allowed, struct rm_err *err,
                const char *const *words)
{
    int r = 0;
    operands_init(operands);
    for (size_t i = 0; words[i]; i++) {
        r = operands_take(operands, allowed, words[i], err);
        if (r < 0)
            assert_null(words[i + 1]); /* only the last one is to be wrong */
    }
    return r;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct operands taken(const char *const *words)
{
    struct operands operands;
    struct rm_err err = {0};
    if (take(&operands, OPERANDS_OF_MOVE, &err, words) != 1)
        fail_msg("%s was not taken: %s", words[0], err.text);
    return operands;
}

static void is_wrong(unsigned allowed, const char *const *words, const char *why)
{
    struct operands operands;
    struct rm_err err = {0};
    if (take(&operands, allowed, &err, words) != -EINVAL)
        fail_msg("%s was taken", words[0]);
    assert_string_equal(err.text, why);
}

static void force_is(const char *const *words, const char *wanted)
{
    struct operands operands = taken(words);
    assert_string_equal(operands.force, wanted);
}

static void operands_are_taken_in_any_order_and_case(void **state)
{
    (void)state;
    struct operands o = taken(WORDS("MAX_Quiesce=NoLimit", "Destination=pokdev62", "ACTION=move",
                                    "max_total=600", "Immediate=yes", "FORCE=Storage"));
    assert_string_equal(o.destination, "pokdev62");
    assert_int_equal(o.action, ACTION_MOVE);
    RmRelocation relocation;
    assert_true(operands_relocation(&o, &relocation));
    assert_string_equal(relocation.action, "move");
    assert_string_equal(relocation.force, "Storage");
    assert_string_equal(relocation.immediate, "yes");
    assert_string_equal(relocation.max_total, "600");
    assert_string_equal(relocation.max_quiesce, "NoLimit");
}

static void a_destination_alone_says_nothing_of_a_relocation(void **state)
{
    (void)state;
    struct operands o = taken(WORDS("destination=pokdev62"));
    RmRelocation relocation;
    assert_false(operands_relocation(&o, &relocation));
    assert_int_equal(o.action, ACTION_MOVE);
    operands_init(&o);
    assert_false(operands_relocation(&o, &relocation));
    o = taken(WORDS("action=MOVE"));
    assert_true(operands_relocation(&o, &relocation));
    assert_string_equal(relocation.max_total, "");
}

static void action_is_one_of_three(void **state)
{
    (void)state;
    assert_int_equal(taken(WORDS("action=Test")).action, ACTION_TEST);
    assert_int_equal(taken(WORDS("action=cancel")).action, ACTION_CANCEL);
    is_wrong(OPERANDS_OF_MOVE, WORDS("action=STOP"), "action='STOP': must be MOVE, TEST or CANCEL");
    is_wrong(OPERANDS_OF_MOVE, WORDS("action=MOVE "),
             "action='MOVE ': must be MOVE, TEST or CANCEL");
    is_wrong(OPERANDS_OF_MOVE, WORDS("action=MOVETEST"),
             "action='MOVETEST': must be MOVE, TEST or CANCEL");
    is_wrong(OPERANDS_OF_MOVE, WORDS("action="), "action= needs a value: MOVE, TEST or CANCEL");
}

static void force_joins_its_words_by_one_blank_each(void **state)
{
    (void)state;
    force_is(WORDS("force=ARCHITECTURE"), "ARCHITECTURE");
    force_is(WORDS("force=ARCHITECTURE DOMAIN"), "ARCHITECTURE DOMAIN");
    force_is(WORDS("force=domain storage"), "domain storage");
    force_is(WORDS("force=storage,Domain,ARCHITECTURE"), "storage Domain ARCHITECTURE");
    force_is(WORDS("force= , storage ,, domain, "), "storage domain");
    force_is(WORDS("force=domain", "force=ARCHITECTURE STORAGE"), "domain ARCHITECTURE STORAGE");
    force_is(WORDS("force=domain", "force=DOMAIN", "Force=domain,storage"), "domain storage");
    static const char why[] = "must be any of ARCHITECTURE, DOMAIN and STORAGE";
    static const struct {
        const char *word, *value;
    } wrong[] = {
        {"force=YES", "YES"},           {"force=domainstorage", "domainstorage"},
        {"force=domain,x", "domain,x"}, {"force=ARCH", "ARCH"},
        {"force=, ,", ", ,"},           {"force=domain;storage", "domain;storage"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char text[200];
        snprintf(text, sizeof(text), "force='%s': %s", wrong[i].value, why);
        is_wrong(OPERANDS_OF_MOVE, WORDS(wrong[i].word), text);
    }
    is_wrong(OPERANDS_OF_MOVE, WORDS("force="),
             "force= needs a value: any of ARCHITECTURE, DOMAIN and STORAGE");
}

static void immediate_is_yes_or_no(void **state)
{
    (void)state;
    assert_string_equal(taken(WORDS("immediate=No")).immediate, "No");
    is_wrong(OPERANDS_OF_MOVE, WORDS("immediate=Y"), "immediate='Y': must be YES or NO");
    is_wrong(OPERANDS_OF_MOVE, WORDS("immediate=1"), "immediate='1': must be YES or NO");
    is_wrong(OPERANDS_OF_MOVE, WORDS("immediate=YESNO"), "immediate='YESNO': must be YES or NO");
    is_wrong(OPERANDS_OF_MOVE, WORDS("immediate="), "immediate= needs a value: YES or NO");
}

static void seconds_are_whole_and_lose_their_zeros(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"1", "1"},
        {"99999999", "99999999"},
        {"00500", "500"},
        {"NOLIMIT", "NOLIMIT"},
        {"nolimit", "nolimit"},
        {"0000000000099999999", "99999999"},
    };
    static const char *const bad[] = {"0",
                                      "000",
                                      "-1",
                                      "+1",
                                      "1.5",
                                      "10s",
                                      "0x1",
                                      " 1",
                                      "1 ",
                                      "NO",
                                      "NOLIMITS",
                                      "100000000",
                                      "",
                                      "1e3",
                                      "1,000",
                                      "YES",
                                      "99999999999999999999999"};
    for (int quiesce = 0; quiesce < 2; quiesce++) {
        const char *key = quiesce ? "max_quiesce" : "max_total";
        char word[64], why[200];
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
            snprintf(word, sizeof(word), "%s=%s", key, good[i][0]);
            struct operands o = taken(WORDS(word));
            assert_string_equal(quiesce ? o.max_quiesce : o.max_total, good[i][1]);
            assert_string_equal(quiesce ? o.max_total : o.max_quiesce, "");
        }
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            snprintf(word, sizeof(word), "%s=%s", key, bad[i]);
            if (bad[i][0])
                snprintf(why, sizeof(why),
                         "%s='%s': must be NOLIMIT or whole seconds from 1 to 99999999", key,
                         bad[i]);
            else
                snprintf(why, sizeof(why),
                         "%s= needs a value: NOLIMIT or whole seconds from 1 to 99999999", key);
            is_wrong(OPERANDS_OF_MOVE, WORDS(word), why);
        }
    }
}

static void an_operand_is_given_once(void **state)
{
    (void)state;
    is_wrong(OPERANDS_OF_MOVE, WORDS("action=MOVE", "ACTION=MOVE"),
             "'ACTION=MOVE': action is given twice");
    is_wrong(OPERANDS_OF_MOVE, WORDS("destination=a", "destination=a"),
             "'destination=a': destination is given twice");
    is_wrong(OPERANDS_OF_MOVE, WORDS("immediate=NO", "immediate=YES"),
             "'immediate=YES': immediate is given twice");
    is_wrong(OPERANDS_OF_MOVE, WORDS("max_total=1", "max_total=2"),
             "'max_total=2': max_total is given twice");
    is_wrong(OPERANDS_OF_MOVE, WORDS("max_quiesce=1", "max_quiesce=1"),
             "'max_quiesce=1': max_quiesce is given twice");
    is_wrong(OPERANDS_OF_MOVE, WORDS("destination="), "destination= needs a value: a hypervisor");
}

static void unknown_keys_are_told_of_the_known_ones(void **state)
{
    (void)state;
    is_wrong(OPERANDS_OF_MOVE, WORDS("dest=pokdev62"),
             "'dest=pokdev62': unknown operand; known operands are destination, action, force, "
             "immediate, "
             "max_total and max_quiesce");
    is_wrong(OPERANDS_OF_LIMITS, WORDS("force=DOMAIN"),
             "'force=DOMAIN': unknown operand; known operands are bandwidth, downtime, timeout, "
             "stall, priority, max_total and max_quiesce");
    is_wrong(OPERANDS_OF_EVACUATION, WORDS("action=TEST"),
             "'action=TEST': unknown operand; known operands are destination, force, immediate, "
             "max_total "
             "and max_quiesce");
}

static void what_is_no_operand_is_left(void **state)
{
    (void)state;
    static const char *const words[] = {"hyp02",         "hyp[1-3]", "mgt==zvm",     "groups=~/x/",
                                        "vm.host=hyp01", "mgt!=kvm", "=x",           "",
                                        "a,b",           "kvm1=x",   "all,-mgt==kvm"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct operands operands;
        struct rm_err err = {0};
        operands_init(&operands);
        assert_int_equal(operands_take(&operands, OPERANDS_OF_MOVE, words[i], &err), 0);
        assert_int_equal(operands.given, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operands_are_taken_in_any_order_and_case),
        cmocka_unit_test(a_destination_alone_says_nothing_of_a_relocation),
        cmocka_unit_test(action_is_one_of_three),
        cmocka_unit_test(force_joins_its_words_by_one_blank_each),
        cmocka_unit_test(immediate_is_yes_or_no),
        cmocka_unit_test(seconds_are_whole_and_lose_their_zeros),
        cmocka_unit_test(an_operand_is_given_once),
        cmocka_unit_test(unknown_keys_are_told_of_the_known_ones),
        cmocka_unit_test(what_is_no_operand_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
