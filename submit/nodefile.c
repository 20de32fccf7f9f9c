/* nodefile.c - the files in a noderange
 *
 * A file whose lines are plain elements is put in as a list: n1,n2, or -n1,-n2. Anything else needs
 * parentheses, and there the order of evaluation must be minded: the first parentheses of a level
 * apply to all that precedes them at once, the others are elements like any other. So a level
 * whose first parentheses would be a file's gets an empty pair in front, which takes that place. */
#include "submit/nodefile.h"

#include "conf/array.h"
#include "conf/io.h"

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
    int failed; /* the first error; 0: none. From then on nothing is added to any text */
    unsigned files, depth;
};

#define fail(x, code, ...) ((void)((x)->failed = rm_fail((x)->err, (code), __VA_ARGS__)))

/* What the lines of a file make. */
struct lines {
    struct text nodes; /* elements with a comma in front of each */
    struct text minus; /* those that are taken away, without their - */
    bool is_plain;     /* nodes is a list of names, and minus is empty */
};

static void expand_text(struct expand *x, const char *text, size_t length, struct text *to);

/* ---- texts */

static void insert(struct expand *x, struct text *to, size_t at, const char *bytes, size_t length)
{
    if (x->failed)
        return;
    if (length > NODEFILE_TEXT_MAX - to->length) {
        fail(x, -E2BIG, "the files of the noderange are longer than %d bytes", NODEFILE_TEXT_MAX);
        return;
    }
    if (array_grow(&to->bytes, to->length + length, &to->room, 1) < 0) {
        fail(x, -ENOMEM, "no memory");
        return;
    }
    memmove(to->bytes + at + length, to->bytes + at, to->length - at);
    memcpy(to->bytes + at, bytes, length);
    to->length += length;
    to->bytes[to->length] = '\0';
}

static void append(struct expand *x, struct text *to, const char *bytes, size_t length)
{
    insert(x, to, to->length, bytes, length);
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
static void add_elements(struct expand *x, const char *text, size_t length, size_t skip,
                         const char *sign, struct text *to)
{
    struct walk walk = walk_begin(text, length);
    const char *element;
    for (size_t n; walk_next(&walk, &element, &n);)
        if (n > skip) {
            append(x, to, sign, strlen(sign));
            append(x, to, element + skip, n - skip);
        }
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

/* The file's text, to be freed; NULL: failed. */
static char *read_all(struct expand *x, const char *name, size_t *ret_length)
{
    char *data = NULL;
    size_t length = 0;
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int r = fd < 0 ? -errno : io_read(fd, NODEFILE_TEXT_MAX, &data, &length);
    if (fd >= 0)
        close(fd);
    if (r == -EFBIG)
        fail(x, -E2BIG, "the file '%s' of the noderange holds more than %d bytes", name,
             NODEFILE_TEXT_MAX);
    else if (r < 0)
        fail(x, r, "cannot read the file '%s' of the noderange: %s", name, strerror(-r));
    else if (data && memchr(data, '\0', length))
        fail(x, -EINVAL, "the file '%s' of the noderange is not a text file", name);
    else {
        *ret_length = length;
        return data;
    }
    free(data);
    return NULL;
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
static void add_line(struct expand *x, const char *text, size_t length, struct lines *lines)
{
    if (takes_away(text, length)) {
        lines->is_plain = false;
        add_elements(x, text, length, /* skip = */ 1, ",-", &lines->minus);
    } else if (are_plain(text, length)) {
        add_elements(x, text, length, /* skip = */ 0, ",", &lines->nodes);
    } else {
        lines->is_plain = false;
        append(x, &lines->nodes, ",(", 2);
        append(x, &lines->nodes, text, length);
        append(x, &lines->nodes, ")", 1);
    }
}

static void read_line(struct expand *x, const char *name, unsigned line, char *text, size_t length,
                      struct lines *lines)
{
    struct text expanded = {0};
    if (length > 0 && text[0] == '#')
        return;
    for (size_t i = 0; i < length; i++)
        if (strchr(": \t\r\v\f", text[i]))
            length = i;
    without_quotes(text, &length);
    if (!pairs(text, length)) {
        fail(x, -EINVAL, "%s:%u: unbalanced parentheses", name, line);
        return;
    }
    expand_text(x, text, length, &expanded);
    add_line(x, bytes_of(&expanded), expanded.length, lines);
    free(expanded.bytes);
}

static void read_lines(struct expand *x, const char *name, struct lines *lines)
{
    static const char mark[] = "\xef\xbb\xbf"; /* of a text in UTF-8, as some editors write it */
    char *data = NULL;
    size_t length = 0;
    if (++x->files > NODEFILE_FILES_MAX)
        fail(x, -E2BIG, "the noderange reads more than %d files", NODEFILE_FILES_MAX);
    else if (x->depth >= NODEFILE_DEPTH_MAX)
        fail(x, -E2BIG,
             "the file '%s' of the noderange is inside %d others: does it include itself?", name,
             NODEFILE_DEPTH_MAX);
    else
        data = read_all(x, name, &length);
    size_t at = length >= 3 && memcmp(data, mark, 3) == 0 ? 3 : 0;
    unsigned line = 0;
    x->depth++;
    while (at < length && !x->failed) {
        const char *end = memchr(data + at, '\n', length - at);
        size_t n = end ? (size_t)(end - data) - at : length - at;
        read_line(x, name, ++line, data + at, n, lines);
        at += n + 1;
    }
    x->depth--;
    free(data);
}

/* ---- putting in */

/* A level of parentheses in what comes out. */
struct level {
    size_t start;  /* where it begins */
    bool has_some; /* its first parentheses are there */
};

/* Adds "(nodes,-minus)" to an element whose sign is there already. */
static void add_parentheses(struct expand *x, const struct lines *lines, struct level *level,
                            struct text *to)
{
    if (!level->has_some)
        insert(x, to, level->start, "(),", 3);
    level->has_some = true;
    append(x, to, "(", 1);
    if (lines->nodes.length > 0) /* without its first comma */
        append(x, to, lines->nodes.bytes + 1, lines->nodes.length - 1);
    append(x, to, bytes_of(&lines->minus), lines->minus.length);
    append(x, to, ")", 1);
}

/* What replaces a file. sign: the one in front of it, in `to` already; alone: the file is the
 * whole element, no @ beside it. */
static void add_file(struct expand *x, const char *file, size_t length, char sign, bool alone,
                     struct level *level, struct text *to)
{
    struct lines lines = {.is_plain = true};
    char *name = strndup(file, length);
    if (!name)
        fail(x, -ENOMEM, "no memory");
    else if (length == 0)
        fail(x, -EINVAL, "^ without a file name in the noderange");
    else
        read_lines(x, name, &lines);
    const struct text *nodes = &lines.nodes;
    if (!x->failed && nodes->length == 0 && sign != '-')
        fail(x, -ENODATA, "the file '%s' of the noderange contains no nodes", name);
    else if (!x->failed && (!lines.is_plain || !alone || sign == '@'))
        add_parentheses(x, &lines, level, to);
    else if (!x->failed && sign == '-') {
        to->bytes[--to->length] = '\0'; /* each gets its own */
        add_elements(x, bytes_of(nodes), nodes->length, 0, ",-", to);
    } else if (!x->failed)
        append(x, to, nodes->bytes + 1, nodes->length - 1);
    free(lines.nodes.bytes);
    free(lines.minus.bytes);
    free(name);
}

/* Walks over a text once; a file may be where an element begins. */
static void expand_text(struct expand *x, const char *text, size_t length, struct text *to)
{
    struct level levels[NODEFILE_LEVELS_MAX + 1] = {{.start = to->length}};
    const char *last = length > 0 ? memrchr(text, ']', length) : NULL;
    size_t depth = 0;
    bool inside = false, begins = true, at_seen = false;
    char sign = '\0';
    for (size_t i = 0; i < length && !x->failed; i++) {
        char c = text[i];
        if (begins && c == '^') {
            size_t n = 1;
            while (i + n < length && !strchr(",@()", text[i + n]))
                n++;
            bool alone = !at_seen && (i + n == length || text[i + n] != '@');
            add_file(x, text + i + 1, n - 1, sign, alone, &levels[depth], to);
            i += n - 1;
            begins = false;
            continue;
        }
        append(x, to, &c, 1);
        if (c == '[' && last && text + i < last)
            inside = true;
        else if (c == ']')
            inside = false;
        if (c == '(') {
            levels[depth].has_some = true;
            if (depth == NODEFILE_LEVELS_MAX) {
                fail(x, -E2BIG, "parentheses inside more than %d others", NODEFILE_LEVELS_MAX);
                return;
            }
            levels[++depth] = (struct level){.start = to->length};
        } else if (c == ')' && depth > 0) {
            depth--;
        }
        bool is_sign = begins && c == '-' && !sign;
        begins = (c == ',' && !inside) || c == '(' || c == '@' || is_sign;
        sign = is_sign || c == '@' ? c : '\0';
        at_seen = c == '@' || (at_seen && (c != ',' || inside) && c != '(');
    }
}

int nodefile_expand(const char *expression, char **ret_expression, struct rm_err *err)
{
    struct expand x = {.err = err};
    struct text to = {0};
    size_t length = strnlen(expression, NODEFILE_TEXT_MAX + 1);
    if (length > NODEFILE_TEXT_MAX)
        return rm_fail(err, -E2BIG, "the noderange is longer than %d bytes", NODEFILE_TEXT_MAX);
    char *text = strdup(expression);
    if (!text)
        return rm_fail(err, -ENOMEM, "no memory");
    without_quotes(text, &length);
    append(&x, &to, "", 0); /* so that there is a text */
    expand_text(&x, text, length, &to);
    free(text);
    if (x.failed)
        free(to.bytes);
    else
        *ret_expression = to.bytes;
    return x.failed;
}
