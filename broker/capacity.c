/* capacity.c - what a host holds and what is promised there */
#include "broker/capacity.h"

#include "wire/job.h"

#include <assert.h>

static void add(struct figures *to, const struct figures *figures)
{
    to->memory += figures->memory;
    to->vcpus += figures->vcpus;
}

static void take(struct figures *from, const struct figures *figures)
{
    assert(from->memory >= figures->memory && from->vcpus >= figures->vcpus);
    from->memory -= figures->memory;
    from->vcpus -= figures->vcpus;
}

bool capacity_show(struct load *load, RmGuestState state, bool promised,
                   const struct figures *figures)
{
    bool active = guest_is_active(state);
    bool counted = (active || state == RM_GUEST_STATE__GUEST_INCOMING) && !promised;

    load->active += active ? 1 : 0;
    if (counted)
        add(&load->used, figures);
    return counted;
}

void capacity_hide(struct load *load, RmGuestState state, bool counted,
                   const struct figures *figures)
{
    load->active -= guest_is_active(state) ? 1 : 0;
    if (counted)
        take(&load->used, figures);
}

void capacity_promise(struct load *load, const struct figures *figures)
{
    add(&load->promised, figures);
    load->n_promised++;
}

void capacity_release(struct load *load, const struct figures *figures)
{
    take(&load->promised, figures);
    load->n_promised--;
}

void capacity_arrive(struct load *load, const struct figures *figures)
{
    add(&load->arriving, figures);
    load->n_in++;
}

void capacity_arrive_end(struct load *load, const struct figures *figures)
{
    take(&load->arriving, figures);
    load->n_in--;
}

void capacity_leave(struct load *load)
{
    load->n_out++;
}

void capacity_leave_end(struct load *load)
{
    load->n_out--;
}

void capacity_suppose(struct load *load, const struct figures *figures)
{
    add(&load->supposed, figures);
    load->n_supposed++;
}

void capacity_forget(struct load *load)
{
    load->supposed = (struct figures){0};
    load->n_supposed = 0;
}

static uint64_t left(uint64_t all, uint64_t taken)
{
    return all > taken ? all - taken : 0;
}

struct figures capacity_left(const struct load *load, const struct figures *all,
                             const struct figures *own, enum capacity_when when)
{
    struct figures taken = load->used;

    if (when != CAPACITY_EVER)
        add(&taken, when == CAPACITY_NOW ? &load->arriving : &load->promised);
    if (when == CAPACITY_LATER)
        add(&taken, &load->supposed);
    if (own)
        take(&taken, own);
    return (struct figures){.memory = left(all->memory, taken.memory),
                            .vcpus = left(all->vcpus, taken.vcpus)};
}

struct figures capacity_taken(const struct load *load)
{
    struct figures taken = load->used;

    add(&taken, &load->promised);
    return taken;
}

unsigned capacity_guests(const struct load *load)
{
    return load->active + load->n_promised + load->n_supposed;
}
