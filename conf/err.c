/* err.c - why something failed, for a person */
#include "conf/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

char *rm_one_line(char *text)
{
    size_t length = strlen(text);
    while (length > 0 && (is_control((unsigned char)text[length - 1]) || text[length - 1] == ' '))
        text[--length] = '\0';
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (is_control(*p))
            *p = ' ';
        if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f) /* U+0080..U+009F: 0x9b starts commands */
            p[0] = p[1] = ' ';
    }
    return text;
}

/* Marks a text that did not fit; a character of several bytes goes as a whole. */
static void mark_cut(char *text, size_t size)
{
    static const char mark[] = "...";
    size_t end = size - sizeof(mark);
    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    memcpy(text + end, mark, sizeof(mark));
}

int rm_fail(struct rm_err *err, int code, const char *format, ...)
{
    if (!err)
        return code;
    char text[RM_ERR_MAX];
    va_list ap;
    va_start(ap, format);
    int r = vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    if (r < 0)
        text[0] = '\0';
    else if ((size_t)r >= sizeof(text))
        mark_cut(text, sizeof(text));
    memcpy(err->text, rm_one_line(text), strlen(text) + 1);
    return code;
}

int rm_prefix(struct rm_err *err, int code, const char *format, ...)
{
    if (!err)
        return code;
    char prefix[RM_ERR_MAX];
    va_list ap;
    va_start(ap, format);
    int r = vsnprintf(prefix, sizeof(prefix), format, ap);
    va_end(ap);
    if (r < 0)
        return code;
    return rm_fail(err, code, "%s: %s", prefix, err->text);
}
