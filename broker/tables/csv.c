/* csv.c - tabdump and tabrestore: whole tables
 *
 * Several tables are restored together or not at all. */
#include "broker/page.h"
#include "broker/tables/common.h"
#include "broker/tables/requests.h"

#include <errno.h>
#include <string.h>

enum {
    LIKE_MAX = 1024, /* bytes of a text that rows are compared with */
};

/* ---- tabdump */

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* SQL's LIKE as SQLite has it: % is anything, _ one character, letters in either case. */
static bool is_like(const char *text, const char *pattern)
{
    const char *again = NULL, *from = NULL; /* where the last % goes on */

    while (*text != '\0') {
        if (*pattern == '%') {
            again = ++pattern;
            from = text;
        } else if (*pattern == '_') {
            pattern++;
            do /* a character, not a byte */
                text++;
            while (((unsigned char)*text & 0xc0) == 0x80);
        } else if (lower(*pattern) == lower(*text)) {
            pattern++;
            text++;
        } else if (again) {
            pattern = again;
            text = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '%')
        pattern++;
    return *pattern == '\0';
}

struct row_list {
    struct core *core;
    const RmTableDump *ask;
    const struct table *table;
    RmReply *reply;
    int columns[SITE_COLUMNS_MAX]; /* of the conditions */
    size_t bytes;
    unsigned looked; /* rows, also those that were left out */
};

static bool row_meets(const struct row_list *list, const RmRow *row)
{
    for (size_t i = 0; i < list->ask->n_where; i++) {
        const RmTerm *term = list->ask->where[i];
        const char *text = table_cell(row, list->columns[i]);
        bool yes = false;
        int order;
        text = text ? text : "";
        order = strcmp(text, term->value);
        switch (term->op) {
        case RM_OPERATOR__IS:
            yes = order == 0;
            break;
        case RM_OPERATOR__IS_NOT:
            yes = order != 0;
            break;
        case RM_OPERATOR__LIKE:
            yes = is_like(text, term->value);
            break;
        case RM_OPERATOR__NOT_LIKE:
            yes = !is_like(text, term->value);
            break;
        case RM_OPERATOR__ABOVE:
            yes = order > 0;
            break;
        case RM_OPERATOR__BELOW:
            yes = order < 0;
            break;
        case RM_OPERATOR__AT_LEAST:
            yes = order >= 0;
            break;
        case RM_OPERATOR__AT_MOST:
            yes = order <= 0;
            break;
        default:
            break;
        }
        if (!yes)
            return false;
    }
    return true;
}

static int push_row(void *ctx, uint64_t number, const RmRow *row)
{
    struct row_list *list = ctx;
    struct core *core = list->core;
    RmReply *reply = list->reply;
    RmRow *copy;

    if (row_meets(list, row)) {
        copy = (RmRow *)msg_copy(core->arena, &row->base);
        if (!copy)
            return -ENOMEM;
        for (size_t i = 0; i < copy->n_cells && i < list->table->n_columns; i++)
            if (table_is_secret(list->table, (int)i) && !list->ask->secrets &&
                copy->cells[i]->value[0] != '\0')
                copy->cells[i]->value = (char *)TABLE_MASK;
        if (ARENA_PUSH(core->arena, reply->n_rows, reply->rows, copy) < 0)
            return -ENOMEM;
        list->bytes += rm_row__get_packed_size(row);
    }
    if (++list->looked < PAGE_ROWS && list->bytes < PAGE_BYTES)
        return 0;
    reply->next = number;
    return 1;
}

static bool read_where(struct row_list *list, struct request *request)
{
    const RmTableDump *ask = list->ask;

    if (!site_is_bounded(list->core, request, ask->n_where, SITE_COLUMNS_MAX, "conditions"))
        return false;
    for (size_t i = 0; i < ask->n_where; i++) {
        const RmTerm *term = ask->where[i];
        list->columns[i] = table_column(list->table, term->attr);
        if (list->columns[i] < 0)
            return site_bad_column(list->core, request, term->attr, "the table has no such column");
        if (!site_may_select(list->core, request, &(struct attr){list->table, list->columns[i]},
                             term->attr, ask->secrets, "rows"))
            return false;
        if (strlen(term->value) > LIKE_MAX) {
            request_refuse(list->core, request, RM_CODE__CODE_USAGE,
                           "%s: more than %d bytes to compare with", term->attr, LIKE_MAX);
            return false;
        }
    }
    return true;
}

void site_dump(struct core *core, struct request *request)
{
    const RmTableDump *ask = request->message->table_dump;
    struct row_list *list = core_alloc(core, sizeof(*list));
    RmReply *reply = request->reply;

    if (!site_may_see(core, request, ask->secrets))
        return;
    if (*ask->table == '\0') {
        for (size_t i = 0; table_at(i); i++)
            ARENA_PUSH(core->arena, reply->n_columns, reply->columns, (char *)table_at(i)->name);
        return;
    }
    *list = (struct row_list){.core = core, .ask = ask, .reply = reply};
    list->table = site_find_table(core, request, ask->table, RM_CODE__CODE_SOME_FAILED);
    if (!list->table || !read_where(list, request))
        return;
    for (size_t i = 0; i < list->table->n_columns; i++)
        ARENA_PUSH(core->arena, reply->n_columns, reply->columns, (char *)list->table->columns[i]);
    int r = table_walk(core->store, list->table, ask->after, push_row, list);
    if (r < 0)
        request_refuse(core, request, RM_CODE__CODE_TRY_AGAIN, "cannot read the table %s: %s",
                       list->table->name, strerror(-r));
    reply->count = (uint32_t)reply->n_rows;
}

/* ---- tabrestore */

/* Reads and checks one table; NULL: it is refused. */
static struct table_import *import_new(struct core *core, struct request *request,
                                       const struct table *table, const RmTableRestore *ask,
                                       bool alone)
{
    const char *csv = ask->csv.len > 0 ? (const char *)ask->csv.data : "";
    struct table_import *import = NULL;
    struct rm_err err = {0};

    if (table_import_new(core->store, table, csv, ask->csv.len, ask->add, &import, &err) >= 0)
        return import;
    request_refuse(core, request, RM_CODE__CODE_TABLE, "%s%s%s", alone ? "" : table->name,
                   alone ? "" : ": ", err.text);
    return NULL;
}

/* A table that is restored. */
struct restore {
    const struct table *table;
    bool add;
    int rows;
};

static void restored(struct core *core, struct request *request, const struct restore *list,
                     size_t n)
{
    struct site_effect effect = {0};

    for (size_t i = 0; i < n; i++) {
        const char *word = list[i].add ? "added" : "restored";
        request->reply->count += (uint32_t)list[i].rows;
        site_effect_note(&effect, list[i].table, -1);
        request_outcome(core, request, list[i].table->name, true, "%d row%s %s", list[i].rows,
                        list[i].rows == 1 ? "" : "s", word);
        core_event(core, RM_EVENT_KIND__TABLE_CHANGED, request->peer->user, NULL, NULL,
                   "table %s: %d row%s %s", list[i].table->name, list[i].rows,
                   list[i].rows == 1 ? "" : "s", word);
    }
    site_changed(core, request, &effect);
}

/* Which tables, each once. */
static bool find_tables(struct core *core, struct request *request, RmTableRestore *const *asks,
                        size_t n, struct restore *list)
{
    if (n == 0 || n > TABLE_COUNT) {
        request_refuse(core, request, RM_CODE__CODE_USAGE, "from one to %d tables", TABLE_COUNT);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        list[i].table = site_find_table(core, request, asks[i]->table, RM_CODE__CODE_TABLE);
        list[i].add = asks[i]->add;
        if (!list[i].table)
            return false;
        for (size_t k = 0; k < i; k++)
            if (list[k].table == list[i].table) {
                request_refuse(core, request, RM_CODE__CODE_USAGE, "the table %s is there twice",
                               list[i].table->name);
                return false;
            }
    }
    return true;
}

/* All are right, and there is space for all: what fails now is the store, and the turn with it. */
static bool write_all(struct core *core, struct request *request,
                      struct table_import *const *imports, size_t n, struct restore *list)
{
    struct rm_err err = {0};

    if (table_import_has_room(core->store, imports, n, &err) < 0) {
        request_refuse(core, request, RM_CODE__CODE_TABLE, "%s", err.text);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        list[i].rows = table_import_write(core->store, imports[i], &err);
        if (list[i].rows < 0) {
            core_fail(core, list[i].rows, "table");
            request_refuse(core, request, RM_CODE__CODE_TRY_AGAIN, "%s", err.text);
            return false;
        }
    }
    return true;
}

static void restore_all(struct core *core, struct request *request, RmTableRestore *const *asks,
                        size_t n)
{
    struct table_import *imports[TABLE_COUNT] = {NULL};
    struct restore list[TABLE_COUNT] = {{0}};
    size_t read = 0;

    if (!find_tables(core, request, asks, n, list))
        return;
    while (read < n &&
           (imports[read] = import_new(core, request, list[read].table, asks[read], n == 1)))
        read++;
    if (read == n && write_all(core, request, imports, n, list))
        restored(core, request, list, n);
    for (size_t i = 0; i < read; i++)
        table_import_free(imports[i]);
}

void site_restore(struct core *core, struct request *request)
{
    RmTableRestore *one = request->message->table_restore;

    restore_all(core, request, &one, 1);
}

void site_restore_several(struct core *core, struct request *request)
{
    const RmTablesRestore *ask = request->message->tables_restore;

    restore_all(core, request, ask->tables, ask->n_tables);
}
