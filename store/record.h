/* record.h - typed access to the broker's records: jobs, what is live, results, events, batches,
 * guests, hosts, tokens, plans
 *
 * All functions return 0 or a negative errno: -ENOENT (no such record), -ENOSPC, -EBADMSG (the
 * bytes are damaged), -ENOMEM. What is read lives in the arena. Nothing is durable before
 * store_commit(). */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "conf/env.h"
#include "store/store.h"
#include "wire/msg.h"
#include "wire/rmigrate.pb-c.h"

/* Checks the schema number, or writes it into a new store (and commits). Called once after
 * store_open(). -EINVAL with what to do: the store is of a newer program, or a read-only one is not
 * ready. */
int record_open(struct store *store, struct rm_err *err);

/* Ids for jobs, batches and plans, `count` of them from *ret_first on: sequential from 1, never given
 * twice, also after a crash. The counter is part of the transaction: store_abort() gives ids back
 * that nobody has heard of. */
int record_next_id(struct store *store, uint64_t count, uint64_t *ret_first);

int record_job_put(struct store *store, const RmJob *job);
int record_job_get(struct store *store, uint64_t id, struct arena *arena, RmJob **ret_job);

/* One that has ended, with its result and its events. 0 also where something of it was missing. */
int record_job_delete(struct store *store, uint64_t id);

int record_live_put(struct store *store, const RmLive *live);
int record_live_delete(struct store *store, uint64_t id);
int record_live_get(struct store *store, uint64_t id, struct arena *arena, RmLive **ret_live);

int record_result_put(struct store *store, const RmResult *result);
int record_result_get(struct store *store, uint64_t id, struct arena *arena, RmResult **ret_result);

int record_batch_put(struct store *store, const RmBatch *batch);
int record_batch_get(struct store *store, uint64_t id, struct arena *arena, RmBatch **ret_batch);

int record_batch_delete(struct store *store, uint64_t id);

int record_plan_put(struct store *store, const RmPlan *plan);
int record_plan_get(struct store *store, uint64_t id, struct arena *arena, RmPlan **ret_plan);
int record_plan_delete(struct store *store, uint64_t id);

/* Sequences of a job's events have no gaps; RmLive.events and RmResult.events say how many there
 * are. */
int record_event_put(struct store *store, const RmEvent *event);
/* An event that concerns no job: gives the sequence itself. */
int record_site_event_put(struct store *store, RmEvent *event);
/* Forgets those that are from before `before`, or more than `kept`; the oldest first, `most` at most, never
 * the newest, which tells the next sequence. Returns how many. */
int record_site_event_trim(struct store *store, uint64_t before, uint64_t kept, unsigned most);

int record_guest_put(struct store *store, const RmGuest *guest);
int record_guest_delete(struct store *store, const char *name);
int record_guest_get(struct store *store, const char *name, struct arena *arena,
                     RmGuest **ret_guest);

int record_host_put(struct store *store, const RmHost *host);
int record_host_get(struct store *store, const char *name, struct arena *arena, RmHost **ret_host);

/* The holds of the whole site; -ENOENT: there never was one. */
int record_holds_put(struct store *store, const RmHolds *holds);
int record_holds_get(struct store *store, struct arena *arena, RmHolds **ret_holds);

/* token: RECORD_TOKEN bytes. record_token_trim() forgets those from before `before`, the oldest
 * first, `most` at most; returns how many. */
enum { RECORD_TOKEN = 16 };
int record_token_put(struct store *store, const RmToken *token);
int record_token_get(struct store *store, const void *token, struct arena *arena,
                     RmToken **ret_token);
int record_token_trim(struct store *store, uint64_t before, unsigned most);

/* Walks, each in key order. f gets the record in a scratch arena that is reset after each call:
 * copy what you keep. It returns 0 to go on, 1 to stop, negative to fail. A damaged record is
 * handed to `damaged` (may be NULL: then the walk fails with -EBADMSG) and passed over. */
typedef int record_walk_f(void *ctx, const ProtobufCMessage *record);
typedef void record_damaged_f(void *ctx, enum store_table table, const void *key, size_t length);
int record_walk(struct store *store, enum store_table table, record_walk_f *f,
                record_damaged_f *damaged, void *ctx);
/* Records with ids in [first, last], downwards when down; of events those of these jobs. History may be long
 * and old: what is damaged in it is passed over. */
int record_walk_ids(struct store *store, enum store_table table, uint64_t first, uint64_t last,
                    bool down, record_walk_f *f, void *ctx);
/* Events of one job in order; job 0: those that concern no job, the newest first. from: the sequence of the
 * one to begin with; 0: all. */
int record_walk_events(struct store *store, uint64_t job, uint64_t from, record_walk_f *f,
                       void *ctx);

/* What a table's values are; NULL for tables that hold plain bytes. */
const ProtobufCMessageDescriptor *record_descriptor(enum store_table table);

/* Packs any message as the value of a key, and back; for tables whose keys are not made here
 * (table.c). */
int record_put(struct store *store, enum store_table table, const void *key, size_t key_length,
               const ProtobufCMessage *record, bool append);
int record_unpack(enum store_table table, const void *value, size_t length, struct arena *arena,
                  ProtobufCMessage **ret_record);

enum { RECORD_SCHEMA = 1 }; /* raised only when an old field changes its meaning */

/* The id that record_next_id() would give, without taking it: every id that exists is smaller. */
int record_peek_id(struct store *store, uint64_t *ret_next);

#endif
