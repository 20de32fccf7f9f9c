/* page.c - answers that may be long come in pages */
#include "broker/page.h"

#include "broker/batch.h"
#include "store/record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void page_begin(struct page *page, struct core *core, const RmRequest *message, RmReply *reply)
{
    *page = (struct page){.core = core, .reply = reply, .is_read = message->pages};
}

bool page_is_full(const struct page *page)
{
    return page->rows >= PAGE_ROWS || page->bytes >= PAGE_BYTES;
}

bool page_ends(struct page *page, const char *format, ...)
{
    va_list args;

    if (!page->is_read || (!page_is_full(page) && page->looks < SCAN_MAX))
        return false;
    va_start(args, format);
    char *next = arena_vprintf(page->core->arena, format, args);
    va_end(args);
    if (next) /* else the answer has been refused as too long */
        page->reply->page = next;
    return true;
}

void page_look(struct page *page)
{
    page->looks++;
}

void page_count(struct page *page, const ProtobufCMessage *row)
{
    page->rows++;
    page->bytes += protobuf_c_message_get_packed_size(row);
}

void page_numbers(const RmRequest *message, uint64_t ret[static 3])
{
    char *at = message->page;

    for (size_t i = 0; i < 3; i++) {
        ret[i] = strtoull(at, &at, 10);
        at += *at == '.' ? 1 : 0;
    }
}

/* ---- jobs */

/* The lists of that batch, as this page has them; NULL: the answer is too long for memory. */
static const RmBatchLists *lists_of(struct page *page, uint64_t id)
{
    struct core *core = page->core;
    RmBatchLists *lists;

    for (size_t i = page->n_lists; i-- > 0;)
        if (page->lists[i]->batch == id)
            return page->lists[i];
    lists = arena_alloc(core->arena, sizeof(*lists));
    if (!lists)
        return NULL;
    rm_batch_lists__init(lists);
    lists->batch = id;
    lists->n_lists = batch_lists(core, id, &lists->lists);
    if (ARENA_PUSH(core->arena, page->n_lists, page->lists, lists) < 0)
        return NULL;
    if (page->is_read) {
        page->bytes += protobuf_c_message_get_packed_size(&lists->base);
        page->reply->lists = page->lists;
        page->reply->n_lists = page->n_lists;
    }
    return lists;
}

/* For a client that knows of no lists: all hosts in the job itself. */
static RmJob *with_hosts(struct core *core, RmJob *job, const RmBatchLists *lists)
{
    RmJob *whole = arena_alloc(core->arena, sizeof(*whole));

    if (!whole || job->to_list > lists->n_lists)
        return job;
    *whole = *job;
    whole->to = lists->lists[job->to_list - 1]->hosts;
    whole->n_to = lists->lists[job->to_list - 1]->n_hosts;
    whole->to_list = 0;
    return whole;
}

void page_push_job(struct page *page, RmJobView *view)
{
    RmReply *reply = page->reply;
    const RmBatchLists *lists = view->job->to_list > 0 ? lists_of(page, view->job->batch) : NULL;

    if (lists && !page->is_read)
        view->job = with_hosts(page->core, view->job, lists);
    page_count(page, &view->base);
    ARENA_PUSH(page->core->arena, reply->n_jobs, reply->jobs, view);
}

/* ---- outcomes */

void page_keep(struct core *core, bool pages, const ProtobufCBinaryData *token, RmReply *reply)
{
    RmToken kept = RM_TOKEN__INIT;
    RmReply part = *reply;
    bool whole = rm_reply__get_packed_size(reply) <= PAGE_KEPT_MAX;

    if (!whole) {
        part.n_outcomes = 0; /* the batch has what became of the guests */
        part.outcomes = NULL;
    }
    uint8_t *bytes = must(malloc(rm_reply__get_packed_size(&part) + 1));
    kept.reply.len = rm_reply__pack(&part, bytes);
    kept.reply.data = bytes;
    kept.token = *token;
    kept.at = core->wall;
    kept.batch = reply->batch;
    core_check_write(core, record_token_put(core->store, &kept), "token");
    free(bytes);
    if (pages && whole)
        page_cut(core, "", reply);
}

int page_kept(struct core *core, const ProtobufCBinaryData *token, RmReply **ret_reply)
{
    RmToken *kept;

    if (token->len != RECORD_TOKEN)
        return -ENOENT;
    int r = record_token_get(core->store, token->data, core->arena, &kept);
    if (r < 0)
        return r;
    *ret_reply = rm_reply__unpack(arena_allocator(core->arena), kept->reply.len, kept->reply.data);
    return *ret_reply ? 0 : -EBADMSG;
}

bool page_is_longer(const RmReply *reply)
{
    return reply->n_outcomes > PAGE_ROWS || rm_reply__get_packed_size(reply) > PAGE_BYTES;
}

void page_cut(struct core *core, const char *from, RmReply *reply)
{
    RmRequest message = RM_REQUEST__INIT;
    struct page page;

    message.pages = true;
    message.page = (char *)from;
    size_t n = 0, first = page_number(&message);
    page_begin(&page, core, &message, reply);
    if (first > reply->n_outcomes)
        first = reply->n_outcomes;
    if (first > 0) {
        reply->outcomes += first;
        reply->n_outcomes -= first;
        reply->n_warnings = 0;
        reply->n_changes = 0;
    }
    while (n < reply->n_outcomes && !page_ends(&page, "%zu", first + n))
        page_count(&page, &reply->outcomes[n++]->base);
    reply->n_outcomes = n;
}
