/* hook.c - a text is posted to a URL */
#include "submit/watch/hook.h"

#include "conf/io.h"
#include "conf/service.h"
#include "conf/text.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void hook_begin(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- the head */

static bool is_header(const char *line)
{
    size_t n = strcspn(line, ": \t");
    return n > 0 && line[n] == ':' && text_is_clean(line);
}

static int add(struct curl_slist **list, const char *line, struct rm_err *err)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (!longer)
        return rm_fail(err, -ENOMEM, "no memory");
    *list = longer;
    return 0;
}

static int read_file(const char *path, char **ret_text, struct rm_err *err)
{
    struct stat st = {0};
    size_t length;
    int r = 0, fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        r = rm_fail(err, -errno, "%s: %s", path, strerror(errno));
    else if (st.st_uid != geteuid() && st.st_uid != 0)
        r = rm_fail(err, -EPERM, "%s belongs to another user (uid %u)", path, (unsigned)st.st_uid);
    else if (st.st_mode & (S_IRWXG | S_IRWXO))
        r = rm_fail(err, -EPERM, "%s may be read by others: chmod 600 %s", path, path);
    else if ((r = io_read(fd, HOOK_HEADERS_MAX, ret_text, &length)) < 0)
        rm_fail(err, r, "%s: %s", path, strerror(-r));
    if (fd >= 0)
        close(fd);
    return r;
}

/* The lines of the file; empty ones and those that begin with # are none. */
static int read_headers(const char *path, struct curl_slist **list, struct rm_err *err)
{
    char *text = NULL, *save = NULL;
    int r = read_file(path, &text, err);
    for (char *line = r < 0 ? NULL : strtok_r(text, "\r\n", &save); line && r >= 0;
         line = strtok_r(NULL, "\r\n", &save)) {
        if (line[0] == '#')
            continue;
        r = is_header(line) ? add(list, line, err)
                            : rm_fail(err, -EINVAL, "%s: a line is not NAME: VALUE", path);
    }
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
    return r;
}

int hook_check(const struct conf_notify *conf, struct rm_err *err)
{
    struct curl_slist *list = NULL;
    int r = conf->headers_file ? read_headers(conf->headers_file, &list, err) : 0;
    curl_slist_free_all(list);
    return r;
}

/* ---- the request */

/* Nobody reads what is answered. */
static size_t drop(char *data, size_t size, size_t n, void *with)
{
    (void)data;
    (void)with;
    return size * n;
}

struct post {
    bool (*is_over)(void *with);
    void *with;
};

static int look(void *with, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct post *post = with;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return post->is_over(post->with);
}

static CURLcode set_up(CURL *curl, const struct conf_notify *conf, const struct curl_slist *list,
                       const char *text, size_t length, struct post *post)
{
    CURLcode r = curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http");
#define SET(option, value)                                                                         \
    if (r == CURLE_OK)                                                                             \
    r = curl_easy_setopt(curl, CURLOPT_##option, value)
    SET(URL, conf->url);
    SET(POSTFIELDSIZE_LARGE, (curl_off_t)length);
    SET(POSTFIELDS, text);
    SET(HTTPHEADER, list);
    SET(USERAGENT, "rmigrate-watch");
    SET(FOLLOWLOCATION, 0L);
    SET(NOSIGNAL, 1L);
    SET(TIMEOUT_MS, (long)(conf->timeout / USEC_PER_MSEC));
    SET(WRITEFUNCTION, drop);
    SET(NOPROGRESS, 0L);
    SET(XFERINFOFUNCTION, look);
    SET(XFERINFODATA, post);
#undef SET
    return r;
}

static int post_it(CURL *curl, const struct conf_notify *conf, const struct curl_slist *list,
                   const char *text, size_t length, struct post *post, struct rm_err *err)
{
    long status = 0;
    CURLcode r = set_up(curl, conf, list, text, length, post);
    if (r == CURLE_OK)
        r = curl_easy_perform(curl);
    /* A status is an answer, whatever becomes of the rest of it. */
    CURLcode known = curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (r != CURLE_OK && (known != CURLE_OK || status < 200))
        return rm_fail(err, r == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EIO, "%s", curl_easy_strerror(r));
    if (status < 200 || status > 299)
        return rm_fail(err, -EIO, "the server answers %ld", status);
    return 0;
}

int hook_post(const struct conf_notify *conf, const char *text, size_t length,
              bool (*is_over)(void *with), void *with, struct rm_err *err)
{
    struct post post = {.is_over = is_over, .with = with};
    struct curl_slist *list = NULL;
    CURL *curl = curl_easy_init();
    int r = curl ? add(&list, "Content-Type: application/json", err)
                 : rm_fail(err, -ENOMEM, "no memory");
    if (r >= 0)
        r = add(&list, "Expect:", err); /* no question whether it may send */
    if (r >= 0 && conf->headers_file)
        r = read_headers(conf->headers_file, &list, err);
    if (r >= 0)
        r = post_it(curl, conf, list, text, length, &post, err);
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    return r;
}
