/* json.h - JSON for programs: one object a line while results come in, and single objects
 *
 * Listings use libsmartcols instead (out.h). Text that is not UTF-8 is mended, so that what comes
 * out is always JSON. Errors of the stream stay in the stream (ferror). */
#ifndef SUBMIT_JSON_H
#define SUBMIT_JSON_H

#include "conf/env.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
    FILE *file;
    bool comma; /* something stands before in this object or array */
};

/* bracket: '{' or '['. key: NULL inside an array and for the outermost. */
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket); /* the closing one: '}' or ']' */

void json_text(struct json *json, const char *key,
               const char *value); /* "": null, as in listings */
void json_number(struct json *json, const char *key, uint64_t value);
void json_seconds(struct json *json, const char *key, usec_t value); /* 1.500000 */
void json_time(struct json *json, const char *key, usec_t at); /* seconds since 1970; 0: null */
void json_bool(struct json *json, const char *key, bool value);

#endif
