/* json.c - JSON for programs */
#include "submit/json.h"

#include <inttypes.h>
#include <stddef.h>

/* Bytes of the UTF-8 character at p, 0 when it is none: too long forms, surrogates and what lies
 * above U+10FFFF are refused. */
static size_t utf8_length(const unsigned char *p)
{
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xf0 && p[0] <= 0xf4   ? 4
               : p[0] >= 0xe0 && p[0] <= 0xef ? 3
               : p[0] >= 0xc2 && p[0] <= 0xdf ? 2
                                              : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

static void string(FILE *file, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    fputc('"', file);
    while (*p) {
        size_t n = utf8_length(p);
        if (n == 0) {
            fputs("\\ufffd", file);
            n = 1;
        } else if (*p == '"' || *p == '\\')
            fprintf(file, "\\%c", *p);
        else if (*p == '\n')
            fputs("\\n", file);
        else if (*p < 0x20 || *p == 0x7f)
            fprintf(file, "\\u%04x", *p);
        else
            fwrite(p, 1, n, file);
        p += n;
    }
    fputc('"', file);
}

static void begin(struct json *json, const char *key)
{
    if (json->comma)
        fputs(", ", json->file);
    json->comma = true;
    if (key) {
        string(json->file, key);
        fputs(": ", json->file);
    }
}

void json_open(struct json *json, const char *key, char bracket)
{
    begin(json, key);
    fputc(bracket, json->file);
    json->comma = false;
}

void json_close(struct json *json, char bracket)
{
    fputc(bracket, json->file);
    json->comma = true;
}

void json_text(struct json *json, const char *key, const char *value)
{
    begin(json, key);
    if (value[0] == '\0')
        fputs("null", json->file);
    else
        string(json->file, value);
}

void json_number(struct json *json, const char *key, uint64_t value)
{
    begin(json, key);
    fprintf(json->file, "%" PRIu64, value);
}

void json_seconds(struct json *json, const char *key, usec_t value)
{
    begin(json, key);
    fprintf(json->file, "%" PRIu64 ".%06" PRIu64, value / USEC_PER_SEC, value % USEC_PER_SEC);
}

void json_time(struct json *json, const char *key, usec_t at)
{
    if (at == 0)
        json_text(json, key, "");
    else
        json_seconds(json, key, at);
}

void json_bool(struct json *json, const char *key, bool value)
{
    begin(json, key);
    fputs(value ? "true" : "false", json->file);
}
