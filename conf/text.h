/* text.h - what texts are made of: UTF-8, what a terminal obeys, the columns that a text takes
 *
 * Texts are UTF-8 and end with a NUL; what comes from outside may hold anything, and every function
 * bears that. Where a character is looked at, no byte behind the NUL is read. Control characters
 * are U+0001 to U+001F, U+007F, and U+0080 to U+009F: a terminal obeys those of two bytes as
 * well. */
#ifndef CONF_TEXT_H
#define CONF_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character that the text begins with: UTF-8 in its shortest form, no surrogate,
 * nothing above U+10FFFF. 0: no character, or the end. */
size_t text_utf8(const char *text);

/* Bytes of the control character that the text begins with; 0: something else. */
size_t text_control(const char *text);

/* Bytes of the character that the text begins with, if a message may carry it: text_utf8() without
 * the control characters but newline and tab. 0: none, or the end. */
size_t text_character(const char *text);

bool text_is_clean(const char *text); /* of such characters alone */
void text_clean(char *text);          /* makes it so, with '?' for each other byte */

/* What follows the prefix that the text begins with; NULL: it does not. */
const char *text_behind(const char *text, const char *prefix);

/* The number whose digits the text begins with, and where they end; 0 where there is none. -ERANGE:
 * above 64 bits. */
int text_number(const char **text, uint64_t *ret_number);

/* Makes one line of a text in place: the line's end and blanks at the end go, control characters
 * inside become blanks. The text is returned. */
char *text_one_line(char *text);

/* vsnprintf() and snprintf() for people: a text that does not fit is cut at a whole character and ends with "...",
 * a format that fails gives the empty text. size is at least 4. The buffer is returned. */
char *text_vformat(char *buffer, size_t size, const char *format, va_list list)
    __attribute__((format(printf, 3, 0)));
char *text_format(char *buffer, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Bytes of the character that the text begins with, 0 at the end, and the columns that it takes on
 * a terminal of the locale: -1 when it cannot be shown there, which is then one byte. */
size_t text_next(const char *text, int *ret_columns);

/* Columns of the whole text, with odd columns for each byte that cannot be shown. */
unsigned text_width(const char *text, unsigned odd);

#endif
