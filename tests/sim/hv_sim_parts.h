/* hv_sim_parts.h - what the parts of the played hypervisors share: hv_sim.c, hv_sim_fault.c,
 * hv_sim_ops.c */
#ifndef TESTS_SIM_HV_SIM_PARTS_H
#define TESTS_SIM_HV_SIM_PARTS_H

#include "tests/sim/hv_sim.h"

#define STEP_LEAST (5 * USEC_PER_MSEC) /* any other step between two daemons */
#define STEP_MOST  (250 * USEC_PER_MSEC)
#define CLEAN_MOST (2 * USEC_PER_SEC) /* until a daemon has noticed that its peer is gone */

#define LATE_MOST (25 * USEC_PER_SEC) /* how long a request may wait for a guest that is busy */
#define LATE_FOR  (30 * USEC_PER_SEC) /* and when it is over for certain */

usec_t sim_between(struct sim *sim, usec_t least, usec_t most);
void sim_say_wrong(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool sim_is_cut(const struct sim *sim, unsigned a, unsigned b);

/* ---- a copy */
void sim_changed(struct sim *sim, unsigned host); /* workers would hear of it */
bool sim_runs(const struct sim_copy *copy);
/* Its processors start (again): here it is seen whether they may. */
void sim_let_run(struct sim *sim, struct sim_guest *guest, unsigned host, enum hv_reason reason);
void sim_stop(struct sim *sim, struct sim_guest *guest, unsigned host, RmGuestState state,
              enum hv_reason reason);
void sim_end_copy(struct sim *sim, struct sim_guest *guest, unsigned host);
void sim_later(struct sim_copy *copy, enum sim_pending what, usec_t at);

void sim_obey_late(struct sim *sim, struct sim_guest *guest, unsigned host);

/* ---- a migration */
void sim_give(struct hv_outcome *outcome, RmClass class_, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void sim_enter(struct sim *sim, struct sim_move *move, enum sim_phase phase, usec_t span);
void sim_set_out(struct sim *sim, struct sim_move *move);
void sim_call_fails(struct sim *sim, struct sim_move *move, RmClass class_, int code,
                    const char *text);
void sim_source_goes_on(struct sim *sim, struct sim_move *move);
void sim_clean_destination(struct sim *sim, struct sim_move *move);

#endif
