/* guest.c - guests: what the store remembers of each, and the job that moves it */
#include "broker/guest.h"

#include "broker/host.h"
#include "store/record.h"

#include <stdio.h>

static struct guest *find_exactly(struct core *core, const char *name)
{
    struct guest *guest;

    HASH_FIND_STR(core->guests, name, guest);
    return guest;
}

struct guest *guest_find(struct core *core, const char *name)
{
    struct guest *guest = find_exactly(core, name);
    const char *at = guest ? NULL : strrchr(name, '@');

    if (!at)
        return guest;
    guest = find_exactly(core, core_printf(core, "%.*s", (int)(at - name), name));
    return guest && strcmp(guest->rec->host, at + 1) == 0 ? guest : NULL;
}

static void put_in(struct core *core, struct guest *guest)
{
    HASH_ADD_KEYPTR(hh, core->guests, guest->rec->name, strlen(guest->rec->name), guest);
}

/* Names of twins alone are looked for on all hosts, and most sites have none. */
static void set_shares(struct core *core, struct guest *guest, const char *name)
{
    core->n_twins -= *guest->rec->shares != '\0' ? 1 : 0;
    text_set(&guest->rec->shares, name);
    core->n_twins += *name != '\0' ? 1 : 0;
}

/* why: NULL: nobody is kept from moving it. */
static void set_lock(struct core *core, struct guest *guest, const char *why)
{
    core->n_locked -= guest->rec->locked ? 1 : 0;
    guest->rec->locked = why != NULL;
    text_set(&guest->rec->lock_text, why);
    core->n_locked += why ? 1 : 0;
}

static struct guest *add(struct core *core, RmGuest *rec)
{
    struct guest *guest = must(calloc(1, sizeof(*guest)));

    guest->rec = rec;
    core->n_twins += *rec->shares != '\0' ? 1 : 0;
    core->n_locked += rec->locked ? 1 : 0;
    put_in(core, guest);
    return guest;
}

struct guest *guest_make(struct core *core, const char *name)
{
    struct guest *guest = find_exactly(core, name);

    if (guest)
        return guest;
    RmGuest *rec = must(calloc(1, sizeof(*rec)));
    rm_guest__init(rec);
    text_set(&rec->name, name);
    return add(core, rec);
}

static void list_marked(struct core *core, struct guest *guest)
{
    if (guest->listed || guest->rec->n_marks == 0)
        return;
    guest->listed = true;
    DL_APPEND2(core->marked, guest, m_prev, m_next);
}

static void unlist(struct core *core, struct guest *guest)
{
    if (guest->listed)
        DL_DELETE2(core->marked, guest, m_prev, m_next);
    guest->listed = false;
}

void guest_restore(struct core *core, RmGuest *rec)
{
    struct guest *guest = add(core, rec);

    list_marked(core, guest);
    guest->stored = true;
    guest->marked_at = core->now;
}

static void guest_free(struct core *core, struct guest *guest)
{
    unlist(core, guest);
    set_shares(core, guest, "");
    set_lock(core, guest, NULL);
    rm_guest__free_unpacked(guest->rec, NULL);
    free(guest);
}

void guest_free_all(struct core *core)
{
    struct guest *guest, *next;

    HASH_ITER (hh, core->guests, guest, next) {
        HASH_DEL(core->guests, guest);
        guest_free(core, guest);
    }
}

static int by_name(struct guest *a, struct guest *b)
{
    return strcmp(a->rec->name, b->rec->name);
}

void guest_sort(struct core *core)
{
    HASH_SORT(core->guests, by_name);
}

static void write_record(struct core *core, struct guest *guest)
{
    core_check_write(core, record_guest_put(core->store, guest->rec), "guest");
    guest->stored = true;
}

/* ---- its job */

void guest_take(struct guest *guest, struct job *job)
{
    guest->job = job;
}

void guest_job_begins(struct core *core, struct guest *guest, uint64_t id)
{
    guest->rec->active_job = id;
    write_record(core, guest);
}

void guest_promise(struct guest *guest, struct host *host)
{
    guest->promised_to = host;
}

void guest_drop(struct guest *guest, const struct job *job)
{
    if (guest->job == job)
        guest->job = NULL;
}

void guest_goes_away(struct guest *guest, const char *from, const char *to)
{
    RmGuest *rec = guest->rec;

    if (*rec->home == '\0' ||
        strcmp(rec->put, from) != 0) /* or somebody has given it another one */
        text_set(&rec->home, from);
    text_set(&rec->put, to);
}

static void come_home(RmGuest *rec)
{
    text_set(&rec->home, "");
    text_set(&rec->put, "");
}

void guest_is_home(struct core *core, struct guest *guest)
{
    come_home(guest->rec);
    write_record(core, guest);
}

void guest_job_ended(struct core *core, struct guest *guest, uint64_t id, const char *host,
                     bool moved, const char *locked)
{
    RmGuest *rec = guest->rec;

    rec->active_job = 0;
    rec->last_job = id;
    if (locked)
        set_lock(core, guest, locked);
    if (moved)
        guest->settled_at = core->now;
    if (host) {
        text_set(&rec->host, host);
        rec->seen_at = core->wall;
        if (strcmp(rec->home, host) == 0)
            come_home(rec);
    }
    write_record(core, guest);
}

void guest_forget_jobs(struct core *core, struct guest *guest)
{
    guest->rec->last_job = 0;
    write_record(core, guest);
}

void guest_lock(struct core *core, struct guest *guest, const char *why)
{
    set_lock(core, guest, why);
    write_record(core, guest);
}

void guest_unlock(struct core *core, struct guest *guest)
{
    set_lock(core, guest, NULL);
    write_record(core, guest);
}

/* ---- marks */

const RmMark *guest_mark(const struct guest *guest, const char *host)
{
    for (size_t i = 0; i < guest->rec->n_marks; i++)
        if (strcmp(guest->rec->marks[i]->host, host) == 0)
            return guest->rec->marks[i];
    return NULL;
}

static RmMark *make_mark(struct core *core, struct guest *guest, const char *host)
{
    RmGuest *rec = guest->rec;
    RmMark *mark = must(calloc(1, sizeof(*mark)));

    rm_mark__init(mark);
    text_set(&mark->host, host);
    rec->marks = must(reallocarray(rec->marks, rec->n_marks + 1, sizeof(*rec->marks)));
    rec->marks[rec->n_marks++] = mark;
    list_marked(core, guest);
    return mark;
}

void guest_mark_set(struct core *core, struct guest *guest, const char *host, bool copy,
                    bool request)
{
    RmMark *mark = (RmMark *)guest_mark(guest, host);
    if (request)
        guest->marked_at = core->now;
    if ((!copy && !request) || (mark && mark->copy >= copy && mark->request >= request))
        return;
    if (!mark)
        mark = make_mark(core, guest, host);
    mark->copy = mark->copy || copy;
    mark->request = mark->request || request;
    write_record(core, guest);
}

void guest_mark_restore(struct core *core, struct guest *guest, const char *host)
{
    RmMark *mark = (RmMark *)guest_mark(guest, host);

    if (!mark)
        mark = make_mark(core, guest, host);
    mark->copy = true;
}

void guest_mark_clear(struct core *core, struct guest *guest, const char *host, bool copy,
                      bool request)
{
    RmMark *mark = (RmMark *)guest_mark(guest, host);
    RmGuest *rec = guest->rec;
    size_t i = 0;

    if (!mark || (!(copy && mark->copy) && !(request && mark->request)))
        return;
    mark->copy = mark->copy && !copy;
    mark->request = mark->request && !request;
    if (!mark->copy && !mark->request) {
        while (rec->marks[i] != mark)
            i++;
        rec->marks[i] = rec->marks[--rec->n_marks];
        rm_mark__free_unpacked(mark, NULL);
    }
    write_record(core, guest);
}

void guest_mark_rest(struct core *core, struct guest *guest)
{
    if (guest->rec->n_marks == 0 && guest->tidy.id == 0)
        unlist(core, guest);
}

/* ---- what is seen of it */

void guest_see(struct core *core, struct guest *guest, const struct guest_look *look)
{
    RmGuest *rec = guest->rec;
    const char *host = look->host ? look->host : rec->host;

    if (guest->stored && strcmp(rec->uuid, look->uuid) == 0 && strcmp(rec->host, host) == 0 &&
        rec->state == look->state && rec->memory == look->has.memory &&
        rec->vcpus == look->has.vcpus)
        return;
    text_set(&rec->uuid, look->uuid);
    text_set(&rec->host, host);
    rec->state = look->state;
    rec->memory = look->has.memory;
    rec->vcpus = (uint32_t)look->has.vcpus;
    rec->seen_at = core->wall;
    write_record(core, guest);
}

void guest_name_domain(struct core *core, struct guest *guest, const char *domain, RmKind kind)
{
    if (strcmp(domain, guest->rec->name) == 0)
        domain = "";
    if (strcmp(guest->rec->domain, domain) == 0 && guest->rec->kind == kind)
        return;
    text_set(&guest->rec->domain, domain);
    guest->rec->kind = kind;
    if (guest->stored)
        write_record(core, guest);
}

/* ---- another name */

void guest_take_out(struct core *core, struct guest *guest)
{
    /* uthash has a table while it has an item.
     * NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    HASH_DEL(core->guests, guest);
    if (guest->stored)
        core_check_write(core, record_guest_delete(core->store, guest->rec->name), "guest");
}

bool guest_is_idle(const struct guest *guest)
{
    const RmGuest *rec = guest->rec;

    return !guest->instances && !guest->job && !guest->promised_to && guest->tidy.id == 0 &&
           rec->last_job == 0 && rec->active_job == 0 && !rec->locked && rec->n_marks == 0 &&
           *rec->home == '\0';
}

void guest_forget(struct core *core, struct guest *guest)
{
    guest_take_out(core, guest);
    guest_free(core, guest);
}

/* Hypervisors go on calling it as they did. */
static void keep_domain(struct guest *guest, const char *name)
{
    RmGuest *rec = guest->rec;

    if (*rec->domain == '\0')
        text_set(&rec->domain, rec->name);
    if (strcmp(rec->domain, name) == 0)
        text_set(&rec->domain, "");
}

void guest_rename(struct core *core, struct guest *guest, const char *name)
{
    keep_domain(guest, name);
    text_set(&guest->rec->name, name);
    put_in(core, guest);
    if (guest->stored)
        write_record(core, guest);
}

void guest_merge(struct core *core, struct guest *guest, struct guest *into)
{
    RmGuest *from = guest->rec, *to = into->rec;

    keep_domain(guest, to->name);
    if (from->last_job > to->last_job)
        to->last_job = from->last_job;
    if (from->locked)
        set_lock(core, into, from->lock_text);
    if (*from->home != '\0') {
        text_set(&to->home, from->home);
        text_set(&to->put, from->put);
    }
    text_set(&to->domain, from->domain);
    text_set(&to->host, from->host);
    text_set(&to->uuid, from->uuid);
    to->state = from->state;
    to->memory = from->memory;
    to->vcpus = from->vcpus;
    to->seen_at = from->seen_at;
    into->settled_at = guest->settled_at;
    for (size_t i = 0; i < from->n_marks; i++)
        guest_mark_set(core, into, from->marks[i]->host, from->marks[i]->copy,
                       from->marks[i]->request);
    /* Who removes something of it knows it by the old name, and is not heard any more. */
    if (guest->tidy.id != 0)
        guest_mark_set(core, into, guest->tidy.host->rec->name, /* copy = */ false,
                       /* request = */ true);
    if (guest->stored || into->stored)
        write_record(core, into);
    guest_free(core, guest);
}

/* ---- two of one name */

static char *twin_name(struct core *core, const char *name, const char *host)
{
    return core_printf(core, "%s@%s", name, host);
}

static struct guest *find_twin(struct core *core, const char *name, const struct host *host)
{
    char own[2 * CONF_NAME_MAX + 2];

    if (core->n_twins == 0)
        return NULL;
    snprintf(own, sizeof(own), "%s@%s", name, host->rec->name);
    return find_exactly(core, own);
}

struct guest *guest_twin_make(struct core *core, const char *name, const struct host *host)
{
    const char *own = twin_name(core, name, host->rec->name);
    struct guest *twin = find_exactly(core, own);

    if (twin)
        return twin;
    twin = guest_make(core, own);
    set_shares(core, twin, name);
    return twin;
}

struct guest *guest_twin_find(struct core *core, const char *name, const char *uuid)
{
    for (const struct host *host = core->n_twins > 0 ? core->hosts : NULL; host;
         host = host->hh.next) {
        struct guest *twin = find_twin(core, name, host);
        if (twin && strcmp(twin->rec->uuid, uuid) == 0)
            return twin;
    }
    return NULL;
}

bool guest_has_twin(struct core *core, const struct guest *guest)
{
    for (const struct host *host = core->n_twins > 0 ? core->hosts : NULL; host;
         host = host->hh.next) {
        const struct guest *twin = find_twin(core, guest->rec->name, host);
        if (twin && twin->instances)
            return true;
    }
    return false;
}

const char *guest_twin_names(struct core *core, const struct guest *guest)
{
    const char *names = twin_name(core, guest->rec->name, guest->rec->host);

    for (const struct host *host = core->hosts; host; host = host->hh.next) {
        const struct guest *twin = find_twin(core, guest->rec->name, host);
        if (twin && twin->instances)
            names = core_printf(core, "%s or %s", names, twin->rec->name);
    }
    return names;
}

void guest_twin_moved(struct core *core, struct guest *twin, const struct host *host)
{
    const char *own = twin_name(core, twin->rec->shares, host->rec->name);

    if (strcmp(own, twin->rec->name) == 0 || find_exactly(core, own))
        return;
    guest_take_out(core, twin);
    guest_rename(core, twin, own);
}

void guest_twin_swap(struct core *core, struct guest *guest, struct guest *twin, const char *host)
{
    const char *name = core_strdup(core, guest->rec->name);

    guest_take_out(core, guest);
    guest_take_out(core, twin);
    set_shares(core, twin, "");
    set_shares(core, guest, name);
    guest_rename(core, guest, twin_name(core, name, host));
    guest_rename(core, twin, name);
}

struct figures guest_figures(const struct guest *guest)
{
    return (struct figures){.memory = guest->rec->memory, .vcpus = guest->rec->vcpus};
}
