/* requests.h - the requests about the site tables, as dispatch.c calls them (broker/request.h) */
#ifndef BROKER_TABLES_REQUESTS_H
#define BROKER_TABLES_REQUESTS_H

struct core;
struct request;

/* node.c */
void site_nodes(struct core *core, struct request *request);
void site_node_change(struct core *core, struct request *request);
/* row.c */
void site_get(struct core *core, struct request *request);
void site_table_change(struct core *core, struct request *request);
/* csv.c */
void site_dump(struct core *core, struct request *request);
void site_restore(struct core *core, struct request *request);
void site_restore_several(struct core *core, struct request *request);

#endif
