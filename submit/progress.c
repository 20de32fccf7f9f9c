/* progress.c - a block of lines on the terminal that shows what runs */
#include "submit/progress.h"

#include "conf/io.h"
#include "conf/text.h"
#include "conf/unit.h"
#include "submit/out.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    COLUMNS_MIN = 20,
    COLUMNS_DEFAULT = 80,
    ROWS_DEFAULT = 24,
    BAR = 12,       /* columns */
    BAR_NARROW = 6, /* on a terminal of less than BAR_FROM columns */
    BAR_FROM = 70,
    PERCENT = 6, /* "  62 %" */
    PIECE_MAX = 4 * UNIT_TEXT_MAX,
};

#define GREEN  "32"
#define RED    "31"
#define YELLOW "33"
#define FAINT  "2"
#define PLAIN  "0"

/* ---- one line: text is added until the columns are used up */

struct line {
    FILE *file;
    const struct progress_style *style;
    unsigned used;
};

/* The next character of text: its bytes and its columns. What cannot be shown is one column, drawn
 * as '?'. */
static size_t character(const struct progress_style *style, const char *text, unsigned *ret_columns,
                        bool *ret_fit)
{
    int columns;
    size_t n = text_next(text, &columns);
    if (n > 1 && !style->utf8) {
        n = 1;
        columns = -1;
    }
    *ret_fit = columns >= 0;
    *ret_columns = columns < 0 ? 1 : (unsigned)columns;
    return n;
}

static unsigned width_of(const struct progress_style *style, const char *text)
{
    unsigned sum = 0, columns;
    bool fit;
    while (*text) {
        text += character(style, text, &columns, &fit);
        sum += columns;
    }
    return sum;
}

/* At most `most` columns of text, cut with "..." (one character where there is UTF-8); returns what
 * it took. */
static unsigned put_cut(struct line *line, const char *text, unsigned most)
{
    const char *dots = line->style->utf8 ? "…" : "...";
    unsigned dots_width = line->style->utf8 ? 1 : 3, columns, used = 0;
    unsigned left = line->style->columns - 1 - line->used;
    bool fit;
    most = most < left ? most : left;
    bool cut = width_of(line->style, text) > most;
    if (cut && most < dots_width)
        return 0;
    while (*text) {
        size_t n = character(line->style, text, &columns, &fit);
        if (used + columns > most - (cut ? dots_width : 0))
            break;
        if (fit)
            fwrite(text, 1, n, line->file);
        else
            fputc('?', line->file);
        text += n;
        used += columns;
    }
    if (cut) {
        fputs(dots, line->file);
        used += dots_width;
    }
    line->used += used;
    return used;
}

static void put_pad(struct line *line, unsigned columns)
{
    for (; columns > 0 && line->used + 1 < line->style->columns; columns--, line->used++)
        fputc(' ', line->file);
}

static void put_text(struct line *line, const char *text, unsigned width)
{
    unsigned used = put_cut(line, text, width);
    put_pad(line, width > used ? width - used : 0);
}

/* code NULL: as it is. */
static void colour(struct line *line, const char *code)
{
    if (code && line->style->colour)
        fprintf(line->file, "\033[%sm", code);
}

static bool put_whole(struct line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* All of it or nothing. */
static bool put_whole(struct line *line, const char *format, ...)
{
    char text[PIECE_MAX];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    if (line->used + width_of(line->style, text) >= line->style->columns)
        return false;
    put_cut(line, text, UINT32_MAX);
    return true;
}

static unsigned end_line(struct line *line)
{
    fputc('\n', line->file);
    unsigned used = line->used;
    line->used = 0;
    return used;
}

/* ---- jobs */

/* The states that get a line. */
static const struct {
    int rank; /* in the block, from 1; 0: no line */
    const char *label;
} shown[PROGRESS_STATES] = {
    [RM_STATE__RUNNING] = {1, "running"},   [RM_STATE__CANCELLING] = {1, "cancelling"},
    [RM_STATE__ASSIGNED] = {2, "starting"}, [RM_STATE__DOUBT] = {3, "in doubt"},
    [RM_STATE__WAITING] = {4, "waiting"},   [RM_STATE__QUEUED] = {5, "queued"},
};

static int rank(RmState state)
{
    return (unsigned)state < PROGRESS_STATES ? shown[state].rank : 0;
}

static int compare_jobs(const void *a, const void *b)
{
    const struct progress_job *x = *(const struct progress_job *const *)a;
    const struct progress_job *y = *(const struct progress_job *const *)b;
    if (rank(x->state) != rank(y->state))
        return rank(x->state) < rank(y->state) ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* What gets a line: everything that is under way or waits, and of the queued ones the first of each
 * reason. */
struct choice {
    const struct progress_job *job;
    uint64_t others; /* queued ones with the same reason */
};

static size_t choose(const struct progress_job **sorted, size_t n, struct choice *ret, size_t most)
{
    size_t chosen = 0, groups = 0;
    for (size_t i = 0; i < n; i++) {
        const struct progress_job *job = sorted[i];
        bool queued = job->state == RM_STATE__QUEUED;
        if (rank(job->state) == 0 || (queued && job->text[0] == '\0'))
            continue;
        size_t j = chosen - groups;
        while (queued && j < chosen && strcmp(ret[j].job->text, job->text) != 0)
            j++;
        if (queued && j < chosen) {
            ret[j].others++;
            continue;
        }
        if (chosen == most || (queued && groups == PROGRESS_GROUPS_MAX))
            continue;
        groups += queued;
        ret[chosen++] = (struct choice){.job = job};
    }
    return chosen;
}

static void put_bar(struct line *line, int percent, unsigned width)
{
    unsigned full = (unsigned)percent * width / 100;
    char number[16];
    colour(line, GREEN);
    for (unsigned i = 0; i < width && line->used + 1 < line->style->columns; i++, line->used++)
        fputs(i < full            ? (line->style->utf8 ? "█" : "#")
              : line->style->utf8 ? "░"
                                  : ".",
              line->file);
    colour(line, PLAIN);
    snprintf(number, sizeof(number), "  %2d %%", percent);
    put_text(line, number, PERCENT);
}

static void put_figures(struct line *line, const struct progress_job *job)
{
    char a[UNIT_TEXT_MAX], b[UNIT_TEXT_MAX];
    const RmStats *s = &job->stats;
    uint64_t done = s->total > s->remaining ? s->total - s->remaining : 0;
    bool fits = put_whole(line, "  %s of %s", unit_size_text(done, a), unit_size_text(s->total, b));
    if (fits && s->rate)
        fits = put_whole(line, ", %s", unit_rate_text(s->rate, a));
    if (fits && s->dirty_rate)
        fits = put_whole(line, ", dirtied %s", unit_rate_text(s->dirty_rate, a));
    if (fits && s->iterations > 1)
        put_whole(line, ", iteration %" PRIu32, s->iterations);
}

/* For how long it runs, in whole seconds. */
static void put_elapsed(struct line *line, const struct progress_job *job)
{
    char span[UNIT_TEXT_MAX];
    if (job->elapsed < USEC_PER_SEC)
        return;
    put_whole(line, "%s", unit_duration_text(job->elapsed - job->elapsed % USEC_PER_SEC, span));
    put_pad(line, job->text[0] ? 2 : 0);
}

struct widths {
    unsigned guest, source, destination;
};

static const char *guest_text(const struct choice *choice, char *buffer, size_t size)
{
    if (choice->others == 0)
        return choice->job->guest;
    snprintf(buffer, size, "%s +%" PRIu64, choice->job->guest, choice->others);
    return buffer;
}

static void put_job(struct line *line, const struct choice *choice, const struct widths *widths)
{
    const struct progress_job *job = choice->job;
    const struct progress_style *style = line->style;
    unsigned bar = style->columns < BAR_FROM ? BAR_NARROW : BAR;
    bool is_running = job->state == RM_STATE__RUNNING;
    char buffer[300];
    put_text(line, guest_text(choice, buffer, sizeof(buffer)), widths->guest);
    put_pad(line, 2);
    put_text(line, job->source, widths->source);
    put_cut(line, style->utf8 ? " → " : " -> ", 4);
    put_text(line, job->destination, widths->destination);
    put_pad(line, 2);
    if (is_running && job->percent >= 0) {
        put_bar(line, job->percent, bar);
        put_figures(line, job);
        return;
    }
    bool is_odd = job->state == RM_STATE__DOUBT;
    colour(line, is_odd ? YELLOW : NULL);
    put_text(line, is_running && job->phase[0] ? job->phase : shown[job->state].label,
             job->text[0] || job->elapsed ? bar + PERCENT : 2 * BAR);
    colour(line, is_odd ? PLAIN : NULL);
    put_pad(line, 2);
    put_elapsed(line, job);
    colour(line, FAINT);
    put_cut(line, job->text, UINT32_MAX);
    colour(line, PLAIN);
}

/* ---- the sum */

static void put_count(struct line *line, uint64_t count, const char *name, const char *code,
                      bool *first)
{
    char piece[64];
    if (count == 0)
        return;
    snprintf(piece, sizeof(piece), "%s%" PRIu64 " %s", *first ? " " : ", ", count, name);
    *first = false;
    colour(line, code);
    put_cut(line, piece, UINT32_MAX);
    colour(line, code ? PLAIN : NULL);
}

static void put_sum(struct line *line, const struct progress_sum *sum)
{
    const uint64_t *c = sum->counts;
    uint64_t all = 0;
    for (size_t i = 0; i < PROGRESS_STATES; i++)
        all += c[i];
    char text[128], span[UNIT_TEXT_MAX];
    bool first = true;
    snprintf(text, sizeof(text), "%" PRIu64 " guest%s:", all, all == 1 ? "" : "s");
    put_cut(line, text, UINT32_MAX);
    put_count(line, c[RM_STATE__DONE], "done", GREEN, &first);
    put_count(line, c[RM_STATE__RUNNING] + c[RM_STATE__ASSIGNED] + c[RM_STATE__CANCELLING],
              "running", NULL, &first);
    put_count(line, c[RM_STATE__WAITING], "waiting", NULL, &first);
    put_count(line, c[RM_STATE__QUEUED], "queued", NULL, &first);
    put_count(line, c[RM_STATE__DOUBT], "in doubt", YELLOW, &first);
    put_count(line, c[RM_STATE__FAILED], "failed", RED, &first);
    put_count(line, c[RM_STATE__CANCELLED], "cancelled", RED, &first);
    usec_t elapsed = sum->elapsed - sum->elapsed % USEC_PER_SEC;
    put_whole(line, "   elapsed %s", unit_duration_text(elapsed, span));
    if (sum->batch)
        put_whole(line, "   batch %" PRIu64, sum->batch);
    if (!sum->note || !sum->note[0])
        return;
    colour(line, YELLOW);
    put_whole(line, "   %s", sum->note);
    colour(line, PLAIN);
}

/* ---- the block */

static unsigned most(unsigned a, unsigned b)
{
    b = b > PROGRESS_NAME_MAX ? PROGRESS_NAME_MAX : b;
    return a > b ? a : b;
}

static struct widths measure(const struct progress_style *style, const struct choice *choices,
                             size_t n)
{
    struct widths w = {0};
    char buffer[300];
    for (size_t i = 0; i < n; i++) {
        w.guest = most(w.guest, width_of(style, guest_text(&choices[i], buffer, sizeof(buffer))));
        w.source = most(w.source, width_of(style, choices[i].job->source));
        w.destination = most(w.destination, width_of(style, choices[i].job->destination));
    }
    return w;
}

size_t progress_block(const struct progress_style *style, const struct progress_job *jobs, size_t n,
                      const struct progress_sum *sum, unsigned widths[PROGRESS_LINES_MAX],
                      FILE *file)
{
    unsigned scratch[PROGRESS_LINES_MAX], *used = widths ? widths : scratch;
    struct choice choices[PROGRESS_LINES_MAX];
    size_t rows = style->rows > 4 ? style->rows - 3 : 1, lines = 0, chosen = 0;
    rows = rows > PROGRESS_LINES_MAX - 1 ? PROGRESS_LINES_MAX - 1 : rows;
    struct line line = {.file = file, .style = style};
    const struct progress_job **sorted = calloc(n + 1, sizeof(*sorted)); /* NULL: the sum alone */
    for (size_t i = 0; sorted && i < n; i++)
        sorted[i] = &jobs[i];
    if (sorted) {
        qsort(sorted, n, sizeof(*sorted), compare_jobs);
        chosen = choose(sorted, n, choices, rows);
    }
    free(sorted);
    struct widths w = measure(style, choices, chosen);
    for (; lines < chosen; lines++) {
        put_job(&line, &choices[lines], &w);
        used[lines] = end_line(&line);
    }
    put_sum(&line, sum);
    used[lines++] = end_line(&line);
    return lines;
}

/* ---- on the terminal */

struct progress {
    struct progress_style style;
    size_t lines;                        /* of the block that stands there */
    unsigned widths[PROGRESS_LINES_MAX]; /* of each */
};

struct progress *progress_new(void)
{
    const char *term = getenv("TERM");
    if (!isatty(STDERR_FILENO) || !term || strcmp(term, "dumb") == 0)
        return NULL;
    struct progress *progress = calloc(1, sizeof(*progress));
    if (!progress)
        return NULL;
    progress->style.utf8 = out_is_utf8();
    progress->style.colour = out_has_colour(stderr);
    return progress;
}

void progress_free(struct progress *progress)
{
    free(progress);
}

static void measure_terminal(struct progress_style *style)
{
    struct winsize size = {0};
    ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
    style->columns = size.ws_col > 0 ? size.ws_col : COLUMNS_DEFAULT;
    style->columns = style->columns < COLUMNS_MIN ? COLUMNS_MIN : style->columns;
    style->rows = size.ws_row > 0 ? size.ws_row : ROWS_DEFAULT;
}

/* The rows that the block takes now: a terminal that became narrower folds its lines. */
static unsigned rows_of(const struct progress *progress)
{
    unsigned rows = 0;
    for (size_t i = 0; i < progress->lines; i++) {
        unsigned width = progress->widths[i];
        rows += width == 0 ? 1 : (width + progress->style.columns - 1) / progress->style.columns;
    }
    return rows;
}

/* Everything at once, so that nothing flickers. sum NULL: the block goes. */
static void redraw(struct progress *progress, const struct progress_job *jobs, size_t n,
                   const struct progress_sum *sum)
{
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    if (!file)
        return;
    measure_terminal(&progress->style);
    if (progress->lines > 0)
        fprintf(file, "\r\033[%uA\033[J", rows_of(progress));
    progress->lines =
        sum ? progress_block(&progress->style, jobs, n, sum, progress->widths, file) : 0;
    fflush(stderr);
    if (fclose(file) == 0)
        io_write(STDERR_FILENO, text, length);
    free(text);
}

void progress_draw(struct progress *progress, const struct progress_job *jobs, size_t n,
                   const struct progress_sum *sum)
{
    if (progress)
        redraw(progress, jobs, n, sum);
}

void progress_clear(struct progress *progress)
{
    if (progress && progress->lines > 0)
        redraw(progress, NULL, 0, NULL);
}

void progress_end(struct progress *progress, const struct progress_sum *sum)
{
    progress_draw(progress, NULL, 0, sum);
    if (progress)
        progress->lines = 0;
}
