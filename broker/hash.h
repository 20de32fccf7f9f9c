/* hash.h - the hash tables and lists of the broker: uthash and utlist, with memory that must be there
 *
 * A table that cannot grow ends the broker (conf/array.h: must), as every other bookkeeping. */
#ifndef BROKER_HASH_H
#define BROKER_HASH_H

#include "conf/array.h"

#include <stdlib.h>
#include <string.h>

#define uthash_malloc(size) must(malloc(size))

#include <uthash.h>
#include <utlist.h>

#endif
