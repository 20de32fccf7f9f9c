/* text.c - what texts are made of: UTF-8, what a terminal obeys, the columns that a text takes */
#include "conf/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

/* The byte that follows is read only where the one before was right, so never behind the NUL. */
size_t text_utf8(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80)
        return s[0] != '\0';
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool is_wrong = (s[0] == 0xe0 && s[1] < 0xa0)    /* longer than need be */
                    || (s[0] == 0xed && s[1] > 0x9f) /* surrogates */
                    || (s[0] == 0xf0 && s[1] < 0x90) /* longer than need be */
                    || (s[0] == 0xf4 && s[1] > 0x8f) /* above U+10FFFF */;
    return is_wrong ? 0 : length;
}

size_t text_control(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] == 0x7f || (s[0] < 0x20 && s[0] != '\0'))
        return 1;
    return s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f ? 2 : 0; /* U+009B begins commands */
}

size_t text_character(const char *text)
{
    if (*text == '\n' || *text == '\t')
        return 1;
    return text_control(text) == 0 ? text_utf8(text) : 0;
}

bool text_is_clean(const char *text)
{
    for (size_t n; *text; text += n) {
        n = text_character(text);
        if (n == 0)
            return false;
    }
    return true;
}

void text_clean(char *text)
{
    for (size_t n; *text; text += n) {
        n = text_character(text);
        if (n == 0) {
            *text = '?';
            n = 1;
        }
    }
}

const char *text_behind(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

int text_number(const char **text, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++)
        if (__builtin_mul_overflow(number, UINT64_C(10), &number) ||
            __builtin_add_overflow(number, (uint64_t)(**text - '0'), &number))
            return -ERANGE;
    *ret_number = number;
    return 0;
}

char *text_one_line(char *text)
{
    char *end = text; /* behind the last character that stays */
    for (char *p = text; *p;) {
        size_t n = text_control(p);
        memset(p, ' ', n);
        if (*p++ != ' ')
            end = p;
        else if (n == 2)
            p++;
    }
    *end = '\0';
    return text;
}

char *text_vformat(char *buffer, size_t size, const char *format, va_list list)
{
    static const char mark[] = "...";
    int length = vsnprintf(buffer, size, format, list);
    if (length < 0) {
        buffer[0] = '\0';
    } else if ((size_t)length >= size) {
        size_t end = size - sizeof(mark);
        while (end > 0 && ((unsigned char)buffer[end] & 0xc0) == 0x80)
            end--;
        memcpy(buffer + end, mark, sizeof(mark));
    }
    return buffer;
}

char *text_format(char *buffer, size_t size, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    text_vformat(buffer, size, format, list);
    va_end(list);
    return buffer;
}

/* The number of a character of that many bytes. */
static wchar_t decode(const char *text, size_t length)
{
    static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    unsigned number = (unsigned char)text[0] & first_bits[length];
    for (size_t i = 1; i < length; i++)
        number = number << 6 | ((unsigned char)text[i] & 0x3f);
    return (wchar_t)number;
}

size_t text_next(const char *text, int *ret_columns)
{
    size_t n = text_utf8(text);
    *ret_columns = n > 0 ? wcwidth(decode(text, n)) : -1;
    return *text && *ret_columns < 0 ? 1 : n;
}

unsigned text_width(const char *text, unsigned odd)
{
    unsigned sum = 0;
    while (*text) {
        int columns;
        text += text_next(text, &columns);
        sum += columns < 0 ? odd : (unsigned)columns;
    }
    return sum;
}
