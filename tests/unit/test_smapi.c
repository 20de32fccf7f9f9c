/* test_smapi.c - the SMAPI client against a server that breaks off, stalls, lies and refuses */
#include "tests/unit/smapi_server.h"
#include "worker/zvm/smapi.h"
#include "worker/zvm/smapi_link.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

/* The clock of the machine, plus all the time for which the client wanted to sleep: nobody does. */
static atomic_uint_fast64_t skipped;
static struct server *starts_up; /* when the client sleeps for the first time; NULL: none */

static usec_t skip_now(void *ctx)
{
    (void)ctx;
    return env_now(env_system()) + atomic_load(&skipped);
}

static void skip_sleep(void *ctx, usec_t span)
{
    (void)ctx;
    atomic_fetch_add(&skipped, span);
    if (starts_up)
        server_listen(starts_up);
    starts_up = NULL;
}

static const struct env skipping = {.now = skip_now, .sleep = skip_sleep};

/* The resolver: as the machine's, but for one name that it does not answer until the pipe is closed. */
static const char NO_ANSWER[] = "no-answer.invalid";
static int no_answer[2];

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    union {
        void *symbol;
        int (*call)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    } real = {.symbol = dlsym(RTLD_NEXT, "getaddrinfo")};
    char nothing;
    if (!name || strcmp(name, NO_ANSWER) != 0 || (hints && hints->ai_flags & AI_NUMERICHOST))
        return real.call(name, service, hints, ret);
    while (read(no_answer[0], &nothing, 1) < 0)
        ;
    return EAI_AGAIN;
}

struct site {
    char directory[64];
    char login[96];
    char certificate[96];
    struct server *server;
    struct smapi *smapi;
};

static void write_login(const struct site *site, const char *text)
{
    FILE *f = fopen(site->login, "w");
    assert_non_null(f);
    assert_int_equal(fchmod(fileno(f), 0600), 0);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    struct site *site = calloc(1, sizeof(*site));
    snprintf(site->directory, sizeof(site->directory), "/tmp/rmigrate-test-XXXXXX");
    assert_non_null(mkdtemp(site->directory));
    snprintf(site->login, sizeof(site->login), "%s/login", site->directory);
    snprintf(site->certificate, sizeof(site->certificate), "%s/server.pem", site->directory);
    write_login(site, "MIGRATE\ns3cret\n");
    site->server = server_new();
    *state = site;
    return 0;
}

static int teardown(void **state)
{
    struct site *site = *state;
    smapi_free(site->smapi);
    server_free(site->server);
    remove(site->login);
    remove(site->certificate);
    remove(site->directory);
    free(site);
    return 0;
}

/* A client with these time-outs in ms; the login has been tried already when there is a server. */
static void open_client(struct site *site, unsigned connect_timeout, unsigned call_timeout)
{
    const struct smapi_conf conf = {
        .url = site->server->url,
        .login_file = site->login,
        .ca_file = site->server->tls ? site->certificate : NULL,
        .connect_timeout = connect_timeout * USEC_PER_MSEC,
        .call_timeout = call_timeout * USEC_PER_MSEC,
    };
    struct rm_err err = {""};
    if (smapi_new(&conf, &skipping, &site->smapi, &err) < 0)
        fail_msg("%s", err.text);
}

/* The server answers the trial of the login, then as the steps say. */
static void begin(struct site *site, const struct server_step *steps, unsigned n,
                  unsigned call_timeout)
{
    server_add(site->server, (struct server_step){.act = ANSWER});
    for (unsigned i = 0; i < n; i++)
        server_add(site->server, steps[i]);
    server_listen(site->server);
    open_client(site, 5000, call_timeout);
}

#define BEGIN(site, call_timeout, ...)                                                             \
    do {                                                                                           \
        const struct server_step steps_[] = {__VA_ARGS__};                                         \
        begin(site, steps_, sizeof(steps_) / sizeof(steps_[0]), call_timeout);                     \
    } while (0)

#define DATA(literal) .data = (literal), .length = sizeof(literal) - 1

static const struct smapi_request move = {
    .function = SMAPI_VMRELOCATE,
    .target = "LINUX1",
    .operand = {[SMAPI_DESTINATION] = "VM2", [SMAPI_ACTION] = "MOVE"},
};
static const struct smapi_request lookup = {.function = SMAPI_IMAGE_STATUS_QUERY,
                                            .target = "LINUX1"};

static enum smapi_end call_lookup(struct site *site, struct smapi_answer *answer,
                                  struct rm_err *err)
{
    memset(answer, 0, sizeof(*answer));
    return smapi_call(site->smapi, &lookup, /* may_repeat = */ true, NULL, NULL, answer, err);
}

static enum smapi_end call_move(struct site *site, struct smapi_answer *answer, struct rm_err *err)
{
    memset(answer, 0, sizeof(*answer));
    return smapi_call(site->smapi, &move, /* may_repeat = */ false, NULL, NULL, answer, err);
}

static void expect_text(const struct rm_err *err, const char *part)
{
    if (!strstr(err->text, part))
        fail_msg("'%s' does not say '%s'", err->text, part);
    assert_null(strstr(err->text, "s3cret"));
}

static void expect_seen(const struct site *site, unsigned i, const char *function)
{
    assert_true(i < site->server->n_seen);
    assert_string_equal(site->server->seen[i].function, function);
}

static void a_login_is_tried_once_then_requests_are_answered(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    BEGIN(site, 5000, {.act = ANSWER, DATA("\0\0\0\x0a\0\0\0\x06LINUX1")},
          {.act = ANSWER, .rs = 12});
    assert_int_equal(call_lookup(site, &answer, &err), SMAPI_ANSWERED);
    assert_int_equal(answer.rc, 0);
    assert_int_equal(answer.request_id, SERVER_ID + 1);
    smapi_name name;
    assert_int_equal(smapi_decode_images(&answer, &name, 1, NULL), 1);
    assert_string_equal(name, "LINUX1");
    smapi_answer_done(&answer);
    assert_int_equal(call_lookup(site, &answer, &err), SMAPI_ANSWERED);
    assert_int_equal(answer.rs, 12);
    smapi_answer_done(&answer);
    smapi_answer_done(&answer); /* does no harm */
    expect_seen(site, 0, "Check_Authentication");
    expect_seen(site, 1, "Image_Status_Query");
    assert_string_equal(site->server->seen[1].target, "LINUX1");
    assert_int_equal(site->server->n_opened, 3);
}

static void bytes_may_come_one_at_a_time(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    BEGIN(site, 5000, {.act = BYTE_BY_BYTE, .rc = 8, .rs = 3000, DATA("1940 1981\0")});
    assert_int_equal(call_move(site, &answer, NULL), SMAPI_ANSWERED);
    assert_int_equal(answer.rc, 8);
    assert_int_equal(answer.rs, 3000);
    assert_int_equal(smapi_decode_numbers(&answer, NULL, 0, NULL), 2);
    smapi_answer_done(&answer);
}

static void a_move_without_a_request_id_is_uncertain_and_not_sent_again(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    BEGIN(site, 5000, {.act = CLOSE_AT_ONCE});
    assert_int_equal(call_move(site, &answer, &err), SMAPI_UNCERTAIN);
    expect_text(&err, "VMRELOCATE was sent, but nobody said that it was taken: the server closed");
    assert_int_equal(site->server->n_opened, 2);
}

static void a_move_whose_time_is_over_is_not_sent(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    struct smapi_request late = move;
    BEGIN(site, 5000, {.act = ANSWER}, {.act = ANSWER});
    late.leave_by = env_now(&skipping);
    assert_int_equal(smapi_call(site->smapi, &late, false, NULL, NULL, &answer, &err),
                     SMAPI_NOT_SENT);
    expect_text(&err, "VMRELOCATE was not sent");
    late.leave_by += 60 * USEC_PER_SEC;
    assert_int_equal(smapi_call(site->smapi, &late, false, NULL, NULL, &answer, &err),
                     SMAPI_ANSWERED);
    smapi_answer_done(&answer);
    expect_seen(site, 0, "Check_Authentication");
    expect_seen(site, 1, "VMRELOCATE");
    assert_int_equal(site->server->n_seen, 2);
}

static void a_lookup_without_a_request_id_is_sent_again(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    BEGIN(site, 5000, {.act = CLOSE_AT_ONCE}, {.act = CLOSE_AFTER_ID}, {.act = CLOSE_IN_REPLY},
          {.act = LENGTH_TOO_BIG}, {.act = ANSWER, .rs = 12});
    assert_int_equal(call_lookup(site, &answer, &err), SMAPI_ANSWERED);
    assert_string_equal(err.text, "");
    assert_int_equal(answer.rs, 12);
    smapi_answer_done(&answer);
    for (unsigned i = 1; i <= 5; i++)
        expect_seen(site, i, "Image_Status_Query");
}

static void silence_before_the_request_id_has_an_end(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    BEGIN(site, 800, {.act = SILENT_BEFORE_ID});
    assert_int_equal(call_move(site, &answer, &err), SMAPI_UNCERTAIN);
    expect_text(&err, "no answer for");
}

static void silence_after_the_request_id_has_an_end_without_wait(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    BEGIN(site, 800, {.act = SILENT_AFTER_ID});
    assert_int_equal(call_move(site, &answer, &err), SMAPI_LOST);
    expect_text(&err, "VMRELOCATE was taken (request 101), but its reply did not come: no answer");
    assert_int_equal(site->server->n_opened, 2); /* no time for a recovery */
}

/* The reply of request 101: 8/3000 and two numbers. */
#define RECOVERED                                                                                  \
    "\0\0\0\x65\0\0\0\x08\0\0\x0b\xb8"                                                             \
    "1940 1981\0"

static void expect_recovered(struct site *site, const struct smapi_answer *answer, unsigned at)
{
    assert_int_equal(answer->rc, 8);
    assert_int_equal(answer->rs, 3000);
    assert_int_equal(answer->request_id, SERVER_ID + 1);
    assert_int_equal(smapi_decode_numbers(answer, NULL, 0, NULL), 2);
    expect_seen(site, 1, "VMRELOCATE");
    for (unsigned i = 2; i <= at; i++) {
        expect_seen(site, i, "Response_Recovery");
        assert_int_equal(site->server->seen[i].number, SERVER_ID + 1);
        assert_string_equal(site->server->seen[i].target, "LINUX1");
    }
    assert_int_equal(site->server->n_seen, at + 1);
}

static void a_lost_reply_is_recovered(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    BEGIN(site, 20000, {.act = CLOSE_AFTER_ID}, {.act = ANSWER, .rc = 4, .rs = 28},
          {.act = CLOSE_AT_ONCE}, {.act = ANSWER, DATA(RECOVERED)});
    assert_int_equal(call_move(site, &answer, NULL), SMAPI_ANSWERED);
    expect_recovered(site, &answer, 4);
    smapi_answer_done(&answer);
}

static void half_a_reply_is_recovered(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    BEGIN(site, 5000, {.act = CLOSE_IN_REPLY, .rc = 8, .rs = 3000},
          {.act = ANSWER, DATA(RECOVERED)});
    assert_int_equal(call_move(site, &answer, NULL), SMAPI_ANSWERED);
    expect_recovered(site, &answer, 2);
    smapi_answer_done(&answer);
}

static void a_reply_of_an_impossible_length_is_recovered(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    BEGIN(site, 5000, {.act = LENGTH_TOO_SMALL}, {.act = LENGTH_TOO_BIG},
          {.act = ANSWER, DATA(RECOVERED)});
    assert_int_equal(call_move(site, &answer, NULL), SMAPI_ANSWERED);
    expect_recovered(site, &answer, 3);
    smapi_answer_done(&answer);
}

static void a_request_that_the_server_forgot_is_lost(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    BEGIN(site, 5000, {.act = LENGTH_TOO_BIG}, {.act = ANSWER, .rc = 4, .rs = 4});
    assert_int_equal(call_move(site, &answer, &err), SMAPI_LOST);
    expect_text(&err, "4294967295 bytes long");
    expect_text(&err, "the server does not know the request any more");
    assert_int_equal(site->server->n_opened, 3);
}

static void a_recovery_that_is_not_allowed_is_not_repeated(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    BEGIN(site, 5000, {.act = CLOSE_AFTER_ID}, {.act = ANSWER, .rc = 100, .rs = 16});
    assert_int_equal(call_move(site, &answer, &err), SMAPI_LOST);
    expect_text(&err, "Response_Recovery: return code 100, reason code 16 (not authorised");
    assert_int_equal(site->server->n_opened, 3);
}

static void the_reply_of_another_request_is_not_believed(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    BEGIN(site, 5000, {.act = CLOSE_AFTER_ID}, {.act = ANSWER, DATA("\0\0\0\x66\0\0\0\0\0\0\0\0")});
    assert_int_equal(call_move(site, &answer, &err), SMAPI_LOST);
    expect_text(&err, "brought the reply of request 102, asked for 101");
}

struct patience {
    unsigned asked;
    unsigned says_no_at; /* 0 = never */
};

static bool be_patient(void *ctx)
{
    struct patience *patience = ctx;
    patience->asked++;
    return patience->asked != patience->says_no_at;
}

static enum smapi_end call_waiting(struct site *site, struct patience *patience,
                                   struct smapi_answer *answer, struct rm_err *err)
{
    memset(answer, 0, sizeof(*answer));
    return smapi_call(site->smapi, &move, /* may_repeat = */ false, be_patient, patience, answer,
                      err);
}

static void a_late_reply_is_waited_for(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct patience patience = {.asked = 0};
    BEGIN(site, 1500, {.act = ANSWER, .delay = 1700});
    assert_int_equal(call_waiting(site, &patience, &answer, NULL), SMAPI_ANSWERED);
    assert_int_equal(answer.rc, 0);
    assert_in_range(patience.asked, 2, 20); /* about twice a second, and not in a loop */
    smapi_answer_done(&answer);
}

static void waiting_can_be_stopped(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    struct patience patience = {.says_no_at = 2};
    BEGIN(site, 5000, {.act = SILENT_AFTER_ID});
    assert_int_equal(call_waiting(site, &patience, &answer, &err), SMAPI_STOPPED);
    assert_int_equal(patience.asked, 2);
    expect_text(&err, "no longer waited for");
    assert_int_equal(site->server->n_opened, 2);
}

static void a_reply_that_stalls_in_the_middle_is_recovered(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct patience patience = {.asked = 0};
    BEGIN(site, 1000, {.act = SILENT_IN_REPLY}, {.act = ANSWER, DATA(RECOVERED)});
    assert_int_equal(call_waiting(site, &patience, &answer, NULL), SMAPI_ANSWERED);
    expect_recovered(site, &answer, 2);
    smapi_answer_done(&answer);
}

static void a_recovery_can_be_stopped_too(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct patience patience = {.says_no_at = 1};
    BEGIN(site, 5000, {.act = CLOSE_AFTER_ID}, {.act = SILENT_AFTER_ID});
    assert_int_equal(call_waiting(site, &patience, &answer, NULL), SMAPI_STOPPED);
}

static void an_asynchronous_operation_is_followed_to_its_end(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    BEGIN(site, 20000, {.act = ANSWER, .rc = 592, DATA("\0\0\0\x2a")},
          {.act = ANSWER, .rc = 0, .rs = 104}, {.act = ANSWER, .rc = 0, .rs = 100},
          {.act = ANSWER, .rc = 592, .rs = 7}, {.act = ANSWER, .rc = 0, .rs = 108});
    assert_int_equal(call_move(site, &answer, NULL), SMAPI_ANSWERED);
    assert_int_equal(answer.rc, 0);
    assert_int_equal(answer.rs, 0);
    assert_int_equal(answer.request_id, SERVER_ID + 1);
    expect_seen(site, 2, "Query_Asynchronous_Operation_DM");
    assert_int_equal(site->server->seen[3].number, 42);
    assert_int_equal(call_move(site, &answer, NULL), SMAPI_ANSWERED);
    assert_int_equal(answer.rc, 592);
    assert_int_equal(answer.rs, 108);
    assert_int_equal(site->server->seen[5].number, 7);
}

static void an_operation_whose_end_is_not_known_is_lost(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    BEGIN(site, 5000, {.act = ANSWER, .rc = 592}, {.act = ANSWER, .rc = 592, .rs = 7},
          {.act = ANSWER, .rc = 100, .rs = 8});
    assert_int_equal(call_move(site, &answer, &err), SMAPI_LOST);
    expect_text(&err, "goes on asynchronously and cannot be followed: 0 bytes are no operation id");
    assert_int_equal(call_move(site, &answer, &err), SMAPI_LOST);
    expect_text(&err, "(operation 7), its end is not known: Query_Asynchronous_Operation_DM: "
                      "return code 100");
}

static void only_what_changes_nothing_is_reissued(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    BEGIN(site, 5000, {.act = ANSWER, .rc = 900, .rs = 99}, {.act = ANSWER, .rs = 12},
          {.act = ANSWER, .rc = 900, .rs = 99});
    assert_int_equal(call_lookup(site, &answer, NULL), SMAPI_ANSWERED);
    assert_int_equal(answer.rs, 12);
    smapi_answer_done(&answer);
    assert_int_equal(call_move(site, &answer, NULL), SMAPI_ANSWERED);
    assert_int_equal(answer.rc, 900);
    smapi_answer_done(&answer);
    assert_int_equal(site->server->n_opened, 4);
}

static void a_refused_login_is_sent_once(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    server_add(site->server, (struct server_step){.act = ANSWER, .rc = 120});
    server_add(site->server, (struct server_step){.act = ANSWER});
    server_listen(site->server);
    open_client(site, 5000, 5000);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(call_lookup(site, &answer, &err), SMAPI_REFUSED_LOGIN);
        expect_text(&err, "Image_Status_Query was not sent: Check_Authentication: return code 120, "
                          "reason code 0 (wrong userid or password)");
    }
    expect_text(&err, "nothing is sent with the login of");
    assert_int_equal(call_move(site, &answer, &err), SMAPI_REFUSED_LOGIN);
    struct smapi_events *events;
    assert_int_equal(smapi_events_open(site->smapi, &events, &err), -EPERM);
    assert_int_equal(site->server->n_opened, 1);
    write_login(site, "MIGRATE\nanother\n");
    assert_int_equal(call_lookup(site, &answer, &err), SMAPI_ANSWERED);
    smapi_answer_done(&answer);
    assert_int_equal(site->server->n_opened, 3);
}

static void a_login_that_expires_is_not_sent_again(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    BEGIN(site, 5000, {.act = ANSWER}, {.act = ANSWER, .rc = 128});
    assert_int_equal(call_lookup(site, &answer, &err), SMAPI_ANSWERED);
    smapi_answer_done(&answer);
    assert_int_equal(call_lookup(site, &answer, &err), SMAPI_REFUSED_LOGIN);
    expect_text(&err, "the password has expired");
    assert_int_equal(call_lookup(site, &answer, &err), SMAPI_REFUSED_LOGIN);
    assert_int_equal(site->server->n_opened, 3);
}

static void a_refusal_during_a_recovery_is_remembered(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    BEGIN(site, 5000, {.act = CLOSE_AFTER_ID}, {.act = ANSWER, .rc = 120});
    assert_int_equal(call_move(site, &answer, &err), SMAPI_LOST);
    expect_text(&err, "wrong userid or password");
    assert_int_equal(call_lookup(site, &answer, &err), SMAPI_REFUSED_LOGIN);
    assert_int_equal(site->server->n_opened, 3);
}

enum { THREADS = 12 };

static void *lookup_thread(void *arg)
{
    struct smapi_answer answer;
    uintptr_t end = call_lookup(arg, &answer, NULL);
    smapi_answer_done(&answer);
    return (void *)end;
}

static void run_threads(struct site *site, enum smapi_end end)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, lookup_thread, site), 0);
    for (int i = 0; i < THREADS; i++) {
        void *got;
        pthread_join(threads[i], &got);
        assert_int_equal((uintptr_t)got, end);
    }
}

static void many_threads_call_at_once(void **state)
{
    struct site *site = *state;
    server_add(site->server, (struct server_step){.act = ANSWER, .delay = 100});
    server_listen(site->server);
    open_client(site, 5000, 5000);
    run_threads(site, SMAPI_ANSWERED);
    assert_int_equal(site->server->n_opened, 1 + THREADS);
    expect_seen(site, 0, "Check_Authentication");
}

static void many_threads_send_a_bad_login_once(void **state)
{
    struct site *site = *state;
    server_add(site->server, (struct server_step){.act = ANSWER, .delay = 100, .rc = 120});
    server_listen(site->server);
    open_client(site, 5000, 5000);
    run_threads(site, SMAPI_REFUSED_LOGIN);
    assert_int_equal(site->server->n_opened, 1);
}

static void nobody_there_is_not_sent(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    open_client(site, 400, 400);
    assert_int_equal(call_move(site, &answer, &err), SMAPI_NOT_SENT);
    expect_text(&err, "VMRELOCATE was not sent: ");
    expect_text(&err, "cannot connect to 127.0.0.1 port");
    expect_text(&err, "Connection refused");
}

static void a_server_that_starts_up_is_waited_for(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    open_client(site, 10000, 20000);
    starts_up = site->server; /* it refuses the first connection */
    assert_int_equal(call_move(site, &answer, &err), SMAPI_ANSWERED);
    assert_null(starts_up);
    smapi_answer_done(&answer);
}

static void bad_operands_and_logins_are_never_sent(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    server_listen(site->server);
    open_client(site, 5000, 5000);
    struct smapi_request bad = move;
    bad.operand[SMAPI_DESTINATION] = "VM2;rm -rf";
    assert_int_equal(smapi_call(site->smapi, &bad, true, NULL, NULL, &answer, &err),
                     SMAPI_NOT_SENT);
    expect_text(&err, "destination");
    assert_int_equal(chmod(site->login, 0644), 0);
    assert_int_equal(call_lookup(site, &answer, &err), SMAPI_NOT_SENT);
    expect_text(&err, "chmod 600");
    assert_int_equal(remove(site->login), 0);
    assert_int_equal(call_lookup(site, &answer, &err), SMAPI_NOT_SENT);
    expect_text(&err, "No such file or directory");
    assert_int_equal(site->server->n_opened, 0);
}

static void names_are_resolved(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    server_listen(site->server);
    snprintf(site->server->url, sizeof(site->server->url), "tcp://localhost:%u",
             site->server->port);
    open_client(site, 5000, 5000);
    assert_int_equal(call_lookup(site, &answer, &err), SMAPI_ANSWERED);
    smapi_answer_done(&answer);
    smapi_free(site->smapi);
    site->smapi = NULL;
    snprintf(site->server->url, sizeof(site->server->url), "tcp://nowhere.invalid");
    open_client(site, 3000, 500);
    assert_int_equal(call_move(site, &answer, &err), SMAPI_NOT_SENT);
    expect_text(&err, "nowhere.invalid: ");
}

static void a_resolver_without_an_answer_is_left_behind(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    assert_int_equal(pipe(no_answer), 0);
    snprintf(site->server->url, sizeof(site->server->url), "tcp://%s", NO_ANSWER);
    open_client(site, 300, 300);
    assert_int_equal(call_move(site, &answer, &err), SMAPI_NOT_SENT); /* it asks for ever still */
    expect_text(&err, "no-answer.invalid: the name was not resolved in time");
    close(no_answer[1]);
}

static void urls_are_checked(void **state)
{
    struct site *site = *state;
    static const struct {
        const char *url, *says;
    } bad[] = {
        {"http://zvm", "begins with none of"},    {"tcp://", "has no host name"},
        {"tcp://:44444", "has no host name"},     {"tcp://zvm:0", "is no port"},
        {"tcp://zvm:65536", "is no port"},        {"tcp://zvm:", "is no port"},
        {"tcp://zvm:44x", "is no port"},          {"tcp://zvm:+44", "is no port"},
        {"tcp://fe80::1", "belongs in brackets"}, {"tcp://[fe80::1", "has no ']'"},
        {"tcp://[]:1", "has no host name"},       {"tcp://[::1]44", "is no port"},
        {"iucv://VSMREQIU1", "8 characters"},
    };
    static const char *const good[] = {"tcp://zvm",      "tcp://zvm:1", "tcp://[::1]",
                                       "tcp://[::1]:44", "tls://zvm",   "iucv://",
                                       "iucv://vsmreqi6"};
    struct smapi_conf conf = {.login_file = site->login};
    struct smapi *smapi;
    struct rm_err err = {""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        conf.url = bad[i].url;
        assert_int_equal(smapi_new(&conf, env_system(), &smapi, &err), -EINVAL);
        expect_text(&err, bad[i].says);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        conf.url = good[i];
        assert_int_equal(smapi_new(&conf, env_system(), &smapi, &err), 0);
        smapi_free(smapi);
    }
    conf = (struct smapi_conf){.url = "tcp://zvm"};
    assert_int_equal(smapi_new(&conf, env_system(), &smapi, &err), -EINVAL);
    expect_text(&err, "needs a login file");
    conf.url = "iucv://";
    assert_int_equal(smapi_new(&conf, env_system(), &smapi, &err), 0);
    smapi_free(smapi);
}

static void a_kernel_without_iucv_says_so(void **state)
{
    (void)state;
    int fd = socket(32, SOCK_STREAM, 0);
    if (fd >= 0) {
        close(fd);
        skip();
    }
    const struct smapi_conf conf = {
        .url = "iucv://", .connect_timeout = USEC_PER_SEC, .call_timeout = USEC_PER_SEC};
    struct smapi *smapi;
    struct smapi_answer answer;
    struct rm_err err = {""};
    assert_int_equal(smapi_new(&conf, env_system(), &smapi, &err), 0);
    assert_int_equal(smapi_call(smapi, &lookup, true, NULL, NULL, &answer, &err), SMAPI_NOT_SENT);
    expect_text(&err, "this kernel has no AF_IUCV");
    smapi_free(smapi);
}

/* A key and a certificate for the names, signed by itself or by somebody unknown; the server has
 * both, the file the latter. */
static void make_certificate_by(struct site *site, const char *names, bool by_itself)
{
    EVP_PKEY *authority = EVP_EC_gen("P-256");
    assert_non_null(authority);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    assert_non_null(key);
    assert_non_null(x509);
    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "O", MBSTRING_ASC,
                               (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(x509, X509_get_subject_name(x509));
    if (!by_itself)
        X509_NAME_add_entry_by_txt(X509_get_issuer_name(x509), "CN", MBSTRING_ASC,
                                   (const unsigned char *)"authority", -1, -1, 0);
    X509_set_pubkey(x509, key);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    assert_non_null(extension);
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
    assert_true(X509_sign(x509, by_itself ? key : authority, EVP_sha256()) > 0);
    EVP_PKEY_free(authority);
    FILE *f = fopen(site->certificate, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, x509), 1);
    assert_int_equal(fclose(f), 0);
    SSL_CTX_free(site->server->tls);
    site->server->tls = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(site->server->tls, x509), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(site->server->tls, key), 1);
    X509_free(x509);
    EVP_PKEY_free(key);
    snprintf(site->server->url, sizeof(site->server->url), "tls://127.0.0.1:%u",
             site->server->port);
}

static void make_certificate(struct site *site, const char *names)
{
    make_certificate_by(site, names, /* by_itself = */ true);
}

static void tls_with_a_known_certificate_works(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    make_certificate(site, "IP:127.0.0.1");
    BEGIN(site, 5000, {.act = BYTE_BY_BYTE, .rs = 12}, {.act = CLOSE_AFTER_ID},
          {.act = ANSWER, .rs = 12}, {.act = ANSWER, .rc = 8, .rs = 3000, .delay = 900});
    assert_int_equal(call_lookup(site, &answer, NULL), SMAPI_ANSWERED);
    assert_int_equal(answer.rs, 12);
    smapi_answer_done(&answer);
    assert_int_equal(call_lookup(site, &answer, NULL), SMAPI_ANSWERED);
    smapi_answer_done(&answer);
    struct patience patience = {.asked = 0};
    assert_int_equal(call_waiting(site, &patience, &answer, NULL), SMAPI_ANSWERED);
    assert_int_equal(answer.rs, 3000);
    assert_in_range(patience.asked, 1, 20);
    smapi_answer_done(&answer);
}

static void the_servers_own_certificate_is_enough(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    make_certificate_by(site, "IP:127.0.0.1", /* by_itself = */ false);
    server_listen(site->server);
    open_client(site, 5000, 5000);
    assert_int_equal(call_lookup(site, &answer, NULL), SMAPI_ANSWERED);
    smapi_answer_done(&answer);
}

/* Sends until it fails, which a signal would end otherwise. */
static void send_to_nobody(struct site *site)
{
    struct smapi_address *address;
    struct smapi_link *link;
    const struct env *env = env_system();
    server_add(site->server, (struct server_step){.act = GONE});
    server_listen(site->server);
    assert_int_equal(smapi_address_new(site->server->url,
                                       site->server->tls ? site->certificate : NULL, &address,
                                       NULL),
                     0);
    usec_t until_at = env_now(env) + 5 * USEC_PER_SEC;
    assert_int_equal(smapi_link_open(address, env, until_at, &link, NULL), 0);
    uint8_t nothing[1];
    assert_int_equal(smapi_link_receive(link, nothing, 1, until_at, NULL), -ECONNRESET);
    int r = 0;
    for (int i = 0; i < 500 && r == 0; i++) {
        r = smapi_link_send(link, (const uint8_t *)"request", 7, until_at, NULL);
        poll(NULL, 0, 1);
    }
    assert_true(r == -EPIPE || r == -ECONNRESET);
    smapi_link_close(link);
    smapi_address_free(address);
}

static void a_server_that_has_gone_raises_no_signal(void **state)
{
    send_to_nobody(*state);
}

static void a_server_that_has_gone_raises_no_signal_with_tls(void **state)
{
    make_certificate(*state, "IP:127.0.0.1");
    send_to_nobody(*state);
}

static void tls_knows_names_too(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    make_certificate(site, "DNS:localhost");
    snprintf(site->server->url, sizeof(site->server->url), "tls://localhost:%u",
             site->server->port);
    server_listen(site->server);
    open_client(site, 5000, 5000);
    assert_int_equal(call_lookup(site, &answer, NULL), SMAPI_ANSWERED);
    smapi_answer_done(&answer);
}

static void many_threads_speak_tls_at_once(void **state)
{
    struct site *site = *state;
    make_certificate(site, "IP:127.0.0.1");
    server_listen(site->server);
    open_client(site, 5000, 5000);
    run_threads(site, SMAPI_ANSWERED);
    assert_int_equal(site->server->n_opened, 1 + THREADS);
}

static void tls_with_another_name_is_not_trusted(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    make_certificate(site, "DNS:localhost,IP:127.0.0.2");
    server_listen(site->server);
    open_client(site, 5000, 5000);
    assert_int_equal(call_lookup(site, &answer, &err), SMAPI_NOT_SENT);
    expect_text(&err, "the server's certificate is not trusted: IP address mismatch");
    assert_int_equal(site->server->n_seen, 0);
    assert_int_equal(site->server->n_opened, 1); /* the same again would end the same */
}

static void tls_with_an_unknown_certificate_is_not_trusted(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    make_certificate(site, "IP:127.0.0.1"); /* goes into the file that is trusted... */
    open_client(site, 5000, 5000);
    make_certificate(site, "IP:127.0.0.1"); /* ...but another one is in use */
    server_listen(site->server);
    assert_int_equal(call_lookup(site, &answer, &err), SMAPI_NOT_SENT);
    expect_text(&err, "the server's certificate is not trusted: ");
    assert_int_equal(site->server->n_seen, 0);
}

static void what_does_not_speak_tls_is_named(void **state)
{
    struct site *site = *state;
    struct smapi_answer answer;
    struct rm_err err = {""};
    make_certificate(site, "IP:127.0.0.1");
    server_add(site->server, (struct server_step){.act = NO_TLS});
    server_listen(site->server);
    open_client(site, 2000, 300);
    assert_int_equal(call_move(site, &answer, &err), SMAPI_NOT_SENT);
    expect_text(&err, "TLS with 127.0.0.1 port");
}

static void a_certificate_file_must_hold_one(void **state)
{
    struct site *site = *state;
    struct smapi *smapi;
    struct rm_err err = {""};
    struct smapi_conf conf = {
        .url = "tls://zvm", .login_file = site->login, .ca_file = site->login};
    assert_int_equal(smapi_new(&conf, env_system(), &smapi, &err), -EINVAL);
    expect_text(&err, "no certificates could be read");
    conf.ca_file = "/nonexistent/ca.pem";
    assert_int_equal(smapi_new(&conf, env_system(), &smapi, &err), -EINVAL);
    expect_text(&err, "/nonexistent/ca.pem: ");
}

#define EVENT(type) "\0\0\0\x18\0\0\0\0\0\0\0" type LINUX1 VM2
#define LINUX1      "\xd3\xc9\xd5\xe4\xe7\xf1\x40\x40"
#define VM2         "\xe5\xd4\xf2\x40\x40\x40\x40\x40"

static void events_come_in(void **state)
{
    struct site *site = *state;
    struct smapi_events *events = NULL;
    struct smapi_event event;
    struct rm_err err = {""};
    /* an empty record, two events, one that cannot be read, and the beginning of another */
    BEGIN(site, 5000,
          {.act = STREAM,
           DATA("\0\0\0\0" EVENT("\x09") EVENT("\x0c") "\0\0\0\x02xx"
                                                       "\0\0\0\x18\0\0")});
    assert_int_equal(smapi_events_open(site->smapi, &events, &err), 0);
    expect_seen(site, 1, "Event_Subscribe");
    assert_string_equal(site->server->seen[1].target, "MIGRATE");
    assert_int_equal(smapi_events_wait(events, USEC_PER_SEC, &event), 1);
    assert_int_equal(event.type, SMAPI_EVENT_OUT_BEGINS);
    assert_string_equal(event.user, "LINUX1");
    assert_string_equal(event.system, "VM2");
    assert_int_equal(smapi_events_wait(events, USEC_PER_SEC, &event), 1);
    assert_int_equal(event.type, SMAPI_EVENT_IN_ENDS);
    assert_int_equal(smapi_events_wait(events, USEC_PER_SEC, &event), 1);
    assert_int_equal(event.stream, UINT32_MAX);
    assert_int_equal(smapi_events_wait(events, 50 * USEC_PER_MSEC, &event), 0);
    assert_int_equal(smapi_events_wait(events, 50 * USEC_PER_MSEC, &event), 0);
    smapi_events_close(events);
}

static void a_stream_that_ends_is_gone(void **state)
{
    struct site *site = *state;
    struct smapi_events *events = NULL;
    struct smapi_event event;
    BEGIN(site, 5000, {.act = STREAM_AND_CLOSE, DATA(EVENT("\x0a"))},
          {.act = STREAM, DATA("\xff\xff\xff\xff")});
    assert_int_equal(smapi_events_open(site->smapi, &events, NULL), 0);
    assert_int_equal(smapi_events_wait(events, USEC_PER_SEC, &event), 1);
    assert_true(smapi_events_wait(events, USEC_PER_SEC, &event) < 0);
    smapi_events_close(events);
    events = NULL;
    assert_int_equal(smapi_events_open(site->smapi, &events, NULL), -EPROTO);
    assert_null(events);
    smapi_events_close(events);
}

static void a_refused_subscription_is_refused(void **state)
{
    struct site *site = *state;
    struct smapi_events *events;
    struct rm_err err = {""};
    BEGIN(site, 5000, {.act = ANSWER, .rc = 100, .rs = 16}, {.act = ANSWER, .rc = 900, .rs = 8},
          {.act = CLOSE_AFTER_ID}, {.act = ANSWER, .rc = 128});
    assert_int_equal(smapi_events_open(site->smapi, &events, &err), -EPERM);
    expect_text(&err, "Event_Subscribe: return code 100, reason code 16 (not authorised");
    assert_int_equal(smapi_events_open(site->smapi, &events, &err), -EAGAIN);
    expect_text(&err, "no worker server");
    assert_int_equal(smapi_events_open(site->smapi, &events, &err), -ECONNRESET);
    assert_int_equal(smapi_events_open(site->smapi, &events, &err), -EPERM);
    assert_int_equal(smapi_events_open(site->smapi, &events, &err), -EPERM);
    assert_int_equal(site->server->n_opened, 5);
}

#define SITE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(a_login_is_tried_once_then_requests_are_answered),
        SITE_TEST(bytes_may_come_one_at_a_time),
        SITE_TEST(a_move_without_a_request_id_is_uncertain_and_not_sent_again),
        SITE_TEST(a_move_whose_time_is_over_is_not_sent),
        SITE_TEST(a_lookup_without_a_request_id_is_sent_again),
        SITE_TEST(silence_before_the_request_id_has_an_end),
        SITE_TEST(silence_after_the_request_id_has_an_end_without_wait),
        SITE_TEST(a_lost_reply_is_recovered),
        SITE_TEST(half_a_reply_is_recovered),
        SITE_TEST(a_reply_of_an_impossible_length_is_recovered),
        SITE_TEST(a_request_that_the_server_forgot_is_lost),
        SITE_TEST(a_recovery_that_is_not_allowed_is_not_repeated),
        SITE_TEST(the_reply_of_another_request_is_not_believed),
        SITE_TEST(a_late_reply_is_waited_for),
        SITE_TEST(waiting_can_be_stopped),
        SITE_TEST(a_reply_that_stalls_in_the_middle_is_recovered),
        SITE_TEST(a_recovery_can_be_stopped_too),
        SITE_TEST(an_asynchronous_operation_is_followed_to_its_end),
        SITE_TEST(an_operation_whose_end_is_not_known_is_lost),
        SITE_TEST(only_what_changes_nothing_is_reissued),
        SITE_TEST(a_refused_login_is_sent_once),
        SITE_TEST(a_login_that_expires_is_not_sent_again),
        SITE_TEST(a_refusal_during_a_recovery_is_remembered),
        SITE_TEST(many_threads_call_at_once),
        SITE_TEST(many_threads_send_a_bad_login_once),
        SITE_TEST(nobody_there_is_not_sent),
        SITE_TEST(a_server_that_starts_up_is_waited_for),
        SITE_TEST(bad_operands_and_logins_are_never_sent),
        SITE_TEST(names_are_resolved),
        SITE_TEST(a_resolver_without_an_answer_is_left_behind),
        SITE_TEST(urls_are_checked),
        SITE_TEST(a_kernel_without_iucv_says_so),
        SITE_TEST(tls_with_a_known_certificate_works),
        SITE_TEST(the_servers_own_certificate_is_enough),
        SITE_TEST(a_server_that_has_gone_raises_no_signal),
        SITE_TEST(a_server_that_has_gone_raises_no_signal_with_tls),
        SITE_TEST(tls_knows_names_too),
        SITE_TEST(many_threads_speak_tls_at_once),
        SITE_TEST(tls_with_another_name_is_not_trusted),
        SITE_TEST(tls_with_an_unknown_certificate_is_not_trusted),
        SITE_TEST(what_does_not_speak_tls_is_named),
        SITE_TEST(a_certificate_file_must_hold_one),
        SITE_TEST(events_come_in),
        SITE_TEST(a_stream_that_ends_is_gone),
        SITE_TEST(a_refused_subscription_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
