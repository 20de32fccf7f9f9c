/* workers.c - how many calls a daemon of libvirt carries out at once
 *
 * Asking the daemon takes libvirt's other library (libvirt-admin), and a program cannot use both:
 * they make types of the same names. So its settings are read. */
#include "worker/libvirt/workers.h"

#include "worker/libvirt/conn.h"

#include <stdio.h>
#include <unistd.h>

enum {
    WORKERS_DEFAULT = 20,
    LINE_MAX_BYTES = 1024,
};

static unsigned read_workers(const char *path)
{
    char line[LINE_MAX_BYTES];
    unsigned workers = 0, value;
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, " max_workers = %9u", &value) == 1)
            workers = value;
    if (file)
        fclose(file);
    return workers > 0 ? workers : WORKERS_DEFAULT;
}

/* One daemon for all is called libvirtd; that for QEMU alone, where there is one, virtqemud. */
unsigned lv_slots_max(const struct conf_hypervisor *conf)
{
    unsigned workers = WORKERS_DEFAULT;
    if (lv_uri_is_local(conf->connect))
        workers = read_workers(access("/run/libvirt/virtqemud-sock", F_OK) == 0
                                   ? "/etc/libvirt/virtqemud.conf"
                                   : "/etc/libvirt/libvirtd.conf");
    return workers > 1 ? workers / 2 : 1;
}
