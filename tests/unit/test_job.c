/* test_job.c - the table of legal moves against the page that draws it, and the names */
#include "wire/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { STATES = 16, EVENTS = 64, NAME = 40 };

/* What docs/protocol.md says follows; RM_STATE__NO_STATE where it has no row. */
static RmState drawn[STATES][EVENTS];

static RmState state_of(const char *text)
{
    if (strcmp(text, "(new)") == 0)
        return RM_STATE__NO_STATE;
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value_by_name(&rm_state__descriptor, text);
    if (value == NULL)
        fail_msg("docs/protocol.md speaks of a state '%s'", text);
    return (RmState)value->value;
}

static RmEventKind event_of(const char *text)
{
    for (unsigned i = 0; i < rm_event_kind__descriptor.n_values; i++) {
        RmEventKind event = (RmEventKind)rm_event_kind__descriptor.values[i].value;
        if (strcmp(job_event_name(event), text) == 0)
            return event;
    }
    fail_msg("docs/protocol.md speaks of an event '%s'", text);
    return RM_EVENT_KIND__NO_EVENT;
}

static void trim(char *text)
{
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == ' ')
        text[--length] = '\0';
}

static int read_page(void **state)
{
    (void)state;
    char line[512], from[NAME], event[NAME], to[NAME];
    FILE *file = fopen(SOURCE_DIR "/docs/protocol.md", "re");
    assert_non_null(file);
    bool is_there = false;
    size_t rows = 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strcmp(line, "Every legal move:\n") == 0)
            is_there = true;
        else if (is_there && line[0] == '#')
            break;
        if (!is_there || sscanf(line, "| %39[^|] | %39[^|] | %39[^|] |", from, event, to) != 3)
            continue;
        trim(from);
        trim(event);
        trim(to);
        if (strcmp(from, "from") == 0 || from[0] == '-')
            continue;
        drawn[state_of(from)][event_of(event)] = state_of(to);
        rows++;
    }
    fclose(file);
    assert_true(rows > 30);
    return 0;
}

static void job_next_is_the_table_of_the_page_in_both_directions(void **state)
{
    (void)state;
    for (int s = 0; s < STATES; s++)
        for (int e = 0; e < EVENTS; e++)
            if (job_next((RmState)s, (RmEventKind)e) != drawn[s][e])
                fail_msg("%s, %s: the table says %s, the page %s", job_state_name((RmState)s),
                         job_event_name((RmEventKind)e),
                         job_state_name(job_next((RmState)s, (RmEventKind)e)),
                         job_state_name(drawn[s][e]));
}

static void job_next_knows_no_way_out_of_a_final_state(void **state)
{
    (void)state;
    size_t finals = 0;
    for (int s = 1; s < STATES; s++) {
        bool has_way = false;
        for (int e = 0; e < EVENTS; e++)
            has_way |= job_next((RmState)s, (RmEventKind)e) != RM_STATE__NO_STATE;
        const ProtobufCEnumValue *value =
            protobuf_c_enum_descriptor_get_value(&rm_state__descriptor, s);
        if (value == NULL)
            assert_false(has_way);
        else
            assert_int_equal(has_way, !job_is_final((RmState)s));
        finals += job_is_final((RmState)s);
    }
    assert_int_equal(finals, 3);
    assert_false(job_is_final(RM_STATE__NO_STATE));
}

/* Marks every state that can follow, by whatever events but those that are left out. */
static void follow(RmState from, bool reached[STATES], const bool left_out[EVENTS])
{
    for (int e = 0; e < EVENTS; e++) {
        RmState to = job_next(from, (RmEventKind)e);
        if (to == RM_STATE__NO_STATE || left_out[e] || reached[to])
            continue;
        reached[to] = true;
        follow(to, reached, left_out);
    }
}

static void a_running_job_never_leads_to_queued_without_knowledge_of_its_guest(void **state)
{
    (void)state;
    for (int e = 0; e < EVENTS; e++)
        assert_true(job_next(RM_STATE__RUNNING, (RmEventKind)e) != RM_STATE__QUEUED);
    /* A worker that says that its try failed has looked; so has one that settles. */
    bool left_out[EVENTS] = {[RM_EVENT_KIND__RETRY] = true, [RM_EVENT_KIND__AT_SOURCE] = true};
    const RmState begins[] = {RM_STATE__RUNNING, RM_STATE__CANCELLING, RM_STATE__DOUBT};
    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
        bool reached[STATES] = {false};
        follow(begins[i], reached, left_out);
        assert_false(reached[RM_STATE__QUEUED]);
        assert_false(reached[RM_STATE__WAITING]);
        assert_false(reached[RM_STATE__ASSIGNED]);
    }
}

static void every_state_can_be_reached_and_every_job_can_end(void **state)
{
    (void)state;
    const bool none[EVENTS] = {false};
    bool reached[STATES] = {false};
    follow(RM_STATE__NO_STATE, reached, none);
    for (unsigned i = 0; i < rm_state__descriptor.n_values; i++) {
        RmState s = (RmState)rm_state__descriptor.values[i].value;
        if (s == RM_STATE__NO_STATE)
            continue;
        assert_true(reached[s]);
        bool ends[STATES] = {false};
        follow(s, ends, none);
        assert_true(job_is_final(s) || (ends[RM_STATE__DONE] && ends[RM_STATE__FAILED]));
    }
}

static void a_job_with_a_try_that_may_be_under_way_is_active(void **state)
{
    (void)state;
    for (int s = 0; s < STATES; s++) {
        bool wanted = s == RM_STATE__ASSIGNED || s == RM_STATE__RUNNING ||
                      s == RM_STATE__CANCELLING || s == RM_STATE__DOUBT;
        assert_int_equal(job_is_active((RmState)s), wanted);
        /* what can be lost was active */
        if (job_next((RmState)s, RM_EVENT_KIND__LOST) != RM_STATE__NO_STATE)
            assert_true(job_is_active((RmState)s));
    }
}

static const char *state_name(int value)
{
    return job_state_name((RmState)value);
}

static const char *event_name(int value)
{
    return job_event_name((RmEventKind)value);
}

static const char *guest_name(int value)
{
    return guest_state_name((RmGuestState)value);
}

static void every_state_event_and_guest_state_has_a_name_of_its_own(void **state)
{
    (void)state;
    char seen[EVENTS][NAME];
    const struct {
        const ProtobufCEnumDescriptor *descriptor;
        const char *(*name)(int value);
    } kinds[] = {
        {&rm_state__descriptor, state_name},
        {&rm_event_kind__descriptor, event_name},
        {&rm_guest_state__descriptor, guest_name},
    };
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        assert_true(kinds[k].descriptor->n_values <= EVENTS);
        for (unsigned i = 0; i < kinds[k].descriptor->n_values; i++) {
            const char *name = kinds[k].name(kinds[k].descriptor->values[i].value);
            assert_string_not_equal(name, "?");
            assert_string_not_equal(name, "");
            for (const char *p = name; *p != '\0'; p++)
                assert_true((*p >= 'a' && *p <= 'z') || *p == ' ');
            for (unsigned n = 0; n < i; n++)
                assert_string_not_equal(seen[n], name);
            assert_true(strlen(name) < 31); /* not cut */
            snprintf(seen[i], sizeof(seen[i]), "%s", name);
        }
    }
    assert_string_equal(job_state_name(RM_STATE__QUEUED), "queued");
    assert_string_equal(job_event_name(RM_EVENT_KIND__STILL_MIGRATING), "still migrating");
    assert_string_equal(guest_state_name(RM_GUEST_STATE__GUEST_POSTCOPY), "postcopy");
}

static void a_number_without_a_name_is_a_question_mark(void **state)
{
    (void)state;
    const int strange[] = {-1, 29, 63, 64, 1000, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        assert_string_equal(job_state_name((RmState)strange[i]), "?");
        assert_string_equal(job_event_name((RmEventKind)strange[i]), "?");
        assert_string_equal(guest_state_name((RmGuestState)strange[i]), "?");
        assert_int_equal(job_next((RmState)strange[i], RM_EVENT_KIND__LOST), RM_STATE__NO_STATE);
        assert_int_equal(job_next(RM_STATE__RUNNING, (RmEventKind)strange[i]), RM_STATE__NO_STATE);
    }
}

static void job_state_parse_reads_each_name_and_nothing_else(void **state)
{
    (void)state;
    for (int s = 1; s <= RM_STATE__CANCELLED; s++)
        assert_int_equal(job_state_parse(job_state_name((RmState)s)), s);
    assert_int_equal(job_state_parse("no state"), RM_STATE__NO_STATE);
    assert_int_equal(job_state_parse("QUEUED"), RM_STATE__NO_STATE);
    assert_int_equal(job_state_parse("?"), RM_STATE__NO_STATE);
    assert_int_equal(job_state_parse(""), RM_STATE__NO_STATE);
}

static void a_guest_is_active_where_its_processors_may_run(void **state)
{
    (void)state;
    assert_true(guest_is_active(RM_GUEST_STATE__GUEST_RUNNING));
    assert_true(guest_is_active(RM_GUEST_STATE__GUEST_PAUSED));
    assert_true(guest_is_active(RM_GUEST_STATE__GUEST_SUSPENDED));
    assert_true(guest_is_active(RM_GUEST_STATE__GUEST_POSTCOPY));
    assert_true(guest_is_active(RM_GUEST_STATE__GUEST_IN_SHUTDOWN));
    assert_false(guest_is_active(RM_GUEST_STATE__GUEST_UNKNOWN));
    assert_false(guest_is_active(RM_GUEST_STATE__GUEST_SHUTOFF));
    assert_false(guest_is_active(RM_GUEST_STATE__GUEST_CRASHED));
    assert_false(guest_is_active(RM_GUEST_STATE__GUEST_INCOMING));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(job_next_is_the_table_of_the_page_in_both_directions),
        cmocka_unit_test(job_next_knows_no_way_out_of_a_final_state),
        cmocka_unit_test(a_running_job_never_leads_to_queued_without_knowledge_of_its_guest),
        cmocka_unit_test(every_state_can_be_reached_and_every_job_can_end),
        cmocka_unit_test(a_job_with_a_try_that_may_be_under_way_is_active),
        cmocka_unit_test(every_state_event_and_guest_state_has_a_name_of_its_own),
        cmocka_unit_test(a_number_without_a_name_is_a_question_mark),
        cmocka_unit_test(job_state_parse_reads_each_name_and_nothing_else),
        cmocka_unit_test(a_guest_is_active_where_its_processors_may_run),
    };
    return cmocka_run_group_tests(tests, read_page, NULL);
}
