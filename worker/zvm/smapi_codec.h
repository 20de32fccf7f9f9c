/* smapi_codec.h - the bytes of z/VM's SMAPI: requests written, replies and events read; no I/O
 *
 * Reading trusts no length. Where a person must know why, -EINVAL comes with a text. Lists are read
 * into arrays of the caller: the return value is how many there are, at most `max` of them are
 * filled, so a call with max 0 counts. Names are as they were sent, in upper case as a rule. */
#ifndef WORKER_ZVM_SMAPI_CODEC_H
#define WORKER_ZVM_SMAPI_CODEC_H

#include "conf/env.h"
#include "conf/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SMAPI_NAME_MAX = 8,            /* user ids, system ids, targets */
    SMAPI_PASSWORD_MAX = 200,      /* passwords and passphrases */
    SMAPI_REQUEST_MAX = 1024,      /* bytes of the longest request that can be written */
    SMAPI_REPLY_MIN = 12,          /* request id, return code, reason code */
    SMAPI_REPLY_MAX = 1024 * 1024, /* longer ones are refused before memory is taken */
    SMAPI_EVENT_MAX = 4096,        /* bytes of one event behind its length */
    SMAPI_NUMBERS_MAX = 32,        /* HCP numbers of one error record that are shown */
    SMAPI_STATUS_MAX = 15,         /* of a relocation */
    SMAPI_WORD_MAX = 15,           /* modes and states of SSI_Query */
};

enum smapi_function {
    SMAPI_VMRELOCATE,
    SMAPI_VMRELOCATE_STATUS,
    SMAPI_VMRELOCATE_MODIFY,
    SMAPI_VMRELOCATE_IMAGE_ATTRIBUTES,
    SMAPI_IMAGE_STATUS_QUERY,   /* target: a user id, or "*" for all that are active */
    SMAPI_SSI_QUERY,            /* target: "ALL" */
    SMAPI_CHECK_AUTHENTICATION, /* has no target */
    SMAPI_RESPONSE_RECOVERY,
    SMAPI_QUERY_ASYNCHRONOUS_OPERATION_DM,
    SMAPI_EVENT_SUBSCRIBE,
    SMAPI_FUNCTIONS,
};

/* Operands are sent in this order, as key=value. */
enum smapi_operand {
    SMAPI_DESTINATION,        /* VMRELOCATE: 1..8 */
    SMAPI_ACTION,             /* VMRELOCATE: MOVE, TEST, CANCEL; SMAPI's own default is TEST */
    SMAPI_FORCE,              /* VMRELOCATE: any of ARCHITECTURE DOMAIN STORAGE, blanks between */
    SMAPI_IMMEDIATE,          /* VMRELOCATE: YES or NO */
    SMAPI_MAX_TOTAL,          /* VMRELOCATE, _Modify: seconds or NOLIMIT */
    SMAPI_MAX_QUIESCE,        /* VMRELOCATE, _Modify: seconds or NOLIMIT */
    SMAPI_STATUS_TARGET,      /* _Status: ALL, USER <userid>, INCOMING, OUTGOING */
    SMAPI_RELOCATION_SETTING, /* _Image_Attributes: ON or OFF */
    SMAPI_DOMAIN_NAME,        /* _Image_Attributes */
    SMAPI_ARCHFORCE,          /* _Image_Attributes: YES or NO */
    SMAPI_OPERANDS,
};

struct smapi_request { /* all strings borrowed */
    enum smapi_function function;
    const char *target;                  /* 1..8, the guest as a rule; NULL where there is none */
    const char *operand[SMAPI_OPERANDS]; /* passed on as they are; NULL: not sent */
    uint32_t number; /* Response_Recovery: the request id; Query_Asynchronous...: the operation */
    usec_t leave_by; /* not sent later than this, by env_now(); 0 = whenever */
};

struct smapi_login { /* both empty: AF_IUCV, where the guest itself is authorised */
    char userid[SMAPI_NAME_MAX + 1];
    char password[SMAPI_PASSWORD_MAX + 1];
};

const char *smapi_function_name(enum smapi_function function); /* "VMRELOCATE_Status" */

/* Writes a request, its total length in front. Returns its length, or -EINVAL: a length, a
 * character or an operand that the function does not have. The bytes hold the password: wipe them.
 */
int smapi_encode_request(const struct smapi_request *request, const struct smapi_login *login,
                         uint8_t ret_bytes[static SMAPI_REQUEST_MAX], struct rm_err *err);

/* What smapi_encode_request() would refuse, without a login. 0 or -EINVAL. */
int smapi_check_request(const struct smapi_request *request, struct rm_err *err);

struct smapi_answer {
    uint32_t request_id;
    uint32_t rc, rs;     /* return code and reason code */
    const uint8_t *data; /* what the function delivers; may be NULL when length is 0 */
    size_t length;
    uint8_t *bytes; /* owned, data points into it; NULL: data is borrowed. smapi_answer_done() */
};

/* Gives the answer's memory back; fine for one that is all zero, or done already. */
void smapi_answer_done(struct smapi_answer *answer);

uint32_t smapi_decode_number(const uint8_t bytes[static 4]); /* big-endian */

/* The length field of a reply: 0, or -EINVAL when it is not SMAPI_REPLY_MIN..SMAPI_REPLY_MAX. */
int smapi_decode_reply_length(const uint8_t bytes[static 4], size_t *ret_length,
                              struct rm_err *err);

/* The bytes of a reply behind its length field. The data are borrowed from there. */
int smapi_decode_reply(const uint8_t *bytes, size_t length, struct smapi_answer *ret_answer,
                       struct rm_err *err);

/* The reply that a Response_Recovery with return code 0 brought: request id, return code, reason
 * code and data of the request that was lost, without a length of their own. */
int smapi_decode_recovered(const struct smapi_answer *recovery, uint32_t request_id,
                           struct smapi_answer *ret_answer, struct rm_err *err);

/* The operation of an answer with return code 592. */
int smapi_decode_operation(const struct smapi_answer *answer, uint32_t *ret_operation,
                           struct rm_err *err);

/* Error record of VMRELOCATE and VMRELOCATE_Modify: NUL-terminated strings of numbers of CP
 * messages, "1940 1996". Print one as HCP%04u. */
int smapi_decode_numbers(const struct smapi_answer *answer, unsigned *ret_numbers, size_t max,
                         struct rm_err *err);

typedef char smapi_name[SMAPI_NAME_MAX + 1];

/* Image_Status_Query. No data are no images. */
int smapi_decode_images(const struct smapi_answer *answer, smapi_name *ret_names, size_t max,
                        struct rm_err *err);

struct smapi_relocation {
    smapi_name image, source, destination, by;
    char elapsed[SMAPI_NAME_MAX + 1];
    char status[SMAPI_STATUS_MAX + 1]; /* may be empty */
};

/* VMRELOCATE_Status with return code 0. */
int smapi_decode_relocations(const struct smapi_answer *answer, struct smapi_relocation *ret,
                             size_t max, struct rm_err *err);

struct smapi_ssi {
    smapi_name name;
    char mode[SMAPI_WORD_MAX + 1]; /* "Stable" and others */
};

struct smapi_member {
    unsigned slot;
    smapi_name system;              /* empty: a slot without a system */
    char state[SMAPI_WORD_MAX + 1]; /* "Joined", "Down", "Available" and others */
};

/* SSI_Query. Returns how many slots there are. */
int smapi_decode_ssi(const struct smapi_answer *answer, struct smapi_ssi *ret_ssi,
                     struct smapi_member *ret_members, size_t max, struct rm_err *err);

/* One record of the stream that Event_Subscribe opens. */
struct smapi_event {
    uint32_t stream; /* 0: *VMEVENT, and only then is anything below known */
    unsigned class_, type;
    smapi_name user;   /* whom it is about */
    smapi_name system; /* the other side of a relocation; empty: not given */
    unsigned reason;   /* of a relocation that was terminated */
};

enum { /* types of class 0; what they mean is inferred from what they carry */
       SMAPI_EVENT_OUT_BEGINS = 9,
       SMAPI_EVENT_IN_BEGINS = 10,
       SMAPI_EVENT_OUT_ENDS = 11,
       SMAPI_EVENT_IN_ENDS = 12,
       SMAPI_EVENT_OUT_TERMINATES = 13,
       SMAPI_EVENT_IN_TERMINATES = 14,
};

/* The bytes behind the record's length. Names are EBCDIC (code page 924) there. A kind that is not
 * known leaves empty what is not a name. */
int smapi_decode_event(const uint8_t *bytes, size_t length, struct smapi_event *ret_event,
                       struct rm_err *err);

#endif
