/* tidy.h - what earlier tries of a guest may have left on hosts, and how that goes away
 *
 * The marks of a guest (RmMark) say where. A paused copy is never resumed, only removed: by the next
 * try that goes there, or, when the guest has no job, by a turn of its own, which the worker of the
 * host gets where the guest runs. A request that may still wait in a daemon is waited for. While either
 * is so, nothing of the guest goes there. */
#ifndef BROKER_TIDY_H
#define BROKER_TIDY_H

#include "broker/guest.h"
#include "broker/host.h"

/* How long libvirt lets a request wait for a guest that is busy: QEMU_JOB_WAIT_TIME in its
 * src/qemu/qemu_domainjob.c. What waits longer fails. */
enum { REQUEST_WAIT_SECONDS = 30 };

struct instance;

/* A paused copy where a try may have left one, while the guest runs elsewhere: it never ran, and is
 * nothing but a leftover. */
bool tidy_is_leftover(const struct guest *guest, const struct instance *instance);

/* Does that keep the guest from going there now? why: then the reason. */
bool tidy_holds(const struct core *core, const struct guest *guest, const struct host *to,
                char *why, size_t size);

/* The host has shown what it has: what is marked there can be seen to. */
void tidy_host(struct core *core, struct host *host);
void tidy_answer(struct core *core, const struct session *session, const RmAnswer *answer);
/* The session has ended; free_at: when its lease is over. */
void tidy_lost(struct core *core, uint64_t session, usec_t free_at);

#endif
