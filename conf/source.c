/* source.c - a configuration file, with all that it includes, as one text that libconfig reads */
#include "conf/source.h"

#include "conf/array.h"
#include "conf/io.h"
#include "conf/text.h"

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
    size_t n_segments, segment_room;
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
    if (array_grow(&source->text, source->length + length, &source->room, 1) < 0)
        return -ENOMEM;
    memcpy(source->text + source->length, text, length);
    source->length += length;
    source->text[source->length] = '\0';
    for (size_t i = 0; i < length; i++)
        source->line += text[i] == '\n';
    return 0;
}

static int begin_segment(struct source *source, const char *file, unsigned line)
{
    struct segment *segment = ARRAY_ADD(source->segments, source->n_segments, source->segment_room);
    if (!segment)
        return -ENOMEM;
    *segment = (struct segment){.first = source->line, .line = line, .file = file};
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

/* Fails at the line that is read now. */
#define fail_here(rd, ...)                                                                         \
    (rm_err_set((rd)->err, __VA_ARGS__),                                                           \
     rm_prefix((rd)->err, -EINVAL, "%s:%u", (rd)->file, (rd)->line))

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
        r = io_read(fd, left, ret_text, ret_length);
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
    p = text_behind(p + strspn(p, " \t"), "@include");
    size_t blanks = p ? strspn(p, " \t") : 0;
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
        return fail_here(rd, "@include needs a file's name in quotes");
    const char *rest = name + length + 1;
    rest += strspn(rest, " \t\r");
    if (*rest && *rest != '\n' && *rest != '#' && strncmp(rest, "//", 2) != 0)
        return fail_here(rd, "nothing may follow an @include on its line");
    if (rd->depth + 1 >= SOURCE_DEPTH_MAX)
        return fail_here(rd, "files include each other more than %d deep", SOURCE_DEPTH_MAX);
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
        return fail_here(rd,
                         "the number %.*s is too large (a size, rate or duration is a text with a "
                         "unit, as \"16 GiB\")",
                         (int)(length < 80 ? length : 80), rd->p);
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
