/* smapi_code.h - what SMAPI's return and reason codes mean: for a person, and for what to do next
 *
 * Only codes with a known meaning get words; all others are shown as the numbers that they are. */
#ifndef WORKER_ZVM_SMAPI_CODE_H
#define WORKER_ZVM_SMAPI_CODE_H

#include "worker/zvm/smapi_codec.h"

enum smapi_says {
    SMAPI_SAYS_OK,
    SMAPI_SAYS_OFF,     /* the user is not logged on there */
    SMAPI_SAYS_NOTHING, /* no relocation of it is in progress */
    SMAPI_SAYS_UNFIT,   /* this guest cannot go to this destination */
    SMAPI_SAYS_RETRY,   /* later it may work */
    SMAPI_SAYS_LOGIN,   /* userid or password */
    SMAPI_SAYS_DENIED,  /* the user is not authorised for this */
    SMAPI_SAYS_INPUT,   /* an operand is wrong: the user's mistake, or ours */
    SMAPI_SAYS_FATAL,   /* all else, unknown codes too */
};

enum smapi_says smapi_code_says(enum smapi_function function, const struct smapi_answer *answer);

/* "VMRELOCATE: return code 8, reason code 3000 (MOVE error): HCP1940 HCP1981". Cut when it does not
 * fit; the buffer is returned. */
enum { SMAPI_CODE_TEXT_MAX = 512 };
const char *smapi_code_text(enum smapi_function function, const struct smapi_answer *answer,
                            char *buffer, size_t size);

#endif
