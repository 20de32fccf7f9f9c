/* apart.c - who is where of those that PLAN_APART keeps apart: a table of rule and host */
#include "broker/planner/apart.h"

#include "conf/array.h"

#include <stdlib.h>

enum { CELLS_LEAST = 64 }; /* a power of two */

/* How many of one rule are on one host. */
struct cell {
    uint32_t rule, host; /* rule PLAN_NONE: free */
    uint32_t n;
};

struct apart {
    const struct plan_site *site;
    struct cell *cells;
    size_t n_cells, n_taken; /* no more than half of them are taken */
};

static size_t place_of(uint32_t rule, uint32_t host, size_t n_cells)
{
    uint64_t x = ((uint64_t)rule << 32 | host) * UINT64_C(0x9e3779b97f4a7c15);

    return (size_t)(x ^ x >> 32) & (n_cells - 1);
}

static struct cell *find(const struct apart *apart, uint32_t rule, uint32_t host)
{
    size_t at = place_of(rule, host, apart->n_cells);

    while (apart->cells[at].rule != PLAN_NONE &&
           (apart->cells[at].rule != rule || apart->cells[at].host != host))
        at = (at + 1) & (apart->n_cells - 1);
    return &apart->cells[at];
}

static void make_cells(struct apart *apart, size_t n)
{
    apart->cells = must(calloc(n, sizeof(*apart->cells)));
    apart->n_cells = n;
    for (size_t i = 0; i < n; i++)
        apart->cells[i].rule = PLAN_NONE;
}

static void grow(struct apart *apart)
{
    struct cell *old = apart->cells;
    size_t n = apart->n_cells;

    make_cells(apart, 2 * n);
    for (size_t i = 0; i < n; i++)
        if (old[i].rule != PLAN_NONE)
            *find(apart, old[i].rule, old[i].host) = old[i];
    free(old);
}

static void count(struct apart *apart, uint32_t rule, uint32_t host, bool comes)
{
    if (apart->site->rules[rule] != PLAN_APART)
        return;
    if (2 * (apart->n_taken + 1) > apart->n_cells)
        grow(apart);
    struct cell *cell = find(apart, rule, host);
    if (cell->rule == PLAN_NONE) {
        *cell = (struct cell){rule, host, 0};
        apart->n_taken++;
    }
    cell->n += comes ? 1u : -1u;
}

struct apart *apart_new(const struct plan_site *site)
{
    struct apart *apart = NULL;
    bool any = false;

    for (size_t i = 0; i < site->n_rules; i++)
        any = any || site->rules[i] == PLAN_APART;
    if (!any)
        return NULL;
    apart = must(calloc(1, sizeof(*apart)));
    apart->site = site;
    make_cells(apart, CELLS_LEAST);
    for (size_t i = 0; i < site->n_places; i++)
        count(apart, site->places[i].rule, site->places[i].host, true);
    for (uint32_t i = 0; i < site->n_guests; i++)
        if (site->guests[i].host != PLAN_NONE)
            apart_come(apart, i, site->guests[i].host);
    return apart;
}

void apart_free(struct apart *apart)
{
    if (apart)
        free(apart->cells);
    free(apart);
}

static void change(struct apart *apart, uint32_t guest, uint32_t host, bool comes)
{
    const struct plan_guest *is = apart ? &apart->site->guests[guest] : NULL;

    for (size_t i = 0; is && i < is->n_rules; i++)
        count(apart, is->rules[i], host, comes);
}

void apart_come(struct apart *apart, uint32_t guest, uint32_t host)
{
    change(apart, guest, host, true);
}

void apart_go(struct apart *apart, uint32_t guest, uint32_t host)
{
    change(apart, guest, host, false);
}

size_t apart_count(const struct apart *apart, uint32_t guest, uint32_t host)
{
    const struct plan_guest *is = apart ? &apart->site->guests[guest] : NULL;
    size_t n = 0;

    for (size_t i = 0; is && i < is->n_rules; i++) {
        const struct cell *cell = find(apart, is->rules[i], host);
        n += cell->rule != PLAN_NONE ? cell->n : 0;
    }
    return n;
}

bool apart_bars(const struct apart *apart, uint32_t guest, uint32_t host)
{
    return apart && apart_count(apart, guest, host) > 0;
}

uint32_t apart_rule(const struct plan_site *site, const struct plan_guest *one,
                    const struct plan_guest *other)
{
    for (size_t i = 0; i < one->n_rules; i++)
        for (size_t k = 0; k < other->n_rules; k++)
            if (one->rules[i] == other->rules[k] && site->rules[one->rules[i]] == PLAN_APART)
                return one->rules[i];
    return PLAN_NONE;
}
