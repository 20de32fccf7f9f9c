/* nodefile.c - the files in a noderange
 *
 * A file whose lines are plain elements is put in as a list: n1,n2, or -n1,-n2. Anything else needs
 * parentheses, and there the order of evaluation must be minded: the first parentheses of a level
 * work on all that stands before them at once, the others are elements like any other. So a level
 * whose first parentheses would be a file's gets an empty pair in front, which takes that place. */
#include "wire/nodefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A text that grows. */
struct text {
    char *bytes; /* owned, NUL-terminated once it is not NULL */
    size_t length, room;
};

struct expand {
    struct rm_err *err;
    unsigned files, depth;
};

/* What the lines of a file make. */
struct lines {
    struct text nodes; /* elements with a comma in front of each */
    struct text minus; /* those that are taken away, without their - */
    bool is_plain;     /* nodes is a list of names, and minus is empty */
};

static int expand_text(struct expand *x, const char *text, size_t length, struct text *to);

/* ---- texts */

static int make_room(struct expand *x, struct text *to, size_t more)
{
    if (more > NODEFILE_TEXT_MAX - to->length)
        return rm_fail(x->err, -E2BIG, "the files of the noderange hold more than %d bytes",
                       NODEFILE_TEXT_MAX);
    if (to->length + more + 1 <= to->room)
        return 0;
    size_t room = 2 * (to->length + more) + 64;
    char *bytes = realloc(to->bytes, room);
    if (!bytes)
        return rm_fail(x->err, -ENOMEM, "out of memory");
    to->bytes = bytes;
    to->room = room;
    return 0;
}

static int insert(struct expand *x, struct text *to, size_t at, const char *bytes, size_t length)
{
    int r = make_room(x, to, length);
    if (r < 0)
        return r;
    memmove(to->bytes + at + length, to->bytes + at, to->length - at);
    memcpy(to->bytes + at, bytes, length);
    to->length += length;
    to->bytes[to->length] = '\0';
    return 0;
}

static int append(struct expand *x, struct text *to, const char *bytes, size_t length)
{
    return insert(x, to, to->length, bytes, length);
}

static int append_char(struct expand *x, struct text *to, char c)
{
    return append(x, to, &c, 1);
}

static const char *bytes_of(const struct text *text)
{
    return text->bytes ? text->bytes : "";
}

/* ---- elements of a line */

/* The elements of a line, one after the other: what commas outside brackets and parentheses part.
 */
struct walk {
    const char *at, *end;
    const char *last; /* the last ] of all: a [ behind it opens nothing */
};

static struct walk walk_begin(const char *text, size_t length)
{
    return (struct walk){text, text + length, length > 0 ? memrchr(text, ']', length) : NULL};
}

/* False: there is no more. */
static bool walk_next(struct walk *walk, const char **ret_element, size_t *ret_length)
{
    const char *at = walk->at;
    bool inside = false;
    size_t depth = 0;
    if (at >= walk->end)
        return false;
    for (; at < walk->end && (*at != ',' || inside || depth > 0); at++) {
        if (*at == '[' && walk->last && at < walk->last)
            inside = true;
        else if (*at == ']')
            inside = false;
        depth += *at == '(';
        depth -= *at == ')' && depth > 0;
    }
    *ret_element = walk->at;
    *ret_length = (size_t)(at - walk->at);
    walk->at = at + 1;
    return true;
}

static bool is_plain(const char *element, size_t length)
{
    return length == 0 || (element[0] != '-' && !memchr(element, '@', length) &&
                           !memchr(element, '(', length) && !memchr(element, ')', length));
}

/* Do all elements of a line take away? */
static bool takes_away(const char *text, size_t length)
{
    struct walk walk = walk_begin(text, length);
    const char *element;
    bool any = false;
    for (size_t n; walk_next(&walk, &element, &n); any |= n > 0)
        if (n > 0 && element[0] != '-')
            return false;
    return any;
}

static bool are_plain(const char *text, size_t length)
{
    struct walk walk = walk_begin(text, length);
    const char *element;
    for (size_t n; walk_next(&walk, &element, &n);)
        if (!is_plain(element, n))
            return false;
    return true;
}

/* Adds all elements of a line, each with `sign` in front in place of its first `skip` bytes. */
static int add_elements(struct expand *x, const char *text, size_t length, size_t skip,
                        const char *sign, struct text *to)
{
    struct walk walk = walk_begin(text, length);
    const char *element;
    int r = 0;
    for (size_t n; r == 0 && walk_next(&walk, &element, &n);) {
        if (n <= skip)
            continue;
        r = append(x, to, sign, strlen(sign));
        if (r == 0)
            r = append(x, to, element + skip, n - skip);
    }
    return r;
}

static bool pairs(const char *text, size_t length)
{
    size_t depth = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == ')' && depth == 0)
            return false;
        depth += text[i] == '(';
        depth -= text[i] == ')';
    }
    return depth == 0;
}

/* ---- files */

static int read_all(struct expand *x, const char *name, char **ret_data, size_t *ret_length)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY), r = fd < 0 ? -errno : 0;
    char *data = r == 0 ? malloc(NODEFILE_TEXT_MAX + 1) : NULL;
    size_t length = 0;
    if (r == 0 && !data)
        r = -ENOMEM;
    while (r == 0 && length <= NODEFILE_TEXT_MAX) {
        ssize_t n = read(fd, data + length, NODEFILE_TEXT_MAX + 1 - length);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            r = -errno;
        length += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0)
        close(fd);
    if (r < 0)
        rm_fail(x->err, r, "cannot read the file '%s' of the noderange: %s", name, strerror(-r));
    else if (length > NODEFILE_TEXT_MAX)
        r = rm_fail(x->err, -E2BIG, "the file '%s' of the noderange holds more than %d bytes", name,
                    NODEFILE_TEXT_MAX);
    else if (length > 0 && memchr(data, '\0', length))
        r = rm_fail(x->err, -EINVAL, "the file '%s' of the noderange is no text", name);
    if (r < 0) {
        free(data);
        return r;
    }
    *ret_data = data;
    *ret_length = length;
    return 0;
}

static void without_quotes(char *text, size_t *length)
{
    size_t n = 0;
    for (size_t i = 0; i < *length; i++)
        if (text[i] != '\'' && text[i] != '"')
            text[n++] = text[i];
    *length = n;
}

/* One line, after the files that it names were put in. */
static int add_line(struct expand *x, const char *text, size_t length, struct lines *lines)
{
    if (takes_away(text, length)) {
        lines->is_plain = false;
        return add_elements(x, text, length, /* skip = */ 1, ",-", &lines->minus);
    }
    if (are_plain(text, length))
        return add_elements(x, text, length, /* skip = */ 0, ",", &lines->nodes);
    lines->is_plain = false;
    int r = append(x, &lines->nodes, ",(", 2);
    if (r == 0)
        r = append(x, &lines->nodes, text, length);
    return r == 0 ? append_char(x, &lines->nodes, ')') : r;
}

static int read_line(struct expand *x, const char *name, unsigned line, char *text, size_t length,
                     struct lines *lines)
{
    struct text expanded = {0};
    if (length > 0 && text[0] == '#')
        return 0;
    for (size_t i = 0; i < length; i++)
        if (strchr(": \t\r\v\f", text[i]))
            length = i;
    without_quotes(text, &length);
    if (!pairs(text, length))
        return rm_fail(x->err, -EINVAL, "%s:%u: the parentheses do not pair", name, line);
    int r = expand_text(x, text, length, &expanded);
    if (r == 0)
        r = add_line(x, bytes_of(&expanded), expanded.length, lines);
    free(expanded.bytes);
    return r;
}

static int read_lines(struct expand *x, const char *name, struct lines *lines)
{
    char *data;
    size_t length;
    if (++x->files > NODEFILE_FILES_MAX)
        return rm_fail(x->err, -E2BIG, "the noderange reads more than %d files",
                       NODEFILE_FILES_MAX);
    if (x->depth >= NODEFILE_DEPTH_MAX)
        return rm_fail(x->err, -E2BIG,
                       "the file '%s' of the noderange is inside %d others: does one include "
                       "itself?",
                       name, NODEFILE_DEPTH_MAX);
    int r = read_all(x, name, &data, &length);
    if (r < 0)
        return r;
    static const char mark[] = "\xef\xbb\xbf"; /* of a text in UTF-8, as some editors write it */
    size_t at = length >= 3 && memcmp(data, mark, 3) == 0 ? 3 : 0;
    unsigned line = 0;
    x->depth++;
    while (at < length && r == 0) {
        const char *end = memchr(data + at, '\n', length - at);
        size_t n = end ? (size_t)(end - data) - at : length - at;
        r = read_line(x, name, ++line, data + at, n, lines);
        at += n + 1;
    }
    x->depth--;
    free(data);
    return r;
}

/* ---- putting in */

/* A level of parentheses in what comes out. */
struct level {
    size_t start;  /* where it begins */
    bool has_some; /* its first parentheses are there */
};

/* Adds "(nodes,-minus)" to an element whose sign is there already. */
static int add_parentheses(struct expand *x, const struct lines *lines, struct level *level,
                           struct text *to)
{
    int r = 0;
    if (!level->has_some)
        r = insert(x, to, level->start, "(),", 3);
    level->has_some = true;
    if (r == 0)
        r = append_char(x, to, '(');
    if (r == 0 && lines->nodes.length > 0) /* without its first comma */
        r = append(x, to, lines->nodes.bytes + 1, lines->nodes.length - 1);
    if (r == 0)
        r = append(x, to, bytes_of(&lines->minus), lines->minus.length);
    return r == 0 ? append_char(x, to, ')') : r;
}

/* What a file stands for. sign: the one in front of it, in `to` already; alone: the file is the
 * whole element, no @ beside it. */
static int add_file(struct expand *x, const char *file, size_t length, char sign, bool alone,
                    struct level *level, struct text *to)
{
    struct lines lines = {.is_plain = true};
    char *name = strndup(file, length);
    int r = name ? 0 : rm_fail(x->err, -ENOMEM, "out of memory");
    if (r == 0 && length == 0)
        r = rm_fail(x->err, -EINVAL, "a ^ without the name of a file in the noderange");
    if (r == 0)
        r = read_lines(x, name, &lines);
    if (r == 0 && lines.nodes.length == 0 && sign != '-')
        r = rm_fail(x->err, -ENODATA, "the file '%s' of the noderange names no nodes", name);
    if (r == 0 && lines.is_plain && alone && sign != '@') {
        if (sign == '-')
            to->bytes[--to->length] = '\0'; /* each gets its own */
        const char *nodes = bytes_of(&lines.nodes);
        if (sign == '-')
            r = add_elements(x, nodes, lines.nodes.length, 0, ",-", to);
        else
            r = append(x, to, nodes + 1, lines.nodes.length - 1);
    } else if (r == 0) {
        r = add_parentheses(x, &lines, level, to);
    }
    free(lines.nodes.bytes);
    free(lines.minus.bytes);
    free(name);
    return r;
}

/* Walks over a text once; a file may stand where an element begins. */
static int expand_text(struct expand *x, const char *text, size_t length, struct text *to)
{
    struct level levels[NODEFILE_LEVELS_MAX + 1] = {{.start = to->length}};
    const char *last = length > 0 ? memrchr(text, ']', length) : NULL;
    size_t depth = 0;
    bool inside = false, begins = true, at_seen = false;
    char sign = '\0';
    int r = 0;
    for (size_t i = 0; i < length && r == 0; i++) {
        char c = text[i];
        if (begins && c == '^') {
            size_t n = 1;
            while (i + n < length && !strchr(",@()", text[i + n]))
                n++;
            bool alone = !at_seen && (i + n == length || text[i + n] != '@');
            r = add_file(x, text + i + 1, n - 1, sign, alone, &levels[depth], to);
            i += n - 1;
            begins = false;
            continue;
        }
        r = append_char(x, to, c);
        if (c == '[' && last && text + i < last)
            inside = true;
        else if (c == ']')
            inside = false;
        if (c == '(') {
            levels[depth].has_some = true;
            if (depth == NODEFILE_LEVELS_MAX)
                return rm_fail(x->err, -E2BIG, "parentheses inside more than %d others",
                               NODEFILE_LEVELS_MAX);
            levels[++depth] = (struct level){.start = to->length};
        } else if (c == ')' && depth > 0) {
            depth--;
        }
        bool is_sign = begins && c == '-' && !sign;
        begins = (c == ',' && !inside) || c == '(' || c == '@' || is_sign;
        sign = is_sign || c == '@' ? c : '\0';
        at_seen = c == '@' || (at_seen && (c != ',' || inside) && c != '(');
    }
    return r;
}

int nodefile_expand(const char *expression, char **ret_expression, struct rm_err *err)
{
    struct expand x = {.err = err};
    struct text to = {0};
    size_t length = strnlen(expression, NODEFILE_TEXT_MAX + 1);
    if (length > NODEFILE_TEXT_MAX)
        return rm_fail(err, -E2BIG, "a noderange of more than %d bytes", NODEFILE_TEXT_MAX);
    char *text = strdup(expression);
    if (!text)
        return rm_fail(err, -ENOMEM, "out of memory");
    without_quotes(text, &length);
    int r = make_room(&x, &to, 0);
    if (r == 0) {
        to.bytes[0] = '\0';
        r = expand_text(&x, text, length, &to);
    }
    free(text);
    if (r < 0)
        free(to.bytes);
    else
        *ret_expression = to.bytes;
    return r;
}
