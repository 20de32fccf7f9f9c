/* word.h - what a single text of a setting may be: names, endpoints, URIs, keys, roles
 *
 * For the tables of conf.c. All return 0 or -EINVAL with a text that quotes what was wrong. */
#ifndef CONF_WORD_H
#define CONF_WORD_H

#include "conf/err.h"

int word_check_name(const char *text, struct rm_err *err);   /* conf_name_is_valid() */
int word_check_user(const char *text, struct rm_err *err);   /* a user or group of this machine */
int word_check_listen(const char *text, struct rm_err *err); /* ipc:// or tcp://, port * allowed */
int word_check_broker(const char *text, struct rm_err *err); /* ipc:// or tcp:// to connect to */
int word_check_uri(const char *text, struct rm_err *err);    /* of libvirt: SCHEME://... */
int word_check_migration(const char *text, struct rm_err *err); /* tcp://ADDRESS */
int word_check_smapi(const char *text, struct rm_err *err);     /* tcp://, tls:// or iucv:// */
int word_check_member(const char *text, struct rm_err *err);    /* name of a z/VM member */
int word_check_z85(const char *text, struct rm_err *err);       /* a CURVE key */

/* These write what the text means. */
int word_parse_role(const char *text, void *ret_role, struct rm_err *err);   /* enum role */
int word_parse_fence(const char *text, void *ret_fence, struct rm_err *err); /* enum fence_mode */
int word_parse_mode(const char *text, void *ret_mode, struct rm_err *err);   /* unsigned, octal */
int word_parse_z85(const char *text, void *ret_key, struct rm_err *err);     /* CONF_Z85_LEN + 1 */

#endif
