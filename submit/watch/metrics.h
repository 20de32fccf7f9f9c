/* metrics.h - the site as OpenMetrics text, for Prometheus and others (https://prometheus.io/docs/specs/om/open_metrics_spec/) */
#ifndef SUBMIT_WATCH_METRICS_H
#define SUBMIT_WATCH_METRICS_H

#include "submit/watch/http.h"

void metrics_answer(struct http_answer *answer);

#endif
