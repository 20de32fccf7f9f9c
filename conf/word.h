/* word.h - what a single text of a setting may be: names, endpoints, URIs, keys, roles */
#ifndef CONF_WORD_H
#define CONF_WORD_H

#include "conf/err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    CONF_NAME_MAX = 255,      /* bytes of the name of a host, a guest, a key */
    CONF_ENDPOINT_MAX = 1024, /* bytes of an endpoint or a connection URI */
    CONF_Z85_LEN = 40,        /* characters of a CURVE key as Z85 text */
};

/* What a key, or a user on the local socket, may do; each role may do what stands before it.
 * A worker is apart: it may speak for its hypervisors and nothing else. */
enum role { ROLE_NONE, ROLE_VIEWER, ROLE_OPERATOR, ROLE_ADMIN, ROLE_WORKER };
const char *role_name(enum role role);
int role_parse(const char *text, enum role *ret_role); /* -EINVAL for an unknown one */

/* FENCE_AUTO is an old word for FENCE_ALWAYS: it left the fence out where QEMU locks every image, but
 * nothing on one host can prove that such locks reach the other. */
enum fence_mode { FENCE_AUTO, FENCE_ALWAYS, FENCE_NEVER };
int fence_parse(const char *text, enum fence_mode *ret_mode);

/* Memory that is kept free: bytes, or a share of what there is. */
struct conf_reserve {
    bool set; /* false: whatever counts for all */
    uint64_t bytes;
    unsigned per_cent; /* 0 to 100; one of both is 0 */
};

/* True for a name that may stand for a host, a guest or a key: 1..CONF_NAME_MAX bytes, printable
 * ASCII without blanks, and none of : , ' " ( ) @ ^ / (a noderange and `NODE: text` could not carry
 * it). */
bool conf_name_is_valid(const char *name);

/* ---- for the tables of conf.c: 0, or -EINVAL with a text that quotes what was wrong */

int word_check_name(const char *text, struct rm_err *err);   /* conf_name_is_valid() */
int word_check_user(const char *text, struct rm_err *err);   /* a user or group of this machine */
int word_check_listen(const char *text, struct rm_err *err); /* ipc:// or tcp://, port * allowed */
int word_check_broker(const char *text, struct rm_err *err); /* ipc:// or tcp:// to connect to */
int word_check_uri(const char *text, struct rm_err *err);    /* of libvirt: SCHEME://... */
int word_check_migration(const char *text, struct rm_err *err); /* tcp://ADDRESS */
int word_check_smapi(const char *text, struct rm_err *err);     /* tcp://, tls:// or iucv:// */
int word_check_member(const char *text, struct rm_err *err);    /* name of a z/VM member */
int word_check_z85(const char *text, struct rm_err *err);       /* a CURVE key */
int word_check_http(const char *text,
                    struct rm_err *err); /* ADDRESS:PORT or the path of a socket */
int word_check_news(const char *text, struct rm_err *err);    /* a kind of news that is told */
int word_check_command(const char *text, struct rm_err *err); /* /PATH ARGUMENT ... */
int word_check_url(const char *text, struct rm_err *err);     /* https:// or http:// */

/* These write what the text means. */
int word_parse_role(const char *text, void *ret_role, struct rm_err *err);   /* enum role */
int word_parse_fence(const char *text, void *ret_fence, struct rm_err *err); /* enum fence_mode */
int word_parse_mode(const char *text, void *ret_mode, struct rm_err *err);   /* unsigned, octal */
int word_parse_reserve(const char *text, void *ret_reserve,
                       struct rm_err *err); /* struct conf_reserve: "8 GiB", "10 %" or "0" */
int word_parse_z85(const char *text, void *ret_key, struct rm_err *err); /* CONF_Z85_LEN + 1 */

/* The other way, for people. */
enum { WORD_TEXT_MAX = 64 };
void word_show_role(const void *role, char text[static WORD_TEXT_MAX]);
void word_show_fence(const void *fence, char text[static WORD_TEXT_MAX]);
void word_show_mode(const void *mode, char text[static WORD_TEXT_MAX]);
void word_show_reserve(const void *reserve, char text[static WORD_TEXT_MAX]);
void word_show_z85(const void *key, char text[static WORD_TEXT_MAX]);

#endif
