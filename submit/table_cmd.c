/* table_cmd.c - commands about the site tables, and keygen */
#include "submit/table_cmd.h"

#include "conf/conf.h"
#include "conf/service.h"
#include "submit/out.h"
#include "submit/view.h"
#include "wire/net.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    COLUMNS_MAX = 256,              /* of a table */
    FILE_MAX = MSG_MAX - 64 * 1024, /* bytes of a CSV file: it travels in one message */
};

/* ---- tabdump */

/* Every defined value is quoted and its quotes are doubled; what is undefined is nothing between
 * the commas. */
static void put_value(const RmCell *cell, bool first)
{
    if (!first)
        putchar(',');
    if (!cell || !cell->set)
        return;
    putchar('"');
    for (const char *p = cell->value; *p; p++) {
        if (*p == '"')
            putchar('"');
        putchar(*p);
    }
    putchar('"');
}

static void put_header(const RmReply *reply)
{
    putchar('#');
    for (size_t i = 0; i < reply->n_columns; i++)
        printf("%s%s", i > 0 ? "," : "", reply->columns[i]);
    putchar('\n');
}

static void put_csv(const RmReply *reply, size_t columns)
{
    for (size_t i = 0; i < reply->n_rows; i++) {
        const RmRow *row = reply->rows[i];
        for (size_t j = 0; j < columns; j++)
            put_value(j < row->n_cells ? row->cells[j] : NULL, j == 0);
        putchar('\n');
    }
}

static void put_rows(struct out_table *table, const RmReply *reply, size_t columns)
{
    for (size_t i = 0; i < reply->n_rows; i++) {
        const RmRow *row = reply->rows[i];
        out_row(table);
        for (size_t j = 0; j < columns; j++)
            out_text(table, j < row->n_cells && row->cells[j]->set ? row->cells[j]->value : "");
    }
}

/* A table that is dumped page by page. */
struct dump {
    const struct args *args;
    struct arena *arena;    /* of the first page, whose names the columns use */
    struct out_table *json; /* NULL: CSV */
    struct out_column columns[COLUMNS_MAX + 1];
    size_t n_columns;
};

static void begin_dump(struct dump *dump, const RmReply *reply)
{
    dump->n_columns = reply->n_columns < COLUMNS_MAX ? reply->n_columns : COLUMNS_MAX;
    for (size_t i = 0; i < dump->n_columns; i++)
        dump->columns[i].key = reply->columns[i];
    if (dump->args->json)
        dump->json = out_table_new(dump->args->operands[0], dump->columns, true, false);
    else if (!dump->args->noheadings)
        put_header(reply);
}

static int dump_page(struct client *client, struct dump *dump, struct arena *arena, uint64_t *after,
                     bool first)
{
    RmTableDump ask = RM_TABLE_DUMP__INIT;
    ask.table = dump->args->operands[0];
    ask.after = *after;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_TABLE_DUMP;
    request.table_dump = &ask;
    RmReply *reply;
    int code = client_question(client, &request, arena, &reply);
    if (code != EXIT_OK)
        return code;
    if (first)
        begin_dump(dump, reply);
    if (dump->json)
        put_rows(dump->json, reply, dump->n_columns);
    else
        put_csv(reply, dump->n_columns);
    *after = reply->next > *after ? reply->next : 0;
    return out_is_sound() ? EXIT_OK : EXIT_SOME_FAILED;
}

int table_dump(struct client *client, const struct args *args)
{
    struct dump dump = {.args = args, .arena = arena_new(0)};
    struct arena *page = arena_new(0);
    uint64_t after = 0;
    int code = EXIT_SOME_FAILED;
    if (!dump.arena || !page) {
        out_error("no memory");
        goto out;
    }
    code = dump_page(client, &dump, dump.arena, &after, true);
    while (code == EXIT_OK && after != 0) {
        arena_reset(page);
        code = dump_page(client, &dump, page, &after, false);
    }
    if (code == EXIT_OK && dump.json)
        code = out_table_print(dump.json);
    else
        out_table_free(dump.json);
out:
    arena_free(page);
    arena_free(dump.arena);
    return code;
}

/* ---- tabrestore */

static int read_file(const char *path, uint8_t **ret_data, size_t *ret_length)
{
    struct stat st;
    uint8_t *data = NULL;
    size_t length = 0;
    ssize_t n = 0;
    /* A fifo must not keep us: signals are blocked. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY), r = -errno;
    if (fd < 0)
        return r;
    if (fstat(fd, &st) < 0)
        r = -errno;
    else if (S_ISDIR(st.st_mode))
        r = -EISDIR;
    else if (!S_ISREG(st.st_mode))
        r = -EINVAL;
    else if (st.st_size > FILE_MAX)
        r = -EFBIG;
    else
        r = (data = malloc((size_t)st.st_size + 1)) ? 0 : -ENOMEM;
    while (r == 0 && length < (size_t)st.st_size &&
           (n = read(fd, data + length, (size_t)st.st_size - length)) > 0)
        length += (size_t)n;
    if (r == 0 && n < 0)
        r = -errno;
    close(fd);
    if (r < 0) {
        free(data);
        return r;
    }
    *ret_data = data;
    *ret_length = length;
    return 0;
}

/* "/tmp/vm.csv.bak" is of the table vm. */
static char *table_of(const char *path)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    return strndup(base, strcspn(base, "."));
}

static int send_table(struct client *client, const struct args *args, char *table, uint8_t *data,
                      size_t length)
{
    RmTableRestore restore = RM_TABLE_RESTORE__INIT;
    restore.table = table;
    restore.csv = (ProtobufCBinaryData){.data = data, .len = length};
    restore.add = args->add;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_TABLE_RESTORE;
    request.table_restore = &restore;
    struct arena *arena = arena_new(0);
    RmReply *reply;
    if (!arena)
        return out_no_memory();
    int code = client_question(client, &request, arena, &reply);
    if (code == EXIT_OK && (args->verbose || isatty(STDERR_FILENO)))
        out_note("table %s: %" PRIu32 " row%s %s", table, reply->count,
                 reply->count == 1 ? "" : "s", args->add ? "added" : "restored");
    arena_free(arena);
    return code;
}

int table_restore_file(struct client *client, const struct args *args)
{
    const char *path = args->operands[0];
    uint8_t *data = NULL;
    size_t length = 0;
    char *table = table_of(path);
    if (!table || table[0] == '\0') {
        out_error(table ? "%s: the file's name up to its first dot must be a table's" : "no memory",
                  path);
        free(table);
        return EXIT_USAGE;
    }
    int r = read_file(path, &data, &length);
    if (r < 0) {
        out_error("Unable to open %s for reading: %s", path,
                  r == -EINVAL ? "not a regular file" : strerror(-r));
        free(table);
        return EXIT_TABLE;
    }
    int code = send_table(client, args, table, data, length);
    free(data);
    free(table);
    return code;
}

/* ---- reconcile */

int table_reconcile(struct client *client, const struct args *args)
{
    RmReconcile reconcile = RM_RECONCILE__INIT;
    reconcile.guests = (char *)(args->n_operands > 0 ? args->operands[0] : "");
    reconcile.mend = args->mend;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_RECONCILE;
    request.reconcile = &reconcile;
    struct arena *arena = arena_new(0);
    RmReply *reply;
    if (!arena)
        return out_no_memory();
    int code = client_question(client, &request, arena, &reply);
    if (reply && (code == EXIT_OK || reply->n_outcomes > 0)) {
        int some = view_outcomes(reply, args->json);
        code = code == EXIT_OK ? some : code;
        if (reply->n_outcomes == 0 && !args->json)
            out_note("the table agrees with the hypervisors");
    }
    arena_free(arena);
    return code;
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
    printf("rmigrate %s\n", service_version());
    return EXIT_OK;
}
