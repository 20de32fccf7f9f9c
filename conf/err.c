/* err.c - why something failed, for a person */
#include "conf/err.h"

#include "conf/text.h"

#include <stdarg.h>
#include <string.h>

void rm_err_set(struct rm_err *err, const char *format, ...)
{
    if (!err)
        return;
    int saved_errno = errno;
    char text[RM_ERR_MAX]; /* arguments may point into the text that is replaced */
    va_list list;
    va_start(list, format);
    text_one_line(text_vformat(text, sizeof(text), format, list));
    va_end(list);
    memcpy(err->text, text, strlen(text) + 1);
    errno = saved_errno;
}

void rm_err_prefix(struct rm_err *err, const char *format, ...)
{
    if (!err)
        return;
    int saved_errno = errno;
    char prefix[RM_ERR_MAX];
    va_list list;
    va_start(list, format);
    text_vformat(prefix, sizeof(prefix), format, list);
    va_end(list);
    rm_err_set(err, "%s: %s", prefix, err->text);
    errno = saved_errno;
}
