/* libvirt.h - hypervisors that libvirt manages
 *
 * A guest is called like its node, unless the node's vm.othersettings holds `domain:NAME`. A domain
 * whose name belongs to a node with another domain is called %NAME. */
#ifndef BROKER_LIBVIRT_H
#define BROKER_LIBVIRT_H

#include "broker/platform.h"

extern const struct platform platform_libvirt;

#endif
