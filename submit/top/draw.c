/* draw.c - the screen of top
 *
 *     title, the sum of the hypervisors, the sum of the jobs     3 lines
 *     hypervisors                                                a heading and as many as are there, 2 of 5 lines at most
 *                                                                where there are many jobs
 *     jobs                                                       a heading and the rest
 *     all of the text of the selected row                        1 line
 *     what was done, what is asked, which keys there are         1 line, or as many as the text needs */
#include "submit/top/draw.h"

#include "conf/env.h"
#include "conf/text.h"
#include "conf/unit.h"
#include "submit/host_view.h"
#include "submit/job_view.h"
#include "submit/top/keys.h"
#include "submit/top/pen.h"
#include "submit/top/rows.h"
#include "wire/job.h"

#include <inttypes.h>
#include <string.h>

enum { ROWS_LEAST = 10, COLUMNS_LEAST = 40, AROUND = 7 /* lines that are no rows */ };
enum { NAME_MAX_COLUMNS = 20, SHORT_NAME_MAX = 12 };

/* ---- the sums */

static void draw_title(const struct ui *ui)
{
    const struct site *site = ui->site;
    usec_t wall = env_wall(env_system());
    char span[UNIT_TEXT_MAX], at[ENV_TIME_MAX];
    struct pen pen = pen_line(0, A_BOLD);
    env_time_text(wall, at);
    const char *clock = strlen(at) > 11 ? at + 11 : at;
    pen.end = COLS - (int)strlen(clock) - 1;
    pen_put(&pen, 0, "rmigrate top", COLS);
    pen.base = 0;
    usec_t silent = env_now(env_system()) - site->heard_at;
    if (site->trouble[0]) {
        pen_format(&pen, pen_tone(TONE_BAD), "  the broker is away for %s: %s",
                   unit_duration_text(silent - silent % USEC_PER_SEC, span), site->trouble);
    } else if (silent > SITE_SILENT_FOR) {
        pen_format(&pen, pen_tone(TONE_ODD), "  no answer from the broker for %s",
                   unit_duration_text(silent - silent % USEC_PER_SEC, span));
    } else if (site->pong) {
        usec_t up = wall > site->pong->started_at ? wall - site->pong->started_at : 0;
        pen_format(&pen, 0, "  you are %s, %s  up %s", site->pong->user, site->pong->role,
                   unit_duration_text(up - up % USEC_PER_SEC, span));
    }
    pen_format(&pen, 0, "  %s", client_endpoint(site->client));
    pen.x = pen.end + 1;
    pen.end = COLS;
    pen_put(&pen, 0, clock, COLS);
}

/* ", 3 closed" */
static void put_count(struct pen *pen, uint64_t n, const char *word, unsigned look, bool *any)
{
    if (n == 0)
        return;
    pen_put(pen, 0, *any ? ", " : " ", 2);
    pen_format(pen, look, "%" PRIu64 " %s", n, word);
    *any = true;
}

static void draw_host_sum(const struct ui *ui)
{
    static const char *const order[] = {"open", "emptying",    "closed",
                                        "held", "unreachable", "no worker"};
    enum { WORDS = sizeof(order) / sizeof(order[0]) };
    const struct site *site = ui->site;
    uint64_t counts[WORDS] = {0};
    unsigned looks[WORDS] = {0};
    bool any = false;
    for (size_t i = 0; i < site->n_hosts; i++) {
        enum tone tone;
        const char *word =
            site->hosts[i]->host ? host_view_word(site->hosts[i], &tone) : "no worker";
        for (size_t k = 0; k < WORDS; k++)
            if (strcmp(word, order[k]) == 0) {
                counts[k]++;
                looks[k] = pen_tone(site->hosts[i]->host ? tone : TONE_BAD);
            }
    }
    struct pen pen = pen_line(1, 0);
    if (!site->knows_hosts) {
        pen_put(&pen, 0, "asking the broker ...", COLS);
        return;
    }
    pen_format(&pen, 0, "%zu hypervisor%s%s", site->n_hosts, site->n_hosts == 1 ? "" : "s",
               site->n_hosts ? ":" : ": no worker has connected yet");
    for (size_t k = 0; k < WORDS; k++)
        put_count(&pen, counts[k], order[k], looks[k], &any);
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a < UINT64_MAX - b ? a + b : UINT64_MAX;
}

static void draw_job_sum(const struct ui *ui)
{
    const struct site *site = ui->site;
    uint64_t counts[RM_STATE__CANCELLED + 1] = {0}, rate = 0, left = 0;
    char a[UNIT_TEXT_MAX], b[UNIT_TEXT_MAX];
    bool any = false;
    for (const struct followed *job = site->jobs.jobs; job; job = job->hh.next) {
        RmState state = job->view->state;
        const RmStats *stats = job->view->stats;
        if (state <= RM_STATE__CANCELLED)
            counts[state]++;
        if (state == RM_STATE__RUNNING && stats) {
            rate = sum(rate, stats->rate);
            left = sum(left, stats->remaining);
        }
    }
    struct pen pen = pen_line(2, 0);
    if (!site->knows_jobs)
        return;
    pen_put(&pen, 0, "jobs:", COLS);
    put_count(&pen, counts[RM_STATE__RUNNING] + counts[RM_STATE__ASSIGNED], "running",
              pen_colour(PEN_CYAN), &any);
    put_count(&pen, counts[RM_STATE__CANCELLING], "cancelling", pen_colour(PEN_CYAN), &any);
    put_count(&pen, counts[RM_STATE__WAITING], "waiting", 0, &any);
    put_count(&pen, counts[RM_STATE__QUEUED], "queued", 0, &any);
    put_count(&pen, counts[RM_STATE__DOUBT], "in doubt", pen_tone(TONE_ODD), &any);
    if (!any)
        pen_put(&pen, 0, " none", COLS);
    any = false;
    if (site->ended[0] + site->ended[1] + site->ended[2])
        pen_put(&pen, 0, "; ended:", COLS);
    put_count(&pen, site->ended[0], "done", pen_tone(TONE_GOOD), &any);
    put_count(&pen, site->ended[1], "failed", pen_tone(TONE_BAD), &any);
    put_count(&pen, site->ended[2], "cancelled", pen_tone(TONE_BAD), &any);
    if (rate)
        pen_format(&pen, pen_colour(PEN_CYAN), "  %s, %s left", unit_rate_text(rate, a),
                   unit_size_text(left, b));
}

/* ---- rows */

/* The window of a pane onto its rows follows the selection. */
static void follow_selection(struct ui *ui, enum ui_pane pane, size_t n_rows, size_t n_shown)
{
    size_t at = n_rows == 0 ? 0 : ui->at[pane] < n_rows ? ui->at[pane] : n_rows - 1;
    size_t from = ui->from[pane];
    from = at < from ? at : from;
    from = at >= from + n_shown ? at + 1 - n_shown : from;
    from = n_rows <= n_shown ? 0 : from + n_shown > n_rows ? n_rows - n_shown : from;
    ui->at[pane] = at;
    ui->from[pane] = from;
    ui->n_rows[pane] = n_rows;
    ui->n_shown[pane] = n_shown;
}

static int widest(int width, const char *name, int most)
{
    int wide = (int)text_width(name, 1);
    wide = wide > most ? most : wide;
    return wide > width ? wide : width;
}

static unsigned row_look(const struct ui *ui, enum ui_pane pane, size_t i)
{
    return i != ui->at[pane] ? 0 : ui->pane == pane ? A_REVERSE : A_UNDERLINE;
}

static struct pen heading(const struct ui *ui, enum ui_pane pane, int y)
{
    return pen_line(y, A_BOLD | (ui->pane == pane ? pen_colour(PEN_CYAN) : 0));
}

/* Behind the columns: how it is sorted and narrowed, and how many rows are not shown. */
static void put_manner(struct pen *pen, const struct ui *ui, enum ui_pane pane)
{
    char text[UI_TEXT_MAX];
    bool is_jobs = pane == UI_JOBS;
    size_t n = ui->n_rows[pane], shown = ui->n_shown[pane];
    text_format(text, sizeof(text), "by %s%s", rows_order_name(pane, ui->order[pane]),
                ui->reverse[pane] ? ", reversed" : "");
    if (ui->filter[0])
        text_format(text + strlen(text), sizeof(text) - strlen(text), ", with '%s'", ui->filter);
    if (is_jobs && ui->only_host[0])
        text_format(text + strlen(text), sizeof(text) - strlen(text), ", of %s", ui->only_host);
    if (is_jobs && ui->only_batch)
        text_format(text + strlen(text), sizeof(text) - strlen(text), ", of batch %" PRIu64,
                    ui->only_batch);
    if (n > shown)
        text_format(text + strlen(text), sizeof(text) - strlen(text), ", %zu to %zu of %zu",
                    ui->from[pane] + 1, ui->from[pane] + shown, n);
    pen_format(pen, 0, "(%s)", text);
}

static void draw_hosts(struct ui *ui, struct arena *arena, RmHostView **hosts, int y)
{
    int name = 4;
    size_t from = ui->from[UI_HOSTS], n = ui->n_rows[UI_HOSTS], shown = ui->n_shown[UI_HOSTS];
    for (size_t i = from; i < n && i < from + shown; i++)
        name = widest(name, hosts[i]->host->name, NAME_MAX_COLUMNS);
    bool wide = COLS >= 110;
    struct pen pen = heading(ui, UI_HOSTS, y);
    pen_cell(&pen, 0, "HOST", name, false);
    pen_cell(&pen, 0, "STATE", 11, false);
    pen_cell(&pen, 0, "MEMORY", PEN_BAR + 6, false);
    pen_cell(&pen, 0, "GUESTS", 6, true);
    pen_cell(&pen, 0, "RUN", 4, true);
    pen_cell(&pen, 0, "IN", 4, true);
    pen_cell(&pen, 0, "QUEUED", 6, true);
    pen_cell(&pen, 0, "WAIT", 4, true);
    if (wide) {
        pen_cell(&pen, 0, "DONE", 6, true);
        pen_cell(&pen, 0, "FAILED", 6, true);
    }
    put_manner(&pen, ui, UI_HOSTS);
    for (size_t i = from; i < n && i < from + shown; i++) {
        const RmHostView *view = hosts[i];
        enum tone tone;
        const char *word = host_view_word(view, &tone);
        int memory = rows_memory(view);
        pen = pen_line(y + 1 + (int)(i - from), row_look(ui, UI_HOSTS, i));
        pen_cell(&pen, 0, view->host->name, name, false);
        pen_cell(&pen, pen_tone(tone), word, 11, false);
        pen_bar(&pen, memory,
                memory >= 90   ? pen_colour(PEN_RED)
                : memory >= 75 ? pen_colour(PEN_YELLOW)
                               : pen_colour(PEN_GREEN));
        pen_number(&pen, 0, view->guests, 6);
        pen_number(&pen, pen_colour(PEN_CYAN), view->running, 4);
        pen_number(&pen, pen_colour(PEN_CYAN), view->incoming, 4);
        pen_number(&pen, 0, view->queued, 6);
        pen_number(&pen, view->doubt ? pen_tone(TONE_ODD) : 0,
                   (uint64_t)view->waiting + view->doubt, 4);
        if (wide) {
            pen_number(&pen, 0, view->done, 6);
            pen_number(&pen, 0, view->failed, 6);
        }
        pen_put(&pen, 0, host_view_queue_why(arena, view), COLS);
        pen_end(&pen);
    }
}

/* What runs: how far, how fast, how long still; what does not: why. */
static void put_job_text(struct pen *pen, struct arena *arena, const struct followed *job)
{
    const RmJobView *view = job->view;
    const RmStats *s = view->stats;
    char a[UNIT_TEXT_MAX], b[UNIT_TEXT_MAX];
    if (job_is_final(view->state)) {
        const char *text = view_result(arena, view, true);
        pen_put(pen, 0, text ? text : "", COLS);
        return;
    }
    if (view->state != RM_STATE__RUNNING || job->percent < 0 || !s) {
        usec_t took = job->ran_at ? env_now(env_system()) - job->ran_at : 0;
        if (took >= USEC_PER_SEC)
            pen_format(pen, 0, "%s  ", unit_duration_text(took - took % USEC_PER_SEC, a));
        pen_put(pen, 0, view->text[0] ? view->text : view->phase, COLS);
        return;
    }
    pen_bar(pen, job->percent, pen_colour(PEN_GREEN));
    usec_t left = view_left_for(s);
    if (s->rate)
        pen_put(pen, 0, unit_rate_text(s->rate, a), COLS);
    if (left)
        pen_format(
            pen, 0, "  %s left",
            unit_duration_text(left < USEC_PER_SEC ? USEC_PER_SEC : left - left % USEC_PER_SEC, b));
    else if (s->rate && s->remaining)
        pen_put(pen, pen_colour(PEN_YELLOW), "  writes faster than it is copied", COLS);
    if (s->remaining <= s->total)
        pen_format(pen, 0, "  %s of %s", unit_size_text(s->total - s->remaining, a),
                   unit_size_text(s->total, b));
}

static unsigned state_look(RmState state)
{
    return state == RM_STATE__DOUBT                                      ? pen_tone(TONE_ODD)
           : state == RM_STATE__DONE                                     ? pen_tone(TONE_GOOD)
           : state == RM_STATE__FAILED || state == RM_STATE__CANCELLED   ? pen_tone(TONE_BAD)
           : state == RM_STATE__RUNNING || state == RM_STATE__CANCELLING ? pen_colour(PEN_CYAN)
                                                                         : 0;
}

static void draw_jobs(struct ui *ui, struct arena *arena, struct followed **jobs, int y)
{
    int guest = 5, source = 4, to = 2, number = 3;
    size_t from = ui->from[UI_JOBS], n = ui->n_rows[UI_JOBS], shown = ui->n_shown[UI_JOBS];
    const char **tos = arena_alloc(arena, (shown + 1) * sizeof(*tos));
    if (!tos)
        return;
    for (size_t i = from; i < n && i < from + shown; i++) {
        const RmJobView *view = jobs[i]->view;
        char digits[32];
        snprintf(digits, sizeof(digits), "%" PRIu64, jobs[i]->id);
        tos[i - from] = view_destination(arena, view, false);
        number = widest(number, digits, NAME_MAX_COLUMNS);
        guest = widest(guest, view->job->guest, NAME_MAX_COLUMNS);
        source = widest(source, view->source, SHORT_NAME_MAX);
        to = widest(to, tos[i - from], SHORT_NAME_MAX);
    }
    struct pen pen = heading(ui, UI_JOBS, y);
    pen_cell(&pen, 0, "JOB", number, true);
    pen_cell(&pen, 0, "GUEST", guest, false);
    pen_cell(&pen, 0, "FROM", source, false);
    pen_cell(&pen, 0, "TO", to, false);
    pen_cell(&pen, 0, "STATE", 10, false);
    put_manner(&pen, ui, UI_JOBS);
    for (size_t i = from; i < n && i < from + shown; i++) {
        const struct followed *job = jobs[i];
        pen = pen_line(y + 1 + (int)(i - from), row_look(ui, UI_JOBS, i));
        pen_number(&pen, 0, job->id, number);
        pen_cell(&pen, 0, job->view->job->guest, guest, false);
        pen_cell(&pen, 0, job->view->source, source, false);
        pen_cell(&pen, 0, tos[i - from], to, false);
        pen_cell(&pen, state_look(job->view->state),
                 job->view->paused || job->view->held ? "paused" : job_state_name(job->view->state),
                 10, false);
        put_job_text(&pen, arena, job);
        pen_end(&pen);
    }
    if (n == 0) {
        pen = pen_line(y + 1, 0);
        bool narrowed = ui->filter[0] || ui->only_host[0] || ui->only_batch;
        pen_put(&pen, A_DIM,
                !ui->site->knows_jobs ? "asking the broker ..."
                : narrowed            ? "no such jobs; Esc shows all of them"
                                      : "no unfinished jobs",
                COLS);
    }
}

/* ---- the last two lines */

static void draw_selected(const struct ui *ui, struct arena *arena, RmHostView **hosts,
                          struct followed **jobs)
{
    struct pen pen = pen_line(LINES - 2, A_DIM);
    if (ui->n_rows[ui->pane] == 0)
        return;
    if (ui->pane == UI_HOSTS) {
        const RmHostView *view = hosts[ui->at[UI_HOSTS]];
        const char *why = host_view_queue_why(arena, view);
        if (why[0])
            pen_format(&pen, 0, "%s: %s", view->host->name, why);
        return;
    }
    const struct followed *job = jobs[ui->at[UI_JOBS]];
    const char *text =
        job_is_final(job->view->state) ? view_result(arena, job->view, true) : job->view->text;
    if (text && text[0])
        pen_format(&pen, 0, "%s: %s", job->view->job->guest, text);
}

/* ---- texts of several lines */

/* How a text looks that is folded at the width of the screen. */
struct folded {
    const char *text;
    unsigned base, look;
    int indent; /* of what is folded */
};

/* Bytes of a character with all that stands above it. */
static size_t next_cell(const char *text, int *ret_columns)
{
    enum { MOST = 60 };
    int above = 0;
    size_t bytes = text_next(text, ret_columns);
    for (size_t n = bytes; *ret_columns > 0 && n > 0 && above == 0 && bytes < MOST; bytes += n)
        if ((n = text_next(text + bytes, &above)) == 0 || above != 0)
            n = 0;
    return bytes;
}

/* Draws the lines from `from` on between y and end, and returns how many there are. */
static size_t draw_folded(const struct folded *folded, size_t from, int y, int end)
{
    const char *text = folded->text;
    size_t n = 0;
    bool shown = from == 0 && y < end;
    struct pen pen = {.end = COLS};
    if (y < end)
        pen = pen_line(y, folded->base);
    for (;;) {
        int columns = 0;
        size_t bytes = text[0] == '\n' || !text[0] ? 0 : next_cell(text, &columns);
        columns = columns < 0 ? 1 : columns;
        bool folds = bytes > 0 && pen.x + columns > COLS;
        if (bytes == 0 || folds) {
            n++;
            if (shown)
                pen_end(&pen);
            text += text[0] == '\n';
            pen.x = 0;
            if (text[0] == '\0')
                break;
            shown = n >= from && n - from < (size_t)(end > y ? end - y : 0);
            if (shown)
                pen = pen_line(y + (int)(n - from), folded->base);
            if (shown && folds)
                pen_blank(&pen, folded->indent);
            else if (folds)
                pen.x = folded->indent;
            continue;
        }
        if (shown) {
            char cell[72];
            snprintf(cell, sizeof(cell), "%.*s", (int)bytes, text);
            pen_put(&pen, folded->look, cell, COLS);
        } else {
            pen.x += columns;
        }
        text += bytes;
    }
    for (size_t rest = n > from ? n - from : 0; y + (int)rest < end; rest++)
        pen_line(y + (int)rest, 0);
    return n;
}

/* The last lines: as many as the text needs, over what stands there. False: there is no room for all of it. */
static bool draw_below(const struct folded *folded)
{
    int most = LINES - 4;
    size_t n = draw_folded(folded, 0, 0, 0);
    bool fits = n <= (size_t)most;
    draw_folded(folded, 0, LINES - (fits ? (int)n : most), LINES);
    return fits;
}

static void draw_question(struct ui *ui)
{
    char text[UI_TEXT_MAX + 16];
    struct folded folded = {.text = text, .base = A_REVERSE};
    text_format(text, sizeof(text), "%s [y/N] ", ui->question);
    ui->question_is_shown = draw_below(&folded);
    if (ui->question_is_shown)
        return;
    folded.text = "the terminal is too small for the question";
    draw_below(&folded);
}

static void draw_bottom(struct ui *ui)
{
    char text[UI_FILTER_MAX + 32];
    struct folded folded = {.text = text};
    if (ui->mode == UI_CONFIRM) {
        draw_question(ui);
    } else if (ui->mode == UI_FILTER) {
        folded.look = A_BOLD;
        text_format(text, sizeof(text), "show rows with: %s_", ui->filter);
        draw_below(&folded);
    } else if (ui->message[0]) {
        folded.look = ui->message_is_bad ? pen_tone(TONE_BAD) : pen_tone(TONE_GOOD);
        folded.text = ui->message;
        draw_below(&folded);
    } else {
        struct pen pen = pen_line(LINES - 1, 0);
        pen_put(&pen, A_DIM, keys_hint(ui), COLS);
    }
}

/* A text in place of the rows: help, all of one row. */
static void draw_detail(struct ui *ui)
{
    const struct folded folded = {.text = ui->mode == UI_HELP ? keys_help()
                                          : ui->detail        ? ui->detail
                                                              : "asking ...",
                                  .indent = 12};
    size_t room = (size_t)(LINES - 5);
    ui->detail_lines = draw_folded(&folded, 0, 0, 0);
    if (ui->detail_from + room > ui->detail_lines)
        ui->detail_from = ui->detail_lines > room ? ui->detail_lines - room : 0;
    pen_line(3, 0);
    draw_folded(&folded, ui->detail_from, 4, LINES - 1);
}

/* ---- all of it */

/* The rows may have changed their places: the selection stays with its row, or at its place. */
static void find_selected(struct ui *ui, RmHostView **hosts, size_t n_hosts, struct followed **jobs,
                          size_t n_jobs)
{
    for (size_t i = 0; i < n_hosts && ui->host[0]; i++)
        if (strcmp(hosts[i]->host->name, ui->host) == 0)
            ui->at[UI_HOSTS] = i;
    for (size_t i = 0; i < n_jobs && ui->job; i++)
        if (jobs[i]->id == ui->job)
            ui->at[UI_JOBS] = i;
}

static void keep_selected(struct ui *ui, RmHostView **hosts, struct followed **jobs)
{
    if (ui->n_rows[UI_HOSTS] > 0)
        text_format(ui->host, sizeof(ui->host), "%s", hosts[ui->at[UI_HOSTS]]->host->name);
    if (ui->n_rows[UI_JOBS] > 0)
        ui->job = jobs[ui->at[UI_JOBS]]->id;
}

/* What could not be sent now is drawn anew. */
static void show(struct ui *ui)
{
    usec_t now = env_now(env_system());
    ui->is_new = !pen_show();
    ui->is_moved = false;
    if (ui->is_new || !ui->question_is_shown)
        ui->question_at = 0;
    else if (ui->question_at == 0)
        ui->question_at = now;
}

void draw_screen(struct ui *ui, struct arena *arena)
{
    ui->question_is_shown = false;
    if (LINES < ROWS_LEAST || COLS < COLUMNS_LEAST) {
        erase();
        mvaddnstr(0, 0, "the terminal is too small", COLS);
        show(ui);
        return;
    }
    size_t n_hosts, n_jobs, room = (size_t)(LINES - AROUND);
    RmHostView **hosts = rows_hosts(ui, arena, &n_hosts);
    struct followed **jobs = rows_jobs(ui, arena, &n_jobs);
    if (!hosts || !jobs)
        return;
    size_t for_jobs = n_jobs > 0 ? n_jobs : 1, part = room * 2 / 5;
    size_t for_hosts = room > for_jobs && room - for_jobs > part ? room - for_jobs : part;
    for_hosts = n_hosts < for_hosts ? n_hosts : for_hosts;
    find_selected(ui, hosts, n_hosts, jobs, n_jobs);
    follow_selection(ui, UI_HOSTS, n_hosts, for_hosts);
    follow_selection(ui, UI_JOBS, n_jobs, room - for_hosts);
    keep_selected(ui, hosts, jobs);
    draw_title(ui);
    draw_host_sum(ui);
    draw_job_sum(ui);
    if (ui->mode == UI_DETAIL || ui->mode == UI_HELP) {
        draw_detail(ui);
    } else {
        for (int y = 3; y < LINES - 2; y++)
            pen_line(y, 0);
        draw_hosts(ui, arena, hosts, 3);
        draw_jobs(ui, arena, jobs, 4 + (int)for_hosts);
        draw_selected(ui, arena, hosts, jobs);
    }
    draw_bottom(ui);
    show(ui);
}
