/* zmtp.h - raw connections for programs that load a broker: ZMTP 3.0 by hand, without security
 *
 * The loader shares two processors with what it measures, so each frame costs it one copy: it is packed where it is
 * sent from and handed on where it was received. One thread, one epoll. A connection that is lost is begun again by
 * whoever owns it. */
#ifndef TESTS_BENCH_ZMTP_H
#define TESTS_BENCH_ZMTP_H

#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zmtp {
    int fd;      /* -1: not connected */
    int epoll;   /* that it is in */
    bool ready;  /* the other side has said READY: frames may be sent */
    bool waits;  /* for room to write */
    uint8_t *in; /* what was read and is no whole frame yet */
    size_t in_length, in_size;
    uint8_t *out; /* what waits to be written: from out_from */
    size_t out_from, out_length, out_size;
    /* Without ZMTP, for servers that speak otherwise: gets all that is there, returns how much it has used up. */
    size_t (*plain)(struct zmtp *conn, const uint8_t *bytes, size_t length);
    void *owner; /* whose it is; untouched */
};

/* endpoint: ipc://PATH or tcp://ADDRESS:PORT, an address in numbers. Returns 0, or -EAGAIN and the like: nobody
 * listens there now, or too many wait; try again later. */
int zmtp_connect(struct zmtp *conn, int epoll, const char *endpoint, void *owner);
int zmtp_connect_plain(struct zmtp *conn, int epoll, const char *endpoint, void *owner,
                       size_t (*plain)(struct zmtp *conn, const uint8_t *bytes, size_t length));
void zmtp_close(struct zmtp *conn); /* it may be connected again */

/* A frame of that length at the end of what waits to be written: the caller fills it in. */
uint8_t *zmtp_frame(struct zmtp *conn, size_t length);

uint8_t *zmtp_bytes(struct zmtp *conn, size_t length); /* the same without a frame around it */

/* The message as the broker wants it, in a frame. */
void zmtp_send(struct zmtp *conn, const RmMessage *message);

/* Writes what waits, as far as there is room. Negative: the connection is lost. */
int zmtp_flush(struct zmtp *conn);

/* Reads what is there; take() (of a plain one NULL) gets each frame, and must not close the connection. Negative: it is lost. */
int zmtp_read(struct zmtp *conn,
              void (*take)(struct zmtp *conn, const uint8_t *frame, size_t length));

#endif
