/* account.h - what became of all that a command waited for, in one line
 *
 *     batch 7: 41 moved, 2 left, because: kvm3 (no space left on device); kvm9 (guest is shut off)
 *     batch 8: 41 moved; hyp01 is empty
 *     batch 9: 40 moved, 1 left; hyp01 is not empty: 40 moved, 1 left, because: kvm3 (guest is shut off)
 *     0 moved, 1 left, because: kvm3 (...)    (nothing became a job)
 *
 * The last line of every command that waits and has no terminal, where the line below the running jobs says it;
 * with --json it is the last object. */
#ifndef SUBMIT_ACCOUNT_H
#define SUBMIT_ACCOUNT_H

#include "submit/args.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ACCOUNT_NAMED_MAX = 10,  /* guests that are named, and hosts */
    ACCOUNT_TEXT_MAX = 2048, /* bytes of one of them, with why */
};

/* Zeros at first. */
struct account {
    uint64_t batch;     /* 0: none, or several */
    uint64_t moved;     /* guests that were not at their destination already */
    uint64_t left;      /* that were not moved, whose jobs or refusals say so */
    uint64_t there;     /* that are left on hosts of an evacuation, as far as their accounts know */
    uint64_t forgotten; /* jobs of which the broker does not know any more how they ended */
    uint64_t emptied;   /* hosts */
    uint64_t unempty;   /* hosts that guests are left on, or nobody knows it */
    char guests[ACCOUNT_NAMED_MAX][ACCOUNT_TEXT_MAX]; /* of left, the first ones */
    char hosts[ACCOUNT_NAMED_MAX][ACCOUNT_TEXT_MAX];  /* of unempty */
    char one[ACCOUNT_TEXT_MAX];                       /* the last of emptied */
};

/* A job that has ended. text: what was printed of it. */
void account_job(struct account *account, const RmJobView *view, const char *text);
/* A guest that became no job, or a host that is not emptied. */
void account_refused(struct account *account, const RmOutcome *outcome);
/* A host of an evacuation that is over. */
void account_host(struct account *account, const RmOutcome *outcome);

/* Is nothing left, and nothing forgotten? */
bool account_is_good(const struct account *account);

void account_print(const struct account *account, const struct args *args);

#endif
