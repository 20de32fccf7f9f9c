/* init_cmd.c - rmigrate init: the settings and keys of a site, in one go
 *
 *     DIR/rmigrate.conf                 of the broker, with @include "allow.conf" where its allow-list is
 *     DIR/allow.conf                    a row for each key; only init writes it
 *     DIR/broker.key
 *     DIR/hypervisors/NAME/             what goes to that hypervisor: rmigrate.conf, worker.key
 *     DIR/operators/NAME/               what goes to that person's home: rmigrate.conf, rmigrate.key
 *
 * Where DIR/allow.conf is there already, only keys are added. It is written last, when what it allows is on disk; so
 * one that was broken off is repeated, whenever that was. A folder whose key has no row is what is left of such a one.
 * What init did not write itself it never changes. */
#include "submit/init_cmd.h"

#include "conf/conf.h"
#include "conf/endpoint.h"
#include "conf/io.h"
#include "conf/service.h"
#include "conf/text.h"
#include "conf/word.h"
#include "submit/out.h"
#include "submit/owner.h"
#include "wire/key.h"
#include "wire/net_key.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PORT = 9749, NAMES_MAX = 10000, FILE_MAX = 16 << 20 };
#define DIRECTORY "/etc/rmigrate"

/* What stands in settings and in lines for a shell. */
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-"

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
    char here[HOST_NAME_MAX + 1]; /* this machine, as it calls itself */
    bool serves_here;             /* it is a hypervisor itself */
    char *rows;                   /* for allow.conf; owned */
    size_t rows_length;
    FILE *rows_file;
    int lock; /* of its directory for hypervisors; -1: none */
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

static int cannot(const char *path, struct rm_err *err)
{
    int r = -errno;
    return rm_fail(err, r, "%s: %s%s", path, strerror(-r),
                   r == -EACCES ? "; run it as root, or name another directory with --dir" : "");
}

/* Nobody else can put anything into it, nor see what is in it where it has secrets. */
static int check_directory(const char *path, mode_t mode, struct rm_err *err)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return cannot(path, err);
    if (S_ISLNK(st.st_mode) && mode != 0700 && stat(path, &st) < 0)
        return cannot(path, err);
    if (!S_ISDIR(st.st_mode))
        return rm_fail(err, -ENOTDIR, "%s: is not a directory", path);
    if (st.st_uid != geteuid() && (st.st_uid != 0 || mode == 0700))
        return rm_fail(err, -EPERM,
                       "%s: belongs to another user (uid %u); run it as that user, or name another "
                       "directory with --dir",
                       path, (unsigned)st.st_uid);
    if (st.st_mode & 07777 & ~mode & (mode == 0700 ? 0777 : S_IWGRP | S_IWOTH))
        return rm_fail(err, -EPERM, "%s: others may %s it (mode %04o); chmod %o %s", path,
                       mode == 0700 ? "enter" : "write to", (unsigned)(st.st_mode & 07777),
                       (unsigned)mode, path);
    return 0;
}

/* One of this mode, whatever the umask; it may be there. */
static int make_directory(const char *path, mode_t mode, struct rm_err *err)
{
    if (mkdir(path, mode) < 0)
        return errno == EEXIST ? check_directory(path, mode, err) : cannot(path, err);
    return chmod(path, mode) < 0 ? cannot(path, err) : 0;
}

/* A file in place of one that is there, on disk when it returns; what is broken off changes nothing. like: whose mode
 * and owner it gets; NULL: 0644, and its writer's. */
static int write_file(const char *path, const struct stat *like, const char *text,
                      struct rm_err *err)
{
    char *next;
    if (asprintf(&next, "%s.new", path) < 0)
        return rm_fail(err, -ENOMEM, "no memory");
    unlink(next); /* of one that was broken off */
    int fd = open(next, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : io_write(fd, text, strlen(text));
    if (r >= 0 && like && fchown(fd, like->st_uid, like->st_gid) < 0)
        r = -errno;
    if (r >= 0 && (fchmod(fd, like ? like->st_mode & 07777 : 0644) < 0 || fsync(fd) < 0))
        r = -errno;
    if (fd >= 0 && close(fd) < 0 && r >= 0)
        r = -errno;
    if (r >= 0 && rename(next, path) < 0)
        r = -errno;
    if (r < 0 && fd >= 0)
        unlink(next);
    free(next);
    return r < 0 ? rm_fail(err, r, "%s: %s", path, strerror(-r)) : 0;
}

static int sync_directory(const char *path, struct rm_err *err)
{
    int r = io_sync(path);
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
            if (strcasecmp(both[k]->names[i], name) == 0)
                return true;
    return strcasecmp(name, "broker") == 0; /* its own key is called so */
}

/* 1: this machine, with its domain or without, in any case of letters; -EINVAL: nobody knows, by its domain. */
static int is_here(const struct init *init, const char *name, struct rm_err *err)
{
    size_t n = strcspn(init->here, ".");
    if (strncasecmp(name, init->here, n) != 0 || (name[n] && name[n] != '.'))
        return 0;
    if (name[n] == '\0' || strcasecmp(name, init->here) == 0)
        return 1;
    return rm_fail(err, -EINVAL,
                   "'%s' may be this machine, which calls itself %s: name it so, or the other one "
                   "otherwise",
                   name, init->here);
}

static bool is_name(const char *name)
{
    return conf_name_is_valid(name) && strspn(name, LETTERS) == strlen(name) && name[0] != '-' &&
           name[0] != '.';
}

/* The worker beside the broker needs neither key nor settings: the local socket is its way, and the machine's name
 * its hypervisor's. */
static int add_name(struct init *init, struct names *names, char *name, struct rm_err *err)
{
    int here = names == &init->hypervisors ? is_here(init, name, err) : 0;
    if (here < 0)
        return here;
    if (here) {
        init->serves_here = true;
        free(name);
        return 0;
    }
    if (!is_name(name))
        return rm_fail(err, -EINVAL, "'%s' is not a valid name for a key: letters, digits and ._+-",
                       name);
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

static bool is_host(const char *host, bool in_brackets)
{
    struct in6_addr address;
    return in_brackets ? inet_pton(AF_INET6, host, &address) == 1
                       : strspn(host, LETTERS) == strlen(host) && host[0] != '-';
}

/* "mgmt", "mgmt:9749" or "[2001:db8::1]"; "": the name of this machine. */
static int set_address(struct init *init, const char *text, struct rm_err *err)
{
    char host[CONF_ENDPOINT_MAX], endpoint[sizeof(init->address) + sizeof("tcp://:99999")];
    text = text[0] ? text : init->here;
    bool has_port = text[0] == '[' ? strstr(text, "]:") != NULL : strchr(text, ':') != NULL;
    int n = snprintf(init->address, sizeof(init->address), has_port ? "%s" : "%s:%d", text, PORT);
    text_format(endpoint, sizeof(endpoint), "tcp://%s", init->address);
    if (n < 0 || n >= (int)sizeof(init->address) || word_check_broker(endpoint, NULL) < 0 ||
        !endpoint_host(endpoint, host, sizeof(host)) || !is_host(host, text[0] == '['))
        return rm_fail(err, -EINVAL,
                       "--address: '%s' is neither HOST nor HOST:PORT; an IPv6 address stands in "
                       "brackets, as [2001:db8::1]",
                       text);
    return 0;
}

/* ---- the settings of each machine */

static int make_one(struct init *init, const char *folder, const char *name, const char *key,
                    const char *role, const char *settings, struct rm_err *err)
{
    static const struct stat private = {.st_mode = 0600, .st_uid = (uid_t)-1, .st_gid = (gid_t)-1};
    char public_key[CONF_Z85_LEN + 1];
    char *directory = path_in(init, folder, name, "");
    char *key_path = path_in(init, folder, name, key);
    char *file = path_in(init, folder, name, "rmigrate.conf");
    int r = directory && key_path && file ? 0 : rm_fail(err, -ENOMEM, "no memory");
    if (r >= 0)
        r = make_directory(directory, 0700, err);
    if (r >= 0) {
        unlink(key_path);
        r = write_key(key_path, NULL, public_key, err);
    }
    if (r >= 0)
        r = write_file(file, &private, settings, err);
    if (r >= 0)
        r = sync_directory(directory, err);
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
            r = folder ? make_directory(folder, 0700, err) : rm_fail(err, -ENOMEM, "no memory");
        for (size_t i = 0; r >= 0 && i < kinds[k].names->n; i++)
            r = kinds[k].make(init, kinds[k].names->names[i], err);
        if (r >= 0 && kinds[k].names->n > 0)
            r = sync_directory(folder, err);
        free(folder);
    }
    return r;
}

/* ---- the list of who may come */

/* The last character that counts: no blank, and of no comment. '\0': there is none. */
static char last_of(const char *text)
{
    char last = '\0';
    while (*text) {
        if (*text == '#' || strncmp(text, "//", 2) == 0) {
            text += strcspn(text, "\n");
        } else if (strncmp(text, "/*", 2) == 0) {
            const char *end = strstr(text + 2, "*/");
            text = end ? end + 2 : text + strlen(text);
        } else if (*text == '"') {
            for (text++; *text && *text != '"'; text++)
                text += text[0] == '\\' && text[1];
            text += *text == '"';
            last = '"';
        } else {
            last = strchr(" \t\r\n\f\v", *text) ? last : *text;
            text++;
        }
    }
    return last;
}

/* What stands there, and the rows. libconfig 1.5 takes no comma behind the last one, so each further one brings its
 * own. NULL: no memory. */
static char *with_rows(struct init *init, const char *before)
{
    char *text = NULL;
    size_t length;
    FILE *file = open_memstream(&text, &length);
    if (!file || fflush(init->rows_file) != 0) {
        if (file)
            fclose(file);
        free(text);
        return NULL;
    }
    fputs(before, file);
    if (before[0] && before[strlen(before) - 1] != '\n')
        fputc('\n', file);
    if (!before[0])
        fprintf(file,
                "# Who may come over tcp; rmigrate init adds to it. Their settings have:\n"
                "#   broker = \"tcp://%s\";\n"
                "#   server = \"%s\";\n",
                init->address, init->server);
    char last = last_of(before), *at = NULL;
    bool is_first = last == '\0' || last == ',';
    for (char *row = strtok_r(init->rows, "\n", &at); row; row = strtok_r(NULL, "\n", &at)) {
        fprintf(file, "%s%s\n", is_first ? "  " : ", ", row);
        is_first = false;
    }
    if (fclose(file) == 0)
        return text;
    free(text);
    return NULL;
}

/* The broker would start, and take all names. */
static int check_site(const struct init *init, const char *settings, struct rm_err *err)
{
    struct conf_broker conf;
    int r = conf_broker_load(settings, &conf, err);
    if (r < 0)
        return r;
    size_t taken = 0;
    for (size_t i = 0; i < conf.n_keys; i++)
        taken += is_taken(init, conf.keys[i].name);
    conf_broker_done(&conf);
    return taken == init->hypervisors.n + init->operators.n
               ? 0
               : rm_fail(err, -EINVAL, "%s: does not include the rows of allow.conf", settings);
}

/* Once they are there; what stood there before is there again where the broker would not start. before "": there is no
 * such file. */
static int write_rows(struct init *init, const char *rows, const char *before, const char *settings,
                      struct rm_err *err)
{
    struct stat st;
    bool is_there = stat(rows, &st) == 0;
    char *path = is_there ? realpath(rows, NULL) : strdup(rows), *text = with_rows(init, before);
    int r = path && text ? 0 : rm_fail(err, -ENOMEM, "no memory");
    if (r >= 0)
        r = write_file(path, is_there ? &st : NULL, text, err);
    if (r >= 0 && (r = check_site(init, settings, err)) < 0) {
        if (!is_there)
            unlink(path);
        else if (write_file(path, &st, before, NULL) < 0)
            rm_prefix(err, r, "%s, which could not be set back", path);
    }
    if (r >= 0)
        r = sync_directory(init->directory, err);
    free(path);
    free(text);
    return r;
}

/* ---- the broker */

/* To be freed. NULL: it cannot be read, and *ret_r says why. */
static char *read_text(const char *path, int *ret_r, struct rm_err *err)
{
    size_t length;
    char *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 ? -errno : io_read(fd, FILE_MAX, &text, &length);
    if (fd >= 0)
        close(fd);
    *ret_r = r < 0 ? rm_fail(err, r, "%s: %s", path, strerror(-r)) : 0;
    return r < 0 ? NULL : text;
}

/* What `text` has behind `before`, up to the quote. -EINVAL: it has been changed. */
static int read_value(const char *text, const char *before, char *value, size_t size)
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

/* The public half of the broker's key. */
static int read_key(const char *path, char public_key[static CONF_Z85_LEN + 1], struct rm_err *err)
{
    int r;
    char *text = read_text(path, &r, err);
    if (!text)
        return r;
    if (read_value(text, "\npublic = \"", public_key, CONF_Z85_LEN + 1) < 0 ||
        !net_key_is_valid(public_key))
        r = rm_fail(err, -EINVAL, "%s: is not a key; remove it first, when nobody needs it", path);
    explicit_bzero(text, strlen(text));
    free(text);
    return r;
}

/* Settings that are there stay, as somebody may have changed them. */
static int check_port(const char *settings, const char *port, struct rm_err *err)
{
    char listens[sizeof(":99999\"")];
    int r;
    char *text = read_text(settings, &r, err);
    if (!text)
        return r;
    text_format(listens, sizeof(listens), ":%s\"", port);
    if (!strstr(text, listens))
        r = rm_fail(err, -EINVAL, "%s: broker.listen has not the port %s of --address", settings,
                    port);
    free(text);
    return r;
}

/* Of one that was broken off there may be its key, and its settings. */
static int begin_site(struct init *init, const char *key, const char *rows, const char *settings,
                      struct rm_err *err)
{
    char *text;
    const char *port = strrchr(init->address, ':') + 1;
    struct stat st;
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
    if (lstat(key, &st) == 0 && st.st_size == 0)
        unlink(key); /* it was broken off in the middle of it */
    int r = lstat(key, &st) == 0 ? read_key(key, init->server, err)
                                 : write_key(key, init->owner, init->server, err);
    if (r >= 0)
        r = lstat(settings, &st) == 0 ? check_port(settings, port, err)
                                      : write_file(settings, NULL, text, err);
    if (r >= 0)
        r = make_all(init, err);
    if (r >= 0)
        r = sync_directory(init->directory, err);
    if (r >= 0)
        r = write_rows(init, rows, "", settings, err);
    free(text);
    return r;
}

/* The folder is still here where nobody has taken it there. */
static int say_taken(const struct init *init, const struct conf_key *key, struct rm_err *err)
{
    const char *folder = key->role == ROLE_WORKER ? "hypervisors" : "operators";
    char *path = path_in(init, folder, key->name, "");
    bool is_there = path && access(path, F_OK) == 0;
    int r =
        rm_fail(err, -EEXIST, "%s has a key already%s%s%s", key->name, is_there ? ": " : "",
                is_there ? path : "", is_there ? " has it, which nobody has taken there yet" : "");
    free(path);
    return r;
}

/* Whom it knows already; without rows the broker does not start, and knows nobody. */
static int check_names(const struct init *init, const char *before, const char *settings,
                       struct rm_err *err)
{
    struct conf_broker conf;
    int r = last_of(before) ? conf_broker_load(settings, &conf, err) : 1;
    if (r != 0)
        return r;
    for (size_t i = 0; r >= 0 && i < conf.n_keys; i++)
        if (is_taken(init, conf.keys[i].name))
            r = say_taken(init, &conf.keys[i], err);
    if (r >= 0 && conf.n_keys + init->hypervisors.n + init->operators.n > CONF_KEYS_MAX)
        r = rm_fail(err, -EINVAL, "there are %zu keys already, and %d is the most", conf.n_keys,
                    CONF_KEYS_MAX);
    conf_broker_done(&conf);
    return r;
}

/* The keys of a site that is there. */
static int add_to_site(struct init *init, const char *key, const char *rows, const char *settings,
                       bool has_address, struct rm_err *err)
{
    char address[sizeof(init->address)], server[CONF_Z85_LEN + 1];
    int r;
    char *before = read_text(rows, &r, err);
    if (!before)
        return r;
    if (read_value(before, "#   broker = \"tcp://", address, sizeof(address)) < 0 ||
        read_value(before, "#   server = \"", init->server, sizeof(init->server)) < 0 ||
        !net_key_is_valid(init->server))
        r = rm_fail(err, -EINVAL, "%s: its first lines, which init needs, have been changed", rows);
    else if (access(key, R_OK) == 0 && (r = read_key(key, server, err)) >= 0 &&
             strcmp(server, init->server) != 0)
        r = rm_fail(err, -EINVAL, "%s: is not the key that %s names as the server's", key, rows);
    if (r >= 0 && !has_address)
        memcpy(init->address, address, sizeof(address));
    if (r >= 0)
        r = check_names(init, before, settings, err);
    if (r >= 0)
        r = make_all(init, err);
    if (r >= 0)
        r = write_rows(init, rows, before, settings, err);
    free(before);
    return r;
}

/* One init at a time: who may enter that directory may wait for it. */
static int lock_site(struct init *init, struct rm_err *err)
{
    char *path = path_in(init, "hypervisors", "", "");
    int r = path ? make_directory(path, 0700, err) : rm_fail(err, -ENOMEM, "no memory");
    if (r >= 0 && ((init->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
                   TEMP_FAILURE_RETRY(flock(init->lock, LOCK_EX)) < 0))
        r = cannot(path, err);
    free(path);
    return r;
}

/* Settings that take the rows of allow.conf. */
static bool is_of_init(const char *settings)
{
    int r;
    char *text = read_text(settings, &r, NULL);
    bool is = text && strstr(text, "@include \"allow.conf\"");
    free(text);
    return is;
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
    printf("systemctl %s rmigrate-broker\n", is_new ? "enable --now" : "reload-or-restart");
    if (init->serves_here)
        printf("systemctl enable --now rmigrate-worker\n");
    for (size_t i = 0; i < init->hypervisors.n; i++)
        printf("scp %1$s/hypervisors/%2$s/* root@%2$s:" DIRECTORY
               "/ && rm -r %1$s/hypervisors/%2$s\n",
               d, init->hypervisors.names[i]);
    for (size_t i = 0; i < init->operators.n; i++) {
        const char *name = init->operators.names[i];
        const struct passwd *user = getpwnam(name);
        if (user && strspn(user->pw_dir, LETTERS "/") == strlen(user->pw_dir))
            printf("install -b -o %1$s -m 600 -t %2$s %3$s/operators/%1$s/* && rm -r "
                   "%3$s/operators/%1$s\n",
                   name, user->pw_dir, d);
        else
            printf("# %s/operators/%s: for %s, %s\n", d, name, name,
                   user ? "whose home has an odd name" : "who is not known here");
    }
    if (init->hypervisors.n > 0)
        printf("# On each hypervisor, where rmigrate-worker is installed:\n"
               "#   systemctl enable --now rmigrate-worker\n");
    if (init->operators.n > 0)
        printf("# Operators:  export RMIGRATE_CONF=~/rmigrate.conf\n");
    printf("# Then:  rmigrate hosts\n"
           "# Metrics over HTTP, rmigrate-watch(8):  systemctl enable --now rmigrate-watch\n");
}

/* ---- all of it */

static int set_directory(struct init *init, const char *text, struct rm_err *err)
{
    static const char allowed[] = LETTERS "/";
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
    struct stat st;
    int r = settings && key && rows ? make_directory(init->directory, 0755, err)
                                    : rm_fail(err, -ENOMEM, "no memory");
    bool has_settings = r >= 0 && lstat(settings, &st) == 0;
    if (has_settings && access(rows, F_OK) < 0 && !is_of_init(settings))
        r = rm_fail(err, -EEXIST,
                    "%s is there, and init has not written it: rmigrate keygen NAME --role "
                    "worker makes a key and prints its row",
                    settings);
    if (r >= 0)
        r = lock_site(init, err);
    bool has_rows = r >= 0 && lstat(rows, &st) == 0;
    has_settings = r >= 0 && lstat(settings, &st) == 0;
    *ret_is_new = !has_rows;
    if (r >= 0 && has_rows && !has_settings)
        r = rm_fail(err, -ENOENT, "%s is missing, but %s is there", settings, rows);
    else if (r >= 0)
        r = has_rows ? add_to_site(init, key, rows, settings, has_address, err)
                     : begin_site(init, key, rows, settings, err);
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
    if (init->lock >= 0)
        close(init->lock);
}

int init_run(struct client *client, const struct args *args)
{
    (void)client;
    struct init init = {.lock = -1};
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
