/* smapi_codec.c - the bytes of z/VM's SMAPI: requests written, replies and events read; no I/O */
#include "worker/zvm/smapi_codec.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Which further fields a function has. */
enum shape {
    HAS_TARGET = 1,
    HAS_NUMBER = 2,    /* four bytes behind the target */
    TAKES_ANY_USER = 4 /* the target may be "*" */
};

#define BIT(operand) (1U << (operand))

static const struct {
    const char *name;
    unsigned shape;
    unsigned operands;
} functions[SMAPI_FUNCTIONS] = {
    [SMAPI_VMRELOCATE] = {"VMRELOCATE", HAS_TARGET,
                          BIT(SMAPI_DESTINATION) | BIT(SMAPI_ACTION) | BIT(SMAPI_FORCE) |
                              BIT(SMAPI_IMMEDIATE) | BIT(SMAPI_MAX_TOTAL) | BIT(SMAPI_MAX_QUIESCE)},
    [SMAPI_VMRELOCATE_STATUS] = {"VMRELOCATE_Status", HAS_TARGET, BIT(SMAPI_STATUS_TARGET)},
    [SMAPI_VMRELOCATE_MODIFY] = {"VMRELOCATE_Modify", HAS_TARGET,
                                 BIT(SMAPI_MAX_TOTAL) | BIT(SMAPI_MAX_QUIESCE)},
    [SMAPI_VMRELOCATE_IMAGE_ATTRIBUTES] = {"VMRELOCATE_Image_Attributes", HAS_TARGET,
                                           BIT(SMAPI_RELOCATION_SETTING) | BIT(SMAPI_DOMAIN_NAME) |
                                               BIT(SMAPI_ARCHFORCE)},
    [SMAPI_IMAGE_STATUS_QUERY] = {"Image_Status_Query", HAS_TARGET | TAKES_ANY_USER, 0},
    [SMAPI_SSI_QUERY] = {"SSI_Query", HAS_TARGET, 0},
    [SMAPI_CHECK_AUTHENTICATION] = {"Check_Authentication", 0, 0},
    [SMAPI_RESPONSE_RECOVERY] = {"Response_Recovery", HAS_TARGET | HAS_NUMBER, 0},
    [SMAPI_QUERY_ASYNCHRONOUS_OPERATION_DM] = {"Query_Asynchronous_Operation_DM",
                                               HAS_TARGET | HAS_NUMBER, 0},
    [SMAPI_EVENT_SUBSCRIBE] = {"Event_Subscribe", HAS_TARGET, 0},
};

/* Sizes of values as SMAPI documents them. */
static const struct {
    const char *key;
    size_t min, max;
    bool blanks; /* allowed inside */
} operands[SMAPI_OPERANDS] = {
    [SMAPI_DESTINATION] = {"destination", 1, SMAPI_NAME_MAX, false},
    [SMAPI_ACTION] = {"action", 0, 6, false},
    [SMAPI_FORCE] = {"force", 0, 27, true},
    [SMAPI_IMMEDIATE] = {"immediate", 0, 3, false},
    [SMAPI_MAX_TOTAL] = {"max_total", 0, 8, false},
    [SMAPI_MAX_QUIESCE] = {"max_quiesce", 0, 8, false},
    [SMAPI_STATUS_TARGET] = {"status_target", 1, 5 + SMAPI_NAME_MAX, true},
    [SMAPI_RELOCATION_SETTING] = {"relocation_setting", 1, 3, false},
    [SMAPI_DOMAIN_NAME] = {"domain_name", 1, SMAPI_NAME_MAX, false},
    [SMAPI_ARCHFORCE] = {"archforce", 1, 3, false},
};

const char *smapi_function_name(enum smapi_function function)
{
    return functions[function].name;
}

/* The characters of names and operands; SMAPI makes them upper case itself. */
static bool is_char42(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c && strchr("@#$+-:", c));
}

static int check_text(const char *what, const char *text, size_t min, size_t max, bool blanks,
                      struct rm_err *err)
{
    size_t length = strnlen(text, max + 1);
    if (length > max)
        return rm_fail(err, -EINVAL, "%s is longer than %zu characters", what, max);
    if (length < min)
        return rm_fail(err, -EINVAL, "%s is empty", what);
    for (const char *p = text; *p; p++)
        if (!is_char42(*p) && !(blanks && *p == ' '))
            return rm_fail(err, -EINVAL,
                           "%s '%s' has a character that z/VM does not take: letters, digits and "
                           "@ # $ + - :%s only",
                           what, text, blanks ? " and blanks" : "");
    return 0;
}

int smapi_check_request(const struct smapi_request *request, struct rm_err *err)
{
    const char *name = functions[request->function].name;
    unsigned shape = functions[request->function].shape;
    if (!(shape & HAS_TARGET) != !request->target)
        return rm_fail(err, -EINVAL, "%s %s a target", name,
                       request->target ? "does not have" : "needs");
    bool any_user =
        request->target && (shape & TAKES_ANY_USER) && strcmp(request->target, "*") == 0;
    if (request->target && !any_user) {
        int r =
            check_text("user id", request->target, 1, SMAPI_NAME_MAX, /* blanks = */ false, err);
        if (r < 0)
            return r;
    }
    for (unsigned i = 0; i < SMAPI_OPERANDS; i++) {
        const char *value = request->operand[i];
        if (!value)
            continue;
        if (!(functions[request->function].operands & BIT(i)))
            return rm_fail(err, -EINVAL, "%s does not have %s", name, operands[i].key);
        int r = check_text(operands[i].key, value, operands[i].min, operands[i].max,
                           operands[i].blanks, err);
        if (r < 0)
            return r;
    }
    if (request->number != 0 && !(shape & HAS_NUMBER))
        return rm_fail(err, -EINVAL, "%s does not have a number", name);
    return 0;
}

static int check_login(const struct smapi_login *login, struct rm_err *err)
{
    size_t length = strnlen(login->password, sizeof(login->password));
    if (!login->userid[0] != !length)
        return rm_fail(err, -EINVAL, "userid and password belong together");
    if (length > SMAPI_PASSWORD_MAX)
        return rm_fail(err, -EINVAL, "the password is longer than %d characters",
                       SMAPI_PASSWORD_MAX);
    return check_text("userid", login->userid, 0, SMAPI_NAME_MAX, /* blanks = */ false, err);
}

struct writer {
    uint8_t *bytes;
    size_t length; /* may pass SMAPI_REQUEST_MAX: nothing is written from there on */
};

static void put(struct writer *out, const void *bytes, size_t length)
{
    if (out->length + length <= SMAPI_REQUEST_MAX)
        memcpy(out->bytes + out->length, bytes, length);
    out->length += length;
}

static void put_number(struct writer *out, uint32_t number)
{
    const uint8_t bytes[4] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16),
                              (uint8_t)(number >> 8), (uint8_t)number};
    put(out, bytes, sizeof(bytes));
}

static void put_field(struct writer *out, const char *text)
{
    put_number(out, (uint32_t)strlen(text));
    put(out, text, strlen(text));
}

int smapi_encode_request(const struct smapi_request *request, const struct smapi_login *login,
                         uint8_t ret_bytes[static SMAPI_REQUEST_MAX], struct rm_err *err)
{
    int r = smapi_check_request(request, err);
    if (r == 0)
        r = check_login(login, err);
    if (r < 0)
        return r;
    struct writer out = {.bytes = ret_bytes};
    put_number(&out, 0); /* the total: known at the end */
    put_field(&out, functions[request->function].name);
    put_field(&out, login->userid);
    put_field(&out, login->password);
    if (request->target)
        put_field(&out, request->target);
    if (functions[request->function].shape & HAS_NUMBER)
        put_number(&out, request->number);
    for (unsigned i = 0; i < SMAPI_OPERANDS; i++) {
        if (!request->operand[i])
            continue;
        put(&out, operands[i].key, strlen(operands[i].key));
        put(&out, "=", 1);
        put(&out, request->operand[i], strlen(request->operand[i]) + 1);
    }
    if (out.length > SMAPI_REQUEST_MAX)
        return rm_fail(err, -EINVAL, "a request of %zu bytes is too long", out.length);
    struct writer total = {.bytes = ret_bytes};
    put_number(&total, (uint32_t)(out.length - 4));
    return (int)out.length;
}

void smapi_answer_done(struct smapi_answer *answer)
{
    free(answer->bytes);
    memset(answer, 0, sizeof(*answer));
}

uint32_t smapi_decode_number(const uint8_t bytes[static 4])
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

int smapi_decode_reply_length(const uint8_t bytes[static 4], size_t *ret_length, struct rm_err *err)
{
    uint32_t length = smapi_decode_number(bytes);
    if (length < SMAPI_REPLY_MIN || length > SMAPI_REPLY_MAX)
        return rm_fail(err, -EINVAL,
                       "the reply says it is %" PRIu32 " bytes long, %d to %d can be: is this a "
                       "SMAPI server?",
                       length, SMAPI_REPLY_MIN, SMAPI_REPLY_MAX);
    *ret_length = length;
    return 0;
}

int smapi_decode_reply(const uint8_t *bytes, size_t length, struct smapi_answer *ret,
                       struct rm_err *err)
{
    if (length < SMAPI_REPLY_MIN)
        return rm_fail(err, -EINVAL, "a reply of %zu bytes is too short", length);
    *ret = (struct smapi_answer){
        .request_id = smapi_decode_number(bytes),
        .rc = smapi_decode_number(bytes + 4),
        .rs = smapi_decode_number(bytes + 8),
        .data = bytes + SMAPI_REPLY_MIN,
        .length = length - SMAPI_REPLY_MIN,
    };
    return 0;
}

int smapi_decode_recovered(const struct smapi_answer *recovery, uint32_t request_id,
                           struct smapi_answer *ret, struct rm_err *err)
{
    struct smapi_answer answer;
    if (recovery->length < SMAPI_REPLY_MIN)
        return rm_fail(err, -EINVAL, "Response_Recovery brought %zu bytes: no reply",
                       recovery->length);
    int r = smapi_decode_reply(recovery->data, recovery->length, &answer, err);
    if (r < 0)
        return r;
    if (answer.request_id != request_id)
        return rm_fail(err, -EINVAL,
                       "Response_Recovery brought the reply of request %" PRIu32
                       ", asked for %" PRIu32,
                       answer.request_id, request_id);
    *ret = answer;
    return 0;
}

int smapi_decode_operation(const struct smapi_answer *answer, uint32_t *ret, struct rm_err *err)
{
    if (answer->rs != 0) {
        *ret = answer->rs;
        return 0;
    }
    if (answer->length != 4)
        return rm_fail(err, -EINVAL, "%zu bytes are no operation id", answer->length);
    *ret = smapi_decode_number(answer->data);
    return 0;
}

/* A list of NUL-terminated strings; *at is where the next one begins. */
static const char *next_string(const struct smapi_answer *answer, size_t *at)
{
    if (*at >= answer->length)
        return NULL;
    const char *text = (const char *)answer->data + *at;
    *at += strlen(text) + 1;
    return text;
}

/* What next_string() relies on: the last string ends, and nothing but printable ASCII in them. */
static int check_strings(const struct smapi_answer *answer, struct rm_err *err)
{
    if (answer->length > 0 && answer->data[answer->length - 1] != '\0')
        return rm_fail(err, -EINVAL, "the last text of the reply has no end");
    for (size_t i = 0; i < answer->length; i++)
        if (answer->data[i] != '\0' && (answer->data[i] < ' ' || answer->data[i] > '~'))
            return rm_fail(err, -EINVAL, "the reply has a byte 0x%02x in a text", answer->data[i]);
    return 0;
}

/* The next word of a string, cut out by blanks; NULL: none is left. */
static const char *next_word(const char **text, size_t *ret_length)
{
    const char *word = *text + strspn(*text, " ");
    *ret_length = strcspn(word, " ");
    *text = word + *ret_length;
    return *ret_length ? word : NULL;
}

static int take_word(const char **text, const char *what, char *ret, size_t max, struct rm_err *err)
{
    size_t length;
    const char *word = next_word(text, &length);
    if (!word)
        return rm_fail(err, -EINVAL, "a line of the reply has no %s", what);
    if (length > max)
        return rm_fail(err, -EINVAL, "%s '%.*s' in the reply is longer than %zu characters", what,
                       (int)(length < 64 ? length : 64), word, max);
    memcpy(ret, word, length);
    ret[length] = '\0';
    return 0;
}

int smapi_decode_numbers(const struct smapi_answer *answer, unsigned *ret, size_t max,
                         struct rm_err *err)
{
    enum { DIGITS_MAX = 5 };
    int r = check_strings(answer, err);
    if (r < 0)
        return r;
    int n = 0;
    size_t at = 0, length;
    const char *text, *word;
    while ((text = next_string(answer, &at))) {
        while ((word = next_word(&text, &length))) {
            unsigned number = 0;
            if (length > DIGITS_MAX)
                return rm_fail(err, -EINVAL, "a message number of %zu digits", length);
            for (size_t i = 0; i < length; i++) {
                if (!isdigit((unsigned char)word[i]))
                    return rm_fail(err, -EINVAL, "'%.*s' is not a message number", (int)length,
                                   word);
                number = number * 10 + (unsigned)(word[i] - '0');
            }
            if ((size_t)n < max)
                ret[n] = number;
            n++;
        }
    }
    return n;
}

int smapi_decode_images(const struct smapi_answer *answer, smapi_name *ret, size_t max,
                        struct rm_err *err)
{
    if (answer->length == 0)
        return 0;
    if (answer->length < 4 || smapi_decode_number(answer->data) != answer->length - 4)
        return rm_fail(err, -EINVAL, "the list of images does not have the length that it says");
    int n = 0;
    for (size_t at = 4; at < answer->length; n++) {
        if (answer->length - at < 4)
            return rm_fail(err, -EINVAL, "the list of images ends in a length");
        size_t length = smapi_decode_number(answer->data + at);
        at += 4;
        if (length == 0 || length > SMAPI_NAME_MAX || length > answer->length - at)
            return rm_fail(err, -EINVAL, "image %d has a name of %zu characters", n + 1, length);
        smapi_name name = "";
        for (size_t i = 0; i < length; i++) {
            name[i] = (char)answer->data[at + i];
            if (name[i] <= ' ' || name[i] > '~')
                return rm_fail(err, -EINVAL, "image %d has a byte 0x%02x in its name", n + 1,
                               answer->data[at + i]);
        }
        at += length;
        if ((size_t)n < max)
            memcpy(ret[n], name, sizeof(name));
    }
    return n;
}

static int read_relocation(const char *text, struct smapi_relocation *ret, struct rm_err *err)
{
    *ret = (struct smapi_relocation){.status = ""};
    int r = take_word(&text, "image", ret->image, SMAPI_NAME_MAX, err);
    if (r == 0)
        r = take_word(&text, "source", ret->source, SMAPI_NAME_MAX, err);
    if (r == 0)
        r = take_word(&text, "destination", ret->destination, SMAPI_NAME_MAX, err);
    if (r == 0)
        r = take_word(&text, "issuer", ret->by, SMAPI_NAME_MAX, err);
    if (r == 0)
        r = take_word(&text, "elapsed time", ret->elapsed, SMAPI_NAME_MAX, err);
    if (r < 0)
        return r;
    /* The status is the rest: a blank inside does no harm, none at all is allowed. */
    text += strspn(text, " ");
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == ' ')
        length--;
    if (length > SMAPI_STATUS_MAX)
        return rm_fail(err, -EINVAL, "a relocation's status of %zu characters", length);
    memcpy(ret->status, text, length);
    return 0;
}

int smapi_decode_relocations(const struct smapi_answer *answer, struct smapi_relocation *ret,
                             size_t max, struct rm_err *err)
{
    int r = check_strings(answer, err);
    if (r < 0)
        return r;
    int n = 0;
    size_t at = 0;
    const char *text;
    while ((text = next_string(answer, &at))) {
        struct smapi_relocation one;
        r = read_relocation(text, &one, err);
        if (r < 0)
            return r;
        if ((size_t)n < max)
            ret[n] = one;
        n++;
    }
    return n;
}

/* "SLOT SYSTEM STATE HEARTBEAT HEARTBEAT"; a slot without a system may leave all but two out. */
static int read_member(const char *text, struct smapi_member *ret, struct rm_err *err)
{
    char slot[3], last[SMAPI_WORD_MAX + 1];
    *ret = (struct smapi_member){.slot = 0};
    int r = take_word(&text, "slot", slot, sizeof(slot) - 1, err);
    if (r < 0)
        return r;
    for (const char *p = slot; *p; p++) {
        if (!isdigit((unsigned char)*p))
            return rm_fail(err, -EINVAL, "slot '%s' of the cluster is not a number", slot);
        ret->slot = ret->slot * 10 + (unsigned)(*p - '0');
    }
    r = take_word(&text, "state", last, SMAPI_WORD_MAX, err);
    if (r < 0)
        return r;
    if (text[strspn(text, " ")] == '\0') {
        memcpy(ret->state, last, sizeof(last));
        return 0;
    }
    if (strlen(last) > SMAPI_NAME_MAX)
        return rm_fail(err, -EINVAL, "system '%s' in the reply is longer than %d characters", last,
                       SMAPI_NAME_MAX);
    memcpy(ret->system, last, sizeof(ret->system));
    return take_word(&text, "state", ret->state, SMAPI_WORD_MAX, err);
}

int smapi_decode_ssi(const struct smapi_answer *answer, struct smapi_ssi *ret_ssi,
                     struct smapi_member *ret_members, size_t max, struct rm_err *err)
{
    int r = check_strings(answer, err);
    if (r < 0)
        return r;
    size_t at = 0;
    const char *head[4]; /* name, mode, time-outs, volume of the heartbeats */
    for (int i = 0; i < 4; i++) {
        head[i] = next_string(answer, &at);
        if (!head[i])
            return rm_fail(err, -EINVAL, "the reply about the cluster ends after %d texts", i);
    }
    struct smapi_ssi ssi = {.name = ""};
    r = take_word(&head[0], "cluster", ssi.name, SMAPI_NAME_MAX, err);
    if (r == 0)
        r = take_word(&head[1], "mode", ssi.mode, SMAPI_WORD_MAX, err);
    if (r < 0)
        return r;
    int n = 0;
    const char *text;
    while ((text = next_string(answer, &at))) {
        struct smapi_member one;
        r = read_member(text, &one, err);
        if (r < 0)
            return r;
        if ((size_t)n < max)
            ret_members[n] = one;
        n++;
    }
    *ret_ssi = ssi;
    return n;
}

/* Code page 924, the characters that names may have; 0: none of them. */
static char from_ebcdic(uint8_t byte)
{
    static const char table[256] = {
        [0x40] = ' ', [0x4e] = '+', [0x5b] = '$', [0x60] = '-', [0x6d] = '_', [0x7a] = ':',
        [0x7b] = '#', [0x7c] = '@', [0x81] = 'a', [0x82] = 'b', [0x83] = 'c', [0x84] = 'd',
        [0x85] = 'e', [0x86] = 'f', [0x87] = 'g', [0x88] = 'h', [0x89] = 'i', [0x91] = 'j',
        [0x92] = 'k', [0x93] = 'l', [0x94] = 'm', [0x95] = 'n', [0x96] = 'o', [0x97] = 'p',
        [0x98] = 'q', [0x99] = 'r', [0xa2] = 's', [0xa3] = 't', [0xa4] = 'u', [0xa5] = 'v',
        [0xa6] = 'w', [0xa7] = 'x', [0xa8] = 'y', [0xa9] = 'z', [0xc1] = 'A', [0xc2] = 'B',
        [0xc3] = 'C', [0xc4] = 'D', [0xc5] = 'E', [0xc6] = 'F', [0xc7] = 'G', [0xc8] = 'H',
        [0xc9] = 'I', [0xd1] = 'J', [0xd2] = 'K', [0xd3] = 'L', [0xd4] = 'M', [0xd5] = 'N',
        [0xd6] = 'O', [0xd7] = 'P', [0xd8] = 'Q', [0xd9] = 'R', [0xe2] = 'S', [0xe3] = 'T',
        [0xe4] = 'U', [0xe5] = 'V', [0xe6] = 'W', [0xe7] = 'X', [0xe8] = 'Y', [0xe9] = 'Z',
        [0xf0] = '0', [0xf1] = '1', [0xf2] = '2', [0xf3] = '3', [0xf4] = '4', [0xf5] = '5',
        [0xf6] = '6', [0xf7] = '7', [0xf8] = '8', [0xf9] = '9'};
    return table[byte];
}

static int read_ebcdic(const uint8_t bytes[static SMAPI_NAME_MAX], const char *what, smapi_name ret,
                       struct rm_err *err)
{
    size_t length = SMAPI_NAME_MAX;
    while (length > 0 && from_ebcdic(bytes[length - 1]) == ' ')
        length--;
    memset(ret, 0, sizeof(smapi_name));
    for (size_t i = 0; i < length; i++) {
        ret[i] = from_ebcdic(bytes[i]);
        if (ret[i] == '\0' || ret[i] == ' ')
            return rm_fail(err, -EINVAL, "an event has 0x%02x in the name of its %s", bytes[i],
                           what);
    }
    return length > 0 ? 0 : rm_fail(err, -EINVAL, "an event has no name of its %s", what);
}

/* What a kind of event carries behind the user. */
static bool names_system(const struct smapi_event *event)
{
    return event->type >= SMAPI_EVENT_OUT_BEGINS &&
           (event->class_ == 0   ? event->type <= SMAPI_EVENT_IN_ENDS
            : event->class_ == 1 ? event->type <= SMAPI_EVENT_IN_BEGINS
                                 : false);
}

static bool gives_reason(const struct smapi_event *event)
{
    return event->class_ == 0 &&
           (event->type == SMAPI_EVENT_OUT_TERMINATES || event->type == SMAPI_EVENT_IN_TERMINATES);
}

int smapi_decode_event(const uint8_t *bytes, size_t length, struct smapi_event *ret,
                       struct rm_err *err)
{
    enum { HEAD = 4, CLASS = 8, USER = CLASS + SMAPI_NAME_MAX };
    struct smapi_event event = {.stream = 0};
    if (length < HEAD)
        return rm_fail(err, -EINVAL, "an event of %zu bytes is too short", length);
    event.stream = smapi_decode_number(bytes);
    if (event.stream != 0) {
        *ret = event;
        return 0;
    }
    if (length < CLASS)
        return rm_fail(err, -EINVAL, "an event of %zu bytes is too short", length);
    event.class_ = (unsigned)bytes[4] << 8 | bytes[5];
    event.type = (unsigned)bytes[6] << 8 | bytes[7];
    bool known = names_system(&event) || gives_reason(&event);
    if (length < USER + (names_system(&event) ? SMAPI_NAME_MAX : gives_reason(&event) ? 1U : 0U)) {
        if (known)
            return rm_fail(err, -EINVAL, "an event %u/%u of %zu bytes is too short", event.class_,
                           event.type, length);
        *ret = event; /* of another kind, and not about a user */
        return 0;
    }
    int r = read_ebcdic(bytes + CLASS, "user", event.user, known ? err : NULL);
    if (r < 0 && known)
        return r;
    if (r < 0)
        memset(event.user, 0, sizeof(event.user));
    if (names_system(&event)) {
        r = read_ebcdic(bytes + USER, "system", event.system, err);
        if (r < 0)
            return r;
    }
    if (gives_reason(&event))
        event.reason = bytes[USER];
    *ret = event;
    return 0;
}
