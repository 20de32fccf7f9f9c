/* json.c - JSON for programs */
#include "conf/json.h"

#include "conf/text.h"

#include <inttypes.h>
#include <stddef.h>

static void string(FILE *file, const char *text)
{
    fputc('"', file);
    for (size_t n; *text; text += n) {
        n = text_utf8(text);
        if (n == 0) {
            fputs("\\ufffd", file);
            n = 1;
        } else if (*text == '"' || *text == '\\')
            fprintf(file, "\\%c", *text);
        else if (*text == '\n')
            fputs("\\n", file);
        else if (text_control(text) > 0) /* U+0080 to U+009F differ in their second byte alone */
            fprintf(file, "\\u%04x", (unsigned char)text[n - 1]);
        else
            fwrite(text, 1, n, file);
    }
    fputc('"', file);
}

static void begin(struct json *json, const char *key)
{
    if (json->comma)
        fputs(json->line ? "," : ", ", json->file);
    if (json->line)
        fputc('\n', json->file);
    json->comma = true;
    json->line = false;
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

void json_line(struct json *json)
{
    json->line = true;
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

void json_raw(struct json *json, const char *key, const char *text, size_t length)
{
    begin(json, key);
    fwrite(text, 1, length, json->file);
}
