/* init_cmd.c - rmigrate init: the settings and keys of a site, in one go
 *
 *     DIR/rmigrate.conf                 of the broker, with @include "allow.conf" where its allow-list is
 *     DIR/allow.conf                    a row for each key; only init writes it
 *     DIR/broker.key
 *     DIR/hypervisors/NAME/             what goes to that hypervisor: rmigrate.conf, worker.key
 *     DIR/operators/NAME/               what goes to that person's home: rmigrate.conf, rmigrate.key
 *
 * Where DIR/rmigrate.conf is there already, only keys are added. A row is written last, when what it allows is on
 * disk; what init did not write itself it never changes. */
#include "submit/init_cmd.h"

#include "conf/conf.h"
#include "conf/endpoint.h"
#include "conf/io.h"
#include "conf/service.h"
#include "conf/text.h"
#include "submit/out.h"
#include "submit/owner.h"
#include "wire/key.h"
#include "wire/net_key.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PORT = 9749, NAMES_MAX = 10000, FILE_MAX = 16 << 20 };
#define DIRECTORY "/etc/rmigrate"

struct names {
    char **names; /* owned, as is the array */
    size_t n;
};

struct init {
    char directory[PATH_MAX];
    char address[CONF_ENDPOINT_MAX]; /* "mgmt:9749": where hypervisors reach the broker */
    char server[CONF_Z85_LEN + 1];   /* the broker's public key */
    const struct passwd *owner;      /* of the broker's key; NULL: whoever calls */
    struct names hypervisors, operators;
    char here[HOST_NAME_MAX + 1]; /* this machine, up to its first dot */
    bool serves_here;             /* it is a hypervisor itself */
    char *rows;                   /* for allow.conf; owned */
    size_t rows_length;
    FILE *rows_file;
};

/* ---- files */

static char *path_in(const struct init *init, const char *folder, const char *name,
                     const char *file)
{
    char *path;
    return asprintf(&path, "%s%s%s%s%s%s%s", init->directory, folder[0] ? "/" : "", folder,
                    name[0] ? "/" : "", name, file[0] ? "/" : "", file) < 0
               ? NULL
               : path;
}

static int make_directory(const char *path, mode_t mode, bool may_exist, struct rm_err *err)
{
    if (mkdir(path, mode) == 0 || (errno == EEXIST && may_exist))
        return 0;
    int r = -errno;
    return rm_fail(err, r, "%s: %s%s", path, strerror(-r),
                   r == -EACCES   ? "; run it as root, or name another directory with --dir"
                   : r == -EEXIST ? "; remove it first, when nobody needs what is in it"
                                  : "");
}

/* A new file, on disk when it returns. */
static int write_file(const char *path, mode_t mode, const char *text, struct rm_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    int r = fd < 0 ? -errno : fchmod(fd, mode) < 0 ? -errno : io_write(fd, text, strlen(text));
    if (r >= 0 && fsync(fd) < 0)
        r = -errno;
    if (fd >= 0)
        close(fd);
    return r < 0 ? rm_fail(err, r, "%s: %s", path, strerror(-r)) : 0;
}

static int write_key(const char *path, const struct passwd *owner,
                     char public_key[static CONF_Z85_LEN + 1], struct rm_err *err)
{
    char secret[CONF_Z85_LEN + 1];
    int r = net_keypair(public_key, secret);
    r = r < 0 ? rm_fail(err, r, "cannot make a key: %s", strerror(-r))
              : net_key_write(path, public_key, secret, owner, err);
    explicit_bzero(secret, sizeof(secret));
    return r;
}

/* ---- whose keys are made */

static bool is_taken(const struct init *init, const char *name)
{
    const struct names *both[] = {&init->hypervisors, &init->operators};
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < both[k]->n; i++)
            if (strcmp(both[k]->names[i], name) == 0)
                return true;
    return strcmp(name, "broker") == 0; /* its own key is called so */
}

/* The worker beside the broker needs neither key nor settings: the local socket is its way, and the machine's name
 * its hypervisor's. */
static int add_name(struct init *init, struct names *names, char *name, struct rm_err *err)
{
    if (names == &init->hypervisors && strcmp(name, init->here) == 0) {
        init->serves_here = true;
        free(name);
        return 0;
    }
    if (!conf_name_is_valid(name))
        return rm_fail(err, -EINVAL, "'%s' is not a valid name for a key", name);
    if (is_taken(init, name))
        return rm_fail(err, -EINVAL, "'%s' is named twice: each key has a name of its own", name);
    if (names->n == NAMES_MAX)
        return rm_fail(err, -EINVAL, "there are more than %d names", NAMES_MAX);
    names->names[names->n++] = name;
    return 0;
}

/* Names that are separated by commas or blanks. */
static int add_names(struct init *init, struct names *names, const char *list, struct rm_err *err)
{
    int r = 0;
    while (r == 0 && *(list += strspn(list, ", "))) {
        size_t n = strcspn(list, ", ");
        char *name = strndup(list, n);
        r = name ? add_name(init, names, name, err) : rm_fail(err, -ENOMEM, "no memory");
        if (r < 0)
            free(name);
        list += n;
    }
    return r;
}

/* "mgmt" or "mgmt:9749"; "": the name of this machine. */
static int set_address(struct init *init, const char *text, struct rm_err *err)
{
    char host[CONF_ENDPOINT_MAX], endpoint[sizeof(init->address) + sizeof("tcp://:99999")];
    text = text[0] ? text : init->here;
    bool has_port = text[0] == '[' ? strstr(text, "]:") != NULL : strchr(text, ':') != NULL;
    text_format(init->address, sizeof(init->address), has_port ? "%s" : "%s:%d", text, PORT);
    text_format(endpoint, sizeof(endpoint), "tcp://%s", init->address);
    if (!endpoint_host(endpoint, host, sizeof(host)) || strcspn(text, "\"\\ \t\n*") != strlen(text))
        return rm_fail(err, -EINVAL, "--address: '%s' is neither HOST nor HOST:PORT", text);
    return 0;
}

/* ---- the settings of each machine */

static int make_one(struct init *init, const char *folder, const char *name, const char *key,
                    const char *role, const char *settings, struct rm_err *err)
{
    char public_key[CONF_Z85_LEN + 1];
    char *directory = path_in(init, folder, name, "");
    char *key_path = path_in(init, folder, name, key);
    char *file = path_in(init, folder, name, "rmigrate.conf");
    int r = directory && key_path && file ? 0 : rm_fail(err, -ENOMEM, "no memory");
    if (r >= 0)
        r = make_directory(directory, 0700, false, err);
    if (r >= 0)
        r = write_key(key_path, NULL, public_key, err);
    if (r >= 0)
        r = write_file(file, 0600, settings, err);
    if (r >= 0)
        fprintf(init->rows_file, "{ name = \"%s\"; role = \"%s\"; public = \"%s\"; }\n", name, role,
                public_key);
    free(directory);
    free(key_path);
    free(file);
    return r;
}

static int make_hypervisor(struct init *init, const char *name, struct rm_err *err)
{
    char *text;
    if (asprintf(&text,
                 "# rmigrate.conf of the hypervisor %s; all settings: rmigrate.conf(5)\n"
                 "worker: {\n"
                 "    broker = \"tcp://%s\";\n"
                 "    key = \"" DIRECTORY "/worker.key\";\n"
                 "    server = \"%s\"; # the broker's public key\n"
                 "    # peer: how the libvirtd of other hypervisors reach this one\n"
                 "    hypervisors = (\n"
                 "        { name = \"%s\"; connect = \"qemu:///system\"; peer = "
                 "\"qemu+tls://%s/system\"; }\n"
                 "    );\n"
                 "};\n",
                 name, init->address, init->server, name, name) < 0)
        return rm_fail(err, -ENOMEM, "no memory");
    int r = make_one(init, "hypervisors", name, "worker.key", "worker", text, err);
    free(text);
    return r;
}

/* Settings name a key by its whole path; the home of somebody who is not known here is guessed. */
static int make_operator(struct init *init, const char *name, struct rm_err *err)
{
    char *text;
    const struct passwd *user = getpwnam(name);
    if (asprintf(&text,
                 "# rmigrate.conf of %s, used when RMIGRATE_CONF names it\n"
                 "client: {\n"
                 "    broker = \"tcp://%s\";\n"
                 "    key = \"%s%s/rmigrate.key\"; # where it is kept\n"
                 "    server = \"%s\"; # the broker's public key\n"
                 "};\n",
                 name, init->address, user ? "" : "/home/", user ? user->pw_dir : name,
                 init->server) < 0)
        return rm_fail(err, -ENOMEM, "no memory");
    int r = make_one(init, "operators", name, "rmigrate.key", "operator", text, err);
    free(text);
    return r;
}

/* Below DIR a folder for each kind, which only root enters: there are secrets in it. */
static int make_all(struct init *init, struct rm_err *err)
{
    const struct {
        const char *folder;
        const struct names *names;
        int (*make)(struct init *init, const char *name, struct rm_err *err);
    } kinds[] = {{"hypervisors", &init->hypervisors, make_hypervisor},
                 {"operators", &init->operators, make_operator}};
    int r = 0;
    for (size_t k = 0; r >= 0 && k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        char *folder = path_in(init, kinds[k].folder, "", "");
        if (kinds[k].names->n > 0)
            r = folder ? make_directory(folder, 0700, true, err)
                       : rm_fail(err, -ENOMEM, "no memory");
        for (size_t i = 0; r >= 0 && i < kinds[k].names->n; i++)
            r = kinds[k].make(init, kinds[k].names->names[i], err);
        free(folder);
    }
    return r;
}

/* ---- the broker */

/* libconfig 1.5 takes no comma behind the last row, so each further one brings its own. */
static int write_rows(struct init *init, const char *path, const char *before, struct rm_err *err)
{
    char *text = NULL, *next = NULL;
    size_t length;
    FILE *file = open_memstream(&text, &length);
    if (!file || fflush(init->rows_file) != 0 || asprintf(&next, "%s.new", path) < 0) {
        if (file)
            fclose(file);
        free(text);
        return rm_fail(err, -ENOMEM, "no memory");
    }
    if (before[0])
        fputs(before, file);
    else
        fprintf(file,
                "# Who may come over tcp; rmigrate init adds to it. Their settings have:\n"
                "#   broker = \"tcp://%s\";\n"
                "#   server = \"%s\";\n",
                init->address, init->server);
    bool is_first = strchr(before, '{') == NULL;
    for (char *row = strtok(init->rows, "\n"); row; row = strtok(NULL, "\n")) {
        fprintf(file, "%s%s\n", is_first ? "  " : ", ", row);
        is_first = false;
    }
    int r = fclose(file) == 0 ? 0 : rm_fail(err, -ENOMEM, "no memory");
    if (r >= 0) {
        unlink(next); /* of one that was broken off */
        r = write_file(next, 0644, text, err);
    }
    if (r >= 0 && (rename(next, path) < 0 || io_sync(init->directory) < 0))
        r = rm_fail(err, -errno, "%s: %s", path, strerror(errno));
    free(next);
    free(text);
    return r;
}

static int begin_site(struct init *init, const char *key, const char *rows, const char *settings,
                      struct rm_err *err)
{
    char *text;
    const char *port = strrchr(init->address, ':') + 1;
    if (asprintf(&text,
                 "# rmigrate.conf of the broker; all settings: rmigrate.conf(5)\n"
                 "broker: {\n"
                 "    listen = [ \"ipc:///run/rmigrate/broker\", \"tcp://*:%s\" ];\n"
                 "    key = \"%s\";\n"
                 "    allow = (\n"
                 "@include \"allow.conf\"\n"
                 "    );\n"
                 "};\n",
                 port, key) < 0)
        return rm_fail(err, -ENOMEM, "no memory");
    int r = make_directory(init->directory, 0755, true, err);
    if (r >= 0)
        r = write_key(key, init->owner, init->server, err);
    if (r >= 0)
        r = make_all(init, err);
    if (r >= 0)
        r = write_rows(init, rows, "", err);
    if (r >= 0)
        r = write_file(settings, 0644, text, err);
    free(text);
    return r;
}

/* What the comment at the head of allow.conf has behind `before`, up to the quote. -EINVAL: it has been changed. */
static int read_head(const char *text, const char *before, char *value, size_t size)
{
    const char *found = strstr(text, before),
               *end = found ? strchr(found + strlen(before), '"') : NULL;
    size_t n = end ? (size_t)(end - found) - strlen(before) : 0;
    if (n == 0 || n >= size)
        return -EINVAL;
    memcpy(value, found + strlen(before), n);
    value[n] = '\0';
    return 0;
}

static int read_site(struct init *init, const char *text, const char *rows, const char *settings,
                     bool has_address, struct rm_err *err)
{
    char address[sizeof(init->address)];
    if (read_head(text, "#   broker = \"tcp://", address, sizeof(address)) < 0 ||
        read_head(text, "#   server = \"", init->server, sizeof(init->server)) < 0 ||
        !net_key_is_valid(init->server))
        return rm_fail(err, -EINVAL, "%s: its first lines, which init needs, have been changed",
                       rows);
    if (!has_address)
        memcpy(init->address, address, sizeof(address));
    struct conf_broker conf;
    int r = conf_broker_load(settings, &conf, err);
    if (r < 0)
        return r;
    for (size_t i = 0; r >= 0 && i < conf.n_keys; i++)
        if (is_taken(init, conf.keys[i].name))
            r = rm_fail(err, -EEXIST, "%s has a key already", conf.keys[i].name);
    conf_broker_done(&conf);
    return r;
}

/* The keys of a site that is there. */
static int add_to_site(struct init *init, const char *rows, const char *settings, bool has_address,
                       struct rm_err *err)
{
    char *before = NULL;
    size_t length;
    int fd = open(rows, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return rm_fail(err, -EEXIST,
                       "%s is there, and init has not written it: rmigrate keygen NAME --role "
                       "worker makes a key and prints its row",
                       settings);
    int r = io_read(fd, FILE_MAX, &before, &length);
    close(fd);
    if (r < 0)
        return rm_fail(err, r, "%s: %s", rows, strerror(-r));
    r = read_site(init, before, rows, settings, has_address, err);
    if (r >= 0)
        r = make_all(init, err);
    if (r >= 0)
        r = write_rows(init, rows, before, err);
    free(before);
    return r;
}

/* ---- what is to be done next */

/* A file to run: what is to be done elsewhere is a comment in it. */
static void print_steps(const struct init *init, bool is_new)
{
    const char *d = init->directory;
    printf("# On this machine, as root:\n");
    if (strcmp(d, DIRECTORY) != 0)
        printf("# (the unit of the broker reads " DIRECTORY
               "/rmigrate.conf; rmigrate-broker -c takes another)\n");
    printf("systemctl %s rmigrate-broker\n", is_new ? "enable --now" : "restart");
    if (init->serves_here)
        printf("systemctl enable --now rmigrate-worker\n");
    for (size_t i = 0; i < init->hypervisors.n; i++)
        printf("scp %1$s/hypervisors/%2$s/* root@%2$s:" DIRECTORY
               "/ && rm -r %1$s/hypervisors/%2$s\n",
               d, init->hypervisors.names[i]);
    for (size_t i = 0; i < init->operators.n; i++) {
        const char *name = init->operators.names[i];
        const struct passwd *user = getpwnam(name);
        if (user)
            printf("install -b -o %1$s -m 600 -t %2$s %3$s/operators/%1$s/* && rm -r "
                   "%3$s/operators/%1$s\n",
                   name, user->pw_dir, d);
        else
            printf("# %s/operators/%s: for %s, who is not known here\n", d, name, name);
    }
    if (init->hypervisors.n > 0)
        printf("# On each hypervisor, where rmigrate-worker is installed:\n"
               "#   systemctl enable --now rmigrate-worker\n");
    if (init->operators.n > 0)
        printf("# Operators:  export RMIGRATE_CONF=~/rmigrate.conf\n");
    printf("# Then:  rmigrate hosts\n");
}

/* ---- all of it */

/* It stands in settings and in lines for a shell. */
static int set_directory(struct init *init, const char *text, struct rm_err *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+-";
    char here[PATH_MAX] = "";
    text = text[0] ? text : DIRECTORY;
    if (text[0] != '/' && !getcwd(here, sizeof(here)))
        return rm_fail(err, -errno, "--dir: %s", strerror(errno));
    int n = snprintf(init->directory, sizeof(init->directory), "%s%s%s", here, here[0] ? "/" : "",
                     text);
    if (n < 0 || n >= (int)sizeof(init->directory) ||
        strspn(init->directory, allowed) != strlen(init->directory))
        return rm_fail(err, -EINVAL, "--dir: '%s%s%s' has more than letters, digits and /._+-",
                       here, here[0] ? "/" : "", text);
    return 0;
}

static int gather(struct init *init, const struct args *args, struct rm_err *err)
{
    init->hypervisors.names = calloc(NAMES_MAX, sizeof(char *));
    init->operators.names = calloc(NAMES_MAX, sizeof(char *));
    init->rows_file = open_memstream(&init->rows, &init->rows_length);
    if (!init->hypervisors.names || !init->operators.names || !init->rows_file)
        return rm_fail(err, -ENOMEM, "no memory");
    if (gethostname(init->here, sizeof(init->here)) < 0)
        init->here[0] = '\0';
    init->here[sizeof(init->here) - 1] = '\0';
    int r = set_address(init, args->address, err);
    init->here[strcspn(init->here, ".")] = '\0';
    for (size_t i = 0; r >= 0 && i < args->n_operands; i++)
        r = add_names(init, &init->hypervisors, args->operands[i], err);
    if (r >= 0)
        r = add_names(init, &init->operators, args->operators, err);
    if (r >= 0 && init->hypervisors.n + init->operators.n == 0)
        r = rm_fail(err, -EINVAL, "guests move between two: name hypervisors besides this machine");
    return r < 0 ? r : set_directory(init, args->dir, err);
}

static int carry_out(struct init *init, bool has_address, bool *ret_is_new, struct rm_err *err)
{
    char *settings = path_in(init, "", "", "rmigrate.conf"),
         *key = path_in(init, "", "", "broker.key");
    char *rows = path_in(init, "", "", "allow.conf");
    int r = settings && key && rows ? 0 : rm_fail(err, -ENOMEM, "no memory");
    *ret_is_new = r >= 0 && access(settings, F_OK) < 0;
    if (r >= 0)
        r = *ret_is_new ? begin_site(init, key, rows, settings, err)
                        : add_to_site(init, rows, settings, has_address, err);
    free(settings);
    free(key);
    free(rows);
    return r;
}

static void forget(struct init *init)
{
    struct names *both[] = {&init->hypervisors, &init->operators};
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < both[k]->n; i++)
            free(both[k]->names[i]);
        free(both[k]->names);
    }
    if (init->rows_file)
        fclose(init->rows_file);
    free(init->rows);
}

int init_run(struct client *client, const struct args *args)
{
    (void)client;
    struct init init = {0};
    struct rm_err err = {0};
    bool is_new = false;
    if (!owner_find(args->owner, true, &init.owner))
        return EXIT_USAGE;
    int r = gather(&init, args, &err);
    int code = r < 0 ? EXIT_USAGE : EXIT_OK;
    if (r >= 0 && (r = carry_out(&init, args->address[0] != '\0', &is_new, &err)) < 0)
        code = EXIT_SOME_FAILED;
    if (r < 0)
        out_error("%s", err.text);
    else
        print_steps(&init, is_new);
    forget(&init);
    return code;
}
