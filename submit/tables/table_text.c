/* table_text.c - what the site tables and their columns mean */
#include "submit/tables/table_text.h"

#include <string.h>

#define COMMENTS                                                                                   \
    {                                                                                              \
        "comments", "free text; not used by rmigrate"                                              \
    }
#define DISABLE                                                                                    \
    {                                                                                              \
        "disable", "if set to anything but 0 or no, the row is ignored"                            \
    }
#define NODE                                                                                       \
    {                                                                                              \
        "node", "a node, or a group whose members inherit this row"                                \
    }
#define UNUSED "not used by rmigrate"
#define END                                                                                        \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }

/* clang-format off */
static const struct column_text hypervisor[] = {
    NODE,
    {"type", "kind of hypervisor, for example kvm or zvm"},
    {"mgr", UNUSED},
    {"interface", UNUSED},
    {"netmap", UNUSED},
    {"defaultnet", UNUSED},
    {"cluster", "cluster that it belongs to"},
    {"datacenter", UNUSED},
    {"preferdirect", UNUSED},
    COMMENTS, DISABLE, END,
};
static const struct column_text nodegroup[] = {
    {"groupname", "the group"},
    {"grouptype", "static: its members list it in nodelist.groups; dynamic: defined by wherevals"},
    {"members", UNUSED},
    {"membergroups", UNUSED},
    {"wherevals", "for a dynamic group: conditions that its members meet, joined by ::, "
                  "for example mgt==kvm::vmhost=~hyp0"},
    COMMENTS, DISABLE, END,
};
static const struct column_text nodehm[] = {
    NODE,
    {"power", UNUSED},
    {"mgt", "how the node is managed, for example kvm or zvm; called mgt in noderanges"},
    {"cons", UNUSED},
    {"termserver", UNUSED},
    {"termport", UNUSED},
    {"conserver", UNUSED},
    {"serialport", UNUSED},
    {"serialspeed", UNUSED},
    {"serialflow", UNUSED},
    {"getmac", UNUSED},
    {"cmdmapping", UNUSED},
    {"consoleondemand", UNUSED},
    {"consoleenabled", UNUSED},
    COMMENTS, DISABLE, END,
};
static const struct column_text nodelist[] = {
    {"node", "the node: this row defines it"},
    {"groups", "its groups, separated by commas; of several that set an attribute, the first counts"},
    {"status", UNUSED},
    {"statustime", UNUSED},
    {"appstatus", UNUSED},
    {"appstatustime", UNUSED},
    {"primarysn", UNUSED},
    {"hidden", "if 1, nodels without a noderange does not list it, unless -S is given"},
    {"updatestatus", UNUSED},
    {"updatestatustime", UNUSED},
    {"zonename", UNUSED},
    COMMENTS, DISABLE, END,
};
static const struct column_text vm[] = {
    NODE,
    {"mgr", UNUSED},
    {"host", "hypervisor that the guest runs on; updated when a job has moved it"},
    {"migrationdest", "noderange of hypervisors that the guest may be moved to without a target"},
    {"storage", "disks: nfs://server/path, dir:///path, lvm://vg or phy:/dev/x, joined by |"},
    {"storagemodel", "bus of the disks: ide, virtio, scsi"},
    {"storagecache", "cache mode: none, writethrough, writeback"},
    {"storageformat", "raw or qcow2"},
    {"cfgstore", "location of the guest's configuration files"},
    {"memory", "in megabytes, or with k, m or g"},
    {"cpus", "number of virtual processors"},
    {"nics", "networks: [physical:]bridge[=model], separated by commas"},
    {"nicmodel", "model of network cards, for example virtio"},
    {"bootorder", "for example net,hd"},
    {"clockoffset", "utc or localtime"},
    {"virtflags", "flags of the virtualization, separated by commas"},
    {"master", "image that the guest was made from"},
    {"vncport", "port of its graphical console"},
    {"textconsole", "its text console"},
    {"powerstate", "on or off; not used by rmigrate"},
    {"beacon", "state of the identify light"},
    {"datacenter", UNUSED},
    {"cluster", "cluster that it belongs to"},
    {"guestostype", "operating system of the guest"},
    {"othersettings", "key:value, separated by semicolons; domain:NAME is the name of the node's "
                      "guest on its hypervisor if it differs from that of the node; separate:NAME, "
                      "together:NAME, avoid:HOST and prefer:HOST are rules for where it may go"},
    {"physlots", "slots of passed-through devices"},
    {"vidmodel", "model of the video card, for example qxl"},
    {"vidproto", "protocol of the graphical console: vnc or spice"},
    {"vidpassword", "password of the graphical console; shown as ******** without --secrets"},
    COMMENTS, DISABLE, END,
};
static const struct column_text zvm[] = {
    NODE,
    {"hcp", "the node through which its system is managed"},
    {"userid", "user id of the virtual machine"},
    {"nodetype", "cec, lpar, zvm or vm"},
    {"parent", "the system that it runs on"},
    COMMENTS, DISABLE,
    {"discovered", UNUSED},
    {"status", UNUSED},
    END,
};

static const struct table_text tables[] = {
    {"hypervisor", "hypervisors and their kind", hypervisor},
    {"nodegroup", "groups of nodes: those without members, and those defined by attributes of "
                  "their members", nodegroup},
    {"nodehm", "how nodes are managed", nodehm},
    {"nodelist", "all nodes and their groups", nodelist},
    {"vm", "guests: where they run, where they may be moved, what they consist of", vm},
    {"zvm", "guests and systems of z/VM", zvm},
};
/* clang-format on */

const struct table_text *table_text_at(size_t i)
{
    return i < sizeof(tables) / sizeof(tables[0]) ? &tables[i] : NULL;
}

const struct table_text *table_text_find(const char *table_name)
{
    for (size_t i = 0; table_text_at(i); i++)
        if (strcmp(tables[i].name, table_name) == 0)
            return &tables[i];
    return NULL;
}
