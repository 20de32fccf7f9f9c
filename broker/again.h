/* again.h - jobs that are tried again: which batch they are of, and which job stands for them now */
#ifndef BROKER_AGAIN_H
#define BROKER_AGAIN_H

#include "broker/model.h"

/* The batch whose request that job is of: its own, or the first one where it tries again. */
uint64_t again_first(const RmJob *job);

/* Of the jobs that try that one again, one after another, the last; itself where none does. */
uint64_t again_newest(struct core *core, uint64_t id);

#endif
