/* zvm_operand.c - KEY=VALUE behind a noderange */
#include "submit/zvm_operand.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { SECONDS_DIGITS = 8 };

struct key {
    const char *name;
    enum operand_key key;
    /* Checks a value that is not empty and keeps it. */
    int (*keep)(struct operands *operands, const char *value, char *ret_text);
    size_t field; /* the text's place in struct operands */
    const char *allowed;
};

void operands_init(struct operands *operands)
{
    *operands = (struct operands){.action = ACTION_MOVE, .destination = ""};
}

/* The index of a word among n, in any case, or -1. */
static int find(const char *const *words, int n, const char *word, size_t length)
{
    for (int i = 0; i < n; i++)
        if (strlen(words[i]) == length && strncasecmp(words[i], word, length) == 0)
            return i;
    return -1;
}

static int keep_destination(struct operands *operands, const char *value, char *ret_text)
{
    (void)ret_text;
    operands->destination = value;
    return 0;
}

static int keep_action(struct operands *operands, const char *value, char *ret_text)
{
    static const char *const words[] = {"MOVE", "TEST", "CANCEL"}; /* as enum operand_action */
    int i = find(words, 3, value, strlen(value));
    if (i < 0)
        return -EINVAL;
    operands->action = (enum operand_action)i;
    snprintf(ret_text, OPERAND_MAX, "%s", value);
    return 0;
}

/* Adds to the words that are there already, each once. */
static int keep_force(struct operands *operands, const char *value, char *ret_text)
{
    static const char *const words[] = {"ARCHITECTURE", "DOMAIN", "STORAGE"};
    (void)operands;
    bool some = false;
    for (const char *p = value + strspn(value, ", "); *p; p += strspn(p, ", ")) {
        size_t length = strcspn(p, ", ");
        int i = find(words, 3, p, length);
        if (i < 0)
            return -EINVAL;
        some = true;
        if (!strcasestr(ret_text, words[i])) {
            size_t used = strlen(ret_text);
            snprintf(ret_text + used, OPERAND_MAX - used, "%s%.*s", used ? " " : "", (int)length,
                     p);
        }
        p += length;
    }
    return some ? 0 : -EINVAL;
}

static int keep_yes_no(struct operands *operands, const char *value, char *ret_text)
{
    static const char *const words[] = {"YES", "NO"};
    (void)operands;
    if (find(words, 2, value, strlen(value)) < 0)
        return -EINVAL;
    snprintf(ret_text, OPERAND_MAX, "%s", value);
    return 0;
}

static int keep_seconds(struct operands *operands, const char *value, char *ret_text)
{
    (void)operands;
    if (strcasecmp(value, "NOLIMIT") != 0) {
        size_t digits = strspn(value, "0123456789");
        if (value[digits] != '\0')
            return -EINVAL;
        value += strspn(value, "0");
        if (value[0] == '\0' || strlen(value) > SECONDS_DIGITS)
            return -EINVAL;
    }
    snprintf(ret_text, OPERAND_MAX, "%s", value);
    return 0;
}

#define SECONDS "NOLIMIT or whole seconds from 1 to 99999999"

static const struct key keys[] = {
    {"destination", OPERAND_DESTINATION, keep_destination, 0, "a hypervisor"},
    {"action", OPERAND_ACTION, keep_action, offsetof(struct operands, action_text),
     "MOVE, TEST or CANCEL"},
    {"force", OPERAND_FORCE, keep_force, offsetof(struct operands, force),
     "any of ARCHITECTURE, DOMAIN and STORAGE"},
    {"immediate", OPERAND_IMMEDIATE, keep_yes_no, offsetof(struct operands, immediate),
     "YES or NO"},
    {"max_total", OPERAND_MAX_TOTAL, keep_seconds, offsetof(struct operands, max_total), SECONDS},
    {"max_quiesce", OPERAND_MAX_QUIESCE, keep_seconds, offsetof(struct operands, max_quiesce),
     SECONDS},
};

enum { KEYS = sizeof(keys) / sizeof(keys[0]) };

static const struct key *key_of(unsigned allowed, const char *word, size_t length)
{
    for (size_t i = 0; i < KEYS; i++)
        if ((allowed & keys[i].key) && strlen(keys[i].name) == length &&
            strncasecmp(keys[i].name, word, length) == 0)
            return &keys[i];
    return NULL;
}

static int unknown(unsigned allowed, const char *word, struct rm_err *err)
{
    char list[128] = "";
    size_t left = 0;
    for (size_t i = 0; i < KEYS; i++)
        left += (allowed & keys[i].key) != 0;
    for (size_t i = 0; i < KEYS; i++)
        if (allowed & keys[i].key) {
            size_t used = strlen(list);
            left--;
            snprintf(list + used, sizeof(list) - used, "%s%s", keys[i].name,
                     left > 1    ? ", "
                     : left == 1 ? " and "
                                 : "");
        }
    return rm_fail(err, -EINVAL, "'%s': unknown operand; known operands are %s%s", word,
                   allowed == OPERANDS_OF_LIMITS ? "bandwidth, downtime, timeout, stall, priority, "
                                                 : "",
                   list);
}

int operands_take(struct operands *operands, unsigned allowed, const char *word, struct rm_err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    size_t length = strspn(word, letters);
    if (length == 0 || word[length] != '=')
        return 0;
    const char *value = word + length + 1;
    const struct key *key = key_of(allowed, word, length);
    if (!key && (value[0] == '=' || value[0] == '~' || strstr(value, "://"))) /* NAME=URI */
        return 0;
    if (!key)
        return unknown(allowed, word, err);
    if ((operands->given & key->key) && key->key != OPERAND_FORCE)
        return rm_fail(err, -EINVAL, "'%s': %s is given twice", word, key->name);
    if (value[0] == '\0')
        return rm_fail(err, -EINVAL, "%s= needs a value: %s", key->name, key->allowed);
    if (key->keep(operands, value, (char *)operands + key->field) < 0)
        return rm_fail(err, -EINVAL, "%s='%s': must be %s", key->name, value, key->allowed);
    operands->given |= key->key;
    return 1;
}

bool operands_relocation(const struct operands *operands, RmRelocation *ret_relocation)
{
    rm_relocation__init(ret_relocation);
    if ((operands->given & ~(unsigned)OPERAND_DESTINATION) == 0)
        return false;
    ret_relocation->action = (char *)operands->action_text;
    ret_relocation->force = (char *)operands->force;
    ret_relocation->immediate = (char *)operands->immediate;
    ret_relocation->max_total = (char *)operands->max_total;
    ret_relocation->max_quiesce = (char *)operands->max_quiesce;
    return true;
}
