/* parse.c - from the bytes of a request to its fields, strictly */
#include "sim.h"

#include <ctype.h>
#include <string.h>

/* Of rc 24: the reason code is the parameter's position, and one of these. */
enum {
    SYNTAX_CONFLICT = 23,
    SYNTAX_MISSING = 24,
    SYNTAX_EXTRANEOUS = 25,
    SYNTAX_CHAR42 = 42,
    SYNTAX_END = 88,
};
enum { RS_FUNCTION = 12, RS_LENGTH = 36 };

void refuse(struct refusal *refusal, uint32_t rc, uint32_t rs, const char *format, ...)
{
    va_list args;

    if (refusal->rc != 0)
        return;
    refusal->rc = rc;
    refusal->rs = rs;
    va_start(args, format);
    vsnprintf(refusal->why, sizeof(refusal->why), format, args);
    va_end(args);
}

struct reader {
    const char *at;
    size_t n;
    int position; /* of the field that comes next */
};

/* A length, and as many bytes: at most max of them, and no more than there are. */
static bool read_field(struct reader *reader, const char *name, size_t min, size_t max,
                       const char **ret_at, size_t *ret_n, struct refusal *refusal)
{
    uint32_t length;

    reader->position++;
    if (reader->n < 4) {
        refuse(refusal, RC_SYNTAX,
               (uint32_t)reader->position * 100 + (reader->n == 0 ? SYNTAX_MISSING : SYNTAX_END),
               "the %s is missing", name);
        return false;
    }
    length = read_u32(reader->at);
    if (length < min || length > max || length > reader->n - 4) {
        refuse(refusal, RC_FRAME, RS_LENGTH, "the %s says it has %u bytes, and %zu are left", name,
               length, reader->n - 4);
        return false;
    }
    *ret_at = reader->at + 4;
    *ret_n = length;
    reader->at += 4 + length;
    reader->n -= 4 + length;
    return true;
}

/* The same, as a name of up to 8 characters in upper case. */
static bool read_name_field(struct reader *reader, const char *name, size_t min,
                            char ret_name[static NAME_MAX_8 + 1], struct refusal *refusal)
{
    char text[NAME_MAX_8 + 1] = "";
    const char *at;
    size_t n;

    if (!read_field(reader, name, min, NAME_MAX_8, &at, &n, refusal))
        return false;
    memcpy(text, at, n);
    if (n > 0 && (strlen(text) != n || !read_name(ret_name, text))) {
        refuse(refusal, RC_SYNTAX, (uint32_t)reader->position * 100 + SYNTAX_CHAR42,
               "the %s has other characters than char42", name);
        return false;
    }
    return true;
}

static bool is_known_key(const struct function *function, const char *key)
{
    for (size_t i = 0; function->keys[i] != NULL; i++)
        if (strcmp(function->keys[i], key) == 0)
            return true;
    return false;
}

/* key=value, each ended by a NUL, in any order. What is wrong with the value is not looked at. */
static void parse_keys(struct request *request, const struct function *function,
                       struct refusal *refusal)
{
    uint32_t position = (uint32_t)request->position;

    bytes_add(&request->text, request->rest, request->n_rest);
    for (size_t at = 0; at < request->n_rest; position++) {
        char *key = request->text.at + at, *value;
        size_t n = strlen(key);
        if (at + n == request->n_rest) {
            refuse(refusal, RC_SYNTAX, position * 100 + SYNTAX_END,
                   "the last parameter is not ended by a NUL");
            return;
        }
        at += n + 1;
        value = strchr(key, '=');
        if (value != NULL)
            *value++ = '\0';
        if (value == NULL || !is_known_key(function, key)) {
            refuse(refusal, 8, 3002, "unknown parameter");
            continue;
        }
        for (char *p = value; *p != '\0'; p++)
            *p = (char)toupper((unsigned char)*p);
        if (request_key(request, key) != NULL || request->n_keys == KEYS_MAX) {
            refuse(refusal, RC_SYNTAX, position * 100 + SYNTAX_CONFLICT, "%s comes twice", key);
            continue;
        }
        request->keys[request->n_keys].key = key;
        request->keys[request->n_keys++].value = value;
    }
}

void request_parse(struct request *request, const char *at, size_t n, struct refusal *refusal)
{
    struct reader reader = {.at = at + 4, .n = n - 4};
    const struct function *function;
    const char *name;
    size_t n_name;

    if (!read_field(&reader, "function", 1, FUNCTION_MAX, &name, &n_name, refusal))
        return;
    memcpy(request->name, name, n_name);
    function = function_find(request->name);
    if (strlen(request->name) != n_name || function == NULL)
        refuse(refusal, RC_FRAME, RS_FUNCTION, "there is no such function");
    for (char *p = request->name; *p != '\0'; p++)
        if (!isgraph((unsigned char)*p))
            *p = '?';
    if (!read_name_field(&reader, "user id", 0, request->userid, refusal))
        return;
    if (!read_field(&reader, "password", 0, PASSWORD_MAX, &request->password, &request->n_password,
                    refusal))
        return;
    if (refusal->rc != 0)
        return;
    if (function->has_target) {
        /* Every active image: the one target that is no name. */
        if (strcmp(function->name, "Image_Status_Query") == 0 && reader.n >= 5 &&
            read_u32(reader.at) == 1 && reader.at[4] == '*') {
            memcpy(request->target, "*", 2);
            reader.at += 5;
            reader.n -= 5;
            reader.position++;
        } else if (!read_name_field(&reader, "target", 1, request->target, refusal)) {
            return;
        }
    }
    request->position = reader.position + 1;
    request->rest = reader.at;
    request->n_rest = reader.n;
    if (function->keys != NULL)
        parse_keys(request, function, refusal);
    else if (!function->takes_bytes && reader.n > 0)
        refuse(refusal, RC_SYNTAX, (uint32_t)request->position * 100 + SYNTAX_EXTRANEOUS,
               "%zu bytes after the last parameter", reader.n);
}
