/* node_cmd.c - nodels, gettab, chtab, nodech: attributes of nodes and single rows */
#include "submit/tables/node_cmd.h"

#include "conf/json.h"
#include "conf/service.h"
#include "submit/out.h"
#include "submit/tables/condition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- nodels */

struct nodels {
    const struct args *args;
    struct json json;
    bool label; /* each value with the name of its column */
    bool begun;
    bool found; /* a node, or something to say of one */
};

static void print_value(const struct nodels *l, const char *node, const char *column,
                        const RmNodeValue *value)
{
    const char *text = value ? value->value : "";
    char *line;
    const char *from = l->args->blame && value ? value->from : "";
    int r = asprintf(&line, "%s%s%s%s%s%s", l->label ? column : "", l->label ? ": " : "", text,
                     from[0] ? " (inherited from group " : "", from, from[0] ? ")" : "");
    if (r < 0) {
        out_no_memory();
        return;
    }
    out_result(node, line);
    free(line);
}

/* The value of a column, NULL where there is none; *next: where to look for it and for the next
 * column's. */
static const RmNodeValue *value_of(const RmNodeView *node, size_t column, size_t *next)
{
    bool has = *next < node->n_values && node->values[*next]->column == column;
    return has ? node->values[(*next)++] : NULL;
}

static void print_node(const struct nodels *l, const RmReply *reply, const RmNodeView *node)
{
    size_t next = 0;
    if (reply->n_columns == 0)
        out_result("", node->name);
    for (size_t i = 0; i < reply->n_columns; i++)
        print_value(l, node->name, reply->columns[i], value_of(node, i, &next));
}

static void print_json(struct nodels *l, const RmReply *reply, const RmNodeView *node)
{
    size_t next = 0;
    json_line(&l->json);
    json_open(&l->json, NULL, '{');
    json_text(&l->json, "node", node->name);
    for (size_t i = 0; i < reply->n_columns; i++) {
        const RmNodeValue *value = value_of(node, i, &next);
        json_text(&l->json, reply->columns[i], value ? value->value : "");
    }
    if (l->args->blame) {
        json_open(&l->json, "inherited", '{');
        for (size_t i = 0; i < node->n_values; i++)
            if (node->values[i]->from[0] && node->values[i]->column < reply->n_columns)
                json_text(&l->json, reply->columns[node->values[i]->column], node->values[i]->from);
        json_close(&l->json, '}');
    }
    json_close(&l->json, '}');
}

static int print_page(struct nodels *l, const RmReply *reply)
{
    int code = EXIT_OK;
    for (size_t i = 0; i < reply->n_outcomes; i++)
        if (!reply->outcomes[i]->ok) {
            out_failure(reply->outcomes[i]->name, reply->outcomes[i]->text);
            code = EXIT_SOME_FAILED;
        }
    if (l->args->json && !l->begun) {
        json_open(&l->json, NULL, '{');
        json_open(&l->json, "nodes", '[');
    }
    l->begun = true;
    l->found = l->found || reply->n_nodes > 0 || reply->n_outcomes > 0;
    for (size_t i = 0; i < reply->n_nodes; i++) {
        if (l->args->json)
            print_json(l, reply, reply->nodes[i]);
        else
            print_node(l, reply, reply->nodes[i]);
    }
    return out_is_sound() ? code : EXIT_SOME_FAILED;
}

/* What is typed behind the noderange: attributes, and conditions. */
static int read_attrs(const struct args *args, struct arena *arena, RmNodes *ask, bool *ret_label)
{
    unsigned named = 0;
    bool whole = false; /* a table: all of its columns */
    for (size_t i = 1; i < args->n_operands; i++) {
        const char *text = args->operands[i];
        RmTerm *term = strpbrk(text, "=~") ? term_of_list(arena, text) : NULL;
        named++;
        if (strpbrk(text, "=~")) {
            if (!term)
                return EXIT_SOME_FAILED;
            if (ARENA_PUSH(arena, ask->n_where, ask->where, term) < 0)
                return out_no_memory();
        } else {
            bool is_short = strcmp(text, "groups") == 0 || strcmp(text, "tags") == 0 ||
                            strcmp(text, "mgt") == 0;
            whole = whole || (!strchr(text, '.') && !is_short);
            if (ARENA_PUSH(arena, ask->n_attrs, ask->attrs, (char *)text) < 0)
                return out_no_memory();
        }
    }
    *ret_label = args->fields || whole || named > 1;
    return EXIT_OK;
}

int table_nodels(struct client *client, const struct args *args)
{
    struct nodels l = {.args = args, .json = {.file = stdout}};
    RmNodes ask = RM_NODES__INIT;
    RmRequest request = RM_REQUEST__INIT;
    struct arena *page = arena_new(0);
    char *after = NULL;
    RmReply *reply;
    int code = page ? EXIT_OK : out_no_memory();
    ask.nodes = (char *)(args->n_operands > 0 ? args->operands[0] : "");
    ask.hidden = args->hidden;
    ask.secrets = args->secrets;
    request.ask_case = RM_REQUEST__ASK_NODES;
    request.nodes = &ask;
    if (code == EXIT_OK)
        code = read_attrs(args, client_arena(client), &ask, &l.label);
    bool more = code == EXIT_OK;
    while (more) {
        arena_reset(page);
        int r = client_question(client, &request, 0, page, &reply);
        more = false;
        if (reply && (r == EXIT_OK || reply->n_outcomes > 0)) {
            r = print_page(&l, reply);
            free(after);
            after = reply->after[0] ? strdup(reply->after) : NULL;
            more = after && out_is_sound();
            ask.after = after ? after : (char *)"";
        }
        code = r > code ? r : code;
    }
    if (code == EXIT_OK && !l.found && ask.n_where > 0) { /* each page alone could not tell */
        out_error("no nodes of '%s' match these conditions", ask.nodes);
        code = EXIT_SOME_FAILED;
    }
    if (l.args->json && l.begun) {
        json_close(&l.json, ']');
        json_close(&l.json, '}');
        putchar('\n');
    }
    free(after);
    arena_free(page);
    return code;
}

/* ---- gettab */

int table_gettab(struct client *client, const struct args *args)
{
    RmTableGet ask = RM_TABLE_GET__INIT;
    RmRequest request = client_request(RM_REQUEST__ASK_TABLE_GET, &ask);
    RmReply *reply;
    ask.secrets = args->secrets;
    ask.attrs = &args->operands[1];
    ask.n_attrs = args->n_operands - 1;
    if (term_keys(client_arena(client), args->operands[0], &ask.n_keys, &ask.keys) < 0)
        return EXIT_USAGE;
    int code = client_question(client, &request, 0, NULL, &reply);
    const RmNodeView *row = reply && reply->n_nodes > 0 ? reply->nodes[0] : NULL;
    for (size_t i = 0; row && i < row->n_values; i++) {
        const RmNodeValue *value = row->values[i];
        bool label = args->fields || ask.n_attrs > 1;
        out_result(label && value->column < ask.n_attrs ? ask.attrs[value->column] : "",
                   value->value);
    }
    return code;
}

/* ---- chtab, nodech */

/* What is asked of tables: the operands behind the first one. */
struct change {
    size_t n_remove, n_sets, n_where;
    char **remove; /* tables */
    RmTerm **sets, **where;
};

static int read_operand(const struct args *args, struct arena *arena, char *text,
                        RmTerm *(*term_of)(struct arena *arena, const char *text),
                        struct change *change)
{
    int r;
    if (args->delete) {
        if (strpbrk(text, ".=")) {
            out_error("'%s': -d takes only the names of tables", text);
            return EXIT_SOME_FAILED;
        }
        r = ARENA_PUSH(arena, change->n_remove, change->remove, text);
    } else {
        RmTerm *term = term_of(arena, text);
        if (!term)
            return EXIT_USAGE;
        r = term_selects(term) ? ARENA_PUSH(arena, change->n_where, change->where, term)
                               : ARENA_PUSH(arena, change->n_sets, change->sets, term);
    }
    return r < 0 ? out_no_memory() : EXIT_OK;
}

static int read_change(struct client *client, const struct args *args,
                       RmTerm *(*term_of)(struct arena *arena, const char *text),
                       struct change *ret_change)
{
    int code = EXIT_OK;
    for (size_t i = 1; code == EXIT_OK && i < args->n_operands; i++)
        code = read_operand(args, client_arena(client), args->operands[i], term_of, ret_change);
    return code;
}

int table_chtab(struct client *client, const struct args *args)
{
    RmTableChange ask = RM_TABLE_CHANGE__INIT;
    RmRequest request = client_request(RM_REQUEST__ASK_TABLE_CHANGE, &ask);
    struct change change = {0};
    RmReply *reply;
    if (term_keys(client_arena(client), args->operands[0], &ask.n_keys, &ask.keys) < 0)
        return EXIT_USAGE;
    int code = read_change(client, args, term_of_row, &change);
    ask.n_remove = change.n_remove;
    ask.remove = change.remove;
    ask.n_sets = change.n_sets;
    ask.sets = change.sets;
    return code == EXIT_OK ? client_question(client, &request, 0, NULL, &reply) : code;
}

int table_nodech(struct client *client, const struct args *args)
{
    RmNodeChange ask = RM_NODE_CHANGE__INIT;
    RmRequest request = client_request(RM_REQUEST__ASK_NODE_CHANGE, &ask);
    struct change change = {0};
    RmReply *reply;
    ask.nodes = args->operands[0];
    int code = read_change(client, args, term_of_node, &change);
    ask.n_remove = change.n_remove;
    ask.remove = change.remove;
    ask.n_sets = change.n_sets;
    ask.sets = change.sets;
    ask.n_where = change.n_where;
    ask.where = change.where;
    return code == EXIT_OK ? client_question(client, &request, 0, NULL, &reply) : code;
}
