/* net_key.c - CURVE keys as texts: made, checked, the public half of a secret one */
#include "wire/net_key.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <zmq.h>

int net_keypair(char public_key[static CONF_Z85_LEN + 1], char secret_key[static CONF_Z85_LEN + 1])
{
    return zmq_curve_keypair(public_key, secret_key) < 0 ? -errno : 0;
}

bool net_key_is_valid(const char *text)
{
    uint8_t bytes[NET_KEY_BYTES];
    bool is = strlen(text) == CONF_Z85_LEN && zmq_z85_decode(bytes, text);
    explicit_bzero(bytes, sizeof(bytes));
    return is;
}

int net_key_public(const char *secret_key, char public_key[static CONF_Z85_LEN + 1])
{
    return zmq_curve_public(public_key, secret_key) < 0 ? -errno : 0;
}
