/* http.h - HTTP, read only: who may ask, and who answers what
 *
 * One thread for each connection, HTTP_CONNECTIONS_MAX at most, so that whoever answers may wait. Only GET and HEAD. Where
 * settings name a token, every request bears it. A request whose Host is a name that is not this machine's own
 * address is refused: a page of somebody else in a browser here could otherwise read what is served on loopback
 * under a name of its own (DNS rebinding). */
#ifndef SUBMIT_WATCH_HTTP_H
#define SUBMIT_WATCH_HTTP_H

#include "conf/conf.h"
#include "submit/watch/board.h"

#include <stdio.h>

enum {
    HTTP_CONNECTIONS_MAX = 100,       /* all together; more are closed at once */
    HTTP_TIMEOUT = 30,                /* seconds that a connection may be silent */
    HTTP_TEXT_MAX = 64 * 1024 * 1024, /* bytes of one answer */
};

/* One answer while it is made. */
struct http_answer {
    struct board *board;
    const char *path; /* what stands behind the route's own path; "" mostly */
    const char *(*query)(const struct http_answer *answer,
                         const char *name); /* "": not given; borrowed */
    const char *(*header)(const struct http_answer *answer, const char *name); /* the same */
    void *connection; /* of query() and header() */
    FILE *body;       /* it is written to */
    const char *type; /* Content-Type; preset to that of the route */
    unsigned status;  /* preset to 200 */
};

/* A stream is an answer that never ends: step() writes the next piece, waiting for it as long as it likes (no longer
 * than HTTP_TIMEOUT); false ends it. state: SIZE zeroed bytes of its own, for as long as the stream lasts. */
struct http_route {
    const char
        *path; /* "/metrics"; one that ends in '/' answers all below it; NULL ends the table */
    const char *type;
    void (*answer)(struct http_answer *answer); /* or */
    bool (*step)(struct http_answer *answer, void *state);
    size_t state_size;
    void (*end)(void *state); /* of step(): what the state holds is freed; NULL: nothing is */
};

struct http;

/* What http_start() would fail at of its settings. */
int http_check(const struct conf_watch *conf, struct rm_err *err);

/* The longest path that fits answers. routes: borrowed. Logs where it listens. */
int http_start(const struct conf_watch *conf, struct board *board, const struct http_route *routes,
               struct http **ret_http, struct rm_err *err);
/* Call board_stop() before: then nobody waits any more. NULL is fine. */
void http_stop(struct http *http);

/* An error as a text of its own: `{"error": "..."}` in JSON, else a line. */
void http_fail(struct http_answer *answer, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
