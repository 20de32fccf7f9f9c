/* out.h - what is printed: results, errors, and what it all means for the exit code
 *
 * Results go to stdout as `NODE: text`, errors to stderr as `NODE: Error: text`, every line of a
 * longer text with its prefix. Control characters in what others wrote are replaced: a terminal
 * obeys them. Functions that return a code return one of enum service_exit. */
#ifndef SUBMIT_OUT_H
#define SUBMIT_OUT_H

#include <stdbool.h>
#include <stdio.h>

/* "NAME: text", line by line; name "" leaves the prefix out. */
void out_result(const char *name, const char *text);  /* stdout */
void out_failure(const char *name, const char *text); /* stderr, with "Error: " */

/* "NAME        text", without a tag; a text of several lines goes on in lines of its own. */
void out_field(FILE *file, const char *name, const char *text);
void out_text(FILE *file, const char *text); /* the text alone */

/* "Error: TEXT", "Warning: TEXT", and a remark to the person at the terminal, "rmigrate: TEXT"; all
 * on stderr. */
#define out_error(...)   out_say("", "Error: ", __VA_ARGS__)
#define out_warning(...) out_say("", "Warning: ", __VA_ARGS__)
#define out_note(...)    out_say("rmigrate", "", __VA_ARGS__)
void out_say(const char *name, const char *mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* From now on all of these bear "[SERVER]: " as xCAT's verbose lines do. Borrowed. */
void out_tag(const char *server);

int out_no_memory(void); /* says so; EXIT_SOME_FAILED */

/* True when stdout can still be written to; otherwise says once why not. */
bool out_is_sound(void);

/* At the end: flushes stdout; a code of 0 becomes EXIT_SOME_FAILED when that did not work. */
int out_finish(int code);

/* May colours be used on that stream: it is a terminal, and neither NO_COLOR nor TERM=dumb says no.
 */
bool out_has_colour(FILE *file);

/* The locale's characters are UTF-8. */
bool out_is_utf8(void);

#endif
