/* out.c - what is printed: results and errors */
#include "submit/out.h"

#include "conf/service.h"
#include "conf/text.h"

#include <errno.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- lines */

/* One line without the characters that would do something to a terminal. */
static void put_clean(FILE *file, const char *text, size_t length)
{
    for (const char *end = text + length; text < end;) {
        size_t control = *text == '\t' ? 0 : text_control(text);
        fputc(control ? ' ' : *text, file);
        text += control ? control : 1;
    }
}

static const char *tag; /* NULL: none */

void out_tag(const char *server)
{
    tag = server;
}

/* NAME: [SERVER]: MARK TEXT, each line of it; without a name the mark comes first. */
static void put_lines(FILE *file, const char *name, const char *mark, const char *text)
{
    const char *server = strcmp(name, "rmigrate") == 0 ? NULL : tag;
    size_t left = strlen(text);
    while (left > 0 && (text[left - 1] == '\n' || text[left - 1] == '\r'))
        left--;
    do {
        const char *end = memchr(text, '\n', left);
        size_t length = end ? (size_t)(end - text) : left;
        if (name[0] != '\0') {
            put_clean(file, name, strlen(name));
            fputs(": ", file);
        } else {
            fputs(mark, file);
        }
        if (server && (name[0] != '\0' || mark[0] != '\0'))
            fprintf(file, "[%s]: ", server);
        if (name[0] != '\0')
            fputs(mark, file);
        put_clean(file, text, length > 0 && text[length - 1] == '\r' ? length - 1 : length);
        fputc('\n', file);
        text += end ? length + 1 : length;
        left -= end ? length + 1 : length;
    } while (left > 0);
}

void out_result(const char *name, const char *text)
{
    put_lines(stdout, name, "", text);
}

void out_failure(const char *name, const char *text)
{
    put_lines(stderr, name, "Error: ", text);
}

void out_field(FILE *file, const char *name, const char *text)
{
    fprintf(file, "%-12s", name);
    put_lines(file, "", "", text);
}

void out_text(FILE *file, const char *text)
{
    put_lines(file, "", "", text);
}

void out_say(const char *name, const char *mark, const char *format, ...)
{
    char *text;
    va_list list;
    va_start(list, format);
    int r = vasprintf(&text, format, list);
    va_end(list);
    put_lines(stderr, name, mark, r < 0 ? format : text);
    if (r >= 0)
        free(text);
}

int out_no_memory(void)
{
    out_error("no memory");
    return EXIT_SOME_FAILED;
}

bool out_is_sound(void)
{
    static bool reported;
    int r = fflush(stdout) != 0 ? errno : 0;
    if (r == 0 && !ferror(stdout))
        return true;
    if (!reported && r != EPIPE) /* who closes a pipe knows it */
        out_error("cannot write to standard output: %s", strerror(r ? r : EIO));
    reported = true;
    return false;
}

int out_finish(int code)
{
    return out_is_sound() || code != EXIT_OK ? code : EXIT_SOME_FAILED;
}

bool out_has_colour(FILE *file)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fileno(file)) && !(no && no[0] != '\0') && term && strcmp(term, "dumb") != 0;
}

bool out_is_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}
