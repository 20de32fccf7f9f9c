/* smapi_end.h - how a request to a SMAPI server ended */
#ifndef WORKER_ZVM_SMAPI_END_H
#define WORKER_ZVM_SMAPI_END_H

enum smapi_end {
    SMAPI_ANSWERED,  /* the answer is filled; what it means is another matter (smapi_code.h) */
    SMAPI_NOT_SENT,  /* it cannot have been carried out: no connection, no login, a bad operand, or
                        not all of it left; the same again is safe */
    SMAPI_UNCERTAIN, /* all of it left, no request id came back: nobody knows whether it was taken
                      */
    SMAPI_LOST,      /* it was taken (the request id is known), but the reply could not be had in
                        time, also not by Response_Recovery */
    SMAPI_STOPPED,   /* wait() ended it after it was taken; it goes on over there */
    SMAPI_REFUSED_LOGIN, /* userid or password wrong or expired, now or before: nothing was done */
};

#endif
