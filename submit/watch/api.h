/* api.h - the site as JSON for programs: /api/v1/..., described in docs/openapi.json
 *
 * What one sight has (site, hosts, queue, evacuations, jobs under way) is told out of it, with `at` and `trouble`; what else
 * is asked for is a question to the broker. Rows have the columns that the command's --json prints. */
#ifndef SUBMIT_WATCH_API_H
#define SUBMIT_WATCH_API_H

#include "conf/json.h"
#include "submit/watch/http.h"

void api_site(struct http_answer *answer);
void api_hosts(struct http_answer *answer);
void api_queue(struct http_answer *answer);
void api_evacuations(struct http_answer *answer);
void api_jobs(struct http_answer *answer);
void api_job(struct http_answer *answer); /* path: its number */
void api_guests(struct http_answer *answer);
void api_events(struct http_answer *answer);
void api_history(struct http_answer *answer);

/* ---- parts, for who tells the same in another way; into an object that is open */

/* How old a sight is, and its sums. */
void api_put_site(struct json *json, const struct sight *sight);

/* The hypervisors of a sight that are being emptied, as an array of that key. */
void api_put_evacuations(struct json *json, struct arena *arena, const struct sight *sight);

#endif
