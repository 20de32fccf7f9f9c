/* job_pages.c - a list of jobs, page by page */
#include "submit/job_pages.h"

#include "conf/service.h"
#include "submit/out.h"

enum { PAGE = 1000 }; /* jobs of one answer */

int job_pages_ask(struct client *client, RmListJobs *list, uint64_t want, struct arena *arena,
                  struct job_pages *ret_pages)
{
    struct job_pages pages = {0};
    int code;
    do {
        RmRequest request = client_request(RM_REQUEST__ASK_LIST_JOBS, list);
        list->limit = PAGE;
        if (want && want - pages.n < list->limit)
            list->limit = (uint32_t)(want - pages.n);
        RmReply *reply;
        code = client_question(client, &request, 0, arena, &reply);
        if (!reply || (code != EXIT_OK && reply->n_jobs == 0))
            return code == EXIT_OK ? EXIT_SOME_FAILED : code;
        for (size_t i = 0; i < reply->n_jobs; i++)
            if (reply->jobs[i]->job && ARENA_PUSH(arena, pages.n, pages.jobs, reply->jobs[i]) < 0)
                return out_no_memory();
        /* A page may be empty where few of many are wanted; each begins below the one before. */
        bool goes_on = list->before == 0 || reply->next < list->before;
        list->before = goes_on ? reply->next : 0;
        pages.more = list->before != 0;
    } while (list->before != 0 && (want == 0 || pages.n < want));
    *ret_pages = pages;
    return code;
}
