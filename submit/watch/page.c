/* page.c - the web page: files that are built into the program */
#include "submit/watch/page.h"

#include <string.h>

enum { NOT_FOUND = 404 };

static const char *type_of(const char *name)
{
    static const struct {
        const char *end, *type;
    } types[] = {{".html", PAGE_TYPE},
                 {".css", "text/css; charset=utf-8"},
                 {".js", "text/javascript; charset=utf-8"},
                 {".svg", "image/svg+xml"}};
    const char *end = strrchr(name, '.');
    for (size_t i = 0; end && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(end, types[i].end) == 0)
            return types[i].type;
    return "application/octet-stream";
}

void page_answer(struct http_answer *answer)
{
    const char *name = answer->path[0] ? answer->path : "index.html";
    for (const struct page_file *file = page_files; file->name; file++)
        if (strcmp(file->name, name) == 0) {
            answer->type = type_of(name);
            fwrite(file->bytes, 1, file->size, answer->body);
            return;
        }
    http_fail(answer, NOT_FOUND, "there is nothing of that name");
}
