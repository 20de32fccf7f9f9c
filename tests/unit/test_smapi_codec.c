/* test_smapi_codec.c - SMAPI requests byte for byte as a real server took them, replies as it sent
 */
#include "worker/zvm/smapi_codec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct smapi_login maint = {.userid = "maint", .password = "maint"};

#define LOGIN                                                                                      \
    "\0\0\0\x05"                                                                                   \
    "maint"                                                                                        \
    "\0\0\0\x05"                                                                                   \
    "maint"
#define GT_PONG                                                                                    \
    "\0\0\0\x07"                                                                                   \
    "gt@pong"

/* The bytes of a literal, without the NUL that ends it. */
#define expect_request(request, literal) expect_bytes(request, &maint, literal, sizeof(literal) - 1)

static void expect_bytes(const struct smapi_request *request, const struct smapi_login *login,
                         const char *bytes, size_t length)
{
    uint8_t got[SMAPI_REQUEST_MAX];
    struct rm_err err = {""};
    int r = smapi_encode_request(request, login, got, &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_int_equal(r, length);
    assert_memory_equal(got, bytes, length);
}

static void a_recorded_test_is_96_bytes(void **state)
{
    (void)state;
    const struct smapi_request request = {
        .function = SMAPI_VMRELOCATE,
        .target = "gt@pong",
        .operand = {[SMAPI_DESTINATION] = "vm2",
                    [SMAPI_ACTION] = "test",
                    [SMAPI_FORCE] = "domain storage"},
    };
    static const char bytes[] = "\0\0\0\x5c"
                                "\0\0\0\x0a"
                                "VMRELOCATE" LOGIN GT_PONG "destination=vm2\0"
                                "action=test\0"
                                "force=domain storage\0";
    assert_int_equal(sizeof(bytes) - 1, 96);
    expect_request(&request, bytes);
}

static void a_recorded_move_with_all_operands_is_147_bytes(void **state)
{
    (void)state;
    const struct smapi_request request = {
        .function = SMAPI_VMRELOCATE,
        .target = "gt@pong",
        .operand = {[SMAPI_MAX_QUIESCE] = "nolimit",
                    [SMAPI_MAX_TOTAL] = "nolimit",
                    [SMAPI_IMMEDIATE] = "no",
                    [SMAPI_DESTINATION] = "vm2",
                    [SMAPI_ACTION] = "move",
                    [SMAPI_FORCE] = "domain storage"},
    };
    static const char bytes[] = "\0\0\0\x8f"
                                "\0\0\0\x0a"
                                "VMRELOCATE" LOGIN GT_PONG "destination=vm2\0"
                                "action=move\0"
                                "force=domain storage\0"
                                "immediate=no\0"
                                "max_total=nolimit\0"
                                "max_quiesce=nolimit\0";
    assert_int_equal(sizeof(bytes) - 1, 147);
    expect_request(&request, bytes);
}

static void a_recorded_immediate_move_is_110_bytes(void **state)
{
    (void)state;
    const struct smapi_request request = {
        .function = SMAPI_VMRELOCATE,
        .target = "gt@pong",
        .operand = {[SMAPI_DESTINATION] = "vm1",
                    [SMAPI_ACTION] = "move",
                    [SMAPI_FORCE] = "domain storage",
                    [SMAPI_IMMEDIATE] = "yes"},
    };
    static const char bytes[] = "\0\0\0\x6a"
                                "\0\0\0\x0a"
                                "VMRELOCATE" LOGIN GT_PONG "destination=vm1\0"
                                "action=move\0"
                                "force=domain storage\0"
                                "immediate=yes\0";
    assert_int_equal(sizeof(bytes) - 1, 110);
    expect_request(&request, bytes);
}

static void a_recorded_modify_is_84_bytes(void **state)
{
    (void)state;
    const struct smapi_request request = {
        .function = SMAPI_VMRELOCATE_MODIFY,
        .target = "gt@pong",
        .operand = {[SMAPI_MAX_TOTAL] = "500", [SMAPI_MAX_QUIESCE] = "400"},
    };
    static const char bytes[] = "\0\0\0\x50"
                                "\0\0\0\x11"
                                "VMRELOCATE_Modify" LOGIN GT_PONG "max_total=500\0"
                                "max_quiesce=400\0";
    assert_int_equal(sizeof(bytes) - 1, 84);
    expect_request(&request, bytes);
}

static void a_recorded_status_is_72_bytes(void **state)
{
    (void)state;
    const struct smapi_request request = {.function = SMAPI_VMRELOCATE_STATUS,
                                          .target = "gt@pong",
                                          .operand = {[SMAPI_STATUS_TARGET] = "ALL"}};
    static const char bytes[] = "\0\0\0\x44"
                                "\0\0\0\x11"
                                "VMRELOCATE_Status" LOGIN GT_PONG "status_target=ALL\0";
    assert_int_equal(sizeof(bytes) - 1, 72);
    expect_request(&request, bytes);
}

static void recorded_attributes_are_115_bytes(void **state)
{
    (void)state;
    const struct smapi_request request = {
        .function = SMAPI_VMRELOCATE_IMAGE_ATTRIBUTES,
        .target = "gt@pong",
        .operand = {[SMAPI_RELOCATION_SETTING] = "ON",
                    [SMAPI_DOMAIN_NAME] = "SSI",
                    [SMAPI_ARCHFORCE] = "NO"},
    };
    static const char bytes[] =
        "\0\0\0\x6f"
        "\0\0\0\x1b"
        "VMRELOCATE_Image_Attributes" LOGIN GT_PONG "relocation_setting=ON\0"
        "domain_name=SSI\0"
        "archforce=NO\0";
    assert_int_equal(sizeof(bytes) - 1, 115);
    expect_request(&request, bytes);
}

static void a_recorded_image_status_query_is_55_bytes(void **state)
{
    (void)state;
    const struct smapi_request request = {.function = SMAPI_IMAGE_STATUS_QUERY,
                                          .target = "gt@pong"};
    static const char bytes[] = "\0\0\0\x33"
                                "\0\0\0\x12"
                                "Image_Status_Query" LOGIN GT_PONG;
    assert_int_equal(sizeof(bytes) - 1, 55);
    expect_request(&request, bytes);
}

static void a_recorded_subscription_is_50_bytes(void **state)
{
    (void)state;
    const struct smapi_request request = {.function = SMAPI_EVENT_SUBSCRIBE, .target = "maint"};
    static const char bytes[] = "\0\0\0\x2e"
                                "\0\0\0\x0f"
                                "Event_Subscribe" LOGIN "\0\0\0\x05"
                                "maint";
    assert_int_equal(sizeof(bytes) - 1, 50);
    expect_request(&request, bytes);
}

static void constructed_requests_follow_the_same_form(void **state)
{
    (void)state;
    const struct smapi_request check = {.function = SMAPI_CHECK_AUTHENTICATION};
    expect_request(&check, "\0\0\0\x2a"
                           "\0\0\0\x14"
                           "Check_Authentication" LOGIN);
    const struct smapi_request all = {.function = SMAPI_IMAGE_STATUS_QUERY, .target = "*"};
    expect_request(&all, "\0\0\0\x2d"
                         "\0\0\0\x12"
                         "Image_Status_Query" LOGIN "\0\0\0\x01"
                         "*");
    const struct smapi_request ssi = {.function = SMAPI_SSI_QUERY, .target = "ALL"};
    expect_request(&ssi, "\0\0\0\x26"
                         "\0\0\0\x09"
                         "SSI_Query" LOGIN "\0\0\0\x03"
                         "ALL");
    const struct smapi_request user = {.function = SMAPI_VMRELOCATE_STATUS,
                                       .target = "gt@pong",
                                       .operand = {[SMAPI_STATUS_TARGET] = "USER gt@pong"}};
    expect_request(&user, "\0\0\0\x4d"
                          "\0\0\0\x11"
                          "VMRELOCATE_Status" LOGIN GT_PONG "status_target=USER gt@pong\0");
    const struct smapi_request recovery = {
        .function = SMAPI_RESPONSE_RECOVERY, .target = "gt@pong", .number = 0x031c7d6a};
    expect_request(&recovery, "\0\0\0\x36"
                              "\0\0\0\x11"
                              "Response_Recovery" LOGIN GT_PONG "\x03\x1c\x7d\x6a");
    const struct smapi_request asynchronous = {.function = SMAPI_QUERY_ASYNCHRONOUS_OPERATION_DM,
                                               .target = "gt@pong",
                                               .number = 0xfffefdfc};
    expect_request(&asynchronous,
                   "\0\0\0\x44"
                   "\0\0\0\x1f"
                   "Query_Asynchronous_Operation_DM" LOGIN GT_PONG "\xff\xfe\xfd\xfc");
}

static void over_iucv_there_is_no_login(void **state)
{
    (void)state;
    const struct smapi_login nobody = {.userid = ""};
    const struct smapi_request request = {.function = SMAPI_SSI_QUERY, .target = "ALL"};
    static const char bytes[] = "\0\0\0\x1c"
                                "\0\0\0\x09"
                                "SSI_Query"
                                "\0\0\0\0"
                                "\0\0\0\0"
                                "\0\0\0\x03"
                                "ALL";
    expect_bytes(&request, &nobody, bytes, sizeof(bytes) - 1);
}

static void the_longest_request_fits(void **state)
{
    (void)state;
    struct smapi_login login = {.userid = "ABCDEFGH"};
    memset(login.password, 'p', SMAPI_PASSWORD_MAX);
    const struct smapi_request request = {
        .function = SMAPI_VMRELOCATE,
        .target = "ABCDEFGH",
        .operand = {[SMAPI_DESTINATION] = "ABCDEFGH",
                    [SMAPI_ACTION] = "CANCEL",
                    [SMAPI_FORCE] = "ARCHITECTURE DOMAIN STORAGE",
                    [SMAPI_IMMEDIATE] = "YES",
                    [SMAPI_MAX_TOTAL] = "99999999",
                    [SMAPI_MAX_QUIESCE] = "99999999"},
    };
    uint8_t bytes[SMAPI_REQUEST_MAX];
    int length = smapi_encode_request(&request, &login, bytes, NULL);
    assert_in_range(length, 300, SMAPI_REQUEST_MAX);
    assert_int_equal(smapi_decode_number(bytes), length - 4);
}

static void expect_refused(const struct smapi_request *request, const struct smapi_login *login,
                           const char *text)
{
    uint8_t bytes[SMAPI_REQUEST_MAX];
    struct rm_err err = {""};
    assert_int_equal(smapi_encode_request(request, login, bytes, &err), -EINVAL);
    if (!strstr(err.text, text))
        fail_msg("'%s' does not say '%s'", err.text, text);
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    struct smapi_request request = {.function = SMAPI_VMRELOCATE};
    expect_refused(&request, &maint, "VMRELOCATE needs a target");
    request.target = "";
    expect_refused(&request, &maint, "user id is empty");
    request.target = "ABCDEFGHI";
    expect_refused(&request, &maint, "user id is longer than 8 characters");
    request.target = "*";
    expect_refused(&request, &maint, "has a character that z/VM does not take");
    request.target = "LINUX 1";
    expect_refused(&request, &maint, "has a character");
    request.target = "LINUX1";
    request.operand[SMAPI_DESTINATION] = "";
    expect_refused(&request, &maint, "destination is empty");
    request.operand[SMAPI_DESTINATION] = "VM2 VM3";
    expect_refused(&request, &maint, "destination 'VM2 VM3' has a character");
    request.operand[SMAPI_DESTINATION] = "VM2";
    request.operand[SMAPI_ACTION] = "MOVEMOVE";
    expect_refused(&request, &maint, "action is longer than 6 characters");
    request.operand[SMAPI_ACTION] = "MOVE";
    request.operand[SMAPI_FORCE] = "DOMAIN\nSTORAGE";
    expect_refused(&request, &maint, "force");
    request.operand[SMAPI_FORCE] = "DOMAIN=1";
    expect_refused(&request, &maint, "force 'DOMAIN=1' has a character");
    request.operand[SMAPI_FORCE] = "\xc3\x84";
    expect_refused(&request, &maint, "force");
    request.operand[SMAPI_FORCE] = NULL;
    request.operand[SMAPI_STATUS_TARGET] = "ALL";
    expect_refused(&request, &maint, "VMRELOCATE does not have status_target");
    request.operand[SMAPI_STATUS_TARGET] = NULL;
    request.number = 1;
    expect_refused(&request, &maint, "VMRELOCATE does not have a number");
    const struct smapi_request check = {.function = SMAPI_CHECK_AUTHENTICATION, .target = "MAINT"};
    expect_refused(&check, &maint, "Check_Authentication does not have a target");
}

static void bad_logins_are_refused_and_not_quoted(void **state)
{
    (void)state;
    const struct smapi_request request = {.function = SMAPI_SSI_QUERY, .target = "ALL"};
    struct smapi_login login = {.userid = "maint"};
    expect_refused(&request, &login, "userid and password belong together");
    login = (struct smapi_login){.password = "secret"};
    expect_refused(&request, &login, "userid and password belong together");
    memset(&login, 'x', sizeof(login)); /* neither ends */
    expect_refused(&request, &login, "the password is longer than 200 characters");
    login.password[SMAPI_PASSWORD_MAX] = '\0';
    expect_refused(&request, &login, "userid is longer than 8 characters");
    login = (struct smapi_login){.userid = "ma int", .password = "secret"};
    uint8_t bytes[SMAPI_REQUEST_MAX];
    struct rm_err err;
    assert_int_equal(smapi_encode_request(&request, &login, bytes, &err), -EINVAL);
    assert_null(strstr(err.text, "secret"));
}

/* Reads what stands behind the request id of the first part: length and the rest. */
#define expect_reply(literal) reply((const uint8_t *)(literal), sizeof(literal) - 1)

static struct smapi_answer reply(const uint8_t *bytes, size_t length)
{
    struct smapi_answer answer;
    size_t says;
    assert_int_equal(smapi_decode_reply_length(bytes, &says, NULL), 0);
    assert_int_equal(says, length - 4);
    assert_int_equal(smapi_decode_reply(bytes + 4, says, &answer, NULL), 0);
    return answer;
}

static void expect_codes(const struct smapi_answer *answer, uint32_t rc, uint32_t rs, size_t length)
{
    assert_int_equal(answer->rc, rc);
    assert_int_equal(answer->rs, rs);
    assert_int_equal(answer->length, length);
}

static void recorded_replies_are_read(void **state)
{
    (void)state;
    unsigned numbers[8] = {0};
    smapi_name names[2];
    struct smapi_answer answer = expect_reply("\0\0\0\x20"
                                              "\0\0\0\0"
                                              "\0\0\0\x04"
                                              "\0\0\x0b\xb8"
                                              "1940 1996 1996 1981\0");
    expect_codes(&answer, 4, 3000, 20);
    assert_int_equal(smapi_decode_numbers(&answer, numbers, 8, NULL), 4);
    assert_int_equal(numbers[0], 1940);
    assert_int_equal(numbers[1], 1996);
    assert_int_equal(numbers[2], 1996);
    assert_int_equal(numbers[3], 1981);
    answer = expect_reply("\0\0\0\x0c"
                          "\0\0\0\0"
                          "\0\0\0\0"
                          "\0\0\0\0");
    expect_codes(&answer, 0, 0, 0);
    answer = expect_reply("\0\0\0\x11"
                          "\0\0\0\0"
                          "\0\0\0\x08"
                          "\0\0\x0b\xc2"
                          "1926\0");
    expect_codes(&answer, 8, 3010, 5);
    assert_int_equal(smapi_decode_numbers(&answer, numbers, 8, NULL), 1);
    assert_int_equal(numbers[0], 1926);
    answer = expect_reply("\0\0\0\x0c"
                          "\0\0\0\0"
                          "\0\0\0\x04"
                          "\0\0\x0b\xb9");
    expect_codes(&answer, 4, 3001, 0);
    answer = expect_reply("\0\0\0\x1b"
                          "\0\0\0\0"
                          "\0\0\0\0"
                          "\0\0\0\0"
                          "\0\0\0\x0b"
                          "\0\0\0\x07"
                          "GT@PONG");
    expect_codes(&answer, 0, 0, 15);
    assert_int_equal(smapi_decode_images(&answer, names, 2, NULL), 1);
    assert_string_equal(names[0], "GT@PONG");
    assert_int_equal(smapi_decode_number((const uint8_t *)"\x03\x1c\x7d\x6a"), 52198762);
}

static void lengths_of_replies_are_not_believed(void **state)
{
    (void)state;
    size_t length = 0;
    struct smapi_answer answer;
    struct rm_err err = {""};
    assert_int_equal(smapi_decode_reply_length((const uint8_t *)"\0\0\0\x0b", &length, &err),
                     -EINVAL);
    assert_non_null(strstr(err.text, "11 bytes long"));
    assert_int_equal(smapi_decode_reply_length((const uint8_t *)"HTTP", &length, &err), -EINVAL);
    assert_non_null(strstr(err.text, "is this a SMAPI server?"));
    assert_int_equal(smapi_decode_reply_length((const uint8_t *)"\0\x10\0\x01", &length, NULL),
                     -EINVAL);
    assert_int_equal(smapi_decode_reply_length((const uint8_t *)"\0\x10\0\0", &length, NULL), 0);
    assert_int_equal(length, SMAPI_REPLY_MAX);
    assert_int_equal(smapi_decode_reply((const uint8_t *)"12345678901", 11, &answer, &err),
                     -EINVAL);
}

#define data_of(literal)                                                                           \
    ((struct smapi_answer){.data = (const uint8_t *)(literal), .length = sizeof(literal) - 1})

static void error_records_may_hold_several_texts(void **state)
{
    (void)state;
    unsigned numbers[3] = {0};
    struct smapi_answer answer = data_of("0045\0"
                                         "1940 1981\0"
                                         "\0"
                                         " 7 \0");
    assert_int_equal(smapi_decode_numbers(&answer, numbers, 3, NULL), 4);
    assert_int_equal(numbers[0], 45);
    assert_int_equal(numbers[1], 1940);
    assert_int_equal(numbers[2], 1981);
    assert_int_equal(smapi_decode_numbers(&answer, NULL, 0, NULL), 4);
    answer = data_of("");
    assert_int_equal(smapi_decode_numbers(&answer, numbers, 3, NULL), 0);
    struct rm_err err = {""};
    answer = data_of("1940");
    assert_int_equal(smapi_decode_numbers(&answer, numbers, 3, &err), -EINVAL);
    assert_non_null(strstr(err.text, "has no end"));
    answer = data_of("1940 x\0");
    assert_int_equal(smapi_decode_numbers(&answer, numbers, 3, &err), -EINVAL);
    assert_non_null(strstr(err.text, "'x' is not a message number"));
    answer = data_of("194019\0");
    assert_int_equal(smapi_decode_numbers(&answer, numbers, 3, &err), -EINVAL);
    answer = data_of("19\x01\0");
    assert_int_equal(smapi_decode_numbers(&answer, numbers, 3, &err), -EINVAL);
    assert_non_null(strstr(err.text, "0x01"));
}

static void a_recovered_reply_is_that_of_the_lost_request(void **state)
{
    (void)state;
    struct rm_err err = {""};
    struct smapi_answer answer;
    struct smapi_answer recovery = expect_reply("\0\0\0\x1d"
                                                "\0\0\0\x09"
                                                "\0\0\0\0"
                                                "\0\0\0\0"
                                                "\0\0\0\x07"
                                                "\0\0\0\x08"
                                                "\0\0\x0b\xb8"
                                                "1940\0");
    assert_int_equal(smapi_decode_recovered(&recovery, 7, &answer, &err), 0);
    assert_int_equal(answer.request_id, 7);
    expect_codes(&answer, 8, 3000, 5);
    assert_int_equal(smapi_decode_recovered(&recovery, 8, &answer, &err), -EINVAL);
    assert_non_null(strstr(err.text, "brought the reply of request 7, asked for 8"));
    recovery = expect_reply("\0\0\0\x14"
                            "\0\0\0\x09"
                            "\0\0\0\0"
                            "\0\0\0\0"
                            "\0\0\0\x07"
                            "\0\0\0\0");
    assert_int_equal(smapi_decode_recovered(&recovery, 7, &answer, &err), -EINVAL);
    assert_non_null(strstr(err.text, "brought 8 bytes"));
}

static void operations_are_in_the_reason_or_in_the_data(void **state)
{
    (void)state;
    uint32_t operation = 0;
    struct smapi_answer answer = expect_reply("\0\0\0\x10"
                                              "\0\0\0\0"
                                              "\0\0\x02\x50"
                                              "\0\0\0\0"
                                              "\0\0\x01\x02");
    assert_int_equal(answer.rc, 592);
    assert_int_equal(smapi_decode_operation(&answer, &operation, NULL), 0);
    assert_int_equal(operation, 258);
    answer = expect_reply("\0\0\0\x0c"
                          "\0\0\0\0"
                          "\0\0\x02\x50"
                          "\0\0\0\x2a");
    assert_int_equal(smapi_decode_operation(&answer, &operation, NULL), 0);
    assert_int_equal(operation, 42);
    answer = expect_reply("\0\0\0\x0c"
                          "\0\0\0\0"
                          "\0\0\x02\x50"
                          "\0\0\0\0");
    assert_int_equal(smapi_decode_operation(&answer, &operation, NULL), -EINVAL);
}

static void images_are_counted_and_cut_to_what_fits(void **state)
{
    (void)state;
    smapi_name names[2];
    struct smapi_answer answer = data_of("\0\0\0\x1b"
                                         "\0\0\0\x05"
                                         "MAINT"
                                         "\0\0\0\x02"
                                         "TC"
                                         "\0\0\0\x08"
                                         "TCP_IP.1");
    assert_int_equal(smapi_decode_images(&answer, names, 2, NULL), 3);
    assert_string_equal(names[0], "MAINT");
    assert_string_equal(names[1], "TC");
    smapi_name all[3];
    assert_int_equal(smapi_decode_images(&answer, all, 3, NULL), 3);
    assert_string_equal(all[2], "TCP_IP.1");
    answer = data_of("");
    assert_int_equal(smapi_decode_images(&answer, names, 2, NULL), 0);
    answer = data_of("\0\0\0\0");
    assert_int_equal(smapi_decode_images(&answer, names, 2, NULL), 0);
}

static void bad_lists_of_images_are_refused(void **state)
{
    (void)state;
    smapi_name names[2];
    const struct smapi_answer bad[] = {
        data_of("\0\0\0"), /* no length */
        data_of("\0\0\0\x0c"
                "\0\0\0\x07"
                "GT@PONG"), /* longer than it is */
        data_of("\0\0\0\x0a"
                "\0\0\0\x07"
                "GT@PONG"), /* shorter */
        data_of("\xff\xff\xff\xff"
                "\0\0\0\x07"
                "GT@PONG"), /* far too long */
        data_of("\0\0\0\x0b"
                "\0\0\0\x08"
                "GT@PONG"), /* a name beyond the end */
        data_of("\0\0\0\x0b"
                "\xff\xff\xff\xfc"
                "GT@PONG"), /* wraps around */
        data_of("\0\0\0\x04"
                "\0\0\0\0"), /* a name of nothing */
        data_of("\0\0\0\x0d"
                "\0\0\0\x09"
                "GT@PONG12"), /* a long name */
        data_of("\0\0\0\x0e"
                "\0\0\0\x07"
                "GT@PONG"
                "\0\0\0"), /* ends in a length */
        data_of("\0\0\0\x0b"
                "\0\0\0\x07"
                "GT\0PONG"), /* a NUL inside */
        data_of("\0\0\0\x0b"
                "\0\0\0\x07"
                "GT\033PONG"), /* a terminal would obey */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rm_err err = {""};
        assert_int_equal(smapi_decode_images(&bad[i], names, 2, &err), -EINVAL);
        assert_true(err.text[0] != '\0');
    }
}

static void relocations_are_read(void **state)
{
    (void)state;
    struct smapi_relocation all[2];
    struct smapi_answer answer = data_of("LINUX1 VM1 VM2 MAINT 00:00:07 Moving\0"
                                         "LINUX2 VM2 VM1 OPERATOR 00:01:10\0"
                                         "L3  VM2 VM1 MAINT 00:00:00  Moving Guest \0");
    assert_int_equal(smapi_decode_relocations(&answer, all, 2, NULL), 3);
    assert_string_equal(all[0].image, "LINUX1");
    assert_string_equal(all[0].source, "VM1");
    assert_string_equal(all[0].destination, "VM2");
    assert_string_equal(all[0].by, "MAINT");
    assert_string_equal(all[0].elapsed, "00:00:07");
    assert_string_equal(all[0].status, "Moving");
    assert_string_equal(all[1].by, "OPERATOR");
    assert_string_equal(all[1].status, "");
    struct smapi_relocation three[3];
    assert_int_equal(smapi_decode_relocations(&answer, three, 3, NULL), 3);
    assert_string_equal(three[2].status, "Moving Guest");
    answer = data_of("");
    assert_int_equal(smapi_decode_relocations(&answer, all, 2, NULL), 0);
}

static void bad_relocations_are_refused(void **state)
{
    (void)state;
    struct smapi_relocation one;
    const struct smapi_answer bad[] = {
        data_of("LINUX1 VM1 VM2 MAINT 00:00:07 Moving"),             /* no end */
        data_of("LINUX1 VM1 VM2 MAINT\0"),                           /* too few words */
        data_of("\0"),                                               /* none */
        data_of("LINUX1234 VM1 VM2 MAINT 00:00:07 Moving\0"),        /* a long name */
        data_of("LINUX1 VM1 VM2 MAINT 000:00:07 Moving\0"),          /* a long time */
        data_of("LINUX1 VM1 VM2 MAINT 00:00:07 0123456789abcdef\0"), /* a long status */
        data_of("LINUX1 VM1 VM2 MAINT 00:00:07 \x9bm\0"),            /* a terminal would obey */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rm_err err = {""};
        assert_int_equal(smapi_decode_relocations(&bad[i], &one, 1, &err), -EINVAL);
        assert_true(err.text[0] != '\0');
    }
}

static void the_cluster_is_read(void **state)
{
    (void)state;
    struct smapi_ssi ssi;
    struct smapi_member members[4];
    const struct smapi_answer answer =
        data_of("CLUSTER\0Stable\0Enabled\0VMCOM1\0"
                "1 VM1 Joined 2013-01-01_10:00:00 2013-01-01_10:00:01\0"
                "2 VM2 Down\0"
                "3 -------- Available\0"
                "4 Available\0");
    assert_int_equal(smapi_decode_ssi(&answer, &ssi, members, 4, NULL), 4);
    assert_string_equal(ssi.name, "CLUSTER");
    assert_string_equal(ssi.mode, "Stable");
    assert_int_equal(members[0].slot, 1);
    assert_string_equal(members[0].system, "VM1");
    assert_string_equal(members[0].state, "Joined");
    assert_string_equal(members[1].state, "Down");
    assert_string_equal(members[2].state, "Available");
    assert_int_equal(members[3].slot, 4);
    assert_string_equal(members[3].system, "");
    assert_string_equal(members[3].state, "Available");
    assert_int_equal(smapi_decode_ssi(&answer, &ssi, NULL, 0, NULL), 4);
}

static void a_bad_cluster_is_refused(void **state)
{
    (void)state;
    struct smapi_ssi ssi;
    struct smapi_member member;
    const struct smapi_answer bad[] = {
        data_of(""),
        data_of("CLUSTER\0Stable\0Enabled\0"),
        data_of("CLUSTER\0Stable\0Enabled\0VMCOM1"),
        data_of("\0Stable\0Enabled\0VMCOM1\0"),
        data_of("CLUSTER12\0Stable\0Enabled\0VMCOM1\0"),
        data_of("CLUSTER\0Stable\0Enabled\0VMCOM1\0"
                "x VM1 Joined\0"),
        data_of("CLUSTER\0Stable\0Enabled\0VMCOM1\0"
                "1\0"),
        data_of("CLUSTER\0Stable\0Enabled\0VMCOM1\0"
                "1 VM1234567 Joined\0"),
        data_of("CLUSTER\0Stable\0Enabled\0VMCOM1\0"
                "1 VM1 0123456789abcdef x\0"),
        data_of("CLUSTER\0Stable\0Enabled\0VMCOM1\0"
                "100 VM1 Joined\0"),
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rm_err err = {""};
        assert_int_equal(smapi_decode_ssi(&bad[i], &ssi, &member, 1, &err), -EINVAL);
        assert_true(err.text[0] != '\0');
    }
}

/* "LINUX1  " and "VM2     " in EBCDIC. */
#define LINUX1 "\xd3\xc9\xd5\xe4\xe7\xf1\x40\x40"
#define VM2    "\xe5\xd4\xf2\x40\x40\x40\x40\x40"

#define read_event(literal, event)                                                                 \
    smapi_decode_event((const uint8_t *)(literal), sizeof(literal) - 1, event, NULL)

static void events_of_relocations_are_read(void **state)
{
    (void)state;
    struct smapi_event event;
    assert_int_equal(read_event("\0\0\0\0"
                                "\0\0\0\x09" LINUX1 VM2,
                                &event),
                     0);
    assert_int_equal(event.class_, 0);
    assert_int_equal(event.type, SMAPI_EVENT_OUT_BEGINS);
    assert_string_equal(event.user, "LINUX1");
    assert_string_equal(event.system, "VM2");
    assert_int_equal(read_event("\0\0\0\0"
                                "\0\0\0\x0c" LINUX1 VM2,
                                &event),
                     0);
    assert_int_equal(event.type, SMAPI_EVENT_IN_ENDS);
    assert_int_equal(read_event("\0\0\0\0"
                                "\0\0\0\x0d" LINUX1 "\x21",
                                &event),
                     0);
    assert_int_equal(event.reason, 0x21);
    assert_string_equal(event.system, "");
    assert_int_equal(read_event("\0\0\0\0"
                                "\0\x01\0\x0a" LINUX1 VM2,
                                &event),
                     0);
    assert_int_equal(event.class_, 1);
    assert_string_equal(event.system, "VM2");
}

static void other_events_are_taken_as_they_are(void **state)
{
    (void)state;
    struct smapi_event event;
    assert_int_equal(read_event("\0\0\0\x07", &event), 0);
    assert_int_equal(event.stream, 7);
    assert_int_equal(read_event("\0\0\0\0"
                                "\0\0\0\0" LINUX1,
                                &event),
                     0);
    assert_string_equal(event.user, "LINUX1");
    assert_int_equal(read_event("\0\0\0\0"
                                "\0\x02\0\x01"
                                "\xff\xff\xff\xff\xff\xff\xff\xff",
                                &event),
                     0);
    assert_string_equal(event.user, "");
    assert_int_equal(read_event("\0\0\0\0"
                                "\0\x02\0\x01"
                                "\0\x01",
                                &event),
                     0);
    assert_int_equal(event.class_, 2);
}

static void bad_events_are_refused(void **state)
{
    (void)state;
    struct smapi_event event;
    assert_int_equal(read_event("", &event), -EINVAL);
    assert_int_equal(read_event("\0\0\0", &event), -EINVAL);
    assert_int_equal(read_event("\0\0\0\0"
                                "\0\0\0",
                                &event),
                     -EINVAL);
    assert_int_equal(read_event("\0\0\0\0"
                                "\0\0\0\x09",
                                &event),
                     -EINVAL);
    assert_int_equal(read_event("\0\0\0\0"
                                "\0\0\0\x09" LINUX1,
                                &event),
                     -EINVAL);
    assert_int_equal(read_event("\0\0\0\0"
                                "\0\0\0\x09" LINUX1 "\xe5\xd4\xf2\x40\x40\x40\x40",
                                &event),
                     -EINVAL);
    assert_int_equal(read_event("\0\0\0\0"
                                "\0\0\0\x0d" LINUX1,
                                &event),
                     -EINVAL);
    /* a blank inside, no name at all, a byte that no name has */
    assert_int_equal(read_event("\0\0\0\0"
                                "\0\0\0\x0d"
                                "\xd3\x40\xd5\x40\x40\x40\x40\x40"
                                "\x01",
                                &event),
                     -EINVAL);
    assert_int_equal(read_event("\0\0\0\0"
                                "\0\0\0\x0d"
                                "\x40\x40\x40\x40\x40\x40\x40\x40"
                                "\x01",
                                &event),
                     -EINVAL);
    assert_int_equal(read_event("\0\0\0\0"
                                "\0\0\0\x09" LINUX1 "\x27\xd4\xf2\x40\x40\x40\x40\x40",
                                &event),
                     -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recorded_test_is_96_bytes),
        cmocka_unit_test(a_recorded_move_with_all_operands_is_147_bytes),
        cmocka_unit_test(a_recorded_immediate_move_is_110_bytes),
        cmocka_unit_test(a_recorded_modify_is_84_bytes),
        cmocka_unit_test(a_recorded_status_is_72_bytes),
        cmocka_unit_test(recorded_attributes_are_115_bytes),
        cmocka_unit_test(a_recorded_image_status_query_is_55_bytes),
        cmocka_unit_test(a_recorded_subscription_is_50_bytes),
        cmocka_unit_test(constructed_requests_follow_the_same_form),
        cmocka_unit_test(over_iucv_there_is_no_login),
        cmocka_unit_test(the_longest_request_fits),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(bad_logins_are_refused_and_not_quoted),
        cmocka_unit_test(recorded_replies_are_read),
        cmocka_unit_test(lengths_of_replies_are_not_believed),
        cmocka_unit_test(error_records_may_hold_several_texts),
        cmocka_unit_test(a_recovered_reply_is_that_of_the_lost_request),
        cmocka_unit_test(operations_are_in_the_reason_or_in_the_data),
        cmocka_unit_test(images_are_counted_and_cut_to_what_fits),
        cmocka_unit_test(bad_lists_of_images_are_refused),
        cmocka_unit_test(relocations_are_read),
        cmocka_unit_test(bad_relocations_are_refused),
        cmocka_unit_test(the_cluster_is_read),
        cmocka_unit_test(a_bad_cluster_is_refused),
        cmocka_unit_test(events_of_relocations_are_read),
        cmocka_unit_test(other_events_are_taken_as_they_are),
        cmocka_unit_test(bad_events_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
