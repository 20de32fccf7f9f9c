/* journal.c - what has changed, in order: a ring of lines, and for each kind where its newest is */
#include "broker/journal.h"

#include "conf/array.h"

#include <assert.h>
#include <stdlib.h>

enum { BEGIN = 1 }; /* as if there had been a line before the first one */

struct journal {
    struct journal_line *ring; /* the line at position p is ring[p % kept] */
    size_t kept;
    uint64_t end;
    uint64_t newest[CHANGE_KINDS];
};

struct journal *journal_new(size_t kept)
{
    struct journal *journal = must(calloc(1, sizeof(*journal)));

    assert(kept > 0);
    journal->ring = must(calloc(kept, sizeof(*journal->ring)));
    journal->kept = kept;
    journal->end = BEGIN;
    return journal;
}

void journal_free(struct journal *journal)
{
    if (!journal)
        return;
    free(journal->ring);
    free(journal);
}

uint64_t journal_append(struct journal *journal, const struct journal_line *line)
{
    uint64_t at = ++journal->end;

    journal->ring[at % journal->kept] = *line;
    journal->newest[line->kind] = at;
    return at;
}

uint64_t journal_end(const struct journal *journal)
{
    return journal->end;
}

uint64_t journal_newest(const struct journal *journal, unsigned kinds)
{
    uint64_t newest = 0;

    for (unsigned kind = 0; kind < CHANGE_KINDS; kind++)
        if ((kinds & CHANGE_BIT(kind)) != 0 && journal->newest[kind] > newest)
            newest = journal->newest[kind];
    return newest;
}

bool journal_holds(const struct journal *journal, uint64_t after)
{
    return after >= BEGIN && after <= journal->end && journal->end - after <= journal->kept;
}

const struct journal_line *journal_at(const struct journal *journal, uint64_t position)
{
    assert(position > BEGIN && position <= journal->end && journal->end - position < journal->kept);
    return &journal->ring[position % journal->kept];
}
