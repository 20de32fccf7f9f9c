/* rules.c - which guests are kept apart or together, and which hosts a guest avoids or prefers */
#include "broker/rules.h"

#include "broker/guest.h"
#include "broker/host.h"
#include "broker/instance.h"
#include "broker/job.h"
#include "broker/platforms.h"
#include "broker/words.h"
#include "conf/array.h"
#include "store/tables/attr.h"

#include <stdio.h>
#include <stdlib.h>

struct entry {
    struct rule rule;
    UT_hash_handle hh; /* by text */
};

struct node {
    const char *name;
    struct rules_of of;
    UT_hash_handle hh; /* by name */
};

struct rules {
    struct arena *arena;   /* of all that is said */
    struct entry *entries; /* uthash */
    struct rule **list;    /* by number */
    struct node *nodes;    /* uthash */
    bool is_stale;
};

struct rules *rules_new(void)
{
    struct rules *rules = must(calloc(1, sizeof(*rules)));

    rules->arena = must(arena_new(0));
    rules->is_stale = true;
    return rules;
}

static void drop(struct rules *rules)
{
    struct entry *entry, *next;

    HASH_ITER (hh, rules->entries, entry, next) {
        HASH_DEL(rules->entries, entry);
        free(entry->rule.nodes);
        free(entry);
    }
    HASH_CLEAR(hh, rules->nodes);
    free(rules->list);
    rules->list = NULL;
}

void rules_free(struct rules *rules)
{
    if (!rules)
        return;
    drop(rules);
    arena_free(rules->arena);
    free(rules);
}

void rules_changed(struct core *core)
{
    if (core->rules)
        core->rules->is_stale = true;
}

/* ---- what the tables say */

static struct rule *rule_of(struct rules *rules, const char *text, bool together)
{
    struct entry *entry;

    HASH_FIND_STR(rules->entries, text, entry);
    if (entry)
        return &entry->rule;
    entry = must(calloc(1, sizeof(*entry)));
    entry->rule.text = text;
    entry->rule.together = together;
    HASH_ADD_KEYPTR(hh, rules->entries, entry->rule.text, strlen(text), entry);
    return &entry->rule;
}

static bool is_under(const struct rules_of *of, const struct rule *rule)
{
    for (size_t i = 0; i < of->n_rules; i++)
        if (of->rules[i] == rule)
            return true;
    return false;
}

static void put_under(struct rules *rules, struct node *node, struct rule *rule)
{
    if (is_under(&node->of, rule))
        return;
    ARENA_PUSH(rules->arena, node->of.n_rules, node->of.rules, rule);
    *ARRAY_MUST_ADD(rule->nodes, rule->n_nodes, rule->nodes_room) = node->name;
}

static const char *const keys[] = {"separate", "together", "avoid", "prefer"};
enum { SEPARATE, TOGETHER, AVOID, PREFER, KEYS };

static void read_word(struct rules *rules, struct node *node, const struct word *word)
{
    struct arena *arena = rules->arena;
    size_t n = 0;

    while (n < KEYS && !word_is(word, keys[n]))
        n++;
    if (n == KEYS)
        return;
    char *value = must(arena_printf(arena, "%.*s", (int)word->value_length, word->value));
    if (!conf_name_is_valid(value)) {
        node->of.wrong = must(arena_printf(arena, "%s%s%.*s: that is not the name of a %s", keys[n],
                                           word->colon ? ":" : "", CONF_NAME_MAX, value,
                                           n == AVOID || n == PREFER ? "hypervisor" : "rule"));
    } else if (node->of.n_rules + node->of.n_avoid + node->of.n_prefer >= RULES_MAX) {
        node->of.wrong = must(
            arena_printf(arena, "more than %d rules: the rest of them says nothing", RULES_MAX));
    } else if (n == AVOID) {
        ARENA_PUSH(arena, node->of.n_avoid, node->of.avoid, value);
    } else if (n == PREFER) {
        ARENA_PUSH(arena, node->of.n_prefer, node->of.prefer, value);
    } else {
        const char *text = must(arena_printf(arena, "%s:%s", keys[n], value));
        put_under(rules, node, rule_of(rules, text, n == TOGETHER));
    }
}

struct reading {
    struct core *core;
    struct attr attr;
    struct node **list; /* in the order of the walk; owned */
    size_t n, room;
};

static int read_node(void *ctx, const struct attr_node *attr_node)
{
    struct reading *reading = ctx;
    struct rules *rules = reading->core->rules;
    struct attr_value value = {0};
    struct rm_err err = {0};
    struct word word;
    bool any = attr_value(reading->core->attr, attr_node, &reading->attr, &value, &err) < 0;

    for (const char *at = value.text ? value.text : ""; word_next(&at, &word);)
        for (size_t i = 0; i < KEYS; i++)
            any = any || word_is(&word, keys[i]);
    if (!any)
        return 0;
    struct node *node = must(arena_alloc(rules->arena, sizeof(*node)));
    *node = (struct node){.name = must(arena_strdup(rules->arena, attr_node_name(attr_node)))};
    if (err.text[0] != '\0')
        node->of.wrong = must(arena_printf(rules->arena, "what nobody can evaluate: %s", err.text));
    for (const char *at = value.text ? value.text : ""; word_next(&at, &word);)
        read_word(rules, node, &word);
    *ARRAY_MUST_ADD(reading->list, reading->n, reading->room) = node;
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp((*(struct rule *const *)a)->text, (*(struct rule *const *)b)->text);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Equal tables have equal numbers. */
static void give_numbers(struct rules *rules)
{
    size_t n = 0;

    rules->list = must(calloc(HASH_COUNT(rules->entries) + 1, sizeof(struct rule *)));
    for (struct entry *entry = rules->entries; entry; entry = entry->hh.next) {
        qsort(entry->rule.nodes, entry->rule.n_nodes, sizeof(char *), by_name);
        rules->list[n++] = &entry->rule;
    }
    qsort(rules->list, n, sizeof(struct rule *), by_text);
    for (size_t i = 0; i < n; i++)
        rules->list[i]->number = (uint32_t)i;
}

static void read_tables(struct core *core)
{
    struct rules *rules = core->rules;
    struct reading reading = {.core = core};
    struct rm_err err = {0};

    rules->is_stale = false;
    drop(rules);
    arena_reset(rules->arena);
    int r = attr_find("vm.othersettings", strlen("vm.othersettings"), &reading.attr, &err);
    if (r >= 0)
        r = attr_refresh(core->attr, &err);
    if (r >= 0)
        r = attr_walk_nodes(core->attr, read_node, &reading);
    for (size_t i = 0; i < reading.n; i++)
        HASH_ADD_KEYPTR(hh, rules->nodes, reading.list[i]->name, strlen(reading.list[i]->name),
                        reading.list[i]);
    free(reading.list);
    give_numbers(rules);
    if (r < 0)
        core_fail(core, r, "rules");
}

static struct rules *fresh(struct core *core)
{
    if (core->rules && core->rules->is_stale)
        read_tables(core);
    return core->rules;
}

static const struct rules_of *find(const struct rules *rules, const char *name)
{
    struct node *node = NULL;

    if (rules && rules->nodes)
        HASH_FIND_STR(rules->nodes, name, node);
    return node ? &node->of : NULL;
}

const struct rules_of *rules_of(struct core *core, const struct guest *guest)
{
    return find(fresh(core), guest->rec->name);
}

size_t rules_count(struct core *core)
{
    const struct rules *rules = fresh(core);

    return rules ? HASH_COUNT(rules->entries) : 0;
}

const struct rule *rules_at(struct core *core, size_t number)
{
    return core->rules->list[number];
}

struct host **rules_hosts(struct core *core, const char *const *names, size_t n, size_t *ret_n)
{
    struct host **hosts = n > 0 ? must(calloc(n, sizeof(struct host *))) : NULL;

    *ret_n = 0;
    for (size_t i = 0; i < n; i++) {
        struct host *host = platform_host(core, names[i]);
        if (host)
            hosts[(*ret_n)++] = host;
    }
    return hosts;
}

static bool is_listed(struct host *const *hosts, size_t n, const struct host *host)
{
    for (size_t i = 0; i < n; i++)
        if (hosts[i] == host)
            return true;
    return false;
}

static bool avoids(struct core *core, const struct rules_of *of, const struct host *host)
{
    for (size_t i = 0; i < of->n_avoid; i++)
        if (platform_host(core, of->avoid[i]) == host)
            return true;
    return false;
}

/* ---- where others are */

struct host **rules_places(const struct guest *guest, bool together, size_t *ret_n)
{
    const struct job *job = guest->job;
    struct host **hosts = NULL;
    const struct instance *one;
    size_t n = 0, room = 0;

    if (!together || !job)
        DL_FOREACH2 (guest->instances, one, g_next)
            if ((guest_is_active(one->state) &&
                 !(together && one->state == RM_GUEST_STATE__GUEST_IN_SHUTDOWN)) ||
                one->state == RM_GUEST_STATE__GUEST_INCOMING)
                *ARRAY_MUST_ADD(hosts, n, room) = one->host;
    if (job && job->destination)
        *ARRAY_MUST_ADD(hosts, n, room) = job->destination;
    *ret_n = n;
    return hosts;
}

/* Somebody is there from whom a rule keeps the guest apart. */
struct rules_bar {
    const struct host *host;
    const struct rule *rule;
    const struct guest *other;
    bool leaves, comes;
};

int rules_by_guest(const void *a, const void *b)
{
    const struct rules_plan *x = a, *y = b;

    return x->guest < y->guest ? -1 : x->guest > y->guest;
}

static int by_host(const void *a, const void *b)
{
    const struct rules_bar *x = a, *y = b;

    if (x->host != y->host)
        return x->host < y->host ? -1 : 1;
    return x->leaves != y->leaves ? (x->leaves ? 1 : -1) : 0;
}

struct looking {
    struct rules_look *look;
    size_t room; /* of the bars */
    const struct host *source;
    const struct rules_plan *plan;
    size_t n_plan;
};

static void add_bar(struct looking *looking, const struct rule *rule, const struct guest *other,
                    const struct host *host, bool comes)
{
    struct rules_look *look = looking->look;
    const struct job *job = other->job;

    *ARRAY_MUST_ADD(look->bars, look->n_bars, looking->room) = (struct rules_bar){
        .host = host,
        .rule = rule,
        .other = other,
        .leaves = job && job->source == host && job_is_active(job->live.state),
        .comes = comes,
    };
}

static void add_mate(struct looking *looking, struct host *host)
{
    struct rules_look *look = looking->look;

    *ARRAY_MUST_ADD(look->mates, look->n_mates, look->mates_room) = host;
}

/* What another guest of the rule means. */
static void add_other(struct looking *looking, const struct rule *rule, const struct guest *other)
{
    struct rules_look *look = looking->look;
    const struct rules_plan key = {.guest = other};
    const struct rules_plan *planned =
        looking->n_plan > 0
            ? bsearch(&key, looking->plan, looking->n_plan, sizeof(key), rules_by_guest)
            : NULL;
    size_t n;
    struct host **hosts = rules_places(other, rule->together, &n);

    for (size_t i = 0; i < n; i++) {
        if (!rule->together) {
            add_bar(looking, rule, other, hosts[i], other->job && hosts[i] != other->job->source);
        } else if (hosts[i] != looking->source) {
            add_mate(looking, hosts[i]);
        } else if (!(planned && planned->source == hosts[i]) && !look->held) {
            look->held = rule;
            look->by = other;
        }
    }
    if (planned && planned->chosen && rule->together)
        add_mate(looking, planned->chosen);
    else if (planned && planned->chosen)
        add_bar(looking, rule, other, planned->chosen, true);
    free(hosts);
}

struct rules_look rules_look(struct core *core, const struct guest *guest,
                             const struct host *source, const struct rules_plan *plan,
                             size_t n_plan)
{
    struct rules_look look = {.of = rules_of(core, guest)};
    struct looking looking = {&look, 0, source, plan, n_plan};

    for (size_t i = 0; look.of && i < look.of->n_rules; i++) {
        const struct rule *rule = look.of->rules[i];
        for (size_t k = 0; k < rule->n_nodes; k++) {
            const struct guest *other = guest_find(core, rule->nodes[k]);
            if (other && other != guest)
                add_other(&looking, rule, other);
        }
    }
    if (look.of) {
        look.avoid = rules_hosts(core, look.of->avoid, look.of->n_avoid, &look.n_avoid);
        look.prefer = rules_hosts(core, look.of->prefer, look.of->n_prefer, &look.n_prefer);
    }
    if (look.n_bars > 0)
        qsort(look.bars, look.n_bars, sizeof(*look.bars), by_host);
    return look;
}

void rules_look_done(struct rules_look *look)
{
    free(look->bars);
    free(look->mates);
    free(look->avoid);
    free(look->prefer);
    *look = (struct rules_look){0};
}

/* The first one there, or NULL. */
static const struct rules_bar *bar_at(const struct rules_look *look, const struct host *host)
{
    size_t at = 0, end = look->n_bars;

    while (at < end) {
        size_t middle = (at + end) / 2;
        if (look->bars[middle].host < host)
            at = middle + 1;
        else
            end = middle;
    }
    return at < look->n_bars && look->bars[at].host == host ? &look->bars[at] : NULL;
}

bool rules_bar(const struct rules_look *look, const struct host *host, char *why, size_t size,
               bool *ret_may_wait)
{
    const struct rules_bar *bar = look->of ? bar_at(look, host) : NULL;
    bool avoided = look->of && is_listed(look->avoid, look->n_avoid, host);
    const char *name = host->rec->name;

    /* They are in this order: the first one leaves, so all do. */
    *ret_may_wait = bar && bar->leaves && !avoided;
    if (bar)
        snprintf(why, size, "%s keeps it from %s, where %s %s", bar->rule->text, name,
                 bar->other->rec->name,
                 bar->comes    ? "comes"
                 : bar->leaves ? "still is"
                               : "is");
    else if (avoided)
        snprintf(why, size, "avoid:%s keeps it from there", name);
    return bar || avoided;
}

/* NULL: it may be there with the other one. */
static const struct rule *keeps_apart(struct core *core, const struct rules_of *of,
                                      const struct guest *guest, const struct guest *other)
{
    const struct rules_of *others = other == guest ? NULL : rules_of(core, other);

    for (size_t i = 0; others && i < of->n_rules; i++)
        if (!of->rules[i]->together && is_under(others, of->rules[i]))
            return of->rules[i];
    return NULL;
}

/* By a guest that is there, and with stays_only by one that no job takes away. */
static bool is_kept_by_one(struct core *core, const struct rules_of *of, const struct guest *guest,
                           const struct host *host, bool stays_only, char *why, size_t size)
{
    const struct rule *rule;
    const struct instance *one;

    DL_FOREACH2 (host->instances, one, h_next)
        if ((guest_is_active(one->state) || one->state == RM_GUEST_STATE__GUEST_INCOMING) &&
            !(stays_only && one->guest->job) && (rule = keeps_apart(core, of, guest, one->guest))) {
            snprintf(why, size, "%s keeps it from %s, where %s is", rule->text, host->rec->name,
                     one->guest->rec->name);
            return true;
        }
    return false;
}

static bool is_avoided(struct core *core, const struct rules_of *of, const struct host *host,
                       char *why, size_t size)
{
    if (!avoids(core, of, host))
        return false;
    snprintf(why, size, "avoid:%s keeps it from there", host->rec->name);
    return true;
}

bool rules_bar_for_good(struct core *core, const struct guest *guest, const struct host *host,
                        char *why, size_t size)
{
    const struct rules_of *of = rules_of(core, guest);

    return of && (is_kept_by_one(core, of, guest, host, true, why, size) ||
                  is_avoided(core, of, host, why, size));
}

bool rules_bar_now(struct core *core, const struct guest *guest, const struct host *host, char *why,
                   size_t size)
{
    const struct rules_of *of = rules_of(core, guest);
    const struct rule *rule = NULL;
    const struct job *job;

    if (!of)
        return false;
    if (is_kept_by_one(core, of, guest, host, false, why, size))
        return true;
    DL_FOREACH2 (host->jobs.coming, job, d_next)
        if (job_is_active(job->live.state) && (rule = keeps_apart(core, of, guest, job->guest))) {
            snprintf(why, size, "%s keeps it from %s, where %s comes", rule->text, host->rec->name,
                     job->guest->rec->name);
            return true;
        }
    return is_avoided(core, of, host, why, size);
}

bool rules_prefer(const struct rules_look *look, const struct host *host)
{
    return is_listed(look->mates, look->n_mates, host) ||
           is_listed(look->prefer, look->n_prefer, host);
}

/* ---- what is wrong */

static const struct host *place_of(const struct guest *guest)
{
    const struct instance *one;

    DL_FOREACH2 (guest->instances, one, g_next)
        if (guest_is_active(one->state))
            return one->host;
    return NULL;
}

size_t rules_broken(struct core *core, const struct guest *guest, char ***ret_texts)
{
    const struct rules_of *of = rules_of(core, guest);
    const struct host *host = place_of(guest);
    char **texts = NULL;
    size_t n = 0;

    for (size_t i = 0; host && of && i < of->n_rules; i++) {
        const struct rule *rule = of->rules[i];
        const struct guest *first = NULL;
        size_t others = 0;
        for (size_t k = 0; k < rule->n_nodes; k++) {
            const struct guest *other = guest_find(core, rule->nodes[k]);
            const struct host *there = other && other != guest ? place_of(other) : NULL;
            if (!there || (there == host) == rule->together)
                continue;
            first = first ? first : other;
            others++;
        }
        if (!first)
            continue;
        const char *more = others > 1 ? core_printf(core, " and %zu more", others - 1) : "";
        CORE_PUSH(core, n, texts,
                  rule->together
                      ? core_printf(core, "%s is broken: it is on %s, %s%s elsewhere", rule->text,
                                    host->rec->name, first->rec->name, more)
                      : core_printf(core, "%s is broken: it is on %s with %s%s", rule->text,
                                    host->rec->name, first->rec->name, more));
    }
    if (host && of && avoids(core, of, host))
        CORE_PUSH(core, n, texts,
                  core_printf(core, "avoid:%s is broken: it is there", host->rec->name));
    *ret_texts = texts;
    return n;
}

static void add_unknown(struct core *core, const char *key, const char *const *names, size_t n,
                        size_t *n_texts, char ***texts)
{
    for (size_t i = 0; i < n; i++)
        if (!platform_host(core, names[i]))
            CORE_PUSH(core, *n_texts, *texts,
                      core_printf(core, "vm.othersettings says %s:%s: no such hypervisor is known",
                                  key, names[i]));
}

/* Another guest that one rule keeps apart and another one together with it. */
static const struct rule *contradicts(struct core *core, const struct guest *guest,
                                      const struct rule *rule, const char **ret_other)
{
    for (size_t k = 0; k < rule->n_nodes; k++) {
        const struct rules_of *of = find(core->rules, rule->nodes[k]);
        const struct rules_of *own = find(core->rules, guest->rec->name);
        if (strcmp(rule->nodes[k], guest->rec->name) == 0)
            continue;
        for (size_t i = 0; of && i < of->n_rules; i++)
            if (of->rules[i]->together && is_under(own, of->rules[i])) {
                *ret_other = rule->nodes[k];
                return of->rules[i];
            }
    }
    return NULL;
}

size_t rules_wrong(struct core *core, const struct guest *guest, char ***ret_texts)
{
    const struct rules_of *of = rules_of(core, guest);
    char **texts = NULL;
    size_t n = 0;

    if (of && of->wrong)
        CORE_PUSH(core, n, texts, core_printf(core, "vm.othersettings says %s", of->wrong));
    if (of) {
        add_unknown(core, keys[AVOID], of->avoid, of->n_avoid, &n, &texts);
        add_unknown(core, keys[PREFER], of->prefer, of->n_prefer, &n, &texts);
    }
    for (size_t i = 0; of && i < of->n_rules; i++) {
        const char *other;
        const struct rule *rule =
            of->rules[i]->together ? NULL : contradicts(core, guest, of->rules[i], &other);
        if (rule)
            CORE_PUSH(core, n, texts,
                      core_printf(core, "%s and %s contradict each other for it and %s",
                                  of->rules[i]->text, rule->text, other));
    }
    *ret_texts = texts;
    return n;
}
