/* estimate.c - how long a migration takes, and how long its guest stands still */
#include "broker/planner/estimate.h"

#include "conf/array.h"

#include <math.h>
#include <stdlib.h>

enum {
    BAND_LEAST =
        8, /* errors that a band is made of; with fewer it is that of those of which less is known */
    BAND_TENTH = 10,
    CELLS_LEAST = 64,
    CELLS_EACH = 7, /* that one past migration fills at most */
};

static const double SETUP = 300e3; /* microseconds before data flow, and after */
static const double SPEED = 125e6; /* bytes a second, where nothing is known: 1 Gbit/s */
static const double MEMORY = 4e9;  /* bytes of a guest of which nothing is known */
static const double FIRST = 0.2;   /* of the factor: what is sent beside the guest's memory */
static const double FADES = 0.9;   /* an earlier figure counts so much of the one after it */
static const double DIRTY_MOST =
    0.75; /* of the speed; who writes faster does not arrive that way */
static const double GUESS_BAND = 0.6931; /* twice as long, half as long */
static const double UNKNOWN_PAUSE = -1;  /* a logarithm: less than a microsecond, which is none */
static const double SETUP_MOST = 0.5;    /* of a past migration */
static const double TRUST_SITE = 0.25;   /* so many figures does the coarser one weigh */
static const double TRUST_PATH = 1;
static const double TRUST_GUEST = 1;
static const double TRUST_SAME = 1;

/* What a cell is about; it is one of the numbers that it is found by. */
enum what { FACTOR_SITE = 1, FACTOR_PATH, FACTOR_GUEST, FACTOR_SAME, SHARE, PAUSE, DIRTY };

/* A mean that fades. n 0: an empty place of the table. */
struct cell {
    uint64_t key[4];
    double sum, n;
};

struct errors {
    double *list;
    size_t n, room;
};

struct estimator {
    struct cell *cells; /* a hash table, a power of two long, never full */
    size_t n_cells;
    struct errors errors[ESTIMATE_KNOWN]; /* ln(took / expected), rising */
};

struct key {
    uint64_t number[4];
};

static uint64_t hash(const struct key *key)
{
    uint64_t sum = 0;

    for (int i = 0; i < 4; i++) {
        sum = (sum ^ key->number[i]) * 0x9e3779b97f4a7c15u;
        sum ^= sum >> 29;
    }
    return sum;
}

static struct cell *cell_at(const struct estimator *estimator, struct key key)
{
    for (size_t i = hash(&key);; i++) {
        struct cell *cell = &estimator->cells[i & (estimator->n_cells - 1)];
        if (cell->n == 0 || (cell->key[0] == key.number[0] && cell->key[1] == key.number[1] &&
                             cell->key[2] == key.number[2] && cell->key[3] == key.number[3]))
            return cell;
    }
}

static void cell_add(struct estimator *estimator, struct key key, double value)
{
    struct cell *cell = cell_at(estimator, key);

    for (int i = 0; i < 4; i++)
        cell->key[i] = key.number[i];
    cell->sum = cell->sum * FADES + value;
    cell->n = cell->n * FADES + 1;
}

/* The cell's mean, drawn to `coarse` as if that were `trust` figures more; ret_any: it has figures. */
static double cell_mean(const struct estimator *estimator, struct key key, double coarse,
                        double trust, bool *ret_any)
{
    const struct cell *cell = cell_at(estimator, key);

    if (ret_any)
        *ret_any = cell->n > 0;
    return (cell->sum + trust * coarse) / (cell->n + trust);
}

/* The cell's mean; without figures what is said instead. */
static double cell_or(const struct estimator *estimator, struct key key, double instead)
{
    const struct cell *cell = cell_at(estimator, key);

    return cell->n > 0 ? cell->sum / cell->n : instead;
}

/* Figures of a path whose speed was known say nothing of one where it is not. */
static struct key key_of(enum what what, const struct estimate_ask *ask)
{
    uint64_t kind = 2 * (uint64_t)what + (ask->speed > 0);

    switch (what) {
    case FACTOR_SITE:
        return (struct key){{kind, 0, 0, 0}};
    case FACTOR_PATH:
        return (struct key){{kind, ask->from, ask->to, 0}};
    case FACTOR_SAME:
        return (struct key){{kind, ask->from, ask->to, ask->guest}};
    case FACTOR_GUEST:
        return (struct key){{kind, 0, 0, ask->guest}};
    case SHARE:
    case PAUSE:
    case DIRTY:
        break;
    }
    return (struct key){{2 * (uint64_t)what, 0, 0, ask->guest}};
}

/* The same of all guests. */
static struct key key_all(enum what what)
{
    return (struct key){{2 * (uint64_t)what + 1, 0, 0, 0}};
}

/* The factor of the path's time, as far as path and guest are known. */
struct factor {
    double path;  /* without the guest */
    double whole; /* logarithms */
    enum estimate_known known;
};

static struct factor factor_of(const struct estimator *estimator, const struct estimate_ask *ask)
{
    bool site, path, guest, same;
    struct factor factor;
    double all = cell_mean(estimator, key_of(FACTOR_SITE, ask), FIRST, TRUST_SITE, &site);

    factor.path = cell_mean(estimator, key_of(FACTOR_PATH, ask), all, TRUST_PATH, &path);
    double both =
        factor.path + cell_mean(estimator, key_of(FACTOR_GUEST, ask), 0, TRUST_GUEST, &guest);
    factor.whole = cell_mean(estimator, key_of(FACTOR_SAME, ask), both, TRUST_SAME, &same);
    factor.known = same            ? ESTIMATE_SAME
                   : path && guest ? ESTIMATE_BOTH
                   : path || guest ? ESTIMATE_PART
                   : site          ? ESTIMATE_SITE
                                   : ESTIMATE_GUESS;
    return factor;
}

static double memory_of(const struct estimate_ask *ask)
{
    return ask->memory > 0 ? (double)ask->memory : MEMORY;
}

static double speed_of(const struct estimate_ask *ask)
{
    return ask->speed > 0 ? (double)ask->speed : SPEED;
}

/* How many times the memory is sent if the guest writes so fast: the sum of a geometric series. */
static double again(double dirty, double speed)
{
    double part = dirty / speed;

    return 1 / (1 - (part < DIRTY_MOST ? part : DIRTY_MOST));
}

/* Bytes that will be sent at that speed. */
static double volume_of(const struct estimator *estimator, const struct estimate_ask *ask,
                        double speed)
{
    double all = cell_mean(estimator, key_all(SHARE), 0, TRUST_SITE, NULL);
    double share = cell_mean(estimator, key_of(SHARE, ask), all, TRUST_SAME, NULL);
    double dirty = ask->dirty > 0 ? (double)ask->dirty : cell_or(estimator, key_of(DIRTY, ask), 0);

    return memory_of(ask) * exp(share) * again(dirty, speed);
}

static double took_of(const struct estimator *estimator, const struct estimate_ask *ask,
                      struct factor factor)
{
    double speed = speed_of(ask) / exp(factor.whole);

    return SETUP + 1e6 * volume_of(estimator, ask, speed) / speed;
}

/* Those before it are known: what it teaches. */
static void learn(struct estimator *estimator, const struct estimate_past *past)
{
    struct estimate_ask before = past->as;
    struct factor factor = factor_of(estimator, &before);
    struct errors *errors = &estimator->errors[factor.known];
    double took = (double)past->took;
    double flows = took - (took * SETUP_MOST < SETUP ? took * SETUP_MOST : SETUP);

    before.dirty = 0; /* nobody knew how fast it would write */
    *ARRAY_MUST_ADD(errors->list, errors->n, errors->room) =
        log(took / took_of(estimator, &before, factor));
    double reached =
        past->sent > 0 ? 1e6 * (double)past->sent / flows : speed_of(&past->as) / exp(factor.whole);
    if (past->as.dirty > 0)
        cell_add(estimator, key_of(DIRTY, &past->as), (double)past->as.dirty);
    if (past->sent > 0) {
        double share =
            log((double)past->sent / memory_of(&past->as) / again((double)past->as.dirty, reached));
        cell_add(estimator, key_all(SHARE), share);
        cell_add(estimator, key_of(SHARE, &past->as), share);
    }
    double volume = past->sent > 0 ? (double)past->sent : volume_of(estimator, &past->as, reached);
    double value = log(flows / 1e6 * speed_of(&past->as) / volume);
    cell_add(estimator, key_of(FACTOR_SAME, &past->as), value);
    cell_add(estimator, key_of(FACTOR_GUEST, &past->as), value - factor.path);
    cell_add(estimator, key_of(FACTOR_PATH, &past->as), value);
    cell_add(estimator, key_of(FACTOR_SITE, &past->as), value);
    if (past->pause > 0) {
        cell_add(estimator, key_all(PAUSE), log((double)past->pause));
        cell_add(estimator, key_of(PAUSE, &past->as), log((double)past->pause));
    }
}

static int double_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct estimator *estimator_new(const struct estimate_past *past, size_t n)
{
    struct estimator *estimator = must(calloc(1, sizeof(*estimator)));

    estimator->n_cells = CELLS_LEAST;
    while (estimator->n_cells < 2 * CELLS_EACH * n)
        estimator->n_cells *= 2;
    estimator->cells = must(calloc(estimator->n_cells, sizeof(*estimator->cells)));
    for (size_t i = 0; i < n; i++)
        learn(estimator, &past[i]);
    for (int i = 0; i < ESTIMATE_KNOWN; i++)
        if (estimator->errors[i].n > 0)
            qsort(estimator->errors[i].list, estimator->errors[i].n, sizeof(double),
                  double_compare);
    return estimator;
}

void estimator_free(struct estimator *estimator)
{
    if (!estimator)
        return;
    for (int i = 0; i < ESTIMATE_KNOWN; i++)
        free(estimator->errors[i].list);
    free(estimator->cells);
    free(estimator);
}

struct estimate estimator_ask(const struct estimator *estimator, const struct estimate_ask *ask)
{
    struct factor factor = factor_of(estimator, ask);
    double took = took_of(estimator, ask, factor), low = GUESS_BAND, high = GUESS_BAND;

    for (int i = (int)factor.known; i > ESTIMATE_GUESS; i--) {
        const struct errors *errors = &estimator->errors[i];
        if (errors->n < BAND_LEAST)
            continue;
        low = -errors->list[errors->n / BAND_TENTH];
        high = errors->list[errors->n - 1 - errors->n / BAND_TENTH];
        break;
    }
    double pause =
        cell_or(estimator, key_of(PAUSE, ask), cell_or(estimator, key_all(PAUSE), UNKNOWN_PAUSE));
    return (struct estimate){
        .took = (uint64_t)took,
        .low = (uint64_t)(took * exp(low > 0 ? -low : 0)),
        .high = (uint64_t)(took * exp(high > 0 ? high : 0)),
        .pause = (uint64_t)exp(pause),
        .known = factor.known,
    };
}
