/* keys.c - what each key of top does */
#include "submit/top/keys.h"

#include "conf/text.h"
#include "submit/top/rows.h"
#include "wire/job.h"

#include <curses.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { QUIT = 28 /* Ctrl-\ */, ESCAPE = 27, DELETE = 127 };
enum { STEP = 10 /* of a priority */, PRIORITY_USUAL = 100 };

/* A yes counts that comes so long after the question was shown and after the key before it. What is typed ahead or
 * pasted, and a key that repeats, answer nothing. */
#define CALM_FOR (200 * USEC_PER_MSEC)

/* ---- moving about */

static void select_row(struct ui *ui, size_t at)
{
    enum ui_pane pane = ui->pane;
    size_t n = ui->n_rows[pane];
    ui->at[pane] = at < n ? at : n > 0 ? n - 1 : 0;
    ui->is_moved = true;
    if (pane == UI_HOSTS) /* where the row stands counts now, not its name */
        ui->host[0] = '\0';
    else
        ui->job = 0;
}

static void move_by(struct ui *ui, size_t rows, bool up)
{
    if (ui->mode != UI_LIST) {
        size_t from = ui->detail_from;
        from = !up ? from + rows : from > rows ? from - rows : 0;
        ui->detail_from = from < UI_ROWS_MAX ? from : UI_ROWS_MAX;
        return;
    }
    size_t at = ui->at[ui->pane];
    select_row(ui, up ? (at > rows ? at - rows : 0) : at + rows);
}

enum step { ROW, PAGE, ALL };

static const struct {
    int key;
    enum step step;
    bool up;
} moves[] = {
    {KEY_UP, ROW, true},   {'k', ROW, true},        {KEY_DOWN, ROW, false},
    {'j', ROW, false},     {KEY_PPAGE, PAGE, true}, {KEY_NPAGE, PAGE, false},
    {' ', PAGE, false},    {KEY_HOME, ALL, true},   {'g', ALL, true},
    {KEY_END, ALL, false}, {'G', ALL, false},
};

enum { MOVES = sizeof(moves) / sizeof(moves[0]) };

static size_t find_move(int key)
{
    size_t i = 0;
    while (i < MOVES && moves[i].key != key)
        i++;
    return i;
}

bool keys_moves(int key)
{
    return find_move(key) < MOVES;
}

/* True: it was such a key. */
static bool move_about(struct ui *ui, int key)
{
    size_t i = find_move(key);
    size_t page = ui->mode == UI_LIST ? ui->n_shown[ui->pane] : (size_t)(LINES > 6 ? LINES - 6 : 1);
    if (i < MOVES)
        move_by(ui,
                moves[i].step == ROW    ? 1
                : moves[i].step == PAGE ? page
                                        : UI_ROWS_MAX,
                moves[i].up);
    return i < MOVES;
}

/* ---- orders */

/* NULL: nothing is selected, or it has gone meanwhile. */
static const RmJobView *selected_job(const struct ui *ui)
{
    const struct followed *job = followed_find(&ui->site->jobs, ui->job);
    return ui->n_rows[UI_JOBS] > 0 && job ? job->view : NULL;
}

static bool may_change(struct ui *ui)
{
    const RmReply *pong = ui->site->pong;
    if (pong && strcmp(pong->role, "viewer") == 0) {
        ui_say(ui, true, "you are %s, %s: that takes an operator", pong->user, pong->role);
        return false;
    }
    return true;
}

static void ask(struct ui *ui, struct ui_order order, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void ask(struct ui *ui, struct ui_order order, const char *format, ...)
{
    va_list list;
    if (!may_change(ui))
        return;
    va_start(list, format);
    text_vformat(ui->question, sizeof(ui->question), format, list);
    va_end(list);
    text_one_line(ui->question);
    ui->asked = order;
    ui->question_is_shown = false;
    ui->question_at = 0;
    ui->mode = UI_CONFIRM;
}

static void ask_for_host(struct ui *ui, enum ui_act act)
{
    struct ui_order order = {.act = act};
    if (ui->n_rows[UI_HOSTS] == 0)
        return;
    memcpy(order.host, ui->host, sizeof(order.host));
    static const char *const questions[] = {
        [UI_CANCEL] = "Cancel all jobs that move guests away from %s?",
        [UI_PAUSE] = "Hold everything that moves guests away from %s, also jobs to come?",
        [UI_RESUME] = "Lift the hold of %s? Where there is none, its paused jobs continue.",
        [UI_OPEN] = "Open %s: allow guests to be sent there?",
        [UI_CLOSE] = "Close %s: stop guests from being sent there?",
    };
    if (act < sizeof(questions) / sizeof(questions[0]) && questions[act])
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        ask(ui, order, questions[act], order.host);
#pragma GCC diagnostic pop
}

static const char *const verbs[] = {
    [UI_CANCEL] = "Cancel", [UI_PAUSE] = "Pause", [UI_RESUME] = "Resume", [UI_RETRY] = "Retry"};

/* One job, and only as long as it moves its guest from there: another broker may use its number for another one. */
static struct ui_order order_for_job(enum ui_act act, const RmJobView *view)
{
    struct ui_order order = {.act = act, .job = view->job->id};
    if (strlen(view->source) < sizeof(order.host)) /* no name of a host is longer */
        text_format(order.host, sizeof(order.host), "%s", view->source);
    return order;
}

static void ask_for_job(struct ui *ui, enum ui_act act, bool batch)
{
    const RmJobView *view = selected_job(ui);
    if (!view)
        return;
    struct ui_order order = order_for_job(act, view);
    if (batch) {
        order = (struct ui_order){.act = act, .batch = view->job->batch};
        ask(ui, order, "%s batch %" PRIu64 "%s?", verbs[act], order.batch,
            view->job->evacuation ? ", an evacuation" : "");
    } else {
        ask(ui, order, "%s job %" PRIu64 ", which moves %s from %s?", verbs[act], order.job,
            view->job->guest, view->source);
    }
}

static void ask_for(struct ui *ui, enum ui_act act, bool batch)
{
    if (ui->pane == UI_JOBS)
        ask_for_job(ui, act, batch);
    else
        ask_for_host(ui, act);
}

/* A lower number starts first. */
static void ask_for_priority(struct ui *ui, bool sooner)
{
    const RmJobView *view = ui->pane == UI_JOBS ? selected_job(ui) : NULL;
    if (!view)
        return;
    uint32_t now = view->job->priority ? view->job->priority : PRIORITY_USUAL;
    uint32_t later = now < UINT32_MAX - STEP ? now + STEP : UINT32_MAX;
    uint32_t then = !sooner ? later : now > STEP ? now - STEP : 1;
    if (then == now) {
        ui_say(ui, true, "job %" PRIu64 " has priority %" PRIu32 " already", view->job->id, now);
        return;
    }
    struct ui_order order = order_for_job(UI_PRIORITY, view);
    order.priority = then;
    ask(ui, order,
        "Let job %" PRIu64 " (%s) start %s: priority %" PRIu32 " instead of %" PRIu32 "?",
        order.job, view->job->guest, sooner ? "sooner" : "later", then, now);
}

/* ---- narrowing and sorting */

static void next_order(struct ui *ui)
{
    ui->order[ui->pane]++;
    if (!rows_order_name(ui->pane, ui->order[ui->pane]))
        ui->order[ui->pane] = 0;
}

/* On, or off again. */
static void narrow_to_host(struct ui *ui)
{
    const RmJobView *view = selected_job(ui);
    const char *name = ui->pane == UI_HOSTS ? ui->host : view ? view->source : "";
    bool on =
        ui->only_host[0] == '\0' || (ui->pane == UI_HOSTS && strcmp(ui->only_host, name) != 0);
    text_format(ui->only_host, sizeof(ui->only_host), "%s", on ? name : "");
}

static void narrow_to_batch(struct ui *ui)
{
    const RmJobView *view = selected_job(ui);
    if (ui->only_batch)
        ui->only_batch = 0;
    else if (view)
        ui->only_batch = view->job->first_batch ? view->job->first_batch : view->job->batch;
}

static void show_all(struct ui *ui)
{
    ui->filter[0] = ui->only_host[0] = '\0';
    ui->only_batch = 0;
}

static void type_filter(struct ui *ui, int key)
{
    ui->is_moved = ui->is_moved || key == '\n' || key == KEY_ENTER || key == ESCAPE;
    size_t n = strlen(ui->filter);
    if (key == '\n' || key == KEY_ENTER) {
        ui->mode = UI_LIST;
    } else if (key == ESCAPE) {
        ui->filter[0] = '\0';
        ui->mode = UI_LIST;
    } else if (key == KEY_BACKSPACE || key == DELETE || key == '\b') {
        while (n > 0 && (ui->filter[n - 1] & 0xC0) == 0x80) /* a character of several bytes */
            n--;
        ui->filter[n > 0 ? n - 1 : 0] = '\0';
    } else if (key >= ' ' && key < 256 && n + 1 < sizeof(ui->filter)) {
        ui->filter[n] = (char)key;
        ui->filter[n + 1] = '\0';
    }
}

/* ---- all of them */

static void open_detail(struct ui *ui)
{
    if (ui->n_rows[ui->pane] == 0)
        return;
    ui->mode = UI_DETAIL;
    ui->detail_of = (struct ui_row){.pane = ui->pane, .job = ui->job};
    memcpy(ui->detail_of.host, ui->host, sizeof(ui->host));
    ui->detail_from = 0;
    ui->detail_at = 0;
    ui->details++;
    free(ui->detail);
    ui->detail = NULL;
}

static void press_in_list(struct ui *ui, int key)
{
    switch (key) {
    case '\t':
    case KEY_BTAB:
        ui->pane = ui->pane == UI_HOSTS ? UI_JOBS : UI_HOSTS;
        break;
    case '\n':
    case KEY_ENTER:
        open_detail(ui);
        break;
    case '/':
        ui->filter[0] = '\0';
        ui->mode = UI_FILTER;
        break;
    case ESCAPE:
        show_all(ui);
        ui->is_moved = true;
        break;
    case 'h':
        narrow_to_host(ui);
        ui->is_moved = true;
        break;
    case 'b':
        narrow_to_batch(ui);
        ui->is_moved = true;
        break;
    case 's':
        next_order(ui);
        break;
    case 'S':
        ui->reverse[ui->pane] = !ui->reverse[ui->pane];
        break;
    case 'c':
    case 'C':
        ask_for(ui, UI_CANCEL, key == 'C');
        break;
    case 'p':
    case 'P':
        ask_for(ui, UI_PAUSE, key == 'P');
        break;
    case 'r':
    case 'R':
        ask_for(ui, UI_RESUME, key == 'R');
        break;
    case 't':
    case 'T':
        if (ui->pane == UI_JOBS)
            ask_for(ui, UI_RETRY, key == 'T');
        break;
    case '+':
    case '-':
        ask_for_priority(ui, key == '+');
        break;
    case 'o':
    case 'x':
        if (ui->pane == UI_HOSTS)
            ask_for(ui, key == 'o' ? UI_OPEN : UI_CLOSE, false);
        break;
    default:
        break;
    }
}

/* y after the question was read; any other key is a no. */
static void press_in_question(struct ui *ui, int key, usec_t now, usec_t key_before_at)
{
    bool yes = key == 'y' || key == 'Y';
    bool calm =
        ui->question_at && now >= ui->question_at + CALM_FOR && now >= key_before_at + CALM_FOR;
    if (yes && !calm)
        return;
    ui->mode = UI_LIST;
    if (yes)
        ui->wanted = ui->asked;
}

void keys_press(struct ui *ui, int key)
{
    usec_t now = env_now(env_system()), key_before_at = ui->key_at;
    ui->is_new = true;
    if (key == KEY_RESIZE || key == KEY_REFRESH)
        return;
    ui->key_at = now;
    if (key == QUIT) {
        ui->quit = true;
        return;
    }
    if (ui->mode == UI_FILTER) {
        type_filter(ui, key);
        return;
    }
    if (ui->mode == UI_CONFIRM) {
        press_in_question(ui, key, now, key_before_at);
        return;
    }
    ui->message[0] = '\0';
    if (key == 'q' || key == 'Q')
        ui->quit = true;
    else if (key == '?' || key == KEY_F(1)) {
        ui->mode = UI_HELP;
        ui->detail_from = 0;
    } else if (move_about(ui, key))
        return;
    else if (ui->mode == UI_LIST)
        press_in_list(ui, key);
    else if (key == ESCAPE || key == '\n' || key == KEY_LEFT || key == KEY_BACKSPACE)
        ui->mode = UI_LIST;
}

const char *keys_hint(const struct ui *ui)
{
    if (ui->mode != UI_LIST)
        return "Esc back  Up, Down scroll  q quit";
    return ui->pane == UI_JOBS
               ? "? help  q quit  Tab hosts  Enter all  c cancel  p pause  r resume  / find"
               : "? help  q quit  Tab jobs  Enter all  h its jobs  p hold  o open  x close";
}

const char *keys_help(void)
{
    return "Moving about\n"
           "  Up, Down, k, j     select a row; PgUp, PgDn a page; Home, End, g, G the first, the "
           "last\n"
           "  Tab                to the other pane: hypervisors, jobs\n"
           "  Enter              all of the selected row; Esc goes back\n"
           "\n"
           "Choosing rows\n"
           "  /                  only rows that have a text in the name of a guest or host\n"
           "  h                  only jobs from and to the selected host; again: all\n"
           "  b                  only jobs of the selected job's batch; again: all\n"
           "  Esc                all rows again\n"
           "  s, S               sort by something else; reverse\n"
           "\n"
           "Changing jobs, after a question\n"
           "  c, p, r, t         cancel, pause, resume, retry the selected job\n"
           "  C, P, R, T         the same of its whole batch\n"
           "  +, -               start the job sooner, later (its priority)\n"
           "\n"
           "Changing hypervisors, after a question\n"
           "  c                  cancel all jobs that move guests away from it\n"
           "  p, r               hold all that moves guests away from it; lift the hold\n"
           "  o, x               open, close it for guests that are sent there\n"
           "\n"
           "  ?, q               this help; quit\n"
           "  Ctrl-L             draw the screen anew\n";
}
