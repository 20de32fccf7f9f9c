/* news.c - what somebody is told: one line for people, JSON for programs */
#include "submit/watch/news.h"

#include "conf/json.h"
#include "conf/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *news_kind_name(RmNewsKind kind)
{
    static const char *const names[] = {
        [RM_NEWS_KIND__NEWS_EVACUATION] = "evacuation", [RM_NEWS_KIND__NEWS_FAILED] = "failed",
        [RM_NEWS_KIND__NEWS_DOUBT] = "doubt",           [RM_NEWS_KIND__NEWS_LOCKED] = "locked",
        [RM_NEWS_KIND__NEWS_WORKER] = "worker",         [RM_NEWS_KIND__NEWS_BROKER] = "broker",
    };
    bool is_known = (unsigned)kind < sizeof(names) / sizeof(names[0]) && names[kind];
    return is_known ? names[kind] : "?";
}

/* ---- the line: what is worst first, each group one sentence */

/* What is alike is told together. */
static const struct group {
    RmNewsKind kind;
    bool over, good;
    const char *one;  /* after the name of the guest or host; NULL: why says it all */
    const char *many; /* after how many */
} groups[] = {
    {RM_NEWS_KIND__NEWS_BROKER, false, false, "is away", "brokers are away"},
    {RM_NEWS_KIND__NEWS_LOCKED, false, false, "is locked", "guests are locked"},
    {RM_NEWS_KIND__NEWS_DOUBT, false, false, "is in doubt", "guests are in doubt"},
    {RM_NEWS_KIND__NEWS_FAILED, false, false, "could not be moved", "guests could not be moved"},
    {RM_NEWS_KIND__NEWS_WORKER, false, false, "has lost its worker",
     "hypervisors have lost their worker"},
    {RM_NEWS_KIND__NEWS_EVACUATION, true, false, NULL, "hypervisors are not empty"},
    {RM_NEWS_KIND__NEWS_EVACUATION, false, false, "is not emptied any further",
     "hypervisors are not emptied any further"},
    {RM_NEWS_KIND__NEWS_EVACUATION, true, true, NULL, "hypervisors are empty"},
    {RM_NEWS_KIND__NEWS_DOUBT, true, false, "is in doubt no more", "guests are in doubt no more"},
    {RM_NEWS_KIND__NEWS_DOUBT, true, true, "is in doubt no more", "guests are in doubt no more"},
    {RM_NEWS_KIND__NEWS_LOCKED, true, true, "is released", "guests are released"},
    {RM_NEWS_KIND__NEWS_WORKER, true, true, "has its worker back",
     "hypervisors have their worker back"},
    {RM_NEWS_KIND__NEWS_BROKER, true, true, "is back", "brokers are back"},
};

static bool is_of(const RmNews *news, const struct group *group)
{
    return news->kind == group->kind && news->over == group->over && news->good == group->good;
}

static const char *name_of(const RmNews *news)
{
    return news->guest[0] ? news->guest : news->host;
}

static void put_one(FILE *file, const struct group *group, const RmNews *news)
{
    bool broker = news->kind == RM_NEWS_KIND__NEWS_BROKER;
    fprintf(file, "%s%s", broker ? "the broker at " : "", name_of(news));
    if (group->one)
        fprintf(file, " %s", group->one);
    if (news->why[0])
        fprintf(file, "%s %s", group->one ? ":" : "", news->why);
}

static void put_many(FILE *file, const struct group *group, const struct news *news, size_t n)
{
    size_t named = 0;
    fprintf(file, "%zu %s: ", n, group->many);
    for (size_t i = 0; i < news->n && named < NEWS_NAMED_MAX; i++)
        if (is_of(news->items[i], group))
            fprintf(file, "%s%s", named++ > 0 ? ", " : "", name_of(news->items[i]));
    if (n > named)
        fprintf(file, " and %zu more", n - named);
}

static void put_text(FILE *file, const struct news *news)
{
    bool any = false;
    for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
        const RmNews *first = NULL;
        size_t n = 0;
        for (size_t i = 0; i < news->n; i++) {
            bool ours = is_of(news->items[i], &groups[g]);
            first = ours && !first ? news->items[i] : first;
            n += ours;
        }
        if (!first)
            continue;
        fputs(any ? "; " : "", file);
        any = true;
        if (n == 1)
            put_one(file, &groups[g], first);
        else
            put_many(file, &groups[g], news, n);
    }
    if (news->more > 0)
        fprintf(file, "%sand %" PRIu64 " more", any ? "; " : "", news->more);
}

const char *news_text(const struct news *news, char buffer[static NEWS_TEXT_MAX])
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    buffer[0] = '\0';
    if (!file)
        return buffer;
    put_text(file, news);
    if (fclose(file) == 0) {
        text_clean(text_one_line(text));
        text_format(buffer, NEWS_TEXT_MAX, "%s", text);
    }
    free(text);
    return buffer;
}

/* ---- JSON */

static void number_or_null(struct json *json, const char *key, uint64_t value)
{
    if (value == 0)
        json_text(json, key, "");
    else
        json_number(json, key, value);
}

static void put_item(struct json *json, const RmNews *item)
{
    json_open(json, NULL, '{');
    json_text(json, "kind", news_kind_name(item->kind));
    json_bool(json, "over", item->over);
    json_bool(json, "good", item->good);
    json_time(json, "at", item->at);
    json_text(json, "guest", item->guest);
    json_text(json, "host", item->host);
    number_or_null(json, "job", item->job);
    number_or_null(json, "batch", item->batch);
    json_text(json, "why", item->why);
    json_close(json, '}');
}

char *news_json(const struct news *news, const char *text, size_t *ret_length)
{
    char *all = NULL;
    struct json json = {.file = open_memstream(&all, ret_length)};
    if (!json.file)
        return NULL;
    json_open(&json, NULL, '{');
    json_number(&json, "version", 1);
    json_text(&json, "site", news->site);
    json_time(&json, "at", news->at);
    json_text(&json, "text", text);
    json_open(&json, "items", '[');
    for (size_t i = 0; i < news->n; i++)
        put_item(&json, news->items[i]);
    json_close(&json, ']');
    json_number(&json, "more", news->more);
    json_close(&json, '}');
    fputc('\n', json.file);
    bool is_sound = !ferror(json.file);
    if (fclose(json.file) == 0 && is_sound)
        return all;
    free(all);
    return NULL;
}
