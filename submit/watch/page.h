/* page.h - the web page: files that are built into the program
 *
 * They stand in submit/watch/page/ and are served as they are, below /page/; / is index.html. They need nothing from
 * elsewhere, and no script or style stands in the HTML: Content-Security-Policy allows none. */
#ifndef SUBMIT_WATCH_PAGE_H
#define SUBMIT_WATCH_PAGE_H

#include "submit/watch/http.h"

#define PAGE_TYPE "text/html; charset=utf-8"

struct page_file {
    const char *name; /* "page.css"; NULL ends the list */
    const unsigned char *bytes;
    size_t size;
};

/* Made by CMake (embed.cmake). */
extern const struct page_file page_files[];

void page_answer(struct http_answer *answer);

#endif
