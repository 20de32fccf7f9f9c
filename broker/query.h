/* query.h - requests that only look: jobs, history, hosts, workers, guests, events, metrics */
#ifndef BROKER_QUERY_H
#define BROKER_QUERY_H

#include "broker/request.h"

void query_jobs(struct core *core, struct request *request);
void query_show(struct core *core, struct request *request);
void query_history(struct core *core, struct request *request);
void query_hosts(struct core *core, struct request *request);
void query_workers(struct core *core, struct request *request);
void query_guests(struct core *core, struct request *request);
void query_events(struct core *core, struct request *request);
void query_metrics(struct core *core, struct request *request);

#endif
