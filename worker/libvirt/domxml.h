/* domxml.h - what a guest's XML says about moving it: what stands in the way, what can be
 * compared
 *
 * Pure reading by libxml2, without network or files. */
#ifndef WORKER_LIBVIRT_DOMXML_H
#define WORKER_LIBVIRT_DOMXML_H

#include "conf/err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    DOMXML_MAX = 16 * 1024 * 1024, /* bytes of a document */
    DOMXML_WORD_MAX = 128,         /* of an architecture, a machine type */
};

struct domxml {
    char blocker[256];    /* a device that no migration takes along; "" = none */
    char host_device[64]; /* the first assigned host device without a stand-in; "" = none */
    char virttype[DOMXML_WORD_MAX], arch[DOMXML_WORD_MAX], machine[DOMXML_WORD_MAX];
    char *cpu; /* the cpu element as a document of its own; NULL: nothing to compare */
};

/* -EINVAL: not a domain's XML; -ENOMEM. */
int domxml_read(const char *xml, struct domxml *ret_facts, struct rm_err *err);
void domxml_done(struct domxml *facts); /* fine on a zeroed struct */

/* The text of host/uuid in a capabilities document, "" when there is none. -EINVAL: not XML. */
int domxml_host_uuid(const char *xml, char *ret_uuid, size_t size);

#endif
