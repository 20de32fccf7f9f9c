/* net_zap.c - ZAP in the same loop: whose key may connect */
#include "wire/net_key.h"
#include "wire/net_parts.h"
#include "wire/who.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"

int zap_open(struct net *net, struct rm_err *err)
{
    net->zap = zmq_socket(net->context, ZMQ_REP);
    if (!net->zap || net_set_int(net->zap, ZMQ_LINGER, 0) < 0 ||
        zmq_bind(net->zap, ZAP_ENDPOINT) < 0)
        return net_fail(err, "cannot listen on", ZAP_ENDPOINT);
    return 0;
}

/* The parts of a ZAP request; more may follow for other mechanisms than CURVE. */
enum {
    ZAP_VERSION,
    ZAP_ID,
    ZAP_DOMAIN_PART,
    ZAP_ADDRESS,
    ZAP_IDENTITY,
    ZAP_MECHANISM,
    ZAP_KEY,
    ZAP_PARTS
};

static bool part_is(zmq_msg_t *part, const char *text)
{
    return zmq_msg_size(part) == strlen(text) &&
           memcmp(zmq_msg_data(part), text, strlen(text)) == 0;
}

/* Reads one request; false when there is none. Parts that are not known are passed over. */
static bool zap_read(void *zap, zmq_msg_t parts[ZAP_PARTS], size_t *ret_n)
{
    size_t n = 0;
    bool more = true;
    for (; more; n++) {
        zmq_msg_t spare;
        zmq_msg_init(&spare);
        zmq_msg_t *part = n < ZAP_PARTS ? &parts[n] : &spare;
        if (TEMP_FAILURE_RETRY(zmq_msg_recv(part, zap, ZMQ_DONTWAIT)) < 0)
            return false;
        more = zmq_msg_more(part);
        zmq_msg_close(&spare);
    }
    *ret_n = n;
    return true;
}

static void zap_answer(struct net *net, zmq_msg_t parts[ZAP_PARTS], size_t n)
{
    char key[CONF_Z85_LEN + 1] = "";
    unsigned row = 0; /* 0 = refused */
    bool is_sound = n == ZAP_PARTS && part_is(&parts[ZAP_VERSION], "1.0") &&
                    part_is(&parts[ZAP_MECHANISM], "CURVE") &&
                    zmq_msg_size(&parts[ZAP_KEY]) == NET_KEY_BYTES;
    if (is_sound) {
        zmq_z85_encode(key, zmq_msg_data(&parts[ZAP_KEY]), NET_KEY_BYTES);
        row = who_find(net->who, key);
    }
    if (row == 0) {
        net->refusal.count++;
        memcpy(net->refusal.public_key, key, sizeof(key));
        snprintf(net->refusal.address, sizeof(net->refusal.address), "%.*s",
                 n > ZAP_ADDRESS ? (int)zmq_msg_size(&parts[ZAP_ADDRESS]) : 0,
                 (const char *)zmq_msg_data(&parts[ZAP_ADDRESS]));
    }
    /* The user id is the key itself. */
    const char *user = row != 0 ? key : "";
    const char *reply[] = {"1.0", NULL, row != 0 ? "200" : "400", row != 0 ? "OK" : "No such key",
                           user,  ""};
    for (size_t i = 0; i < sizeof(reply) / sizeof(reply[0]); i++) {
        const void *data = i == ZAP_ID ? zmq_msg_data(&parts[ZAP_ID]) : reply[i];
        size_t size = i == ZAP_ID ? zmq_msg_size(&parts[ZAP_ID]) : strlen(reply[i]);
        bool is_last = i + 1 == sizeof(reply) / sizeof(reply[0]);
        if (TEMP_FAILURE_RETRY(
                zmq_send(net->zap, data, size, ZMQ_DONTWAIT | (is_last ? 0 : ZMQ_SNDMORE))) < 0)
            return; /* who asked is gone */
    }
}

void zap_serve(struct net *net)
{
    net->received = 0;
    for (unsigned i = 0; net->zap && i < NET_ZAP_TURN; i++) {
        zmq_msg_t parts[ZAP_PARTS];
        size_t n;
        for (size_t k = 0; k < ZAP_PARTS; k++)
            zmq_msg_init(&parts[k]);
        bool is_there = zap_read(net->zap, parts, &n);
        if (is_there)
            zap_answer(net, parts, n);
        for (size_t k = 0; k < ZAP_PARTS; k++)
            zmq_msg_close(&parts[k]);
        if (!is_there)
            return;
    }
}
