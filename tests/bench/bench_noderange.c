/* bench_noderange.c - how long a large site takes: 100,000 nodes in 2,000 groups
 *
 * Prints milliseconds and asserts nothing. The store is in a directory of its own under TMPDIR. */
#include "conf/env.h"
#include "store/tables/noderange.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NODES = 100000, GROUPS = 2000, RUNS = 5 };

static const struct env *env;

static void die(const char *what, const struct rm_err *err)
{
    fprintf(stderr, "%s: %s\n", what, err->text);
    exit(1);
}

static double ms(usec_t from)
{
    return (double)(env_now(env) - from) / 1000;
}

static void show(const char *what, double took)
{
    printf("%-62s %9.2f ms\n", what, took);
}

/* ---- the site */

static char *csv(void (*write)(FILE *file), size_t *ret_length)
{
    char *text;
    FILE *file = open_memstream(&text, ret_length);
    if (!file)
        exit(1);
    write(file);
    fclose(file);
    return text;
}

/* Each node is in all, in one of 50 rows of racks, and in one of the other groups. */
static void write_nodelist(FILE *file)
{
    fprintf(file, "#node,groups,status\n");
    for (int i = 0; i < NODES; i++)
        fprintf(file, "kvm%06d,\"all,row%d,rack%d\",\n", i, i % 50, i % (GROUPS - 51));
}

static void write_vm(FILE *file)
{
    fprintf(file, "#node,host,storage,memory,cpus,nics\n");
    for (int i = 0; i < NODES; i++)
        fprintf(file, "kvm%06d,\"hyp%04d\",,\"%d\",,\n", i, i % 1000, 1024 << i % 4);
    for (int i = 0; i < 50; i++)
        fprintf(file, "row%d,,\"|kvm(\\d+)|nfs://nas%d/vms/($1%%1000)|\",,2,\"br%d\"\n", i, i % 4,
                i);
}

static void write_nodehm(FILE *file)
{
    fprintf(file, "#node,mgt\nall,kvm\n");
}

static void import(struct store *store, const char *table, void (*write)(FILE *file))
{
    struct rm_err err = {""};
    size_t length;
    char *text = csv(write, &length), line[100];
    usec_t from = env_now(env);
    int r = table_restore(store, table_find(table), text, length, false, &err);
    if (r < 0)
        die(table, &err);
    snprintf(line, sizeof(line), "restore %s: %d rows, %.1f MB", table, r, (double)length / 1e6);
    show(line, ms(from));
    free(text);
}

static void export(struct store *store, const char *table)
{
    char *text, line[100];
    size_t length;
    FILE *file = open_memstream(&text, &length);
    usec_t from = env_now(env);
    uint64_t after = 0;
    int r = 1;
    while (file && r == 1)
        r = table_export(store, table_find(table), &after, file);
    if (r != 0)
        exit(1);
    fclose(file);
    snprintf(line, sizeof(line), "export %s: %.1f MB", table, (double)length / 1e6);
    show(line, ms(from));
    free(text);
}

/* ---- noderanges */

/* The best of some runs, after what the line before it has made ready. */
static void expand(struct attr_site *attr, const char *expression)
{
    struct noderange_site site = {.attr = attr};
    struct rm_err err = {""};
    double best = 1e9;
    size_t n = 0;
    char line[100];
    for (int i = 0; i < RUNS; i++) {
        struct noderange range;
        usec_t from = env_now(env);
        if (noderange_expand(expression, &site, &range, &err) < 0)
            die(expression, &err);
        double took = ms(from);
        best = took < best ? took : best;
        n = range.n;
        noderange_done(&range);
    }
    snprintf(line, sizeof(line), "%s: %zu nodes", expression, n);
    show(line, best);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void run(struct store *store)
{
    static const char *const expressions[] = {
        "kvm000001",
        "kvm000001-kvm000100",
        "kvm[000000-099999]",
        "rack7",
        "row7",
        "all",
        "all,-row7",
        "row7@rack7",
        "/kvm0001.*",
        "/.*7",
        "vm.host==hyp0007",
        "vm.host!=hyp0007",
        "vm.memory=~^4",
        "vm.storage=~nas1/vms/77",
        "mgt==kvm",
        "groups=~rack7$",
        "vm.host==hyp0007@vm.cpus==2,-rack7,-/.*0",
    };
    struct rm_err err = {""};
    struct attr_site *attr;
    const struct table *vm = table_find("vm");
    import(store, "nodelist", write_nodelist);
    import(store, "nodehm", write_nodehm);
    import(store, "vm", write_vm);
    usec_t from = env_now(env);
    if (store_commit(store, &err) < 0)
        die("commit", &err);
    show("commit", ms(from));
    export(store, "vm");
    if (attr_new(store, NULL, &attr, &err) < 0)
        die("attr", &err);
    from = env_now(env);
    if (attr_refresh(attr, &err) < 0)
        die("attr", &err);
    show("all tables into memory", ms(from));
    for (size_t i = 0; i < sizeof(expressions) / sizeof(expressions[0]); i++)
        expand(attr, expressions[i]);
    from = env_now(env);
    for (int i = 0; i < 1000; i++)
        table_row_set(store, vm, "kvm000001", 2, "hyp0002");
    show("a move, written into the table, 1000 times", ms(from));
    from = env_now(env);
    attr_refresh(attr, &err);
    show("and taken in", ms(from));
    from = env_now(env);
    table_row_set(store, table_find("nodelist"), "kvm000001", 1, "all");
    attr_refresh(attr, &err);
    show("one node in other groups, taken in", ms(from));
    attr_free(attr);
}

int main(void)
{
    char base[PATH_MAX], path[PATH_MAX + 8];
    const char *tmp = getenv("TMPDIR");
    struct rm_err err = {""};
    struct store *store;
    env = env_system();
    snprintf(base, sizeof(base), "%s/rmigrate-bench-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(base))
        return 1;
    snprintf(path, sizeof(path), "%s/store", base);
    if (store_open(path, (uint64_t)1 << 32, STORE_CREATE, &store, &err) < 0)
        die(path, &err);
    run(store);
    store_close(store);
    nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
