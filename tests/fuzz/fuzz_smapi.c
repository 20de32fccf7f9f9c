/* fuzz_smapi.c - any bytes as a SMAPI reply, an event, a login file or the values of a request */
#include "worker/zvm/smapi_code.h"
#include "worker/zvm/smapi_codec.h"
#include "worker/zvm/smapi_login.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX = 4 }; /* entries of a caller's array */

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static int lesser(int n)
{
    return n < MAX ? n : MAX;
}

/* A function that fails says why, one that does not is silent; and it counts as it fills. */
static void check(int r, int counted, struct rm_err *err)
{
    MUST((r < 0) == (err->text[0] != '\0'));
    MUST(r == counted);
    err->text[0] = '\0';
}

static void fuzz_answer(const struct smapi_answer *answer)
{
    struct rm_err err = {""};
    unsigned numbers[MAX];
    smapi_name names[MAX];
    struct smapi_relocation relocations[MAX];
    struct smapi_member members[MAX];
    struct smapi_ssi ssi;
    struct smapi_answer recovered;
    uint32_t operation;
    char text[SMAPI_CODE_TEXT_MAX];

    int r = smapi_decode_numbers(answer, numbers, MAX, &err);
    check(r, smapi_decode_numbers(answer, NULL, 0, NULL), &err);
    for (int i = 0; i < lesser(r); i++)
        MUST(numbers[i] <= 99999);
    r = smapi_decode_images(answer, names, MAX, &err);
    check(r, smapi_decode_images(answer, NULL, 0, NULL), &err);
    for (int i = 0; i < lesser(r); i++)
        MUST(strnlen(names[i], sizeof(names[i])) - 1 < SMAPI_NAME_MAX);
    r = smapi_decode_relocations(answer, relocations, MAX, &err);
    check(r, smapi_decode_relocations(answer, NULL, 0, NULL), &err);
    for (int i = 0; i < lesser(r); i++)
        MUST(strlen(relocations[i].image) > 0 && strlen(relocations[i].elapsed) > 0 &&
             strlen(relocations[i].status) <= SMAPI_STATUS_MAX);
    r = smapi_decode_ssi(answer, &ssi, members, MAX, &err);
    check(r, smapi_decode_ssi(answer, &ssi, NULL, 0, NULL), &err);
    for (int i = 0; i < lesser(r); i++)
        MUST(strlen(members[i].state) > 0 && strlen(members[i].state) <= SMAPI_WORD_MAX);
    r = smapi_decode_recovered(answer, answer->request_id, &recovered, &err);
    check(r, r, &err);
    MUST(r < 0 || recovered.length == answer->length - SMAPI_REPLY_MIN);
    r = smapi_decode_operation(answer, &operation, &err);
    check(r, r, &err);
    for (int function = 0; function < SMAPI_FUNCTIONS; function++) {
        smapi_code_text((enum smapi_function)function, answer, text, sizeof(text));
        MUST(strlen(text) > 0);
        MUST(smapi_code_says((enum smapi_function)function, answer) <= SMAPI_SAYS_FATAL);
    }
}

static void fuzz_event(const uint8_t *data, size_t size)
{
    struct rm_err err = {""};
    struct smapi_event event;
    int r = smapi_decode_event(data, size, &event, &err);
    check(r, r, &err);
    MUST(r < 0 || (strlen(event.user) <= SMAPI_NAME_MAX && strlen(event.system) <= SMAPI_NAME_MAX));
}

static void fuzz_login(char *text, size_t length)
{
    struct rm_err err = {""};
    struct smapi_login login;
    int r = smapi_login_parse("file", text, length, &login, &err);
    check(r, r, &err);
    if (r < 0)
        return;
    uint8_t bytes[SMAPI_REQUEST_MAX];
    const struct smapi_request request = {.function = SMAPI_CHECK_AUTHENTICATION};
    MUST(login.userid[0] && login.password[0]);
    r = smapi_encode_request(&request, &login, bytes, &err);
    check(r, r, &err);
    MUST(r < 0 || (size_t)r == 4 + 4 + 20 + 4 + strlen(login.userid) + 4 + strlen(login.password));
}

/* The text's lines are the target and the operands. */
static void fuzz_request(unsigned function, char *text)
{
    struct rm_err err = {""};
    struct smapi_request request = {.function = (enum smapi_function)(function % SMAPI_FUNCTIONS)};
    const struct smapi_login login = {.userid = "MAINT", .password = "p"};
    char *rest = text;
    request.target = strsep(&rest, "\n");
    for (unsigned i = 0; i < SMAPI_OPERANDS && rest; i++) {
        const char *value = strsep(&rest, "\n");
        request.operand[i] = *value ? value : NULL;
    }
    uint8_t bytes[SMAPI_REQUEST_MAX];
    int r = smapi_encode_request(&request, &login, bytes, &err);
    check(r, r, &err);
    MUST(r == smapi_encode_request(&request, &login, bytes, NULL));
    MUST((r < 0) == (smapi_check_request(&request, NULL) < 0));
    MUST(r < 0 || smapi_decode_number(bytes) == (uint32_t)r - 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smapi_answer answer;
    size_t length;
    if (size >= 4 && smapi_decode_reply_length(data, &length, NULL) == 0)
        MUST(length >= SMAPI_REPLY_MIN && length <= SMAPI_REPLY_MAX);
    /* Copies of their own size, so that a byte too many is noticed. */
    if (size >= 4 && smapi_decode_reply(data + 4, size - 4, &answer, NULL) == 0) {
        uint8_t *copy = malloc(answer.length ? answer.length : 1);
        if (answer.length > 0)
            memcpy(copy, answer.data, answer.length);
        answer.data = copy;
        fuzz_answer(&answer);
        free(copy);
    }
    fuzz_event(data, size);
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    fuzz_login(text, size);
    if (size > 0) {
        memcpy(text, data, size);
        fuzz_request(data[0], text + 1);
    }
    free(text);
    return 0;
}
