/* owner.c - whom a new key file is for */
#include "submit/owner.h"

#include "submit/out.h"

#include <stddef.h>
#include <unistd.h>

/* The user of conf/rmigrate-broker.service.in, whom conf/rmigrate.sysusers makes. */
#define BROKER_USER "rmigrate"

bool owner_find(const char *name, bool broker, const struct passwd **ret_owner)
{
    bool is_usual = !name[0] && broker && geteuid() == 0;
    if (is_usual)
        name = BROKER_USER;
    *ret_owner = name[0] ? getpwnam(name) : NULL;
    if (!name[0] || *ret_owner)
        return true;
    out_error("There is no user '%s' on this machine%s", name,
              is_usual ? ": run systemd-sysusers, or name another with --owner" : "");
    return false;
}
