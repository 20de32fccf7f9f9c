/* table_cmd.c - reconcile, keygen, version */
#include "submit/table_cmd.h"

#include "conf/conf.h"
#include "conf/service.h"
#include "submit/out.h"
#include "submit/view.h"
#include "wire/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- reconcile */

int table_reconcile(struct client *client, const struct args *args)
{
    RmReconcile reconcile = RM_RECONCILE__INIT;
    reconcile.guests = (char *)(args->n_operands > 0 ? args->operands[0] : "");
    reconcile.mend = args->mend;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_RECONCILE;
    request.reconcile = &reconcile;
    return view_question(client, &request, 0, args->json, "the table agrees with the hypervisors");
}

/* ---- keygen, version */

static void explain_key(const char *path, const char *public_key)
{
    fflush(stdout);
    if (!isatty(STDERR_FILENO)) /* a script knows */
        return;
    out_note("%s is the new key: it stays on the machine that uses it, readable by its owner alone",
             path);
    out_note("the row above goes into broker.allow of the broker's rmigrate.conf");
    out_note(
        "client.key or worker.key names the file, and `server' beside it the broker's public key");
    out_note("for the broker's own key: broker.key names the file, and everybody's `server' is %s",
             public_key);
}

int table_keygen(struct client *client, const struct args *args)
{
    (void)client;
    const char *name = args->operands[0];
    char public_key[CONF_Z85_LEN + 1], secret_key[CONF_Z85_LEN + 1];
    struct rm_err err = {0};
    char *path;
    if (!conf_name_is_valid(name)) {
        out_error("'%s' cannot be the name of a key", name);
        return EXIT_USAGE;
    }
    if (asprintf(&path, "%s/%s.key", args->dir, name) < 0)
        return out_no_memory();
    int r = net_keypair(public_key, secret_key);
    if (r < 0)
        rm_fail(&err, r, "no key could be made: %s", strerror(-r));
    else
        r = net_key_write(path, public_key, secret_key, &err);
    explicit_bzero(secret_key, sizeof(secret_key));
    if (r < 0)
        out_error("%s", err.text);
    else {
        printf("{ name = \"%s\"; role = \"%s\"; public = \"%s\"; }\n", name, role_name(args->role),
               public_key);
        explain_key(path, public_key);
    }
    free(path);
    return r < 0 ? EXIT_SOME_FAILED : EXIT_OK;
}

int table_version(struct client *client, const struct args *args)
{
    (void)client;
    (void)args;
    puts(service_version_line());
    return EXIT_OK;
}
