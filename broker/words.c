/* words.c - what stands in vm.othersettings */
#include "broker/words.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Without the blanks at both ends. */
static const char *cut(const char *at, const char *end, size_t *ret_length)
{
    while (at < end && is_blank(*at))
        at++;
    while (end > at && is_blank(end[-1]))
        end--;
    *ret_length = (size_t)(end - at);
    return at;
}

bool word_next(const char **at, struct word *ret)
{
    if (**at == '\0')
        return false;
    const char *first = *at, *end = first + strcspn(first, ";");
    const char *colon = memchr(first, ':', (size_t)(end - first));

    ret->colon = colon;
    ret->key = cut(first, colon ? colon : end, &ret->key_length);
    ret->value = cut(colon ? colon + 1 : end, end, &ret->value_length);
    *at = end + (*end == ';' ? 1 : 0);
    return true;
}

bool word_is(const struct word *word, const char *key)
{
    return word->key_length == strlen(key) && memcmp(word->key, key, word->key_length) == 0;
}
