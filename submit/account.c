/* account.c - what became of all that a command waited for, in one line */
#include "submit/account.h"

#include "conf/json.h"
#include "conf/text.h"
#include "submit/job_view.h"
#include "submit/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { WHY_MAX = 200 }; /* bytes of why one guest is left, as in the account of a host */

static void leave(struct account *account, const char *name, const char *why)
{
    if (account->left < ACCOUNT_NAMED_MAX) {
        char *to = account->guests[account->left], cut[WHY_MAX + 1];
        snprintf(to, ACCOUNT_TEXT_MAX, "%s (%s)", name, text_format(cut, sizeof(cut), "%s", why));
        text_clean(text_one_line(to));
    }
    account->left++;
}

void account_job(struct account *account, const RmJobView *view, const char *text)
{
    if (!view_is_good(view))
        leave(account, view->job->guest,
              view->state == RM_STATE__FAILED && view->text[0] ? view->text : text);
    else if (!view->already)
        account->moved++;
}

void account_refused(struct account *account, const RmOutcome *outcome)
{
    if (outcome->host[0])
        account_host(account, outcome);
    else
        leave(account, outcome->name, outcome->text);
}

static void host_text(char to[static ACCOUNT_TEXT_MAX], const char *host, const char *text)
{
    text_format(to, ACCOUNT_TEXT_MAX, "%s %s", host, text);
    text_clean(text_one_line(to));
}

void account_host(struct account *account, const RmOutcome *outcome)
{
    if (outcome->ok)
        host_text(account->one, outcome->name, "is empty");
    else if (account->unempty < ACCOUNT_NAMED_MAX)
        host_text(account->hosts[account->unempty], outcome->name, outcome->text);
    account->emptied += outcome->ok ? 1 : 0;
    account->unempty += outcome->ok ? 0 : 1;
    account->there += outcome->left;
}

bool account_is_good(const struct account *account)
{
    return account->left == 0 && account->unempty == 0 && account->forgotten == 0;
}

/* A guest that stays on a host may have had a job, or a refusal, or none of them. */
static uint64_t left_of(const struct account *account)
{
    return account->left > account->there ? account->left : account->there;
}

/* The first of them, behind one another. */
static void put_list(FILE *file, const char (*texts)[ACCOUNT_TEXT_MAX], uint64_t n)
{
    for (uint64_t i = 0; i < n && i < ACCOUNT_NAMED_MAX; i++)
        fprintf(file, "%s%s", i == 0 ? "" : "; ", texts[i]);
    if (n > ACCOUNT_NAMED_MAX)
        fprintf(file, "; and %" PRIu64 " more", n - ACCOUNT_NAMED_MAX);
}

static void put(FILE *file, const struct account *a)
{
    fprintf(file, "%" PRIu64 " moved", a->moved);
    if (left_of(a) > 0) /* who did not move from an empty host has ended, or went another way */
        fprintf(file, ", %" PRIu64 " %s", left_of(a),
                a->emptied > 0 && a->unempty == 0 ? "not moved" : "left");
    if (a->forgotten > 0)
        fprintf(file, ", %" PRIu64 " forgotten (keep, keep_jobs)", a->forgotten);
    if (a->left > 0 && a->unempty == 0) {
        fputs(", because: ", file);
        put_list(file, a->guests, a->left);
    }
    if (a->emptied == 1)
        fprintf(file, "; %s", a->one);
    else if (a->emptied > 0)
        fprintf(file, "; %" PRIu64 " hosts are empty", a->emptied);
    if (a->unempty > 0) { /* which says who is left there and why */
        fputs("; ", file);
        put_list(file, a->hosts, a->unempty);
    }
}

void account_print(const struct account *account, const struct args *args)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (file)
        put(file, account);
    if (!file || fclose(file) != 0) {
        free(text);
        return;
    }
    fflush(stdout); /* it is the last line, also where both go to one file */
    if (args->json) {
        struct json json = {.file = stdout};
        json_open(&json, NULL, '{');
        json_bool(&json, "ok", account_is_good(account));
        json_text(&json, "result", text);
        if (account->batch != 0)
            json_number(&json, "batch", account->batch);
        else
            json_text(&json, "batch", ""); /* null */
        json_number(&json, "moved", account->moved);
        json_number(&json, "left", left_of(account) + account->forgotten);
        json_close(&json, '}');
        fputc('\n', stdout);
    } else if (account->batch != 0) {
        out_note("batch %" PRIu64 ": %s", account->batch, text);
    } else {
        out_note("%s", text);
    }
    free(text);
}
