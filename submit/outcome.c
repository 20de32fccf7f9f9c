/* outcome.c - what became of each guest, host or job that a request named */
#include "submit/outcome.h"

#include "conf/service.h"
#include "submit/listing.h"
#include "submit/out.h"

#define OUTCOME(field) FIELD(RmOutcome, field)

const struct column outcome_columns[] = {
    {NULL, "ok", OUTCOME(ok)},
    {NULL, "result", OUTCOME(text)},
    {NULL, "guest", OUTCOME(guest)},
    {NULL, "host", OUTCOME(host)},
    {NULL, "job", OUTCOME(job), SHOW_ANY},
    {NULL, "source", OUTCOME(source)},
    {NULL, "destination", OUTCOME(destination)},
    {NULL, "room_for", OUTCOME(room_for)},
    {0},
};

int outcome_print(const struct args *args, const RmReply *reply)
{
    int code = EXIT_OK;
    if (args->json)
        code = listing_print(args, "results", outcome_columns, (void **)reply->outcomes,
                             reply->n_outcomes, NULL);
    for (size_t i = 0; i < reply->n_outcomes; i++) {
        const RmOutcome *o = reply->outcomes[i];
        if (!o->ok)
            code = EXIT_SOME_FAILED;
        if (!args->json && o->ok)
            out_result(o->name, o->text);
        else if (!args->json)
            out_failure(o->name, o->text);
    }
    return code;
}

int outcome_ask(struct client *client, const struct args *args, RmRequest *request,
                uint64_t hold_for, const char *none)
{
    RmReply *reply;
    int code = client_question(client, request, hold_for, NULL, &reply);
    if (!reply || (code != EXIT_OK && reply->n_outcomes == 0))
        return code;
    int some = outcome_print(args, reply);
    if (reply->n_outcomes == 0 && !args->json && none)
        out_note("%s", none);
    return code == EXIT_OK ? some : code;
}
