/* source.c - a configuration file, with all that it includes, as one text that libconfig reads */
#include "conf/source.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 8192 }; /* room for a file at first */

/* From line `first` of the whole on, lines come from `file`, beginning with its line `line`. */
struct segment {
    unsigned first;
    unsigned line;
    const char *file; /* one of source.files */
};

struct source {
    char *text;
    size_t length, room;
    unsigned line; /* of the whole, that is written now */
    char *files[SOURCE_FILES_MAX];
    size_t n_files;
    struct segment *segments; /* by first, rising */
    size_t n_segments;
};

void source_free(struct source *source)
{
    if (!source)
        return;
    for (size_t i = 0; i < source->n_files; i++)
        free(source->files[i]);
    free(source->segments);
    free(source->text);
    free(source);
}

const char *source_text(const struct source *source)
{
    return source->text;
}

const char *source_file(const struct source *source, unsigned line, unsigned *ret_line)
{
    size_t i = source->n_segments - 1;
    while (i > 0 && source->segments[i].first > line)
        i--;
    const struct segment *segment = &source->segments[i];
    *ret_line = line < segment->first ? segment->line : segment->line + (line - segment->first);
    return segment->file;
}

static int append(struct source *source, const char *text, size_t length)
{
    if (source->length + length + 1 > source->room) {
        size_t room = 2 * source->room + length + 1;
        char *bigger = realloc(source->text, room);
        if (!bigger)
            return -ENOMEM;
        source->text = bigger;
        source->room = room;
    }
    memcpy(source->text + source->length, text, length);
    source->length += length;
    source->text[source->length] = '\0';
    for (size_t i = 0; i < length; i++)
        source->line += text[i] == '\n';
    return 0;
}

static int begin_segment(struct source *source, const char *file, unsigned line)
{
    size_t size = (source->n_segments + 1) * sizeof(struct segment);
    struct segment *segments = realloc(source->segments, size);
    if (!segments)
        return -ENOMEM;
    source->segments = segments;
    segments[source->n_segments++] =
        (struct segment){.first = source->line, .line = line, .file = file};
    return 0;
}

/* What is read now and how far. */
struct reader {
    struct source *source;
    struct rm_err *err;
    const char *file;
    const char *p; /* next character; the text ends with NUL */
    const char *copied;
    unsigned line;
    unsigned depth;
};

static int add_file(struct source *source, const char *path, unsigned depth, struct rm_err *err);

/* Reads until the end, at most `left` bytes; the text grows with what comes. */
static int read_open(int fd, size_t left, char **ret_text, size_t *ret_length)
{
    char *text = NULL;
    size_t length = 0, room = 0;
    int r = 0;
    for (;;) {
        if (length + 1 >= room) {
            room = room > 0 ? 2 * room : READ_BYTES;
            char *bigger = realloc(text, room);
            if (!bigger) {
                r = -ENOMEM;
                break;
            }
            text = bigger;
        }
        ssize_t n = read(fd, text + length, room - 1 - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            r = -errno;
        if (n <= 0)
            break;
        length += (size_t)n;
        if (length > left) {
            r = -EFBIG;
            break;
        }
    }
    if (r < 0) {
        free(text);
        return r;
    }
    text[length] = '\0';
    *ret_text = text;
    *ret_length = length;
    return 0;
}

static int read_whole(const char *path, size_t left, char **ret_text, size_t *ret_length,
                      struct rm_err *err)
{
    /* O_NONBLOCK: opening a pipe must not wait for somebody who writes. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return rm_fail(err, -errno, "%s: %s", path, strerror(errno));
    struct stat st;
    int r = 0;
    if (fstat(fd, &st) < 0)
        r = -errno;
    bool regular = r == 0 && S_ISREG(st.st_mode);
    if (regular)
        r = read_open(fd, left, ret_text, ret_length);
    close(fd);
    if (r == -EFBIG)
        return rm_fail(err, -EINVAL, "%s: more than %d bytes of settings", path, SOURCE_BYTES_MAX);
    if (r < 0)
        return rm_fail(err, r, "%s: %s", path, strerror(-r));
    if (!regular)
        return rm_fail(err, -EINVAL, "%s: not a regular file", path);
    return 0;
}

/* The name of an included file, counted from the file that includes it. */
static char *beside(const char *file, const char *name, size_t length)
{
    const char *slash = strrchr(file, '/');
    char *path = NULL;
    int r;
    if (name[0] == '/' || !slash)
        r = asprintf(&path, "%.*s", (int)length, name);
    else
        r = asprintf(&path, "%.*s/%.*s", (int)(slash - file), file, (int)length, name);
    return r < 0 ? NULL : path;
}

/* At the begin of a line: true when it includes a file. */
static bool is_include(const char *p, const char **ret_name)
{
    static const char word[] = "@include";
    p += strspn(p, " \t");
    if (strncmp(p, word, strlen(word)) != 0)
        return false;
    p += strlen(word);
    size_t blanks = strspn(p, " \t");
    if (blanks == 0 || p[blanks] != '"')
        return false;
    *ret_name = p + blanks + 1;
    return true;
}

static int copy(struct reader *rd, const char *end)
{
    int r = append(rd->source, rd->copied, (size_t)(end - rd->copied));
    rd->copied = end;
    return r < 0 ? rm_fail(rd->err, r, "%s: %s", rd->file, strerror(-r)) : 0;
}

static int include(struct reader *rd, const char *name)
{
    size_t length = strcspn(name, "\"\n");
    if (name[length] != '"' || length == 0 || length >= PATH_MAX)
        return rm_fail(rd->err, -EINVAL, "%s:%u: @include needs a file's name in quotes", rd->file,
                       rd->line);
    const char *rest = name + length + 1;
    rest += strspn(rest, " \t\r");
    if (*rest && *rest != '\n' && *rest != '#' && strncmp(rest, "//", 2) != 0)
        return rm_fail(rd->err, -EINVAL, "%s:%u: nothing may follow an @include on its line",
                       rd->file, rd->line);
    if (rd->depth + 1 >= SOURCE_DEPTH_MAX)
        return rm_fail(rd->err, -EINVAL, "%s:%u: files include each other more than %d deep",
                       rd->file, rd->line, SOURCE_DEPTH_MAX);
    int r = copy(rd, rd->p);
    if (r < 0)
        return r;
    char *path = beside(rd->file, name, length);
    if (!path)
        return rm_fail(rd->err, -ENOMEM, "%s: %s", rd->file, strerror(ENOMEM));
    r = add_file(rd->source, path, rd->depth + 1, rd->err);
    free(path);
    if (r < 0)
        return rm_prefix(rd->err, r == -ENOMEM ? r : -EINVAL, "%s:%u: included file", rd->file,
                         rd->line);
    r = begin_segment(rd->source, rd->file, rd->line);
    rd->p = rd->copied = name + length + 1;
    return r < 0 ? rm_fail(rd->err, r, "%s: %s", rd->file, strerror(-r)) : 0;
}

/* Moves behind a string or a comment of several lines. */
static int skip(struct reader *rd, const char *what, const char *end)
{
    unsigned first = rd->line;
    size_t length = strlen(end);
    while (strncmp(rd->p, end, length) != 0) {
        if (*rd->p == '\\' && *end == '"' && rd->p[1])
            rd->line += *rd->p++ == '\n';
        if (*rd->p == '\0')
            return rm_fail(rd->err, -EINVAL, "%s:%u: a %s begins here and does not end", rd->file,
                           first, what);
        rd->line += *rd->p++ == '\n';
    }
    rd->p += length;
    return 0;
}

/* Moves behind a number; refuses an integer that libconfig would cut to 32 bits. */
static int check_number(struct reader *rd)
{
    size_t length = 0;
    while (isalnum((unsigned char)rd->p[length]) || rd->p[length] == '.')
        length++;
    bool hex = rd->p[0] == '0' && (rd->p[1] == 'x' || rd->p[1] == 'X');
    bool real = !hex && strcspn(rd->p, ".eE") < length;
    errno = 0;
    unsigned long long value = strtoull(rd->p, NULL, hex ? 16 : 10);
    if (!real && (errno == ERANGE || value > INT_MAX))
        return rm_fail(rd->err, -EINVAL,
                       "%s:%u: the number %.*s is too large (a size, rate or duration is a text "
                       "with a unit, as \"16 GiB\")",
                       rd->file, rd->line, (int)(length < 80 ? length : 80), rd->p);
    rd->p += length;
    return 0;
}

static bool is_name_character(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '*';
}

/* One word, string, comment or other character. */
static int read_token(struct reader *rd)
{
    const char *p = rd->p;
    if (isdigit((unsigned char)*p))
        return check_number(rd);
    if (*p == '"') {
        rd->p++;
        return skip(rd, "text in quotes", "\"");
    }
    if (p[0] == '/' && p[1] == '*') {
        rd->p += 2;
        return skip(rd, "comment", "*/");
    }
    if (*p == '#' || (p[0] == '/' && p[1] == '/')) {
        rd->p += strcspn(p, "\n");
        return 0;
    }
    if (isalpha((unsigned char)*p) || *p == '*') {
        while (is_name_character(*rd->p))
            rd->p++;
        return 0;
    }
    rd->line += *rd->p++ == '\n';
    return 0;
}

static int read_tokens(struct reader *rd)
{
    const char *begin = rd->p;
    while (*rd->p) {
        const char *name;
        int r;
        if ((rd->p == begin || rd->p[-1] == '\n') && is_include(rd->p, &name))
            r = include(rd, name);
        else
            r = read_token(rd);
        if (r < 0)
            return r;
    }
    return copy(rd, rd->p);
}

static int add_file(struct source *source, const char *path, unsigned depth, struct rm_err *err)
{
    if (source->n_files == SOURCE_FILES_MAX)
        return rm_fail(err, -EINVAL, "%s: more than %d files", path, SOURCE_FILES_MAX);
    char *file = strdup(path);
    if (!file)
        return rm_fail(err, -ENOMEM, "%s: %s", path, strerror(ENOMEM));
    source->files[source->n_files++] = file;

    char *text = NULL;
    size_t length = 0;
    int r = read_whole(path, SOURCE_BYTES_MAX - source->length, &text, &length, err);
    if (!text)
        return r;
    if (memchr(text, '\0', length)) {
        free(text);
        return rm_fail(err, -EINVAL, "%s: holds a NUL byte, so it is not a text", path);
    }
    struct reader rd = {.source = source,
                        .err = err,
                        .file = file,
                        .p = text,
                        .copied = text,
                        .line = 1,
                        .depth = depth};
    r = begin_segment(source, file, /* line = */ 1);
    if (r < 0)
        rm_fail(err, r, "%s: %s", path, strerror(-r));
    else
        r = read_tokens(&rd);
    free(text);
    /* What follows an included file stands on a line of its own. */
    if (r == 0 && source->length > 0 && source->text[source->length - 1] != '\n')
        r = append(source, "\n", 1);
    return r;
}

int source_read(const char *path, struct source **ret_source, struct rm_err *err)
{
    struct source *source = calloc(1, sizeof(*source));
    if (!source)
        return rm_fail(err, -ENOMEM, "%s: %s", path, strerror(ENOMEM));
    source->line = 1;
    int r = add_file(source, path, /* depth = */ 0, err);
    if (r == 0)
        r = append(source, "", 0); /* an empty file is an empty text */
    if (r < 0) {
        source_free(source);
        return r;
    }
    *ret_source = source;
    return 0;
}
