/* zvm_operand.h - KEY=VALUE behind a noderange: the operands of z/VM's relocation, as xCAT writes them
 *
 * Keys and words are taken in any case. Values are checked here, before anything is sent, and kept
 * as they were typed: z/VM takes lower case too. */
#ifndef SUBMIT_ZVM_OPERAND_H
#define SUBMIT_ZVM_OPERAND_H

#include "conf/err.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

/* Which operands a command takes. */
enum operand_key {
    OPERAND_DESTINATION = 1,
    OPERAND_ACTION = 2,
    OPERAND_FORCE = 4,
    OPERAND_IMMEDIATE = 8,
    OPERAND_MAX_TOTAL = 16,
    OPERAND_MAX_QUIESCE = 32,
};
enum {
    OPERANDS_OF_MOVE = 63,
    OPERANDS_OF_EVACUATION = OPERANDS_OF_MOVE & ~OPERAND_ACTION,
    OPERANDS_OF_LIMITS = OPERAND_MAX_TOTAL | OPERAND_MAX_QUIESCE,
};

enum operand_action { ACTION_MOVE, ACTION_TEST, ACTION_CANCEL };

enum { OPERAND_MAX = 32 }; /* longest value with its end: all three words of force */

struct operands {
    unsigned given; /* enum operand_key */
    enum operand_action action;
    const char *destination; /* borrowed from its word; "" = not given */
    char action_text[OPERAND_MAX], force[OPERAND_MAX], immediate[OPERAND_MAX];
    char max_total[OPERAND_MAX], max_quiesce[OPERAND_MAX];
};

void operands_init(struct operands *operands);

/* Takes a word if it is KEY=VALUE; a condition of a noderange, as mgt==zvm, is none. allowed: enum
 * operand_key. 1: taken; 0: it is no operand; -EINVAL: its key or its value is wrong, or it was
 * given before. */
int operands_take(struct operands *operands, unsigned allowed, const char *word,
                  struct rm_err *err);

/* What of it travels with a job; borrows. False, and an empty record: nothing. */
bool operands_relocation(const struct operands *operands, RmRelocation *ret_relocation);

#endif
