/* fuzz_noderange.c - any text as a noderange: no fault, within its bounds, sorted, unique, only
 * nodes; once with names alone, once over tables with groups and patterns
 *
 * The first byte says how it is asked. */
#include "store/tables/noderange.h"

#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct attr_site *tables;

/* Most names exist; the last byte decides, so that ranges and brackets make known and unknown ones.
 */
static bool is_node(void *ctx, const char *name)
{
    (void)ctx;
    size_t length = strlen(name);
    return length > 0 && name[length - 1] != 'x' && strpbrk(name, "[],:()@^/=~+") == NULL &&
           (strchr(name, '-') == NULL || name[0] == 'd');
}

static int each_node(void *ctx, int (*f)(void *to, const char *name), void *to)
{
    static const char *const names[] = {"a", "n1", "n2", "d-1", "kvm9", "rack1"};
    int r = 0;
    (void)ctx;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && r == 0; i++)
        r = f(to, names[i]);
    return r;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void restore(struct store *store, const char *table, const char *csv)
{
    struct rm_err err = {""};
    if (table_restore(store, table_find(table), csv, strlen(csv), false, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char base[] = "/tmp/rmigrate-fuzz-XXXXXX", path[64];
    struct rm_err err = {""};
    struct store *store;
    (void)argc;
    (void)argv;
    if (!mkdtemp(base))
        abort();
    snprintf(path, sizeof(path), "%s/store", base);
    if (store_open(path, 1 << 24, STORE_CREATE | STORE_NO_SYNC, &store, &err) < 0)
        abort();
    restore(store, "nodelist",
            "#node,groups\nn1,\"all,rack1\"\nn2,\"all,rack1\"\nn3,\"all,rack2\"\nnode01,all\n"
            "node02,all\nkvm1,\"all,kvm\"\nkvm2,\"kvm\"\nweb,rack1\nn1.dom,\n");
    restore(store, "vm",
            "#node,host,memory\nkvm,|kvm(\\d+)|hyp(12/($1-2))|,4096\nall,h1,\nkvm1,,|^.*$||\n");
    restore(store, "nodehm", "#node,mgt\nall,kvm\n");
    restore(store, "nodegroup",
            "#groupname,grouptype,wherevals\ndyn,dynamic,mgt==kvm::groups=~rack\nempty,static,\n"
            "bad,dynamic,what==\n");
    if (attr_new(store, "vm.memory", &tables, &err) < 0 || attr_refresh(tables, &err) < 0)
        abort();
    nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* it stays open */
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned how = size > 0 ? data[0] : 0;
    struct noderange_site site = {.is_node = is_node, .each_node = each_node};
    struct noderange range = {0};
    struct rm_err err = {""};
    char *text = malloc(size + 1);
    if (how & 1)
        site.attr = tables;
    site.only_is_node = how & 2;
    site.lenient = how & 4;
    if (how & 8)
        site.exclude = "rack2,nobody,vm.memory==4096,/n[12]";
    if (how & 16)
        site.is_node = NULL, site.each_node = NULL;
    if (size > 1)
        memcpy(text, data + 1, size - 1);
    text[size > 1 ? size - 1 : 0] = '\0';
    int r = noderange_expand(text, &site, &range, &err);
    if ((r < 0) != (err.text[0] != '\0') || range.n > NODERANGE_NODES_MAX ||
        (r == 0 && range.n == 0 && !site.lenient) || (r < 0 && range.names))
        abort();
    for (size_t i = 0; i < range.n; i++) {
        const struct attr_node *node = site.attr ? attr_node(tables, range.names[i]) : NULL;
        bool known = (node && !site.only_is_node && attr_is_node(node)) ||
                     (site.is_node && is_node(NULL, range.names[i]));
        if (!known || !noderange_has(&range, range.names[i]))
            abort();
        if (i > 0 && strcmp(range.names[i - 1], range.names[i]) >= 0)
            abort();
    }
    noderange_done(&range);
    free(text);
    return 0;
}
