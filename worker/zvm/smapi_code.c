/* smapi_code.c - what SMAPI's return and reason codes mean: for a person, and for what to do next
 */
#include "worker/zvm/smapi_code.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* Numbers of messages of CP that decide what an error of VMRELOCATE was. */
enum { HCP_NOT_LOGGED_ON = 45, HCP_NONE_IN_PROGRESS = 1926 };

#define ANY_FUNCTION SMAPI_FUNCTIONS
#define ANY_REASON   UINT32_MAX

/* The first row that fits counts. */
static const struct row {
    enum smapi_function function;
    uint32_t rc, rs;
    enum smapi_says says;
    const char *text; /* NULL: the numbers must do */
} rows[] = {
    {SMAPI_IMAGE_STATUS_QUERY, 0, 12, SMAPI_SAYS_OFF, "not active"},
    {SMAPI_QUERY_ASYNCHRONOUS_OPERATION_DM, 0, 100, SMAPI_SAYS_OK, "the operation succeeded"},
    {SMAPI_QUERY_ASYNCHRONOUS_OPERATION_DM, 0, 104, SMAPI_SAYS_RETRY, "the operation goes on"},
    {SMAPI_QUERY_ASYNCHRONOUS_OPERATION_DM, 0, 108, SMAPI_SAYS_FATAL, "the operation failed"},
    {ANY_FUNCTION, 0, 0, SMAPI_SAYS_OK, NULL},

    {SMAPI_VMRELOCATE, 4, 3000, SMAPI_SAYS_UNFIT, "TEST: not eligible"},
    {SMAPI_VMRELOCATE_STATUS, 4, 3001, SMAPI_SAYS_NOTHING, "no relocation in progress"},
    {ANY_FUNCTION, 4, 3008, SMAPI_SAYS_FATAL, "the system is not in an SSI cluster"},
    {SMAPI_SSI_QUERY, 4, 3009, SMAPI_SAYS_FATAL, "the system was started with REPAIR"},

    {SMAPI_VMRELOCATE_IMAGE_ATTRIBUTES, 8, 12, SMAPI_SAYS_OFF, "not logged on"},
    {SMAPI_VMRELOCATE_IMAGE_ATTRIBUTES, 8, 1821, SMAPI_SAYS_INPUT, "no such relocation domain"},
    {SMAPI_VMRELOCATE_IMAGE_ATTRIBUTES, 8, 1822, SMAPI_SAYS_INPUT,
     "needs force=ARCHITECTURE for this domain"},
    {SMAPI_VMRELOCATE_IMAGE_ATTRIBUTES, 8, 1823, SMAPI_SAYS_UNFIT,
     "a multiconfiguration guest cannot move"},
    {ANY_FUNCTION, 8, 45, SMAPI_SAYS_OFF, "not logged on"},
    {SMAPI_VMRELOCATE, 8, 3000, SMAPI_SAYS_UNFIT, "MOVE error"},
    {ANY_FUNCTION, 8, 3002, SMAPI_SAYS_INPUT, "unknown operand"},
    {ANY_FUNCTION, 8, 3003, SMAPI_SAYS_INPUT, "bad value of an operand"},
    {ANY_FUNCTION, 8, 3004, SMAPI_SAYS_INPUT, "an operand is missing"},
    {ANY_FUNCTION, 8, 3006, SMAPI_SAYS_RETRY, "the SSI cluster is not stable"},
    {ANY_FUNCTION, 8, 3008, SMAPI_SAYS_FATAL, "the system is not in an SSI cluster"},
    {SMAPI_VMRELOCATE_MODIFY, 8, 3010, SMAPI_SAYS_FATAL, "the relocation was not changed"},

    {ANY_FUNCTION, 24, ANY_REASON, SMAPI_SAYS_INPUT, NULL}, /* syntax_text() */
    {ANY_FUNCTION, 100, 8, SMAPI_SAYS_DENIED, "not authorised, says the security manager"},
    {ANY_FUNCTION, 100, 12, SMAPI_SAYS_DENIED, "not authorised, says the directory manager"},
    {ANY_FUNCTION, 100, 16, SMAPI_SAYS_DENIED, "not authorised, says the SMAPI server"},
    {ANY_FUNCTION, 100, ANY_REASON, SMAPI_SAYS_DENIED, NULL},
    {ANY_FUNCTION, 120, 0, SMAPI_SAYS_LOGIN, "wrong userid or password"},
    {ANY_FUNCTION, 120, ANY_REASON, SMAPI_SAYS_LOGIN, NULL},
    {ANY_FUNCTION, 128, 0, SMAPI_SAYS_LOGIN, "the password has expired"},
    {ANY_FUNCTION, 128, ANY_REASON, SMAPI_SAYS_LOGIN, NULL},
    {ANY_FUNCTION, 396, ANY_REASON, SMAPI_SAYS_FATAL, "internal error"},
    {ANY_FUNCTION, 500, ANY_REASON, SMAPI_SAYS_FATAL, "error of the directory manager"},
    {ANY_FUNCTION, 592, 108, SMAPI_SAYS_FATAL, "the asynchronous operation failed"},
    {ANY_FUNCTION, 592, ANY_REASON, SMAPI_SAYS_FATAL, "an asynchronous operation was started"},
    {ANY_FUNCTION, 900, 8, SMAPI_SAYS_RETRY, "no worker server"},
    {ANY_FUNCTION, 900, 12, SMAPI_SAYS_FATAL, "unknown function"},
    {ANY_FUNCTION, 900, 20, SMAPI_SAYS_FATAL, "wrong total length"},
    {ANY_FUNCTION, 900, 32, SMAPI_SAYS_RETRY, "bad reply of a worker server"},
    {ANY_FUNCTION, 900, 36, SMAPI_SAYS_FATAL, "a length is out of range"},
    {ANY_FUNCTION, 900, 40, SMAPI_SAYS_RETRY, "error of a server's socket"},
    {ANY_FUNCTION, 900, 99, SMAPI_SAYS_RETRY, "the system changed during the call"},
};

/* Reason codes of syntax errors: parameter and what is wrong with it, pp * 100 + ss. */
static const struct {
    unsigned code;
    const char *text;
} syntax[] = {
    {10, "not digits"},
    {11, "unsupported function"},
    {13, "too long"},
    {14, "too short"},
    {15, "too small"},
    {18, "too big"},
    {19, "unrecognised value"},
    {23, "conflict"},
    {24, "missing"},
    {25, "extraneous"},
    {26, "bad character"},
    {36, "bad character"},
    {37, "bad character"},
    {42, "bad character"},
    {43, "bad character"},
    {44, "bad character"},
    {88, "unexpected end"},
    {99, "bad character"},
};

static const struct row *find(enum smapi_function function, uint32_t rc, uint32_t rs)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if ((rows[i].function == function || rows[i].function == ANY_FUNCTION) &&
            rows[i].rc == rc && (rows[i].rs == rs || rows[i].rs == ANY_REASON))
            return &rows[i];
    return NULL;
}

/* Of an answer with an error record: how many numbers, 0 also when they cannot be read. */
static int read_numbers(enum smapi_function function, const struct smapi_answer *answer,
                        unsigned *numbers)
{
    if (answer->rc == 0 || (function != SMAPI_VMRELOCATE && function != SMAPI_VMRELOCATE_MODIFY))
        return 0;
    int n = smapi_decode_numbers(answer, numbers, SMAPI_NUMBERS_MAX, NULL);
    return n < 0 ? 0 : n > SMAPI_NUMBERS_MAX ? SMAPI_NUMBERS_MAX : n;
}

enum smapi_says smapi_code_says(enum smapi_function function, const struct smapi_answer *answer)
{
    unsigned numbers[SMAPI_NUMBERS_MAX];
    int n = read_numbers(function, answer, numbers);
    bool is_error = answer->rc == 8 && (answer->rs == 3000 || answer->rs == 3010);
    for (int i = 0; is_error && i < n; i++) {
        if (numbers[i] == HCP_NOT_LOGGED_ON)
            return SMAPI_SAYS_OFF;
        if (numbers[i] == HCP_NONE_IN_PROGRESS)
            return SMAPI_SAYS_NOTHING;
    }
    const struct row *row = find(function, answer->rc, answer->rs);
    return row ? row->says : SMAPI_SAYS_FATAL;
}

__attribute__((format(printf, 4, 5))) static void add(char *buffer, size_t size, size_t *length,
                                                      const char *format, ...)
{
    if (*length + 1 >= size)
        return;
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(buffer + *length, size - *length, format, ap);
    va_end(ap);
    if (n > 0)
        *length = (size_t)n < size - *length ? *length + (size_t)n : size - 1;
}

static const char *syntax_text(uint32_t rs)
{
    for (size_t i = 0; i < sizeof(syntax) / sizeof(syntax[0]); i++)
        if (syntax[i].code == rs % 100)
            return syntax[i].text;
    return NULL;
}

const char *smapi_code_text(enum smapi_function function, const struct smapi_answer *answer,
                            char *buffer, size_t size)
{
    size_t length = 0;
    if (size > 0)
        buffer[0] = '\0';
    add(buffer, size, &length, "%s: return code %" PRIu32 ", reason code %" PRIu32,
        smapi_function_name(function), answer->rc, answer->rs);
    const struct row *row = find(function, answer->rc, answer->rs);
    if (row && row->text)
        add(buffer, size, &length, " (%s)", row->text);
    if (answer->rc == 24 && syntax_text(answer->rs))
        add(buffer, size, &length, " (syntax, parameter %" PRIu32 ": %s)", answer->rs / 100,
            syntax_text(answer->rs));
    unsigned numbers[SMAPI_NUMBERS_MAX];
    int n = read_numbers(function, answer, numbers);
    for (int i = 0; i < n; i++) {
        add(buffer, size, &length, "%s HCP%04u", i == 0 ? ":" : "", numbers[i]);
        if (numbers[i] == HCP_NOT_LOGGED_ON)
            add(buffer, size, &length, " (not logged on)");
        if (numbers[i] == HCP_NONE_IN_PROGRESS)
            add(buffer, size, &length, " (no relocation in progress)");
    }
    return buffer;
}
