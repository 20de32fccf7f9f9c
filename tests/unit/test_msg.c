/* test_msg.c - frames: what is packed is read again, what is damaged is refused; the arena
 *
 * With RMIGRATE_WRITE_SEEDS=1 the test writes the seeds of tests/fuzz/fuzz_msg.c instead of
 * comparing them: needed when a sample below changes. */
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

#define SEEDS SOURCE_DIR "/tests/fuzz/seeds/fuzz_msg/"

static int setup(void **state)
{
    *state = arena_new(/* limit = */ 0);
    return *state == NULL;
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

/* ---- samples */

static RmMessage *message_new(struct arena *arena)
{
    RmMessage *message = arena_alloc(arena, sizeof(*message));
    rm_message__init(message);
    message->tag = 7;
    return message;
}

static RmMessage *sample_hello(struct arena *arena)
{
    RmMessage *message = message_new(arena);
    RmHello *hello = arena_alloc(arena, sizeof(*hello));
    rm_hello__init(hello);
    hello->instance = UINT64_MAX;
    hello->version = "0.1.0";
    hello->machine = "hyp01";
    for (size_t i = 0; i < 3; i++) {
        RmHyp *hyp = arena_alloc(arena, sizeof(*hyp));
        rm_hyp__init(hyp);
        hyp->name = arena_printf(arena, "hyp%02zu", i);
        hyp->peer = arena_printf(arena, "qemu+tcp://hyp%02zu/system", i);
        hyp->slots = 2;
        ARENA_PUSH(arena, hello->n_hosts, hello->hosts, hyp);
    }
    message->body_case = RM_MESSAGE__BODY_HELLO;
    message->hello = hello;
    return message;
}

static RmMessage *sample_submit(struct arena *arena)
{
    RmMessage *message = message_new(arena);
    RmRequest *request = arena_alloc(arena, sizeof(*request));
    RmSubmit *submit = arena_alloc(arena, sizeof(*submit));
    RmOptions *options = arena_alloc(arena, sizeof(*options));
    rm_request__init(request);
    rm_submit__init(submit);
    rm_options__init(options);
    options->bandwidth = 125000000;
    options->auto_converge = 1;
    submit->guests = "kvm1-kvm500,-kvm3";
    submit->to = "hyp02";
    submit->reason = "neuer Kernel: für alle Häuser \xf0\x9f\x8f\xa0\n\tin zwei Zeilen";
    submit->options = options;
    request->token = (ProtobufCBinaryData){
        .len = 16, .data = (uint8_t *)arena_strdup(arena, "0123456789abcdef")};
    request->command = "rmigrate kvm1-kvm500,-kvm3 hyp02";
    request->ask_case = RM_REQUEST__ASK_SUBMIT;
    request->submit = submit;
    message->body_case = RM_MESSAGE__BODY_REQUEST;
    message->request = request;
    return message;
}

static RmMessage *sample_reports(struct arena *arena)
{
    RmMessage *message = message_new(arena);
    RmReports *reports = arena_alloc(arena, sizeof(*reports));
    RmReport *report = arena_alloc(arena, sizeof(*report));
    RmStats *stats = arena_alloc(arena, sizeof(*stats));
    rm_reports__init(reports);
    rm_report__init(report);
    rm_stats__init(stats);
    stats->processed = 1ULL << 40;
    report->job = 1042;
    report->attempt = 3;
    report->kind = RM_REPORT_KIND__REPORT_FINISHED;
    report->verdict = RM_VERDICT__VERDICT_SOURCE;
    report->code = -1;
    report->text = "operation failed: guest CPU doesn't match";
    report->stats = stats;
    ARENA_PUSH(arena, reports->n_reports, reports->reports, report);
    message->body_case = RM_MESSAGE__BODY_REPORTS;
    message->reports = reports;
    return message;
}

static RmMessage *sample_reply(struct arena *arena)
{
    RmMessage *message = message_new(arena);
    RmReply *reply = arena_alloc(arena, sizeof(*reply));
    rm_reply__init(reply);
    reply->text = "done";
    ARENA_PUSH(arena, reply->n_columns, reply->columns, "node");
    ARENA_PUSH(arena, reply->n_columns, reply->columns, "");
    for (size_t i = 0; i < 2; i++) {
        RmRow *row = arena_alloc(arena, sizeof(*row));
        RmCell *cell = arena_alloc(arena, sizeof(*cell));
        rm_row__init(row);
        rm_cell__init(cell);
        cell->set = 1;
        cell->value = i == 0 ? "|(\\d+)|hyp($1)|" : "";
        ARENA_PUSH(arena, row->n_cells, row->cells, cell);
        ARENA_PUSH(arena, reply->n_rows, reply->rows, row);
    }
    message->body_case = RM_MESSAGE__BODY_REPLY;
    message->reply = reply;
    return message;
}

static RmMessage *sample_empty(struct arena *arena)
{
    RmMessage *message = message_new(arena);
    message->tag = 0;
    return message;
}

static const struct {
    const char *name; /* what msg_name() says; the seed's name has '-' for '/' */
    RmMessage *(*make)(struct arena *arena);
} samples[] = {
    {"empty", sample_empty},     {"hello", sample_hello}, {"request/submit", sample_submit},
    {"reports", sample_reports}, {"reply", sample_reply},
};
enum { SAMPLES = sizeof(samples) / sizeof(samples[0]) };

/* ---- frames */

static void a_packed_message_is_unpacked_the_same(void **state)
{
    struct arena *arena = *state;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct rm_err err = {""};
        RmMessage *message;
        size_t length, again;
        uint8_t *frame = msg_pack(samples[i].make(arena), &length);
        assert_non_null(frame);
        assert_memory_equal(frame, "RMG\1", MSG_HEADER);
        assert_int_equal(msg_unpack(arena, frame, length, &message, &err), 0);
        assert_string_equal(msg_name(message), samples[i].name);
        uint8_t *twice = msg_pack(message, &again);
        assert_int_equal(length, again);
        assert_memory_equal(frame, twice, length);
        free(frame);
        free(twice);
    }
    RmMessage *message;
    size_t length;
    uint8_t *frame = msg_pack(sample_submit(arena), &length);
    assert_int_equal(msg_unpack(arena, frame, length, &message, NULL), 0);
    free(frame); /* nothing of the message lives in the frame */
    assert_int_equal(message->tag, 7);
    assert_int_equal(message->request->token.len, 16);
    assert_string_equal(message->request->submit->guests, "kvm1-kvm500,-kvm3");
    assert_int_equal(message->request->submit->options->bandwidth, 125000000);
}

static void every_seed_of_the_fuzzer_is_a_sample(void **state)
{
    struct arena *arena = *state;
    for (size_t i = 0; i < SAMPLES; i++) {
        char path[512];
        snprintf(path, sizeof(path), SEEDS "%s", samples[i].name);
        char *slash = strchr(path + strlen(SEEDS), '/');
        if (slash != NULL)
            *slash = '-';
        size_t length;
        uint8_t *frame = msg_pack(samples[i].make(arena), &length);
        if (getenv("RMIGRATE_WRITE_SEEDS") != NULL) {
            FILE *file = fopen(path, "we");
            assert_non_null(file);
            assert_int_equal(fwrite(frame, 1, length, file), length);
            fclose(file);
        }
        uint8_t seed[4096];
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        size_t n = fread(seed, 1, sizeof(seed), file);
        fclose(file);
        assert_int_equal(n, length);
        assert_memory_equal(seed, frame, n);
        free(frame);
    }
}

static void refused(struct arena *arena, const void *frame, size_t length, int code)
{
    struct rm_err err = {""};
    RmMessage *message = NULL;
    assert_int_equal(msg_unpack(arena, frame, length, &message, &err), code);
    assert_null(message);
    assert_true(err.text[0] != '\0');
    assert_int_equal(msg_unpack(arena, frame, length, &message, NULL), code);
}

static void a_frame_that_is_not_ours_is_refused(void **state)
{
    refused(*state, "", 0, -EPROTO);
    refused(*state, "RMG", 3, -EPROTO);
    refused(*state, "RMX\1", 4, -EPROTO);
    refused(*state, "GET / HTTP/1.1", 14, -EPROTO);
    refused(*state, "RMG\2", 4, -EPROTONOSUPPORT);
    refused(*state, "RMG\0", 4, -EPROTONOSUPPORT);
}

static void a_damaged_frame_is_refused(void **state)
{
    struct arena *arena = *state;
    size_t length;
    uint8_t *frame = msg_pack(sample_hello(arena), &length);
    /* The body is one submessage: every cut goes through it, but those before it begins. */
    for (size_t cut = length - 1; cut > MSG_HEADER + 2; cut--) {
        uint8_t *part = malloc(cut);
        memcpy(part, frame, cut);
        refused(arena, part, cut, -EPROTO);
        free(part);
        arena_reset(arena);
    }
    free(frame);
    refused(arena, "RMG\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 15, -EPROTO);
    refused(arena, "RMG\1\xf2\x01\xff\xff\xff\xff\x0f", 11, -EPROTO); /* a body of 4 GiB */
    refused(arena, "RMG\1\x09", 5, -EPROTO);
}

static void a_frame_that_is_too_long_is_refused_unread(void **state)
{
    refused(*state, "RMG\1", (size_t)MSG_MAX + 1, -EMSGSIZE);
    refused(*state, "RMG\1", SIZE_MAX, -EMSGSIZE);
}

static void a_message_that_would_be_too_long_is_not_packed(void **state)
{
    struct arena *arena = *state;
    RmMessage *message = sample_submit(arena), *read;
    size_t length = 4711, over;
    uint8_t *frame = msg_pack(message, &length);
    size_t rest = MSG_MAX - length;
    free(frame);
    /* The token grows until the frame is just as long as is allowed; its length takes 3 bytes more,
     * that of the body 2. */
    uint8_t *bytes = calloc(1, MSG_MAX);
    message->request->token.data = bytes;
    message->request->token.len += rest - 5;
    frame = msg_pack(message, &length);
    assert_non_null(frame);
    assert_int_equal(length, MSG_MAX);
    assert_int_equal(msg_unpack(arena, frame, length, &read, NULL), 0);
    free(frame);
    message->request->token.len++;
    over = 4711;
    assert_null(msg_pack(message, &over));
    assert_int_equal(over, 4711);
    free(bytes);
}

static void a_small_frame_that_wants_much_memory_is_refused(void **state)
{
    (void)state;
    /* A reply of many empty outcomes: two bytes each, and a hundred in memory. */
    enum { N = 100000, SIZE = MSG_HEADER + 2 + 4 + 2 * N };
    uint8_t *frame = calloc(1, SIZE), *p = frame;
    memcpy(p, "RMG\1\xfa\x01", 6);
    p += 6;
    for (unsigned left = 2 * N; left > 0 || p == frame + 6; left >>= 7)
        *p++ = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    for (size_t i = 0; i < N; i++) {
        *p++ = 0x2a; /* field 5, bytes */
        *p++ = 0;
    }
    struct arena *small = arena_new(1024 * 1024), *large = arena_new(64 * 1024 * 1024);
    RmMessage *message;
    refused(small, frame, (size_t)(p - frame), -ENOMEM);
    assert_int_equal(msg_unpack(large, frame, (size_t)(p - frame), &message, NULL), 0);
    assert_int_equal(message->reply->n_outcomes, N);
    /* and the arena is good for the next one */
    arena_reset(small);
    assert_int_equal(msg_unpack(small, (const uint8_t *)"RMG\1", MSG_HEADER, &message, NULL), 0);
    arena_free(small);
    arena_free(large);
    free(frame);
}

static void unknown_fields_survive(void **state)
{
    struct arena *arena = *state;
    static const uint8_t frame[] = "RMG\1\x08\x05\xa2\x06\x03new"; /* field 100 */
    RmMessage *message;
    size_t length;
    assert_int_equal(msg_unpack(arena, frame, sizeof(frame) - 1, &message, NULL), 0);
    assert_int_equal(message->tag, 5);
    assert_string_equal(msg_name(message), "empty");
    uint8_t *again = msg_pack(message, &length);
    assert_int_equal(length, sizeof(frame) - 1);
    assert_memory_equal(frame, again, length);
    free(again);
}

/* protobuf-c reads it and cannot read what it then writes. */
static void a_field_with_the_number_zero_is_refused(void **state)
{
    refused(*state, "RMG\1\x80\x00 ", 7, -EPROTO);
    refused(*state, "RMG\1\xfa\x01\x03\x80\x00 ", 10, -EPROTO); /* in a reply */
}

/* ---- texts */

/* A frame whose reply says `text`, made without msg_pack(), which would mend it. */
static size_t frame_saying(const char *text, uint8_t frame[256])
{
    size_t n = strlen(text);
    memcpy(frame, "RMG\1\xfa\x01", 6);
    frame[6] = (uint8_t)(n + 2);
    frame[7] = 0x12; /* field 2, bytes */
    frame[8] = (uint8_t)n;
    memcpy(frame + 9, text, n);
    return n + 9;
}

static const char *const good[] = {
    "",
    "a",
    "\t\n ~",
    "\xc2\xa0",
    "\xdf\xbf",
    "\xe0\xa0\x80",
    "\xed\x9f\xbf",
    "\xee\x80\x80",
    "\xef\xbf\xbf",
    "\xf0\x90\x80\x80",
    "\xf4\x8f\xbf\xbf",
};

static const struct {
    const char *text, *mended;
} bad[] = {
    {"\x1b[2J", "?[2J"},
    {"a\rb", "a?b"},
    {"\x7f", "?"},
    {"\x01", "?"},
    {"\xc2\x9b"
     "31m",
     "??31m"}, /* U+009B begins commands too */
    {"\xc2\x80", "??"},
    {"\x80", "?"}, /* begins in the middle */
    {"\xc3", "?"}, /* ends in the middle */
    {"\xc3(", "?("},
    {"\xe2\x82", "??"},
    {"\xf0\x9f\x8f", "???"},
    {"\xc0\xaf", "??"}, /* longer than need be */
    {"\xe0\x80\xaf", "???"},
    {"\xe0\x9f\xbf", "???"},
    {"\xf0\x8f\xbf\xbf", "????"},
    {"\xed\xa0\x80", "???"},      /* surrogate */
    {"\xf4\x90\x80\x80", "????"}, /* above U+10FFFF */
    {"\xf8\x88\x80\x80\x80", "?????"},
    {"\xfe\xff", "??"},
    {"fine \xc3\xa4, not \xe4, fine \xc3\xa4", "fine \xc3\xa4, not ?, fine \xc3\xa4"},
};

static void plain_text_passes(void **state)
{
    struct arena *arena = *state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint8_t frame[256];
        RmMessage *message;
        struct rm_err err = {""};
        size_t length = frame_saying(good[i], frame);
        assert_int_equal(msg_unpack(arena, frame, length, &message, &err), 0);
        assert_string_equal(message->reply->text, good[i]);
    }
}

static void text_that_is_not_plain_utf8_is_refused(void **state)
{
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t frame[256];
        refused(*state, frame, frame_saying(bad[i].text, frame), -EPROTO);
    }
}

static void the_field_of_a_bad_text_is_named_however_deep_it_is(void **state)
{
    struct arena *arena = *state;
    struct rm_err err = {""};
    size_t length;
    RmMessage *message = sample_reply(arena), *read;
    uint8_t *frame = msg_pack(message, &length);
    uint8_t *cell = memmem(frame, length, "hyp($1)", 7);
    assert_non_null(cell);
    cell[0] = 0x1b;
    assert_int_equal(msg_unpack(arena, frame, length, &read, &err), -EPROTO);
    assert_non_null(strstr(err.text, "'value'"));
    free(frame);
    /* a text of a list */
    frame = msg_pack(message, &length);
    cell = memmem(frame, length, "node", 4);
    cell[3] = 0x07;
    assert_int_equal(msg_unpack(arena, frame, length, &read, &err), -EPROTO);
    assert_non_null(strstr(err.text, "'columns'"));
    free(frame);
    /* bytes may hold anything */
    frame = msg_pack(sample_submit(arena), &length);
    cell = memmem(frame, length, "0123456789abcdef", 16);
    memset(cell, 0xff, 16);
    assert_int_equal(msg_unpack(arena, frame, length, &read, &err), 0);
    free(frame);
}

static void msg_pack_never_makes_what_msg_unpack_refuses(void **state)
{
    struct arena *arena = *state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        RmMessage *message = sample_reports(arena), *read;
        RmReport *report = message->reports->reports[0];
        char *text = arena_strdup(arena, bad[i].text);
        size_t length;
        struct rm_err err = {""};
        report->text = text;
        uint8_t *frame = msg_pack(message, &length);
        assert_non_null(frame);
        assert_string_equal(text, bad[i].text); /* the caller's message is left alone */
        assert_int_equal(msg_unpack(arena, frame, length, &read, &err), 0);
        assert_string_equal(read->reports->reports[0]->text, bad[i].mended);
        assert_int_equal(read->reports->reports[0]->job, 1042);
        free(frame);
    }
}

static void a_message_with_texts_that_are_not_set_is_packed(void **state)
{
    struct arena *arena = *state;
    RmMessage *message = sample_reports(arena), *read;
    size_t length;
    message->reports->reports[0]->text = NULL;
    message->reports->reports[0]->stats = NULL;
    uint8_t *frame = msg_pack(message, &length);
    assert_int_equal(msg_unpack(arena, frame, length, &read, NULL), 0);
    assert_string_equal(read->reports->reports[0]->text, "");
    free(frame);
}

/* ---- names */

static void every_message_and_request_has_its_own_name(void **state)
{
    (void)state;
    RmRequest request = RM_REQUEST__INIT;
    RmPing ping = RM_PING__INIT;
    RmMessage message = RM_MESSAGE__INIT;
    for (unsigned i = 0; i < rm_message__descriptor.n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &rm_message__descriptor.fields[i];
        if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) || strcmp(field->name, "request") == 0)
            continue;
        message.body_case = (RmMessage__BodyCase)field->id;
        assert_string_equal(msg_name(&message), field->name);
    }
    message.body_case = RM_MESSAGE__BODY_REQUEST;
    message.request = &request;
    assert_string_equal(msg_name(&message), "request");
    request.ping = &ping;
    for (unsigned i = 0; i < rm_request__descriptor.n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &rm_request__descriptor.fields[i];
        if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
            continue;
        char wanted[64];
        snprintf(wanted, sizeof(wanted), "request/%s", field->name);
        request.ask_case = (RmRequest__AskCase)field->id;
        assert_string_equal(msg_name(&message), wanted);
    }
    request.ask_case = (RmRequest__AskCase)99999;
    assert_string_equal(msg_name(&message), "request");
    message.body_case = (RmMessage__BodyCase)99999;
    assert_string_equal(msg_name(&message), "empty");
    message.body_case = (RmMessage__BodyCase)1; /* the tag's number */
    assert_string_not_equal(msg_name(&message), "hello");
}

/* ---- arena */

static void arena_memory_is_zeroed_and_aligned(void **state)
{
    struct arena *arena = *state;
    for (unsigned turn = 0; turn < 3; turn++) {
        for (size_t size = 0; size < 3000; size += 7) {
            unsigned char *piece = arena_alloc(arena, size);
            assert_non_null(piece);
            assert_int_equal((uintptr_t)piece % 16, 0);
            for (size_t i = 0; i < size; i++)
                assert_int_equal(piece[i], 0);
            memset(piece, 0xff, size);
        }
        arena_reset(arena);
    }
}

static void arena_pieces_never_overlap(void **state)
{
    struct arena *arena = *state;
    enum { PIECES = 400 };
    unsigned char *pieces[PIECES];
    size_t sizes[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        /* small ones, and some that need a chunk of their own */
        sizes[i] = i % 50 == 7 ? 1500000 : (i * 977) % 40000;
        pieces[i] = arena_alloc(arena, sizes[i]);
        assert_non_null(pieces[i]);
        memset(pieces[i], (int)(i % 251), sizes[i]);
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t k = 0; k < sizes[i]; k += 101)
            assert_int_equal(pieces[i][k], i % 251);
}

static void an_arena_gives_no_more_than_its_limit(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1000);
    assert_null(arena_alloc(arena, 1001));
    assert_null(arena_alloc(arena, SIZE_MAX));
    assert_null(arena_alloc(arena, SIZE_MAX - 8));
    assert_non_null(arena_alloc(arena, 900));
    assert_null(arena_alloc(arena, 200));
    assert_null(arena_strdup(arena, "a text that is longer than what is left of a thousand bytes"
                                    "a text that is longer than what is left of a thousand bytes"));
    assert_null(arena_printf(arena, "%200s", "x"));
    assert_non_null(arena_alloc(arena, 10));
    arena_reset(arena);
    assert_non_null(arena_alloc(arena, 1000));
    assert_null(arena_alloc(arena, 1));
    arena_free(arena);
    arena_free(NULL);
}

static void arena_texts_are_copies(void **state)
{
    struct arena *arena = *state;
    char text[] = "hyp01";
    char *copy = arena_strdup(arena, text);
    text[0] = 'X';
    assert_string_equal(copy, "hyp01");
    assert_string_equal(arena_strdup(arena, ""), "");
    assert_string_equal(arena_printf(arena, "job %d on %s", 1042, copy), "job 1042 on hyp01");
    assert_string_equal(arena_printf(arena, "%s", ""), "");
}

static void arena_push_keeps_order_and_what_was_there(void **state)
{
    struct arena *arena = *state;
    static const char names[] = "0123456789";
    const char **list = NULL;
    size_t n = 0;
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(ARENA_PUSH(arena, n, list, (void *)&names[i % 10]), 0);
    assert_int_equal(n, 1000);
    for (size_t i = 0; i < n; i++)
        assert_ptr_equal(list[i], &names[i % 10]);
}

static void arena_push_that_does_not_fit_changes_nothing(void **state)
{
    (void)state;
    struct arena *arena = arena_new(4 * sizeof(void *) + 8 * sizeof(void *));
    int item;
    int **list = NULL;
    size_t n = 0;
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(ARENA_PUSH(arena, n, list, &item), 0);
    int **before = list;
    assert_int_equal(ARENA_PUSH(arena, n, list, &item), -ENOMEM);
    assert_int_equal(n, 8);
    assert_ptr_equal(list, before);
    assert_ptr_equal(list[7], &item);
    arena_free(arena);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_packed_message_is_unpacked_the_same),
        TEST(every_seed_of_the_fuzzer_is_a_sample),
        TEST(a_frame_that_is_not_ours_is_refused),
        TEST(a_damaged_frame_is_refused),
        TEST(a_frame_that_is_too_long_is_refused_unread),
        TEST(a_message_that_would_be_too_long_is_not_packed),
        TEST(a_small_frame_that_wants_much_memory_is_refused),
        TEST(unknown_fields_survive),
        TEST(a_field_with_the_number_zero_is_refused),
        TEST(plain_text_passes),
        TEST(text_that_is_not_plain_utf8_is_refused),
        TEST(the_field_of_a_bad_text_is_named_however_deep_it_is),
        TEST(msg_pack_never_makes_what_msg_unpack_refuses),
        TEST(a_message_with_texts_that_are_not_set_is_packed),
        TEST(every_message_and_request_has_its_own_name),
        TEST(arena_memory_is_zeroed_and_aligned),
        TEST(arena_pieces_never_overlap),
        TEST(an_arena_gives_no_more_than_its_limit),
        TEST(arena_texts_are_copies),
        TEST(arena_push_keeps_order_and_what_was_there),
        TEST(arena_push_that_does_not_fit_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
