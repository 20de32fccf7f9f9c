/* table_text.c - what the site tables and their columns mean */
#include "submit/table_text.h"

#include <string.h>

#define COMMENTS                                                                                   \
    {                                                                                              \
        "comments", "free text; rmigrate does nothing with it"                                     \
    }
#define DISABLE                                                                                    \
    {                                                                                              \
        "disable", "if set, but not to 0 or no, the row is kept and does not count"                \
    }
#define NODE                                                                                       \
    {                                                                                              \
        "node", "a node, or a group of nodes: then the row holds what its members inherit"         \
    }
#define UNUSED "kept as it is; rmigrate does nothing with it"
#define END                                                                                        \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }

/* clang-format off */
static const struct column_text hypervisor[] = {
    NODE,
    {"type", "kind of hypervisor, as kvm or zvm"},
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
    {"grouptype", "static: its members name it in nodelist.groups; dynamic: found by wherevals"},
    {"members", UNUSED},
    {"membergroups", UNUSED},
    {"wherevals", "of a dynamic group: conditions that its members meet, joined by ::, "
                  "as mgt==kvm::vmhost=~hyp0"},
    COMMENTS, DISABLE, END,
};
static const struct column_text nodehm[] = {
    NODE,
    {"power", UNUSED},
    {"mgt", "how the node is managed, as kvm or zvm; in noderanges also called mgt"},
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
    {"node", "the node: a row here makes it one"},
    {"groups", "its groups, joined by commas; where several set an attribute, the first one counts"},
    {"status", UNUSED},
    {"statustime", UNUSED},
    {"appstatus", UNUSED},
    {"appstatustime", UNUSED},
    {"primarysn", UNUSED},
    {"hidden", "if 1, nodels without a noderange leaves it out, but for -S"},
    {"updatestatus", UNUSED},
    {"updatestatustime", UNUSED},
    {"zonename", UNUSED},
    COMMENTS, DISABLE, END,
};
static const struct column_text vm[] = {
    NODE,
    {"mgr", UNUSED},
    {"host", "hypervisor that the guest runs on; written when a job has moved it"},
    {"migrationdest", "noderange of hypervisors that the guest may go to when no target is named"},
    {"storage", "disks, as nfs://server/path, dir:///path, lvm://vg or phy:/dev/x, joined by |"},
    {"storagemodel", "bus of the disks: ide, virtio, scsi"},
    {"storagecache", "cache mode: none, writethrough, writeback"},
    {"storageformat", "raw or qcow2"},
    {"cfgstore", "place of the guest's configuration files"},
    {"memory", "megabytes, or with k, m or g"},
    {"cpus", "number of virtual processors"},
    {"nics", "networks, as [physical:]bridge[=model], joined by commas"},
    {"nicmodel", "model of network cards, as virtio"},
    {"bootorder", "as net,hd"},
    {"clockoffset", "utc or localtime"},
    {"virtflags", "flags of the virtualization, joined by commas"},
    {"master", "image that the guest was made from"},
    {"vncport", "port of its graphical console"},
    {"textconsole", "its text console"},
    {"powerstate", "on or off, as last told; rmigrate neither reads nor writes it"},
    {"beacon", "state of the identify light"},
    {"datacenter", UNUSED},
    {"cluster", "cluster that it belongs to"},
    {"guestostype", "operating system of the guest"},
    {"othersettings", "key:value, joined by semicolons; domain:NAME is the name of the node's guest "
                      "on its hypervisor, where it is not that of the node"},
    {"physlots", "slots of passed-through devices"},
    {"vidmodel", "model of the video card, as qxl"},
    {"vidproto", "protocol of the graphical console: vnc, spice"},
    {"vidpassword", "password of the graphical console; shown as ******** but for --secrets"},
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
    {"nodegroup", "groups of nodes: those that have no member yet, and those that are found by "
                  "their attributes", nodegroup},
    {"nodehm", "how nodes are managed", nodehm},
    {"nodelist", "all nodes, and the groups that they are in", nodelist},
    {"vm", "guests: where they run, where they may go, what they are made of", vm},
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
