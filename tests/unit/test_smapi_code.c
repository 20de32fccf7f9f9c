/* test_smapi_code.c - what return and reason codes of SMAPI mean, in words and for the next step */
#include "worker/zvm/smapi_code.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    enum smapi_function function;
    uint32_t rc, rs;
    const char *data; /* NULL: none */
    enum smapi_says says;
    const char *text;
} table[] = {
    {SMAPI_VMRELOCATE, 0, 0, NULL, SMAPI_SAYS_OK, "VMRELOCATE: return code 0, reason code 0"},
    {SMAPI_VMRELOCATE, 8, 3000, "1940 1981", SMAPI_SAYS_UNFIT,
     "VMRELOCATE: return code 8, reason code 3000 (MOVE error): HCP1940 HCP1981"},
    {SMAPI_VMRELOCATE, 4, 3000, "1940 1996 1996 1981", SMAPI_SAYS_UNFIT,
     "VMRELOCATE: return code 4, reason code 3000 (TEST: not eligible): HCP1940 HCP1996 HCP1996 "
     "HCP1981"},
    {SMAPI_VMRELOCATE, 8, 3000, "0045", SMAPI_SAYS_OFF,
     "VMRELOCATE: return code 8, reason code 3000 (MOVE error): HCP0045 (not logged on)"},
    {SMAPI_VMRELOCATE, 8, 3000, "1926", SMAPI_SAYS_NOTHING,
     "VMRELOCATE: return code 8, reason code 3000 (MOVE error): HCP1926 (no relocation in "
     "progress)"},
    {SMAPI_VMRELOCATE, 8, 3000, "what?", SMAPI_SAYS_UNFIT, /* numbers that cannot be read */
     "VMRELOCATE: return code 8, reason code 3000 (MOVE error)"},
    {SMAPI_VMRELOCATE_MODIFY, 8, 3010, "1926", SMAPI_SAYS_NOTHING,
     "VMRELOCATE_Modify: return code 8, reason code 3010 (the relocation was not changed): HCP1926 "
     "(no relocation in progress)"},
    {SMAPI_VMRELOCATE_STATUS, 4, 3001, NULL, SMAPI_SAYS_NOTHING,
     "VMRELOCATE_Status: return code 4, reason code 3001 (no relocation in progress)"},
    {SMAPI_IMAGE_STATUS_QUERY, 0, 12, NULL, SMAPI_SAYS_OFF,
     "Image_Status_Query: return code 0, reason code 12 (not active)"},
    {SMAPI_SSI_QUERY, 0, 12, NULL, SMAPI_SAYS_FATAL, "SSI_Query: return code 0, reason code 12"},
    {SMAPI_VMRELOCATE, 8, 3006, NULL, SMAPI_SAYS_RETRY,
     "VMRELOCATE: return code 8, reason code 3006 (the SSI cluster is not stable)"},
    {SMAPI_SSI_QUERY, 4, 3008, NULL, SMAPI_SAYS_FATAL,
     "SSI_Query: return code 4, reason code 3008 (the system is not in an SSI cluster)"},
    {SMAPI_VMRELOCATE, 8, 3003, NULL, SMAPI_SAYS_INPUT,
     "VMRELOCATE: return code 8, reason code 3003 (bad value of an operand)"},
    {SMAPI_VMRELOCATE, 24, 413, NULL, SMAPI_SAYS_INPUT,
     "VMRELOCATE: return code 24, reason code 413 (syntax, parameter 4: too long)"},
    {SMAPI_VMRELOCATE, 24, 477, NULL, SMAPI_SAYS_INPUT,
     "VMRELOCATE: return code 24, reason code 477"},
    {SMAPI_VMRELOCATE, 100, 16, NULL, SMAPI_SAYS_DENIED,
     "VMRELOCATE: return code 100, reason code 16 (not authorised, says the SMAPI server)"},
    {SMAPI_SSI_QUERY, 120, 0, NULL, SMAPI_SAYS_LOGIN,
     "SSI_Query: return code 120, reason code 0 (wrong userid or password)"},
    {SMAPI_SSI_QUERY, 128, 0, NULL, SMAPI_SAYS_LOGIN,
     "SSI_Query: return code 128, reason code 0 (the password has expired)"},
    {SMAPI_SSI_QUERY, 900, 99, NULL, SMAPI_SAYS_RETRY,
     "SSI_Query: return code 900, reason code 99 (the system changed during the call)"},
    {SMAPI_VMRELOCATE, 592, 108, NULL, SMAPI_SAYS_FATAL,
     "VMRELOCATE: return code 592, reason code 108 (the asynchronous operation failed)"},
    {SMAPI_VMRELOCATE, 8, 4711, NULL, SMAPI_SAYS_FATAL,
     "VMRELOCATE: return code 8, reason code 4711"},
    {SMAPI_VMRELOCATE, 4294967295, 4294967295, NULL, SMAPI_SAYS_FATAL,
     "VMRELOCATE: return code 4294967295, reason code 4294967295"},
};

static void codes_have_a_text_and_a_class(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char text[SMAPI_CODE_TEXT_MAX];
        const struct smapi_answer answer = {
            .rc = table[i].rc,
            .rs = table[i].rs,
            .data = (const uint8_t *)table[i].data,
            .length = table[i].data ? strlen(table[i].data) + 1 : 0,
        };
        assert_string_equal(smapi_code_text(table[i].function, &answer, text, sizeof(text)),
                            table[i].text);
        assert_int_equal(smapi_code_says(table[i].function, &answer), table[i].says);
    }
}

static void a_text_is_cut_to_its_buffer(void **state)
{
    (void)state;
    const struct smapi_answer answer = {.rc = 120};
    char text[16] = "xxxxxxxxxxxxxxx";
    assert_string_equal(smapi_code_text(SMAPI_SSI_QUERY, &answer, text, 10), "SSI_Query");
    assert_string_equal(smapi_code_text(SMAPI_SSI_QUERY, &answer, text, 1), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_a_text_and_a_class),
        cmocka_unit_test(a_text_is_cut_to_its_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
