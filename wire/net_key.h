/* net_key.h - CURVE keys as texts: made, checked, the public half of a secret one */
#ifndef WIRE_NET_KEY_H
#define WIRE_NET_KEY_H

#include "conf/conf.h"

#include <stdbool.h>

enum { NET_KEY_BYTES = 32 }; /* of a key that is not written as text */

/* A new CURVE pair as Z85 text. */
int net_keypair(char public_key[static CONF_Z85_LEN + 1], char secret_key[static CONF_Z85_LEN + 1]);

bool net_key_is_valid(const char *text); /* Z85 text of a key's length */
int net_key_public(const char *secret_key, char public_key[static CONF_Z85_LEN + 1]); /* -EINVAL */

#endif
