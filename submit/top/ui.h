/* ui.h - how the screen of top stands: what is selected, how it is sorted and narrowed, what is asked */
#ifndef SUBMIT_TOP_UI_H
#define SUBMIT_TOP_UI_H

#include "conf/env.h"
#include "submit/top/site.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UI_NAME_MAX = 256, UI_TEXT_MAX = 1024, UI_FILTER_MAX = 64 };

#define UI_ROWS_MAX (SIZE_MAX / 4) /* more than there can be */

enum ui_pane { UI_HOSTS, UI_JOBS, UI_PANES };

/* LIST: both panes. DETAIL: all of one row. FILTER: a text is typed. CONFIRM: yes or no. */
enum ui_mode { UI_LIST, UI_DETAIL, UI_HELP, UI_FILTER, UI_CONFIRM };

/* What a key asks of the broker. */
enum ui_act {
    UI_NOTHING,
    UI_CANCEL,
    UI_PAUSE,
    UI_RESUME,
    UI_RETRY,
    UI_PRIORITY,
    UI_OPEN,
    UI_CLOSE,
};

/* What it is about: one of them, or a job and the host that it moves a guest from. */
struct ui_order {
    enum ui_act act;
    uint64_t job, batch;
    char host[UI_NAME_MAX];
    uint32_t priority;
};

/* A row, whatever is selected. */
struct ui_row {
    enum ui_pane pane;
    uint64_t job;
    char host[UI_NAME_MAX];
};

struct ui {
    struct site *site;
    enum ui_mode mode;
    enum ui_pane pane;        /* that keys go to */
    char host[UI_NAME_MAX];   /* selected; "": the first */
    uint64_t job;             /* selected; 0: the first */
    size_t at[UI_PANES];      /* where the selection stands, and */
    size_t from[UI_PANES];    /* the first row that is shown */
    size_t n_rows[UI_PANES];  /* as last drawn, and */
    size_t n_shown[UI_PANES]; /* how many of them there is room for */
    unsigned order[UI_PANES]; /* rows_order_name() tells them */
    bool reverse[UI_PANES];
    char filter[UI_FILTER_MAX];  /* rows that have this text in a name */
    char only_host[UI_NAME_MAX]; /* jobs from it or to it */
    uint64_t only_batch;
    struct ui_row detail_of;    /* DETAIL */
    char *detail;               /* lines; owned */
    size_t detail_from;         /* the first one that is shown */
    size_t detail_lines;        /* as last drawn, folded */
    usec_t detail_at;           /* when it was made, by this clock; 0: it is to be made */
    unsigned details;           /* how often a row was opened, and */
    unsigned details_asked;     /* up to which the broker was asked */
    struct ui_order asked;      /* CONFIRM */
    struct ui_order wanted;     /* to be carried out now */
    char question[UI_TEXT_MAX]; /* CONFIRM */
    bool question_is_shown;     /* all of it is drawn, and */
    usec_t question_at;         /* since when the terminal has it, by this clock; 0: not yet */
    usec_t key_at;              /* when the last key was pressed, by this clock */
    char message[UI_TEXT_MAX];  /* what became of the last order */
    bool message_is_bad;
    bool is_moved; /* which row is selected now is known when it is drawn */
    bool quit;
    bool is_new; /* something has changed that is not drawn yet */
};

void ui_say(struct ui *ui, bool is_bad, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
