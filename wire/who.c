/* who.c - who a peer is: the list of keys, and the users of this machine */
#include "wire/who.h"

#include "wire/net_key.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    USERS_MAX = 256,              /* local users that are remembered */
    USER_ENTRY_MAX = 1024 * 1024, /* bytes of one entry of the user data base */
};

struct local_user {
    uid_t uid;
    char name[CONF_NAME_MAX + 1];
    enum role role;
};

struct who {
    const struct conf_broker *conf;
    const struct conf_key **keys; /* all of them, by public_key */
    bool is_open_to_all;
    struct local_user users[USERS_MAX]; /* looking one up may take a while: asked once */
    size_t n_users, next_user;          /* the next one to be replaced */
};

/* ---- keys */

static int compare_keys(const void *a, const void *b)
{
    const struct conf_key *const *x = a, *const *y = b;
    return strcmp((*x)->public_key, (*y)->public_key);
}

static int sort_keys(struct who *who, struct rm_err *err)
{
    const struct conf_broker *conf = who->conf;
    for (size_t i = 0; i < conf->n_keys; i++) {
        if (!net_key_is_valid(conf->keys[i].public_key))
            return rm_fail(err, -EINVAL, "key '%s': not %d characters of Z85", conf->keys[i].name,
                           CONF_Z85_LEN);
        who->keys[i] = &conf->keys[i];
    }
    qsort(who->keys, conf->n_keys, sizeof(*who->keys), compare_keys);
    for (size_t i = 1; i < conf->n_keys; i++)
        if (compare_keys(&who->keys[i - 1], &who->keys[i]) == 0)
            return rm_fail(err, -EINVAL, "'%s' and '%s' have the same public key",
                           who->keys[i - 1]->name, who->keys[i]->name);
    return 0;
}

int who_new(const struct conf_broker *conf, struct who **ret_who, struct rm_err *err)
{
    struct who *who = calloc(1, sizeof(*who));
    if (who) {
        who->conf = conf;
        who->keys = calloc(conf->n_keys + 1, sizeof(*who->keys));
    }
    int r = who && who->keys ? sort_keys(who, err)
                             : rm_fail(err, -ENOMEM, "the list of keys: %s", strerror(ENOMEM));
    if (r < 0)
        who_free(who);
    else
        *ret_who = who;
    return r;
}

void who_free(struct who *who)
{
    if (who)
        free(who->keys);
    free(who);
}

unsigned who_find(const struct who *who, const char *public_key)
{
    struct conf_key wanted = {.name = NULL}, *key = &wanted;
    if (snprintf(wanted.public_key, sizeof(wanted.public_key), "%s", public_key) != CONF_Z85_LEN)
        return 0;
    const struct conf_key **row =
        bsearch(&key, who->keys, who->conf->n_keys, sizeof(*who->keys), compare_keys);
    return row ? (unsigned)(row - who->keys) + 1 : 0;
}

const struct conf_key *who_key(const struct who *who, unsigned number)
{
    return number > 0 && number <= who->conf->n_keys ? who->keys[number - 1] : NULL;
}

/* ---- local users */

void who_open_to_all(struct who *who)
{
    who->is_open_to_all = true;
}

void who_replace(struct who *who, const struct who *before)
{
    who->is_open_to_all = before->is_open_to_all;
}

/* What may stand in an event: no blank, nothing that a terminal obeys. */
static bool is_printable(const char *name)
{
    const char *p = name;
    while (*p > ' ' && *p < 0x7f)
        p++;
    return p > name && *p == '\0';
}

/* The name of a local user, or "uid-N" for one without. False: it could not be found out now. */
static bool user_name(uid_t uid, char name[static CONF_NAME_MAX + 1], bool *ret_is_known)
{
    struct passwd entry, *found = NULL;
    bool is_done = false;
    for (size_t size = 4096; size <= USER_ENTRY_MAX && !is_done; size *= 4) {
        char *buffer = malloc(size);
        if (!buffer)
            return false;
        int r;
        while ((r = getpwuid_r(uid, &entry, buffer, size, &found)) == EINTR)
            ;
        if (r == 0 && found)
            is_done = snprintf(name, CONF_NAME_MAX + 1, "%s", found->pw_name) <= CONF_NAME_MAX;
        free(buffer);
        if (r == 0 || r == ENOENT || r == ESRCH)
            break;
        if (r != ERANGE)
            return false;
    }
    *ret_is_known = is_done && is_printable(name);
    if (!*ret_is_known)
        snprintf(name, CONF_NAME_MAX + 1, "uid-%u", (unsigned)uid);
    return true;
}

int who_user(uid_t uid, char name[static CONF_NAME_MAX + 1])
{
    bool is_known;
    return user_name(uid, name, &is_known) ? 0 : -EAGAIN;
}

static bool list_has(char *const *list, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], text) == 0)
            return true;
    return false;
}

static enum role local_role(const struct who *who, uid_t uid, const char *name, bool is_known)
{
    const struct conf_broker *conf = who->conf;
    bool has_lists = conf->n_viewers > 0 || conf->n_operators > 0;
    if (who->is_open_to_all && uid != 0 && uid != geteuid())
        return ROLE_NONE;
    if (list_has(conf->viewers, conf->n_viewers, name))
        return ROLE_VIEWER;
    if (list_has(conf->operators, conf->n_operators, name))
        return ROLE_OPERATOR;
    if (is_known && strcmp(name, RM_WATCH_USER) == 0)
        return ROLE_VIEWER; /* what speaks HTTP changes nothing, also where nobody has set anything */
    return is_known || !has_lists ? ROLE_ADMIN : ROLE_VIEWER; /* nameless: the lists may mean him */
}

static const struct local_user *local_user(struct who *who, uid_t uid)
{
    for (size_t i = 0; i < who->n_users; i++)
        if (who->users[i].uid == uid)
            return &who->users[i];
    bool is_known;
    struct local_user user = {.uid = uid};
    if (!user_name(uid, user.name, &is_known))
        return NULL;
    user.role = local_role(who, uid, user.name, is_known);
    struct local_user *place = &who->users[who->next_user];
    *place = user;
    who->next_user = (who->next_user + 1) % USERS_MAX;
    if (who->n_users < USERS_MAX)
        who->n_users++;
    return place;
}

/* "anything:UID:GID:PID" */
static bool parse_credentials(const char *address, unsigned long *ret_uid, unsigned long *ret_pid)
{
    unsigned long numbers[3];
    const char *end = address + strlen(address);
    for (size_t i = 3; i-- > 0;) {
        const char *from = end;
        while (from > address && from[-1] >= '0' && from[-1] <= '9')
            from--;
        if (from == end || from == address || from[-1] != ':')
            return false;
        numbers[i] = strtoul(from, NULL, 10);
        end = from - 1;
    }
    *ret_uid = numbers[0];
    *ret_pid = numbers[2];
    return numbers[0] < UINT32_MAX;
}

void who_local(struct who *who, const char *credentials, struct net_peer *peer)
{
    unsigned long uid, pid;
    const struct local_user *user = NULL;
    peer->address[0] = '\0';
    if (credentials && parse_credentials(credentials, &uid, &pid)) {
        snprintf(peer->address, sizeof(peer->address), "pid %lu uid %lu", pid, uid);
        user = local_user(who, (uid_t)uid);
    }
    peer->role = user ? user->role : ROLE_NONE;
    snprintf(peer->user, sizeof(peer->user), "%s", user ? user->name : "unknown");
}
