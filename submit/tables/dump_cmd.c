/* dump_cmd.c - tabdump: a table as CSV or JSON, the list of tables, what their columns mean */
#include "submit/tables/dump_cmd.h"

#include "conf/json.h"
#include "conf/service.h"
#include "submit/listing.h"
#include "submit/out.h"
#include "submit/tables/condition.h"
#include "submit/tables/table_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A table that is dumped page by page. */
struct dump {
    RmTableDump ask;
    FILE *file;       /* of CSV; NULL: it is opened when the first page is there */
    const char *path; /* then; NULL: stdout */
    bool is_json, noheadings;
    struct json json;
    char **columns; /* NULL: nothing was dumped yet */
    size_t n_columns;
};

/* ---- CSV */

/* Every defined value is quoted and its quotes are doubled; what is undefined is nothing between
 * the commas. */
static void put_value(FILE *file, const RmCell *cell, bool first)
{
    if (!first)
        putc(',', file);
    if (!cell || !cell->set)
        return;
    putc('"', file);
    for (const char *p = cell->value; *p; p++) {
        if (*p == '"')
            putc('"', file);
        putc(*p, file);
    }
    putc('"', file);
}

static void put_header(const struct dump *dump, const RmReply *reply)
{
    putc('#', dump->file);
    for (size_t i = 0; i < reply->n_columns; i++)
        fprintf(dump->file, "%s%s", i > 0 ? "," : "", reply->columns[i]);
    putc('\n', dump->file);
}

static void put_csv(const struct dump *dump, const RmReply *reply)
{
    for (size_t i = 0; i < reply->n_rows; i++) {
        const RmRow *row = reply->rows[i];
        for (size_t j = 0; j < dump->n_columns; j++)
            put_value(dump->file, j < row->n_cells ? row->cells[j] : NULL, j == 0);
        putc('\n', dump->file);
    }
}

static void put_json(struct dump *dump, const RmReply *reply)
{
    for (size_t i = 0; i < reply->n_rows; i++) {
        const RmRow *row = reply->rows[i];
        json_line(&dump->json);
        json_open(&dump->json, NULL, '{');
        for (size_t j = 0; j < dump->n_columns; j++)
            json_text(&dump->json, dump->columns[j],
                      j < row->n_cells && row->cells[j]->set ? row->cells[j]->value : "");
        json_close(&dump->json, '}');
    }
}

/* ---- pages */

/* Passwords are not for everybody, nor in a file that was there before. */
static int open_file(const char *path, bool secrets)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, secrets ? 0600 : 0666);
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0 ||
        (S_ISREG(st.st_mode) && ((secrets && fchmod(fd, 0600) < 0) || ftruncate(fd, 0) < 0))) {
        int r = errno;
        close(fd);
        errno = r;
        return -1;
    }
    return fd;
}

static int begin(struct dump *dump, const RmReply *reply)
{
    dump->columns = reply->columns;
    dump->n_columns = reply->n_columns;
    if (dump->is_json) {
        dump->json.file = stdout;
        json_open(&dump->json, NULL, '{');
        json_open(&dump->json, dump->ask.table, '[');
        return EXIT_OK;
    }
    if (!dump->file) {
        int fd = open_file(dump->path, dump->ask.secrets);
        dump->file = fd >= 0 ? fdopen(fd, "w") : NULL;
        if (!dump->file) {
            out_error("Unable to open %s for writing: %s", dump->path, strerror(errno));
            if (fd >= 0)
                close(fd);
            return EXIT_TABLE;
        }
    }
    if (!dump->noheadings)
        put_header(dump, reply);
    return EXIT_OK;
}

static int dump_page(struct client *client, struct dump *dump, struct arena *arena, bool first)
{
    RmRequest request = client_request(RM_REQUEST__ASK_TABLE_DUMP, &dump->ask);
    RmReply *reply;
    int code = client_question(client, &request, 0, arena, &reply);
    if (code == EXIT_OK && first)
        code = begin(dump, reply);
    if (code != EXIT_OK)
        return code;
    if (dump->is_json)
        put_json(dump, reply);
    else
        put_csv(dump, reply);
    dump->ask.after = reply->next > dump->ask.after ? reply->next : 0;
    return dump->file == stdout && !out_is_sound() ? EXIT_SOME_FAILED : EXIT_OK;
}

static int dump_all(struct client *client, struct dump *dump)
{
    struct arena *head = arena_new(0), *page = arena_new(0); /* of the columns' names; of a page */
    int code = head && page ? dump_page(client, dump, head, true) : out_no_memory();
    while (code == EXIT_OK && dump->ask.after != 0) {
        arena_reset(page);
        code = dump_page(client, dump, page, false);
    }
    if (dump->is_json && dump->columns) {
        json_close(&dump->json, ']');
        json_close(&dump->json, '}');
        putchar('\n');
    }
    arena_free(page);
    arena_free(head);
    return code;
}

int table_fetch(struct client *client, const char *table, char **ret_csv, size_t *ret_length)
{
    struct dump dump = {.ask = RM_TABLE_DUMP__INIT};
    char *csv = NULL;
    size_t length = 0;
    dump.ask.table = (char *)table;
    dump.ask.secrets = true;
    dump.file = open_memstream(&csv, &length);
    if (!dump.file)
        return out_no_memory();
    int code = dump_all(client, &dump);
    if (fclose(dump.file) != 0 && code == EXIT_OK)
        code = out_no_memory();
    if (code != EXIT_OK) {
        free(csv);
        return code;
    }
    *ret_csv = csv;
    *ret_length = length;
    return EXIT_OK;
}

int table_names(struct client *client, char ***ret_names, size_t *ret_n)
{
    RmTableDump ask = RM_TABLE_DUMP__INIT;
    RmRequest request = client_request(RM_REQUEST__ASK_TABLE_DUMP, &ask);
    RmReply *reply;
    int code = client_question(client, &request, 0, NULL, &reply);
    if (code != EXIT_OK)
        return code;
    *ret_names = reply->columns;
    *ret_n = reply->n_columns;
    return EXIT_OK;
}

/* ---- the command */

static void put_name(struct cell *cell, const void *record)
{
    cell_text(cell, record);
}

static const struct column name_columns[] = {{NULL, "table", PUT(put_name)}, {0}};

static int list_tables(struct client *client, const struct args *args)
{
    char **names;
    size_t n;
    int code = table_names(client, &names, &n);
    if (code != EXIT_OK)
        return code;
    if (args->json)
        return listing_print(args, "tables", name_columns, (void **)names, n, NULL);
    for (size_t i = 0; i < n; i++)
        out_result("", names[i]);
    return EXIT_OK;
}

/* What the tables are for, or the columns of one. */
static int describe(const char *table)
{
    const struct table_text *text = table ? table_text_find(table) : NULL;
    if (table && !text) {
        out_error("No such table: %s", table);
        return EXIT_SOME_FAILED;
    }
    for (size_t i = 0; !text && table_text_at(i); i++)
        out_result(table_text_at(i)->name, table_text_at(i)->text);
    for (const struct column_text *column = text ? text->columns : NULL; column && column->name;
         column++)
        out_result(column->name, column->text);
    return EXIT_OK;
}

static int close_file(struct dump *dump, int code)
{
    bool broken = dump->file && dump->file != stdout && (ferror(dump->file) || fflush(dump->file));
    int r = errno;
    if (dump->file && dump->file != stdout && fclose(dump->file) != 0 && !broken) {
        broken = true;
        r = errno;
    }
    if (!broken)
        return code;
    out_error("Unable to write %s: %s", dump->path, strerror(r ? r : EIO));
    return code == EXIT_OK ? EXIT_TABLE : code;
}

int table_dump(struct client *client, const struct args *args)
{
    const char *table = args->n_operands > 0 ? args->operands[0] : NULL;
    struct dump dump = {.ask = RM_TABLE_DUMP__INIT,
                        .file = args->file ? NULL : stdout,
                        .path = args->file,
                        .is_json = args->json,
                        .noheadings = args->noheadings};
    if (args->describe)
        return describe(table);
    if (!table && (args->file || args->n_where > 0)) {
        out_error("TABLE is missing");
        return EXIT_USAGE;
    }
    if (!table)
        return list_tables(client, args);
    if (args->file && args->json) {
        out_error("--file and --json exclude each other");
        return EXIT_USAGE;
    }
    struct arena *arena = client_arena(client);
    int code = EXIT_OK;
    dump.ask.table = (char *)table;
    dump.ask.secrets = args->secrets;
    for (size_t i = 0; code == EXIT_OK && i < args->n_where; i++) {
        RmTerm *term = term_of_dump(arena, args->where[i]);
        if (!term)
            code = EXIT_USAGE;
        else if (ARENA_PUSH(arena, dump.ask.n_where, dump.ask.where, term) < 0)
            code = out_no_memory();
    }
    if (code == EXIT_OK)
        code = dump_all(client, &dump);
    return close_file(&dump, code);
}
