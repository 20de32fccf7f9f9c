/* record.h - typed access to the broker's records: jobs, what is live, results, events, batches, guests,
 * hosts, tokens
 *
 * All functions return 0 or a negative errno: -ENOENT (no such record), -ENOSPC, -EBADMSG (the bytes are
 * damaged), -ENOMEM. What is read lives in the arena. Nothing is durable before store_commit(). */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "conf/env.h"
#include "store/store.h"
#include "wire/msg.h"
#include "wire/rmigrate.pb-c.h"

/* Checks or writes the schema number and reads the counters. Called once after store_open(). */
int record_open(struct store *store, struct rm_err *err);

/* The next id for a job or a batch: sequential, never given twice, also after a crash (it is part of the transaction;
 * store_abort() gives ids back that nobody has heard of). */
int record_next_id(struct store *store, uint64_t count, uint64_t *ret_first);

int record_job_put(struct store *store, const RmJob *job);
int record_job_get(struct store *store, uint64_t id, struct arena *arena, RmJob **ret_job);

int record_live_put(struct store *store, const RmLive *live);
int record_live_delete(struct store *store, uint64_t id);
int record_live_get(struct store *store, uint64_t id, struct arena *arena, RmLive **ret_live);

int record_result_put(struct store *store, const RmResult *result);
int record_result_get(struct store *store, uint64_t id, struct arena *arena, RmResult **ret_result);

int record_batch_put(struct store *store, const RmBatch *batch);
int record_batch_get(struct store *store, uint64_t id, struct arena *arena, RmBatch **ret_batch);

int record_event_put(struct store *store, const RmEvent *event);
/* Events that concern no job: gives the sequence itself. */
int record_site_event_put(struct store *store, RmEvent *event);

int record_guest_put(struct store *store, const RmGuest *guest);
int record_guest_delete(struct store *store, const char *name);
int record_guest_get(struct store *store, const char *name, struct arena *arena, RmGuest **ret_guest);

int record_host_put(struct store *store, const RmHost *host);
int record_host_get(struct store *store, const char *name, struct arena *arena, RmHost **ret_host);

/* token: 16 bytes. Old ones are forgotten by record_token_trim(), a bounded number each time. */
enum { RECORD_TOKEN = 16 };
int record_token_put(struct store *store, const RmToken *token);
int record_token_get(struct store *store, const void *token, struct arena *arena, RmToken **ret_token);
int record_token_trim(struct store *store, uint64_t before, unsigned most);

/* Walks, each in key order. f gets the record in a scratch arena that is reset after each call: copy what you keep.
 * It returns 0 to go on, 1 to stop, negative to fail. A damaged record is handed to `damaged` (may be NULL: then the walk
 * fails with -EBADMSG) and passed over. */
typedef int record_walk_f(void *ctx, const ProtobufCMessage *record);
typedef void record_damaged_f(void *ctx, enum store_table table, const void *key, size_t length);
int record_walk(struct store *store, enum store_table table, record_walk_f *f,
                record_damaged_f *damaged, void *ctx);
/* Jobs or results with ids in [first, last], downwards when down. */
int record_walk_ids(struct store *store, enum store_table table, uint64_t first, uint64_t last,
                    bool down, record_walk_f *f, void *ctx);
/* Events of one job in order; job 0: those that concern no job, the newest first. */
int record_walk_events(struct store *store, uint64_t job, record_walk_f *f, void *ctx);

/* What a table's values are; NULL for tables that hold plain bytes. */
const ProtobufCMessageDescriptor *record_descriptor(enum store_table table);
const char *record_table_name(enum store_table table);

#endif
