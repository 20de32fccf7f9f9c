/* test_notify.c - what rmigrate-watch tells: what is news, once; how it is grouped, tried again, written and kept */
#include "conf/log.h"
#include "submit/watch/ledger.h"
#include "submit/watch/ledger_file.h"
#include "submit/watch/news.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SEC USEC_PER_SEC

/* Two who are told: one all, the other failures. */
static char *only_failed[] = {(char *)"failed", NULL};
static struct conf_notify rows[] = {
    {.name = (char *)"all", .wait = 10 * SEC, .tries = 3},
    {.name = (char *)"some", .on = only_failed, .n_on = 1, .wait = 10 * SEC, .tries = 3},
};
static const struct conf_watch conf = {
    .notify = rows, .n_notify = 2, .away = 30 * SEC, .stuck = 600 * SEC};

static RmNews news_of(RmNewsKind kind, const char *guest)
{
    RmNews news = RM_NEWS__INIT;
    news.kind = kind;
    news.guest = (char *)guest;
    return news;
}

/* ---- the outbox */

static void what_comes_within_the_wait_is_one_message(void **state)
{
    (void)state;
    struct outbox box = {0};
    RmNews news = news_of(RM_NEWS_KIND__NEWS_FAILED, "kvm1");
    assert_true(outbox_due(&box, rows) == USEC_NEVER);
    assert_true(outbox_add(&box, &news, 100 * SEC));
    assert_true(outbox_add(&box, &news, 109 * SEC));
    assert_int_equal(outbox_due(&box, rows), 110 * SEC);
    outbox_begin(&box);
    assert_true(outbox_add(&box, &news, 110 * SEC)); /* while it is told */
    outbox_told(&box, rows, 2, 0, 111 * SEC);
    assert_int_equal(box.n, 1);
    assert_int_equal(outbox_due(&box, rows), 121 * SEC); /* two are as far apart */
    outbox_told(&box, rows, 1, 0, 121 * SEC);
    assert_true(outbox_due(&box, rows) == USEC_NEVER);
    assert_true(outbox_add(&box, &news, 122 * SEC));
    assert_int_equal(outbox_due(&box, rows), 132 * SEC);
    outbox_done(&box);
}

static void what_has_no_room_is_counted(void **state)
{
    (void)state;
    struct outbox box = {0};
    RmNews news = news_of(RM_NEWS_KIND__NEWS_FAILED, "kvm1");
    for (int i = 0; i < OUTBOX_MAX + 312; i++)
        outbox_add(&box, &news, SEC);
    assert_int_equal(box.n, OUTBOX_MAX);
    assert_int_equal(box.more, 312);
    outbox_begin(&box);
    outbox_add(&box, &news, SEC);
    outbox_told(&box, rows, OUTBOX_MAX, 312, 2 * SEC);
    assert_int_equal(box.n, 0);
    assert_int_equal(box.more, 1); /* is told as a number */
    assert_int_equal(outbox_due(&box, rows), 12 * SEC);
    outbox_done(&box);
}

static void
a_message_is_tried_again_ever_later_and_given_up_without_what_came_meanwhile(void **state)
{
    (void)state;
    struct outbox box = {0};
    RmNews old = news_of(RM_NEWS_KIND__NEWS_FAILED, "old");
    RmNews young = news_of(RM_NEWS_KIND__NEWS_FAILED, "young");
    outbox_add(&box, &old, 0);
    outbox_begin(&box);
    assert_false(outbox_failed(&box, rows, 10 * SEC));
    assert_int_equal(outbox_due(&box, rows), 11 * SEC);
    outbox_add(&box, &young, 10 * SEC);
    outbox_begin(&box);
    assert_false(outbox_failed(&box, rows, 11 * SEC));
    assert_int_equal(outbox_due(&box, rows), 13 * SEC);
    outbox_begin(&box);
    assert_true(outbox_failed(&box, rows, 13 * SEC));
    outbox_told(&box, rows, box.n_tried, box.more_tried, 13 * SEC);
    assert_int_equal(box.n, 1);
    assert_string_equal(box.news[0]->guest, "young");
    assert_int_equal(box.tries, 0);
    struct conf_notify patient = rows[0];
    patient.tries = 1000;
    for (int i = 0; i < 100; i++)
        outbox_failed(&box, &patient, 0);
    assert_int_equal(box.not_before, OUTBOX_RETRY_MOST);
    outbox_done(&box);
}

/* ---- the text */

static const char *text_of(RmNews **items, size_t n, uint64_t more, char *buffer)
{
    struct news news = {.site = "mgmt", .items = items, .n = n, .more = more};
    return news_text(&news, buffer);
}

static void one_news_is_a_sentence_and_many_are_counted(void **state)
{
    (void)state;
    char buffer[NEWS_TEXT_MAX], names[7][8];
    RmNews failed[7], empty = RM_NEWS__INIT, *items[8];
    for (size_t i = 0; i < 7; i++) {
        snprintf(names[i], sizeof(names[i]), "kvm%zu", i);
        failed[i] = news_of(RM_NEWS_KIND__NEWS_FAILED, names[i]);
        failed[i].why = (char *)"no space\nleft";
        items[i + 1] = &failed[i];
    }
    empty.kind = RM_NEWS_KIND__NEWS_EVACUATION;
    empty.over = empty.good = true;
    empty.host = (char *)"hyp01";
    empty.why = (char *)"is empty: 3 moved";
    items[0] = &empty;
    assert_string_equal(text_of(items + 1, 1, 0, buffer), "kvm0 could not be moved: no space left");
    assert_string_equal(text_of(items, 1, 0, buffer), "hyp01 is empty: 3 moved");
    assert_string_equal(text_of(items, 8, 312, buffer),
                        "7 guests could not be moved: kvm0, kvm1, kvm2, kvm3, kvm4 and 2 more; "
                        "hyp01 is empty: 3 moved; and 312 more");
    assert_string_equal(text_of(items, 0, 2, buffer), "and 2 more");
}

static void json_keeps_whatever_text_there_is_as_data(void **state)
{
    (void)state;
    char buffer[NEWS_TEXT_MAX];
    RmNews news = news_of(RM_NEWS_KIND__NEWS_LOCKED, "a\"b"), *items[] = {&news};
    news.why = (char *)"x\n\\ \x1b[31m \xff $(id)";
    news.at = 1500000;
    struct news all = {.site = "s", .at = 2 * SEC, .items = items, .n = 1, .more = 3};
    size_t length = 0;
    char *json = news_json(&all, news_text(&all, buffer), &length);
    assert_non_null(json);
    assert_int_equal(length, strlen(json));
    assert_string_equal(
        json, "{\"version\": 1, \"site\": \"s\", \"at\": 2.000000, \"text\": \"a\\\"b is locked: x "
              "\\\\  [31m ? $(id); and 3 more\", \"items\": [{\"kind\": \"locked\", \"over\": "
              "false, \"good\": false, \"at\": 1.500000, \"guest\": \"a\\\"b\", \"host\": null, "
              "\"job\": null, \"batch\": null, \"why\": \"x\\n\\\\ \\u001b[31m \\ufffd "
              "$(id)\"}], \"more\": 3}\n");
    free(json);
}

/* ---- the ledger */

static struct ledger *new_ledger(void)
{
    struct ledger *ledger = ledger_new(&conf);
    assert_non_null(ledger);
    ledger_at(ledger, SEC, 1000 * SEC);
    return ledger;
}

static void learn(struct ledger *ledger, uint64_t id, RmState job_state)
{
    RmJob job = RM_JOB__INIT;
    RmJobView view = RM_JOB_VIEW__INIT;
    char guest[32];
    snprintf(guest, sizeof(guest), "g%d", (int)id);
    job.id = id;
    job.batch = 1;
    job.guest = guest;
    view.job = &job;
    view.state = job_state;
    view.source = (char *)"hyp01";
    view.text = (char *)"why";
    assert_int_equal(ledger_job(ledger, &view), 0);
}

/* A ledger that began at a site with jobs 1 to 10, of which 10 is unfinished. */
static struct ledger *begun_ledger(void)
{
    struct ledger *ledger = new_ledger();
    ledger_start_jobs(ledger, 10);
    ledger_round(ledger, true);
    learn(ledger, 10, RM_STATE__RUNNING);
    ledger_beside(ledger);
    learn(ledger, 9, RM_STATE__FAILED); /* before all of this */
    ledger_rounded(ledger);
    ledger_start_events(ledger, 5);
    ledger_begun(ledger);
    assert_true(ledger_has_changed(ledger));
    assert_false(ledger_has_changed(ledger));
    assert_int_equal(ledger_box(ledger, 0)->n, 0);
    return ledger;
}

/* All that is to be told, as "kind guest-or-host[!]", joined by blanks; '!': it is over. */
static const char *told(struct ledger *ledger, size_t row)
{
    static char text[1024];
    const struct outbox *box = ledger_box(ledger, row);
    text[0] = '\0';
    for (size_t i = 0; i < box->n; i++) {
        const RmNews *news = box->news[i];
        size_t n = strlen(text);
        snprintf(text + n, sizeof(text) - n, "%s%s %s%s", n > 0 ? ", " : "",
                 news_kind_name(news->kind), news->guest[0] ? news->guest : news->host,
                 news->over ? "!" : "");
    }
    return text;
}

static struct ledger *stored_and_read(struct ledger *ledger)
{
    uint8_t *record;
    size_t length;
    struct ledger *again = new_ledger();
    assert_int_equal(ledger_pack(ledger, &record, &length), 0);
    ledger_free(ledger);
    assert_int_equal(ledger_unpack(again, record, length, SEC), 0);
    free(record);
    assert_false(ledger_is_new(again));
    return again;
}

static void a_failure_is_told_once_to_who_wants_it(void **state)
{
    (void)state;
    struct ledger *ledger = begun_ledger();
    ledger_round(ledger, false);
    learn(ledger, 12, RM_STATE__FAILED); /* submitted and over between two looks */
    learn(ledger, 11, RM_STATE__FAILED); /* before which that was told of */
    learn(ledger, 10, RM_STATE__DONE);
    learn(ledger, 13, RM_STATE__CANCELLED);
    learn(ledger, 14, RM_STATE__DOUBT);
    ledger_rounded(ledger);
    assert_string_equal(told(ledger, 0), "failed g12, failed g11, doubt g14");
    assert_string_equal(told(ledger, 1), "failed g12, failed g11");
    ledger_round(ledger, false);
    learn(ledger, 11, RM_STATE__FAILED);
    learn(ledger, 12, RM_STATE__FAILED);
    learn(ledger, 14, RM_STATE__DOUBT);
    ledger_rounded(ledger);
    assert_int_equal(ledger_box(ledger, 0)->n, 3);
    learn(ledger, 14, RM_STATE__FAILED);
    assert_string_equal(told(ledger, 0),
                        "failed g12, failed g11, doubt g14, doubt g14!, failed g14");
    ledger_free(ledger);
}

static void what_ended_while_nobody_looked_is_told_after_a_restart(void **state)
{
    (void)state;
    uint64_t ids[8];
    struct ledger *ledger = begun_ledger();
    ledger_round(ledger, false);
    for (uint64_t id = 11; id <= 20; id++)
        learn(ledger, id, id == 15 ? RM_STATE__FAILED : RM_STATE__QUEUED);
    ledger_rounded(ledger);
    ledger = stored_and_read(ledger);
    assert_string_equal(told(ledger, 0), "failed g15"); /* not told before the end */
    assert_int_equal(ledger_last_job(ledger), 20);

    ledger_start_jobs(ledger, 23);
    ledger_round(ledger, true);
    for (uint64_t id = 11; id <= 20; id++)
        if (id != 15 && id != 17 && id != 18)
            learn(ledger, id, RM_STATE__QUEUED);
    learn(ledger, 22, RM_STATE__QUEUED);
    ledger_beside(ledger);
    assert_int_equal(ledger_missed(ledger, ids, 8), 3); /* 10, 17, 18 */
    assert_int_equal(ledger_missed(ledger, ids, 8), 0);
    learn(ledger, 17, RM_STATE__FAILED);
    learn(ledger, 18, RM_STATE__DONE);
    ledger_forget(ledger, 10);
    learn(ledger, 25, RM_STATE__FAILED); /* younger than the answer */
    learn(ledger, 21, RM_STATE__FAILED);
    learn(ledger, 15, RM_STATE__FAILED); /* is on the page as well */
    ledger_rounded(ledger);
    assert_string_equal(told(ledger, 0), "failed g15, failed g17, failed g25, failed g21");

    ledger = stored_and_read(ledger); /* killed here, it does not tell them again */
    ledger_round(ledger, false);
    learn(ledger, 24, RM_STATE__FAILED);
    learn(ledger, 25, RM_STATE__FAILED);
    ledger_rounded(ledger);
    assert_string_equal(told(ledger, 0),
                        "failed g15, failed g17, failed g25, failed g21, failed g24");
    assert_int_equal(ledger_last_job(ledger), 25);
    ledger_round(ledger, true);
    ledger_beside(ledger);
    for (uint64_t id = 21; id <= 25; id++)
        learn(ledger, id, RM_STATE__FAILED);
    assert_int_equal(ledger_box(ledger, 0)->n, 6); /* 22, which was unfinished */
    ledger_free(ledger);
}

static void event(struct ledger *ledger, uint64_t sequence, uint64_t evacuation, bool empty)
{
    RmEvent event = RM_EVENT__INIT;
    event.sequence = sequence;
    event.kind = RM_EVENT_KIND__HOST_CHANGED;
    event.host = (char *)"hyp01";
    event.text = (char *)"is empty: 1 moved";
    event.evacuation = evacuation;
    event.empty = empty;
    ledger_event(ledger, &event);
}

static void an_event_is_told_once_and_only_the_end_of_an_evacuation(void **state)
{
    (void)state;
    struct ledger *ledger = begun_ledger();
    event(ledger, 5, 1, true);
    event(ledger, 6, 0, false);
    event(ledger, 7, 3, true);
    event(ledger, 7, 3, true);
    assert_string_equal(told(ledger, 0), "evacuation hyp01!");
    assert_true(ledger_box(ledger, 0)->news[0]->good);
    ledger = stored_and_read(ledger);
    assert_int_equal(ledger_last_event(ledger), 7);
    event(ledger, 7, 3, true);
    assert_int_equal(ledger_box(ledger, 0)->n, 1);
    ledger_free(ledger);
}

static void guest(struct ledger *ledger, const char *name, bool locked)
{
    RmGuest guest = RM_GUEST__INIT;
    guest.name = (char *)name;
    guest.locked = locked;
    guest.lock_text = (char *)"on both";
    assert_int_equal(ledger_guest(ledger, &guest), 0);
}

static void a_lock_and_its_release_are_told_once(void **state)
{
    (void)state;
    struct ledger *ledger = begun_ledger();
    for (int i = 0; i < 2; i++) {
        ledger_locks(ledger);
        guest(ledger, "a", true);
        guest(ledger, "b", false);
        ledger_locked(ledger);
        assert_string_equal(told(ledger, 0), "locked a");
        ledger = stored_and_read(ledger);
    }
    ledger_locks(ledger);
    guest(ledger, "a", false);
    ledger_locked(ledger);
    assert_string_equal(told(ledger, 0), "locked a, locked a!");
    ledger_free(ledger);
}

static void host(struct ledger *ledger, usec_t now, bool connected, bool evacuating,
                 unsigned running)
{
    RmHost record = RM_HOST__INIT;
    RmHostView view = RM_HOST_VIEW__INIT;
    record.name = (char *)"hyp01";
    record.done = 7; /* before all of it */
    view.host = &record;
    view.connected = connected;
    view.evacuating = evacuating;
    view.running = running;
    view.why = (char *)"nothing is open";
    ledger_at(ledger, now, 1000 * SEC);
    assert_int_equal(ledger_host(ledger, &view), 0);
}

static void a_worker_is_told_when_it_is_lost_for_long_enough_and_when_it_is_back(void **state)
{
    (void)state;
    struct ledger *ledger = begun_ledger();
    host(ledger, 10 * SEC, true, false, 0);
    host(ledger, 20 * SEC, false, false, 0);
    host(ledger, 49 * SEC, false, false, 0);
    host(ledger, 49 * SEC, true, false, 0); /* it was restarted */
    host(ledger, 60 * SEC, false, false, 0);
    assert_int_equal(ledger_box(ledger, 0)->n, 0);
    host(ledger, 90 * SEC, false, false, 0);
    host(ledger, 200 * SEC, false, false, 0);
    assert_string_equal(told(ledger, 0), "worker hyp01");
    ledger = stored_and_read(ledger);
    host(ledger, 300 * SEC, false, false, 0);
    host(ledger, 400 * SEC, true, false, 0);
    host(ledger, 401 * SEC, true, false, 0);
    assert_string_equal(told(ledger, 0), "worker hyp01, worker hyp01!");
    ledger_free(ledger);
}

static void a_host_that_had_no_worker_from_the_first_is_told_when_it_loses_one(void **state)
{
    (void)state;
    struct ledger *ledger = new_ledger();
    host(ledger, 10 * SEC, false, false, 0);
    ledger_begun(ledger);
    ledger = stored_and_read(ledger);
    host(ledger, 1000 * SEC, false, false, 0);
    host(ledger, 1001 * SEC, true, false, 0);
    assert_int_equal(ledger_box(ledger, 0)->n, 0);
    host(ledger, 1002 * SEC, false, false, 0);
    host(ledger, 1032 * SEC, false, false, 0);
    assert_string_equal(told(ledger, 0), "worker hyp01");
    ledger_free(ledger);
}

static void a_broker_that_was_away_gives_its_workers_time(void **state)
{
    (void)state;
    struct ledger *ledger = begun_ledger();
    host(ledger, 10 * SEC, true, false, 0);
    ledger_at(ledger, 20 * SEC, 0);
    ledger_away(ledger, "ipc:///b", "gone");
    ledger_at(ledger, 49 * SEC, 0);
    ledger_away(ledger, "ipc:///b", "gone");
    assert_int_equal(ledger_box(ledger, 0)->n, 0);
    ledger_at(ledger, 50 * SEC, 0);
    ledger_away(ledger, "ipc:///b", "gone");
    ledger_at(ledger, 51 * SEC, 0);
    ledger_away(ledger, "ipc:///b", "gone");
    assert_string_equal(told(ledger, 0), "broker ipc:///b");
    ledger = stored_and_read(ledger);
    ledger_at(ledger, 60 * SEC, 0);
    ledger_back(ledger, "ipc:///b");
    ledger_back(ledger, "ipc:///b");
    host(ledger, 60 * SEC, false, false, 0);
    host(ledger, 80 * SEC, false, false, 0);
    assert_string_equal(told(ledger, 0), "broker ipc:///b, broker ipc:///b!");
    ledger_free(ledger);
}

static void an_evacuation_of_which_nothing_moves_is_told_once(void **state)
{
    (void)state;
    struct ledger *ledger = begun_ledger();
    host(ledger, 10 * SEC, true, true, 1);
    host(ledger, 700 * SEC, true, true, 0);
    host(ledger, 1200 * SEC, true, true, 1);
    host(ledger, 1300 * SEC, true, true, 0);
    host(ledger, 1899 * SEC, true, true, 0);
    assert_int_equal(ledger_box(ledger, 0)->n, 0);
    host(ledger, 1900 * SEC, true, true, 0);
    host(ledger, 5000 * SEC, true, true, 0);
    assert_string_equal(told(ledger, 0), "evacuation hyp01");
    assert_string_equal(ledger_box(ledger, 0)->news[0]->why, "nothing is open");
    ledger = stored_and_read(ledger);
    host(ledger, 5001 * SEC, true, true, 0);
    host(ledger, 9000 * SEC, true, true, 0);
    host(ledger, 9600 * SEC, true, true, 0);
    assert_int_equal(ledger_box(ledger, 0)->n, 1);
    ledger_free(ledger);
}

/* ---- the file */

static char directory[64], file_path[96];

static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/rmigrate-test-notify-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(file_path, sizeof(file_path), "%s/ledger", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    return system(command) == 0 ? 0 : -1;
}

static void write_ledger(void)
{
    struct ledger *ledger = begun_ledger();
    struct ledger *none = new_ledger();
    struct ledger_file *file, *other;
    struct rm_err err = {0};
    event(ledger, 9, 3, false);
    assert_int_equal(ledger_file_open(directory, none, &file, &err), 0);
    assert_int_equal(ledger_file_open(directory, none, &other, &err), -EBUSY);
    assert_int_equal(ledger_file_write(file, ledger, &err), 0);
    ledger_file_close(file);
    ledger_free(none);
    ledger_free(ledger);
}

static bool reads_new(void)
{
    struct ledger *ledger = new_ledger();
    struct ledger_file *file;
    struct rm_err err = {0};
    assert_int_equal(ledger_file_open(directory, ledger, &file, &err), 0);
    bool is_new = ledger_is_new(ledger);
    assert_int_equal(ledger_last_event(ledger), is_new ? 0 : 9);
    assert_int_equal(ledger_box(ledger, 0)->n, is_new ? 0 : 1);
    ledger_file_close(file);
    ledger_free(ledger);
    return is_new;
}

static void a_ledger_is_read_as_it_was_written(void **state)
{
    (void)state;
    assert_true(reads_new());
    write_ledger();
    assert_false(reads_new());
}

static void a_ledger_that_was_cut_or_changed_anywhere_is_set_aside(void **state)
{
    (void)state;
    char bytes[4096], damaged[128];
    snprintf(damaged, sizeof(damaged), "%s.damaged", file_path);
    write_ledger();
    FILE *from = fopen(file_path, "r");
    assert_non_null(from);
    size_t n = fread(bytes, 1, sizeof(bytes), from);
    fclose(from);
    for (size_t i = 0; i < 2 * n; i++) {
        FILE *to = fopen(file_path, "w");
        assert_non_null(to);
        if (i < n)
            bytes[i] ^= 0x10;
        assert_int_equal(fwrite(bytes, 1, i < n ? n : i - n, to), i < n ? n : i - n);
        if (i < n)
            bytes[i] ^= 0x10;
        assert_int_equal(fclose(to), 0);
        if (!reads_new())
            fail_msg("damage %zu of %zu was not noticed", i, n);
        assert_int_equal(access(damaged, F_OK), 0);
        assert_int_equal(unlink(damaged), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_within_the_wait_is_one_message),
        cmocka_unit_test(what_has_no_room_is_counted),
        cmocka_unit_test(
            a_message_is_tried_again_ever_later_and_given_up_without_what_came_meanwhile),
        cmocka_unit_test(one_news_is_a_sentence_and_many_are_counted),
        cmocka_unit_test(json_keeps_whatever_text_there_is_as_data),
        cmocka_unit_test(a_failure_is_told_once_to_who_wants_it),
        cmocka_unit_test(what_ended_while_nobody_looked_is_told_after_a_restart),
        cmocka_unit_test(an_event_is_told_once_and_only_the_end_of_an_evacuation),
        cmocka_unit_test(a_lock_and_its_release_are_told_once),
        cmocka_unit_test(a_worker_is_told_when_it_is_lost_for_long_enough_and_when_it_is_back),
        cmocka_unit_test(a_host_that_had_no_worker_from_the_first_is_told_when_it_loses_one),
        cmocka_unit_test(a_broker_that_was_away_gives_its_workers_time),
        cmocka_unit_test(an_evacuation_of_which_nothing_moves_is_told_once),
        cmocka_unit_test_setup_teardown(a_ledger_is_read_as_it_was_written, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(a_ledger_that_was_cut_or_changed_anywhere_is_set_aside,
                                        make_directory, remove_directory),
    };
    log_open("test_notify",
             LOG_LEVEL_ERROR); /* that damage is noticed is not to be read a thousand times */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
