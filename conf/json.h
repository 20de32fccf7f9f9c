/* json.h - JSON for programs, written piece by piece
 *
 * Each call writes one value at once; nothing is kept but whether a comma comes next. What is not
 * UTF-8 becomes U+FFFD and control characters are escaped, so that what comes out is always JSON
 * and does nothing to a terminal. Errors of the stream stay in the stream (ferror). */
#ifndef CONF_JSON_H
#define CONF_JSON_H

#include "conf/env.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json {
    FILE *file;
    bool comma; /* something stands before in this object or array */
    bool line;  /* the next item begins a line */
};

/* bracket: '{' or '['. key: NULL inside an array and for the outermost. */
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket); /* the closing one: '}' or ']' */

/* What comes next begins a line: for the items of a long array. */
void json_line(struct json *json);

void json_text(struct json *json, const char *key,
               const char *value); /* "": null, as in listings */
void json_number(struct json *json, const char *key, uint64_t value);
void json_seconds(struct json *json, const char *key, usec_t value); /* 1.500000 */
void json_time(struct json *json, const char *key, usec_t at);       /* the same; 0: null */
void json_bool(struct json *json, const char *key, bool value);
void json_raw(struct json *json, const char *key, const char *text,
              size_t length); /* JSON that was written apart */

#endif
