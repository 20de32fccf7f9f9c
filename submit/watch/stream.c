/* stream.c - what changes, as it does */
#include "submit/watch/stream.h"

#include "submit/host_view.h"
#include "submit/job_view.h"
#include "submit/listing.h"
#include "submit/watch/api.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

enum { KEY_MAX = 256 };

/* A row as it was told last. */
struct told_row {
    char *key;
    uint64_t digest; /* of its text */
    uint64_t number; /* of the sight that had it last */
    UT_hash_handle hh;
};

/* ---- columns: of a hypervisor what `queue` has and its memory; of a job what changes while it moves */

static void put_word(struct cell *cell, const void *record)
{
    enum tone tone;
    cell_text(cell, host_view_word(record, &tone));
}

static void put_tone(struct cell *cell, const void *record)
{
    static const char *const names[] = {
        [TONE_PLAIN] = "plain", [TONE_GOOD] = "good", [TONE_BAD] = "bad", [TONE_ODD] = "odd"};
    enum tone tone;
    host_view_word(record, &tone);
    cell_text(cell, names[tone]);
}

#define VIEW(field) FIELD(RmHostView, field)
#define HOST(field) FIELD_INSIDE(RmHostView, host, RmHost, field)

/* Besides host_view_queue_columns. */
static const struct column host_columns[] = {
    {NULL, "word", PUT(put_word)},          {NULL, "tone", PUT(put_tone)},
    {NULL, "memory", HOST(memory)},         {NULL, "memory_free", VIEW(memory_free)},
    {NULL, "reserve", VIEW(reserve)},       {NULL, "vcpus", HOST(vcpus)},
    {NULL, "vcpus_used", VIEW(vcpus_used)}, {0},
};

#undef VIEW
#undef HOST

static void put_percent(struct cell *cell, const void *record)
{
    int percent = view_percent(((const RmJobView *)record)->stats);
    if (percent < 0)
        cell_text(cell, "");
    else
        cell_count(cell, (uint64_t)percent);
}

static void put_left_for(struct cell *cell, const void *record)
{
    cell_span(cell, view_left_for(((const RmJobView *)record)->stats));
}

#define VIEW(field)  FIELD(RmJobView, field)
#define JOB(field)   FIELD_INSIDE(RmJobView, job, RmJob, field)
#define STATS(field) FIELD_INSIDE(RmJobView, stats, RmStats, field)

static const struct column job_columns[] = {
    {NULL, "job", JOB(id)},
    {NULL, "batch", JOB(batch), SHOW_ANY},
    {NULL, "guest", JOB(guest)},
    {NULL, "state", PUT(view_put_state)},
    {NULL, "phase", VIEW(phase)},
    {NULL, "source", VIEW(source)},
    {NULL, "destination", VIEW(destination)},
    {NULL, "why", VIEW(text)},
    {NULL, "evacuation", JOB(evacuation)},
    {NULL, "room_for", JOB(room_for)},
    {NULL, "started_at", VIEW(started_at), SHOW_TIME},
    {NULL, "percent", PUT(put_percent)},
    {NULL, "left_for", PUT(put_left_for)},
    {NULL, "total", STATS(total)},
    {NULL, "remaining", STATS(remaining)},
    {NULL, "rate", STATS(rate)},
    {NULL, "dirty_rate", STATS(dirty_rate)},
    {0},
};

/* ---- rows that differ */

/* FNV-1a. */
static uint64_t digest_of(const char *text, size_t length)
{
    uint64_t digest = 14695981039346656037U;
    for (size_t i = 0; i < length; i++)
        digest = (digest ^ (unsigned char)text[i]) * 1099511628211U;
    return digest;
}

static void forget(struct told_row **rows, struct told_row *row)
{
    HASH_DEL(*rows, row);
    free(row->key);
    free(row);
}

/* Notes that a row was there; false: it is as it was told. What has no memory is told each time. */
static bool differs(struct told_row **rows, const char *key, uint64_t digest, uint64_t number)
{
    struct told_row *row;
    HASH_FIND_STR(*rows, key, row);
    if (row) {
        bool same = row->digest == digest;
        row->digest = digest;
        row->number = number;
        return !same;
    }
    row = calloc(1, sizeof(*row));
    if (!row || !(row->key = strdup(key))) {
        free(row);
        return true;
    }
    row->digest = digest;
    row->number = number;
    HASH_ADD_KEYPTR(hh, *rows, row->key, strlen(row->key), row);
    if (!row->hh.tbl) {
        free(row->key);
        free(row);
    }
    return true;
}

static void put_gone(struct json *json, const char *name, struct told_row **rows, uint64_t number)
{
    struct told_row *row, *next;
    json_open(json, name, '[');
    HASH_ITER (hh, *rows, row, next)
        if (row->number != number) {
            json_text(json, NULL, row->key);
            forget(rows, row);
        }
    json_close(json, ']');
}

/* A row is made aside, so that it is known whether it differs before it is told. */
struct aside {
    FILE *file;
    char *text;
    size_t length;
    struct arena *arena;
};

static void put_row(struct json *json, struct aside *aside, struct told_row **rows, const char *key,
                    uint64_t number, const struct column *const columns[], const void *record)
{
    struct json row = {.file = aside->file};
    rewind(aside->file);
    json_open(&row, NULL, '{');
    for (size_t i = 0; columns[i]; i++)
        listing_fields(&row, columns[i], aside->arena, record);
    json_close(&row, '}');
    arena_reset(aside->arena);
    if (fflush(aside->file) == 0 &&
        differs(rows, key, digest_of(aside->text, aside->length), number))
        json_raw(json, NULL, aside->text, aside->length);
}

static void put_hosts(struct json *json, struct aside *aside, struct stream_told *told,
                      const struct sight *sight)
{
    static const struct column *const columns[] = {host_view_queue_columns, host_columns, NULL};
    json_open(json, "hosts", '[');
    for (size_t i = 0; sight->hosts && i < sight->hosts->n_hosts; i++) {
        const RmHostView *view = sight->hosts->hosts[i];
        if (view->host)
            put_row(json, aside, &told->hosts, view->host->name, sight->number, columns, view);
    }
    json_close(json, ']');
    put_gone(json, "hosts_gone", &told->hosts, sight->number);
}

static void put_jobs(struct json *json, struct aside *aside, struct stream_told *told,
                     const struct sight *sight)
{
    static const struct column *const columns[] = {job_columns, NULL};
    json_open(json, "jobs", '[');
    for (size_t i = 0; sight->jobs && i < sight->jobs->n_jobs; i++) {
        const RmJobView *view = sight->jobs->jobs[i];
        char key[KEY_MAX];
        if (!view->job)
            continue;
        snprintf(key, sizeof(key), "%" PRIu64, view->job->id);
        put_row(json, aside, &told->jobs, key, sight->number, columns, view);
    }
    json_close(json, ']');
    put_gone(json, "jobs_gone", &told->jobs, sight->number);
}

/* ---- messages */

static bool put_sight(FILE *file, struct stream_told *told, const struct sight *sight)
{
    struct json json = {.file = file};
    struct aside aside = {.arena = arena_new(0)};
    aside.file = aside.arena ? open_memstream(&aside.text, &aside.length) : NULL;
    if (!aside.file) {
        arena_free(aside.arena);
        return false;
    }
    fprintf(file, "id: %" PRIu64 "\nevent: sight\ndata: ", sight->number);
    json_open(&json, NULL, '{');
    json_bool(&json, "whole", !told->begun);
    json_open(&json, "site", '{');
    json_time(&json, "at", sight->at);
    json_text(&json, "trouble", sight->trouble);
    api_put_site(&json, sight);
    json_close(&json, '}');
    put_hosts(&json, &aside, told, sight);
    put_jobs(&json, &aside, told, sight);
    api_put_evacuations(&json, aside.arena, sight);
    json_close(&json, '}');
    fputs("\n\n", file);
    fclose(aside.file);
    free(aside.text);
    arena_free(aside.arena);
    told->begun = true;
    told->number = sight->number;
    return true;
}

bool stream_step(struct http_answer *answer, void *state)
{
    struct stream_told *told = state;
    const struct sight *sight = board_look(answer->board, told->number, STREAM_SILENT_FOR);
    bool goes_on = true;
    if (sight && (sight->number != told->number || !told->begun))
        goes_on = put_sight(answer->body, told, sight);
    else
        fputs(": nothing new\n\n", answer->body);
    board_give_back(answer->board, sight);
    return goes_on;
}

static void forget_all(struct told_row **rows)
{
    struct told_row *row, *next;
    HASH_ITER (hh, *rows, row, next)
        forget(rows, row);
}

void stream_end(void *state)
{
    struct stream_told *told = state;
    forget_all(&told->hosts);
    forget_all(&told->jobs);
}
