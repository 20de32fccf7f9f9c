/* uri.h - hypervisors by libvirt's URIs: what one is called, and whether two are one
 *
 * Reads texts only: no name is looked up. Sources: libvirt's "Connection URIs". */
#ifndef SUBMIT_URI_H
#define SUBMIT_URI_H

#include <stdbool.h>

char *uri_name(const char *uri);        /* to be freed; NULL: no memory */
bool uri_is_name(const char *name);     /* may a hypervisor be called so with --local? */
bool uri_is_only_here(const char *uri); /* qemu:///system and the like */
bool uri_is_same(const char *uri, const char *other);

#endif
