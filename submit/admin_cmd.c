/* admin_cmd.c - reconcile, keygen, version */
#include "submit/admin_cmd.h"

#include "conf/conf.h"
#include "conf/service.h"
#include "submit/out.h"
#include "submit/outcome.h"
#include "submit/owner.h"
#include "wire/key.h"
#include "wire/net_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reconcile */

int admin_reconcile(struct client *client, const struct args *args)
{
    RmReconcile reconcile = RM_RECONCILE__INIT;
    reconcile.guests = (char *)(args->n_operands > 0 ? args->operands[0] : "");
    reconcile.mend = args->repair;
    RmRequest request = client_request(RM_REQUEST__ASK_RECONCILE, &reconcile);
    return outcome_ask(client, args, &request, 0, "the table matches the hypervisors");
}

/* ---- keygen, version */

static void explain_key(const struct args *args, const char *path)
{
    struct stat st;
    fflush(stdout);
    if (!isatty(STDERR_FILENO)) /* a script knows */
        return;
    const struct passwd *user = stat(path, &st) == 0 ? getpwuid(st.st_uid) : NULL;
    out_note("%s is the new key; only %s can read it", path, user ? user->pw_name : "its owner");
    if (args->broker) {
        out_note("broker.key names this file in the broker's rmigrate.conf");
        out_note(
            "the line above goes into the groups worker and client of all others, beside `key'");
        return;
    }
    out_note("the row above goes into broker.allow of the broker's rmigrate.conf; then `systemctl "
             "reload rmigrate-broker'");
    out_note(
        "move the file to the machine that uses it, to %s; %s.key names it there, and `server' "
        "beside it is the broker's public key",
        args->role == ROLE_WORKER ? "the user root" : "the user whose key it is",
        args->role == ROLE_WORKER ? "worker" : "client");
}

int admin_keygen(struct client *client, const struct args *args)
{
    (void)client;
    const char *name = args->operands[0];
    char public_key[CONF_Z85_LEN + 1], secret_key[CONF_Z85_LEN + 1];
    struct rm_err err = {0};
    const struct passwd *owner;
    char *path;
    if (!conf_name_is_valid(name)) {
        out_error("'%s' is not a valid name for a key", name);
        return EXIT_USAGE;
    }
    if (!owner_find(args->owner, args->broker, &owner))
        return EXIT_USAGE;
    if (asprintf(&path, "%s/%s.key", args->dir[0] ? args->dir : ".", name) < 0)
        return out_no_memory();
    int r = net_keypair(public_key, secret_key);
    if (r < 0)
        rm_fail(&err, r, "cannot make a key: %s", strerror(-r));
    else
        r = net_key_write(path, public_key, secret_key, owner, &err);
    explicit_bzero(secret_key, sizeof(secret_key));
    if (r < 0)
        out_error("%s", err.text);
    else {
        if (args->broker)
            printf("server = \"%s\";\n", public_key);
        else
            printf("{ name = \"%s\"; role = \"%s\"; public = \"%s\"; }\n", name,
                   role_name(args->role), public_key);
        explain_key(args, path);
    }
    free(path);
    return r < 0 ? EXIT_SOME_FAILED : EXIT_OK;
}

int admin_version(struct client *client, const struct args *args)
{
    (void)client;
    (void)args;
    puts(service_version_line());
    return EXIT_OK;
}
