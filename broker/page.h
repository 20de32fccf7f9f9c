/* page.h - answers that may be long come in pages
 *
 * A client that reads pages (RmRequest.pages) gets so many rows of an answer as one page holds, and what
 * it is to ask with for the rest (RmReply.page); the broker keeps nothing of it in between. Whoever fills an
 * answer asks page_ends() before each row and names where the next page is to begin: by a key that goes
 * on being right when rows come and go. An older client gets everything at once, as far as one message
 * holds it.
 *
 * The outcomes of a request that changes something are made once: they are kept with its token, and
 * the pages are cut out of what is kept. */
#ifndef BROKER_PAGE_H
#define BROKER_PAGE_H

#include "broker/model.h"

enum {
    PAGE_ROWS = 5000, /* in one page */
    /* Of them; the last row of a page may go beyond it. NET_PEER_MAX pages may wait for one peer that
     * does not read. */
    PAGE_BYTES = 1024 * 1024,
    SCAN_MAX = 5000, /* records that are looked at for one: it may come out short, or empty */
    PAGE_KEPT_MAX = 16 * 1024 * 1024, /* bytes of a reply that is kept whole with its token */
};

/* Written by page.c only. */
struct page {
    struct core *core;
    RmReply *reply;
    bool is_read; /* the client reads pages */
    size_t rows, bytes;
    size_t looks;         /* at records, those that became no row among them */
    RmBatchLists **lists; /* that jobs of this page refer to */
    size_t n_lists;
};

/* All borrowed. */
void page_begin(struct page *page, struct core *core, const RmRequest *message, RmReply *reply);
/* Was that the last row? Then the reply says where the next page begins; not for a client that reads none. */
bool page_ends(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A record is looked at that may become no row: after SCAN_MAX of them the page ends as well. */
void page_look(struct page *page);
/* The same as page_ends() but for the looks, where older clients know how to go on too, by a field of their own. */
bool page_is_full(const struct page *page);
/* A row of the reply was pushed. */
void page_count(struct page *page, const ProtobufCMessage *row);
/* Pushes a job: the list of hosts that it refers to stands in the page once, or, for an older client, in
 * the job. */
void page_push_job(struct page *page, RmJobView *view);

/* Where the page that is asked for begins, as three numbers with a dot between; what is not there is 0. */
void page_numbers(const RmRequest *message, uint64_t ret[static 3]);
static inline uint64_t page_number(const RmRequest *message)
{
    uint64_t numbers[3];

    page_numbers(message, numbers);
    return numbers[0];
}

/* Keeps the reply to a request that changed something: the same token gets it again. Of a client that reads
 * pages it becomes the first page; what is too long to be kept stays whole. */
void page_keep(struct core *core, bool pages, const ProtobufCBinaryData *token, RmReply *reply);
/* The kept reply in core->arena. -ENOENT: none is kept; or why it cannot be read. */
int page_kept(struct core *core, const ProtobufCBinaryData *token, RmReply **ret_reply);
/* Has a reply more outcomes than one page? */
bool page_is_longer(const RmReply *reply);
/* Leaves the page of it that begins there (RmRequest.page). */
void page_cut(struct core *core, const char *from, RmReply *reply);

#endif
