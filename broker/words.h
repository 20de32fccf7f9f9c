/* words.h - what stands in vm.othersettings: key:value;key:value */
#ifndef BROKER_WORDS_H
#define BROKER_WORDS_H

#include <stdbool.h>
#include <stddef.h>

/* Slices of the text, without the blanks around them. */
struct word {
    const char *key, *value;
    size_t key_length, value_length;
    bool colon; /* there is one; else all of it is the key */
};

/* The next one, and *at moves on; false: there is none. */
bool word_next(const char **at, struct word *ret);
bool word_is(const struct word *word, const char *key);

#endif
