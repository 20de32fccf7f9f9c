/* metrics.c - the site as OpenMetrics text */
#include "submit/watch/metrics.h"

void metrics_answer(struct http_answer *answer)
{
    const struct sight *sight = board_look(answer->board, 0, 5 * USEC_PER_SEC);
    fprintf(answer->body,
            "# TYPE rmigrate_up gauge\n"
            "# HELP rmigrate_up The broker answers.\n"
            "rmigrate_up %d\n"
            "# EOF\n",
            sight && !sight->trouble[0]);
    board_give_back(answer->board, sight);
}
