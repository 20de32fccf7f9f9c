/* word.c - what a single text of a setting may be */
#include "conf/word.h"

#include "conf/endpoint.h"
#include "conf/text.h"
#include "conf/unit.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum { Z85_GROUP = 5 }; /* characters that stand for four bytes */

static const char *const roles[] = {[ROLE_NONE] = "none",
                                    [ROLE_VIEWER] = "viewer",
                                    [ROLE_OPERATOR] = "operator",
                                    [ROLE_ADMIN] = "admin",
                                    [ROLE_WORKER] = "worker"};
static const char *const fences[] = {
    [FENCE_AUTO] = "auto", [FENCE_ALWAYS] = "always", [FENCE_NEVER] = "never"};

const char *role_name(enum role role)
{
    return (unsigned)role <= ROLE_WORKER ? roles[role] : "unknown";
}

int role_parse(const char *text, enum role *ret_role)
{
    for (int i = ROLE_VIEWER; i <= ROLE_WORKER; i++) /* none is what one has, not what one gives */
        if (strcmp(text, roles[i]) == 0) {
            *ret_role = (enum role)i;
            return 0;
        }
    return -EINVAL;
}

int fence_parse(const char *text, enum fence_mode *ret_mode)
{
    for (int i = FENCE_AUTO; i <= FENCE_NEVER; i++)
        if (strcmp(text, fences[i]) == 0) {
            *ret_mode = (enum fence_mode)i;
            return 0;
        }
    return -EINVAL;
}

int word_parse_role(const char *text, void *ret, struct rm_err *err)
{
    if (role_parse(text, ret) < 0)
        return rm_fail(err, -EINVAL, "'%s' is not viewer, operator, admin or worker", text);
    return 0;
}

int word_parse_fence(const char *text, void *ret, struct rm_err *err)
{
    if (fence_parse(text, ret) < 0)
        return rm_fail(err, -EINVAL, "'%s' is not auto, always or never", text);
    return 0;
}

/* File modes are octal, which libconfig does not know: "0660". */
int word_parse_mode(const char *text, void *ret, struct rm_err *err)
{
    size_t length = strlen(text);
    if (length < 3 || length > 4 || strspn(text, "01234567") != length ||
        (length == 4 && *text != '0'))
        return rm_fail(err, -EINVAL, "'%s' is not a file's mode in octal, as \"0660\"", text);
    *(unsigned *)ret = (unsigned)strtoul(text, NULL, 8);
    return 0;
}

int word_parse_reserve(const char *text, void *ret, struct rm_err *err)
{
    struct conf_reserve reserve;
    size_t digits = strspn(text, "0123456789"), blanks = strspn(text + digits, " ");
    struct rm_err why = {0};

    memset(&reserve, 0, sizeof(reserve)); /* its gaps too: settings are compared byte by byte */
    reserve.set = true;
    if (strcmp(text + digits + blanks, "%") == 0 && digits > 0) {
        reserve.per_cent = digits < 4 ? (unsigned)strtoul(text, NULL, 10) : UINT_MAX;
        if (reserve.per_cent > 100)
            return rm_fail(err, -EINVAL, "'%s' is more than all that there is", text);
    } else if (unit_size(text, &reserve.bytes, &why) < 0) {
        return rm_fail(err, -EINVAL,
                       "'%s' is neither a size, as \"8 GiB\", nor a share, as \"10 %%\"", text);
    }
    memcpy(ret, &reserve, sizeof(reserve));
    return 0;
}

bool conf_name_is_valid(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > CONF_NAME_MAX)
        return false;
    for (const char *p = name; *p; p++)
        if (*p <= ' ' || *p > '~' || strchr(":,'\"()@^/", *p))
            return false;
    return true;
}

int word_check_name(const char *text, struct rm_err *err)
{
    if (!conf_name_is_valid(text))
        return rm_fail(err, -EINVAL,
                       "'%.*s' is not a name: 1 to %d printable characters without blanks and "
                       "none of : , ' \" ( ) @ ^ /",
                       CONF_NAME_MAX, text, CONF_NAME_MAX);
    return 0;
}

/* A user or group of this machine; what directories call them may hold an @ or a \. */
int word_check_user(const char *text, struct rm_err *err)
{
    if (strlen(text) > CONF_NAME_MAX || strpbrk(text, " :,"))
        return rm_fail(err, -EINVAL, "'%.*s' is not the name of a user or group", CONF_NAME_MAX,
                       text);
    return 0;
}

/* Printable, no blanks, not too long: what an endpoint and a URI have in common. */
static int check_address(const char *text, struct rm_err *err)
{
    if (strlen(text) > CONF_ENDPOINT_MAX)
        return rm_fail(err, -EINVAL, "the text is longer than %d bytes", CONF_ENDPOINT_MAX);
    for (const char *p = text; *p; p++)
        if (*p <= ' ' || *p > '~')
            return rm_fail(err, -EINVAL, "'%s' holds a blank or a character that is not ASCII",
                           text);
    return 0;
}

static bool is_port(const char *text, bool listen)
{
    if (strcmp(text, "*") == 0)
        return listen;
    return *text && strlen(text) <= 5 && strspn(text, "0123456789") == strlen(text) &&
           atoi(text) <= UINT16_MAX && (listen || atoi(text) > 0);
}

static int check_endpoint(const char *text, bool listen, struct rm_err *err)
{
    int r = check_address(text, err);
    if (r < 0)
        return r;
    const char *path = text_behind(text, "ipc://");
    const char *host = text_behind(text, "tcp://");
    if (path && *path)
        return 0;
    if (!host)
        return rm_fail(err, -EINVAL, "'%s' is neither ipc://PATH nor tcp://HOST:PORT", text);
    const char *colon = strrchr(host, ':');
    if (!colon || colon == host || !is_port(colon + 1, listen))
        return rm_fail(err, -EINVAL, "'%s' needs a host and a port: tcp://HOST:PORT", text);
    return 0;
}

int word_check_listen(const char *text, struct rm_err *err)
{
    return check_endpoint(text, /* listen = */ true, err);
}

int word_check_broker(const char *text, struct rm_err *err)
{
    return check_endpoint(text, /* listen = */ false, err);
}

int word_check_http(const char *text, struct rm_err *err)
{
    struct sockaddr_in6 address;
    if (text[0] == '/' && strlen(text) < sizeof(((struct sockaddr_un *)0)->sun_path))
        return 0;
    if (http_address(text, &address))
        return 0;
    return rm_fail(
        err, -EINVAL,
        "'%s' is not ADDRESS:PORT with an address in numbers, as 127.0.0.1:9750, nor the "
        "path of a socket",
        text);
}

int word_check_news(const char *text, struct rm_err *err)
{
    static const char *const kinds[] = {"evacuation", "failed", "doubt",
                                        "locked",     "worker", "broker"};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(text, kinds[i]) == 0)
            return 0;
    return rm_fail(err, -EINVAL, "'%s' is not evacuation, failed, doubt, locked, worker or broker",
                   text);
}

int word_check_command(const char *text, struct rm_err *err)
{
    if (text[0] != '/')
        return rm_fail(err, -EINVAL, "'%s' does not begin with the whole path of a program", text);
    if (strlen(text) > CONF_ENDPOINT_MAX)
        return rm_fail(err, -EINVAL, "the text is longer than %d bytes", CONF_ENDPOINT_MAX);
    return 0;
}

int word_check_url(const char *text, struct rm_err *err)
{
    const char *rest = text_behind(text, "https://");
    if (!rest)
        rest = text_behind(text, "http://");
    if (!rest || !*rest || *rest == '/')
        return rm_fail(err, -EINVAL, "this is neither https://HOST/... nor http://HOST/...");
    return check_address(text, err);
}

int word_check_uri(const char *text, struct rm_err *err)
{
    const char *colon = strstr(text, "://");
    if (!colon || colon == text)
        return rm_fail(err, -EINVAL, "'%s' is not a connection URI, as qemu:///system", text);
    return check_address(text, err);
}

int word_check_migration(const char *text, struct rm_err *err)
{
    const char *host = text_behind(text, "tcp://");
    if (!host || !*host)
        return rm_fail(err, -EINVAL, "'%s' is not tcp://ADDRESS", text);
    return check_address(text, err);
}

int word_check_smapi(const char *text, struct rm_err *err)
{
    static const char *const schemes[] = {"tcp://", "tls://", "iucv://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        const char *rest = text_behind(text, schemes[i]);
        if (rest && *rest)
            return check_address(text, err);
    }
    return rm_fail(err, -EINVAL, "'%s' begins with none of tcp:// tls:// iucv://", text);
}

/* A system id, as every member of an SSI cluster has one. */
int word_check_member(const char *text, struct rm_err *err)
{
    enum { MEMBER_BYTES = 8 };
    static const char others[] = "@#$+-:";
    size_t length = strlen(text);
    for (const char *p = text; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr(others, *p))
            length = 0;
    if (length == 0 || length > MEMBER_BYTES)
        return rm_fail(err, -EINVAL,
                       "'%s' is no system id of a z/VM member: 1 to %d letters, digits and %s",
                       text, MEMBER_BYTES, others);
    return 0;
}

/* 40 characters of Z85: each five are a number to base 85 that fits into 32 bits. */
static bool is_z85(const char *text)
{
    static const char digits[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    uint64_t group = 0;
    if (strlen(text) != CONF_Z85_LEN)
        return false;
    for (int i = 0; i < CONF_Z85_LEN; i++) {
        const char *digit = strchr(digits, text[i]);
        group = (i % Z85_GROUP == 0 ? 0 : group * 85) + (digit ? (uint64_t)(digit - digits) : 0);
        if (!digit || group > UINT32_MAX)
            return false;
    }
    return true;
}

int word_check_z85(const char *text, struct rm_err *err)
{
    if (is_z85(text))
        return 0;
    return rm_fail(err, -EINVAL,
                   "this is not a key: %d characters of Z85, as `rmigrate keygen` prints",
                   CONF_Z85_LEN);
}

int word_parse_z85(const char *text, void *ret, struct rm_err *err)
{
    int r = word_check_z85(text, err);
    if (r == 0)
        memcpy(ret, text, CONF_Z85_LEN + 1);
    return r;
}

/* ---- the other way */

void word_show_role(const void *role, char text[static WORD_TEXT_MAX])
{
    snprintf(text, WORD_TEXT_MAX, "%s", role_name(*(const enum role *)role));
}

void word_show_fence(const void *fence, char text[static WORD_TEXT_MAX])
{
    snprintf(text, WORD_TEXT_MAX, "%s", fences[*(const enum fence_mode *)fence]);
}

void word_show_mode(const void *mode, char text[static WORD_TEXT_MAX])
{
    snprintf(text, WORD_TEXT_MAX, "%04o", *(const unsigned *)mode);
}

void word_show_reserve(const void *reserve, char text[static WORD_TEXT_MAX])
{
    const struct conf_reserve *kept = reserve;
    char size[UNIT_TEXT_MAX];

    if (kept->per_cent > 0)
        snprintf(text, WORD_TEXT_MAX, "%u %%", kept->per_cent);
    else
        snprintf(text, WORD_TEXT_MAX, "%s", unit_size_text(kept->bytes, size));
}

void word_show_z85(const void *key, char text[static WORD_TEXT_MAX])
{
    snprintf(text, WORD_TEXT_MAX, "%.*s", CONF_Z85_LEN, (const char *)key);
}
