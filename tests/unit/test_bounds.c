/* test_bounds.c - nothing that a peer sends the broker is without a bound */
#include "wire/bounds.h"
#include "wire/msg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool can_grow(const ProtobufCFieldDescriptor *field)
{
    return field->label == PROTOBUF_C_LABEL_REPEATED || field->type == PROTOBUF_C_TYPE_STRING ||
           field->type == PROTOBUF_C_TYPE_BYTES;
}

static unsigned look(const ProtobufCMessageDescriptor *message)
{
    unsigned missing = 0;
    for (unsigned i = 0; i < message->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->fields[i];
        if (can_grow(field) && bounds_of(message, field->name) == 0) {
            print_error("%s.%s has no bound\n", message->short_name, field->name);
            missing++;
        }
        if (field->type == PROTOBUF_C_TYPE_MESSAGE)
            missing += look(field->descriptor);
    }
    return missing;
}

static void every_field_that_can_grow_has_a_bound(void **state)
{
    (void)state;
    assert_int_equal(look(&rm_hello__descriptor) + look(&rm_inventory__descriptor) +
                         look(&rm_pull__descriptor) + look(&rm_reports__descriptor) +
                         look(&rm_bye__descriptor) + look(&rm_answer__descriptor) +
                         look(&rm_request__descriptor),
                     0);
}

static char *text_of(size_t length)
{
    char *text = malloc(length + 1);
    assert_non_null(text);
    memset(text, 'x', length);
    text[length] = '\0';
    return text;
}

static void a_request_is_refused_for_one_byte_too_many_and_says_which(void **state)
{
    (void)state;
    struct rm_err err = {""};
    RmMessage message = RM_MESSAGE__INIT;
    RmRequest request = RM_REQUEST__INIT;
    RmSubmit submit = RM_SUBMIT__INIT;
    char *reason = submit.reason = text_of(BOUND_REASON);
    message.body_case = RM_MESSAGE__BODY_REQUEST;
    message.request = &request;
    request.ask_case = RM_REQUEST__ASK_SUBMIT;
    request.submit = &submit;
    assert_int_equal(bounds_check(&message, &err), 0);
    submit.reason = text_of(BOUND_REASON + 1);
    assert_int_equal(bounds_check(&message, &err), -EMSGSIZE);
    assert_string_equal(err.text, "reason: more than 4096 bytes");
    free(submit.reason);
    free(reason);
}

static void a_list_is_refused_for_one_item_too_many(void **state)
{
    (void)state;
    struct rm_err err = {""};
    RmMessage message = RM_MESSAGE__INIT;
    RmHello hello = RM_HELLO__INIT;
    RmHyp hyp = RM_HYP__INIT;
    RmHyp *hosts[BOUND_HOSTS + 1];
    for (size_t i = 0; i < BOUND_HOSTS + 1; i++)
        hosts[i] = &hyp;
    message.body_case = RM_MESSAGE__BODY_HELLO;
    message.hello = &hello;
    hello.hosts = hosts;
    hello.n_hosts = BOUND_HOSTS;
    assert_int_equal(bounds_check(&message, &err), 0);
    hello.n_hosts++;
    assert_int_equal(bounds_check(&message, &err), -EMSGSIZE);
    assert_string_equal(err.text, "hosts: more than 256 items");
}

/* A result is never stuck because of what a hypervisor said. */
static void what_a_hypervisor_said_is_cut_between_characters(void **state)
{
    (void)state;
    struct rm_err err = {""};
    RmMessage message = RM_MESSAGE__INIT;
    RmReports reports = RM_REPORTS__INIT;
    RmReport report = RM_REPORT__INIT;
    RmReport *list[] = {&report};
    report.text = text_of(BOUND_TEXT + 5);
    memcpy(report.text + BOUND_TEXT - 1, "\xe2\x82\xac", 3);
    message.body_case = RM_MESSAGE__BODY_REPORTS;
    message.reports = &reports;
    reports.n_reports = 1;
    reports.reports = list;
    assert_int_equal(bounds_check(&message, &err), 0);
    assert_int_equal(strlen(report.text), BOUND_TEXT - 1);
    free(report.text);
}

static void unknown_fields_are_carried_along_up_to_a_bound(void **state)
{
    (void)state;
    struct rm_err err = {""};
    RmMessage message = RM_MESSAGE__INIT;
    RmBye bye = RM_BYE__INIT;
    ProtobufCMessageUnknownField unknown = {.tag = 999, .len = BOUND_UNKNOWN / 2};
    message.body_case = RM_MESSAGE__BODY_BYE;
    message.bye = &bye;
    bye.base.n_unknown_fields = 1;
    bye.base.unknown_fields = &unknown;
    assert_int_equal(bounds_check(&message, &err), 0);
    assert_int_equal(bye.base.n_unknown_fields, 1);
    unknown.len = BOUND_UNKNOWN;
    assert_int_equal(bounds_check(&message, &err), 0);
    assert_int_equal(bye.base.n_unknown_fields, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_that_can_grow_has_a_bound),
        cmocka_unit_test(a_request_is_refused_for_one_byte_too_many_and_says_which),
        cmocka_unit_test(a_list_is_refused_for_one_item_too_many),
        cmocka_unit_test(what_a_hypervisor_said_is_cut_between_characters),
        cmocka_unit_test(unknown_fields_are_carried_along_up_to_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
