/* restore_cmd.c - tabrestore: tables from CSV files or a directory of them; tabedit: a table in an
 * editor */
#include "submit/tables/restore_cmd.h"

#include "conf/service.h"
#include "submit/out.h"
#include "submit/tables/dump_cmd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    BYTES_MAX = MSG_MAX - 64 * 1024, /* of all files together: they travel in one message */
    ASK_MSEC = 200,                  /* between two looks at the keyboard and at signals */
};

/* ---- files */

/* Fifos and devices are refused: opening or reading them could last for ever. */
static int read_file(const char *path, uint8_t **ret_data, size_t *ret_length)
{
    struct stat st;
    uint8_t *data = NULL;
    size_t length = 0;
    ssize_t n = 1;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY), r = 0;
    if (fd < 0)
        return rm_err_code(-errno);
    if (fstat(fd, &st) < 0)
        r = rm_err_code(-errno);
    else if (S_ISDIR(st.st_mode))
        r = -EISDIR;
    else if (!S_ISREG(st.st_mode))
        r = -EINVAL;
    else if (st.st_size > BYTES_MAX)
        r = -EFBIG;
    else
        r = (data = malloc((size_t)st.st_size + 1)) ? 0 : -ENOMEM;
    while (r == 0 && length < (size_t)st.st_size &&
           (n = read(fd, data + length, (size_t)st.st_size - length)) > 0)
        length += (size_t)n;
    if (r == 0 && n < 0)
        r = rm_err_code(-errno);
    close(fd);
    if (r < 0) {
        free(data);
        return r;
    }
    *ret_data = data;
    *ret_length = length;
    return 0;
}

/* What is to be restored. */
struct load {
    struct arena *arena;
    RmTablesRestore ask;
    size_t bytes;
    bool add;
    char **tables; /* of the broker; NULL: not asked yet */
    size_t n_tables;
};

static void load_done(struct load *load)
{
    for (size_t i = 0; i < load->ask.n_tables; i++)
        free(load->ask.tables[i]->csv.data);
}

/* Takes the data. */
static int load_add(struct load *load, const char *table, uint8_t *data, size_t length)
{
    RmTableRestore *one = arena_alloc(load->arena, sizeof(*one));
    if (one) {
        rm_table_restore__init(one);
        one->table = arena_strdup(load->arena, table);
        one->csv = (ProtobufCBinaryData){.data = data, .len = length};
        one->add = load->add;
    }
    if (!one || !one->table ||
        ARENA_PUSH(load->arena, load->ask.n_tables, load->ask.tables, one) < 0) {
        free(data);
        return out_no_memory();
    }
    load->bytes += length;
    return EXIT_OK;
}

static int load_file(struct load *load, const char *path, const char *table)
{
    uint8_t *data;
    size_t length;
    for (size_t i = 0; i < load->ask.n_tables; i++)
        if (strcmp(load->ask.tables[i]->table, table) == 0) {
            out_error("%s: the table %s has another file", path, table);
            return EXIT_USAGE;
        }
    int r = read_file(path, &data, &length);
    if (r < 0) {
        out_error("Unable to open %s for reading: %s", path,
                  r == -EINVAL ? "not a regular file" : strerror(-r));
        return EXIT_TABLE;
    }
    if (length > BYTES_MAX - load->bytes) {
        free(data);
        out_error("%s: the files together are longer than %d MiB: restore them one by one", path,
                  BYTES_MAX / 1024 / 1024);
        return EXIT_TABLE;
    }
    return load_add(load, table, data, length);
}

/* "/tmp/vm.csv.bak" is of the table vm. In the arena. */
static char *table_of(struct load *load, const char *path)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    return arena_printf(load->arena, "%.*s", (int)strcspn(base, "."), base);
}

static bool is_table(const struct load *load, const char *name)
{
    for (size_t i = 0; i < load->n_tables; i++)
        if (strcmp(load->tables[i], name) == 0)
            return true;
    return false;
}

static int is_csv(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 4 && entry->d_name[0] != '.' && strcmp(entry->d_name + length - 4, ".csv") == 0;
}

/* All tables of a directory as dumpxCATdb and a loop of tabdump leave it. */
static int load_directory(struct client *client, struct load *load, const char *path)
{
    struct dirent **entries;
    size_t before = load->ask.n_tables;
    int code = load->tables ? EXIT_OK : table_names(client, &load->tables, &load->n_tables);
    if (code != EXIT_OK)
        return code;
    int n = scandir(path, &entries, is_csv, alphasort);
    if (n < 0) {
        out_error("Unable to open %s for reading: %s", path, strerror(errno));
        return EXIT_TABLE;
    }
    for (int i = 0; i < n; i++) {
        char *file = arena_printf(load->arena, "%s/%s", path, entries[i]->d_name);
        char *table = file ? table_of(load, file) : NULL;
        if (code == EXIT_OK && !table)
            code = out_no_memory();
        else if (code == EXIT_OK && !is_table(load, table))
            out_warning("%s: No such table: %s, skipped", file, table);
        else if (code == EXIT_OK)
            code = load_file(load, file, table);
        free(entries[i]);
    }
    free(entries);
    if (code == EXIT_OK && load->ask.n_tables == before) {
        out_error("%s contains no TABLE.csv of an existing table", path);
        return EXIT_TABLE;
    }
    return code;
}

static int load_path(struct client *client, struct load *load, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return load_directory(client, load, path);
    char *table = table_of(load, path);
    if (!table)
        return out_no_memory();
    if (table[0] == '\0') {
        out_error("%s: the file name up to its first dot must be the name of a table", path);
        return EXIT_USAGE;
    }
    return load_file(load, path, table);
}

/* ---- tabrestore */

static int send_tables(struct client *client, struct load *load, bool tell)
{
    RmRequest request = client_request(RM_REQUEST__ASK_TABLES_RESTORE, &load->ask);
    RmReply *reply;
    int code = client_question(client, &request, 0, NULL, &reply);
    for (size_t i = 0; code == EXIT_OK && tell && i < reply->n_outcomes; i++)
        out_note("table %s: %s", reply->outcomes[i]->name, reply->outcomes[i]->text);
    return code;
}

int table_restore_files(struct client *client, const struct args *args)
{
    struct load load = {
        .arena = client_arena(client), .ask = RM_TABLES_RESTORE__INIT, .add = args->add};
    int code = EXIT_OK;
    for (size_t i = 0; code == EXIT_OK && i < args->n_operands; i++)
        code = load_path(client, &load, args->operands[i]);
    if (code == EXIT_OK)
        code = send_tables(client, &load, args->verbose || isatty(STDERR_FILENO));
    load_done(&load);
    return code;
}

/* ---- tabedit */

struct edit {
    struct client *client;
    const char *table;
    char *dir, *path; /* owned */
    char *before;     /* the table as it was dumped; owned */
    size_t length;
};

static int write_file(const struct edit *edit)
{
    FILE *file;
    int fd = open(edit->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || !(file = fdopen(fd, "w"))) {
        int r = -errno;
        if (fd >= 0)
            close(fd);
        return r;
    }
    size_t n = fwrite(edit->before, 1, edit->length, file);
    int r = n == edit->length ? 0 : -errno;
    if (fclose(file) != 0 && r == 0)
        r = -errno;
    return r;
}

/* The editor has the terminal, and the signals that come from it. */
static int run_editor(const struct edit *edit)
{
    const char *editor = getenv("TABEDITOR");
    char *command;
    int status;
    if (!editor || !*editor)
        editor = getenv("EDITOR");
    if (!editor || !*editor)
        editor = "vi";
    if (asprintf(&command, "%s \"$1\"", editor) < 0)
        return out_no_memory();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGPIPE, SIG_DFL);
        execl("/bin/sh", "sh", "-c", command, "sh", edit->path, (char *)NULL);
        _exit(127);
    }
    free(command);
    if (pid < 0) {
        out_error("the editor '%s' cannot be started: %s", editor, strerror(errno));
        return EXIT_SOME_FAILED;
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) {
            out_error("waiting for the editor '%s': %s", editor, strerror(errno));
            return EXIT_SOME_FAILED;
        }
    client_forget_signal(edit->client);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return EXIT_OK;
    if (WIFEXITED(status))
        out_error("the editor '%s' exited with status %d", editor, WEXITSTATUS(status));
    else
        out_error("the editor '%s' was killed by signal %d", editor, WTERMSIG(status));
    return EXIT_SOME_FAILED;
}

/* Others may have changed it, and so do jobs that end: their work must not be undone. */
static int check_unchanged(const struct edit *edit)
{
    char *now;
    size_t length;
    int code = table_fetch(edit->client, edit->table, &now, &length);
    if (code != EXIT_OK)
        return code;
    bool same = length == edit->length && memcmp(now, edit->before, length) == 0;
    free(now);
    if (same)
        return EXIT_OK;
    out_error("the table %s was changed by others in the meantime, not restoring", edit->table);
    return EXIT_SOME_FAILED;
}

static int restore_edited(const struct edit *edit, uint8_t *data, size_t length)
{
    struct load load = {.arena = client_arena(edit->client), .ask = RM_TABLES_RESTORE__INIT};
    int code = load_add(&load, edit->table, data, length);
    if (code == EXIT_OK)
        code = send_tables(edit->client, &load, isatty(STDERR_FILENO));
    load_done(&load);
    return code;
}

/* True: once more. */
static bool ask_again(const struct edit *edit)
{
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
    char line[256];
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return false;
    fputs("Above errors occured, hit enter to edit, or ctrl-c to abort ", stderr);
    for (;;) {
        if (client_sleep(edit->client, ASK_MSEC * USEC_PER_MSEC) < 0) {
            fputc('\n', stderr);
            return false;
        }
        if (poll(&fd, 1, 0) > 0)
            return read(STDIN_FILENO, line, sizeof(line)) > 0;
    }
}

static bool is_unchanged(const struct edit *edit, const uint8_t *data, size_t length)
{
    return length == edit->length && (length == 0 || memcmp(data, edit->before, length) == 0);
}

/* Is there something in the file that the table has not? */
static bool is_edited(const struct edit *edit)
{
    uint8_t *data = NULL;
    size_t length = 0;
    int r = read_file(edit->path, &data, &length);
    if (r < 0)
        return r != -ENOENT;
    bool same = is_unchanged(edit, data, length);
    free(data);
    return !same;
}

/* Also what an editor leaves beside the file: it may contain passwords. */
static void clean_up(const struct edit *edit)
{
    DIR *dir = opendir(edit->dir);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(edit->dir);
}

/* Once through the editor. *ret_done: it need not be tried again. */
static int edit_once(const struct edit *edit, bool *ret_done)
{
    uint8_t *data = NULL;
    size_t length = 0;
    *ret_done = true;
    int code = run_editor(edit);
    if (code != EXIT_OK)
        return code;
    int r = read_file(edit->path, &data, &length);
    if (r < 0) {
        out_error("Unable to open %s for reading: %s", edit->path, strerror(-r));
        return EXIT_TABLE;
    }
    if (is_unchanged(edit, data, length)) {
        free(data);
        out_result("", "No file modifications detected, not restoring.");
        return EXIT_OK;
    }
    code = check_unchanged(edit);
    if (code != EXIT_OK) {
        free(data);
        return code;
    }
    code = restore_edited(edit, data, length);
    *ret_done = code != EXIT_TABLE;
    return code;
}

static int edit_table(const struct edit *edit)
{
    bool done = false;
    int code;
    int r = write_file(edit);
    if (r < 0) {
        out_error("Unable to write %s: %s", edit->path, strerror(-r));
        clean_up(edit);
        return EXIT_TABLE;
    }
    do
        code = edit_once(edit, &done);
    while (!done && ask_again(edit));
    if (client_signal(edit->client) != 0)
        code = 128 + client_signal(edit->client);
    if (code != EXIT_OK && is_edited(edit))
        out_note("the edited table is kept in %s", edit->path);
    else
        clean_up(edit);
    return code;
}

int table_edit(struct client *client, const struct args *args)
{
    struct edit edit = {.client = client, .table = args->operands[0]};
    const char *tmp = getenv("TMPDIR");
    int code = table_fetch(client, edit.table, &edit.before, &edit.length);
    if (code != EXIT_OK)
        return code;
    if (asprintf(&edit.dir, "%s/rmigrate-tabedit.XXXXXX", tmp && *tmp ? tmp : "/tmp") < 0) {
        edit.dir = NULL;
        code = out_no_memory();
    } else if (!mkdtemp(edit.dir)) {
        out_error("Unable to make %s: %s", edit.dir, strerror(errno));
        code = EXIT_TABLE;
    } else if (asprintf(&edit.path, "%s/%s.csv", edit.dir, edit.table) < 0) {
        edit.path = NULL;
        rmdir(edit.dir);
        code = out_no_memory();
    } else {
        code = edit_table(&edit);
    }
    free(edit.path);
    free(edit.dir);
    free(edit.before);
    return code;
}
