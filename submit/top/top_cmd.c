/* top_cmd.c - rmigrate top: the whole screen, until q */
#include "submit/top/top_cmd.h"

#include "conf/service.h"
#include "conf/text.h"
#include "submit/out.h"
#include "submit/top/act.h"
#include "submit/top/draw.h"
#include "submit/top/keys.h"
#include "submit/top/pen.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* The clock goes on, and so does what was done since. */
#define DRAW_EVERY (500 * USEC_PER_MSEC)

/* Between two rounds of questions; longer while the broker is away. */
#define PAUSE      (100 * USEC_PER_MSEC)
#define PAUSE_AWAY USEC_PER_SEC

struct top {
    struct ui ui;
    struct arena *arena; /* of what is drawn */
    usec_t drawn_at;
    bool busy;    /* an order is on its way, and is not given up for another key but q */
    bool unknown; /* it was: what became of an order is not known */
    bool gone;    /* the terminal was closed */
};

/* Nobody types so many keys ahead: the rest was pasted, and means nothing here. */
enum { KEYS_MOST = 100 };

static void draw(struct top *top)
{
    arena_reset(top->arena);
    draw_screen(&top->ui, top->arena);
    top->drawn_at = env_now(env_system());
}

static void take_keys(struct top *top)
{
    struct ui *ui = &top->ui;
    int key, n = 0;
    while (!ui->quit && ui->wanted.act == UI_NOTHING && (key = pen_key()) >= 0) {
        if (ui->is_moved && !keys_moves(key))
            draw(top);
        keys_press(ui, key);
        if (++n >= KEYS_MOST)
            pen_drop_keys();
    }
}

/* While the client waits: keys, and the screen. -ECANCELED: there is something to be asked first, or it is the end. */
static int turn(void *with)
{
    struct top *top = with;
    struct ui *ui = &top->ui;
    take_keys(top);
    if (pen_is_gone())
        ui->quit = top->gone = true;
    else if (ui->is_new || env_now(env_system()) >= top->drawn_at + DRAW_EVERY)
        draw(top);
    bool opened = ui->mode == UI_DETAIL && ui->details_asked != ui->details;
    bool asks = !top->busy && (ui->wanted.act != UI_NOTHING || opened);
    return ui->quit || asks ? -ECANCELED : 0;
}

/* One round: an order, what is shown in full, what has changed. Negative: the end. */
static int round_of_questions(struct top *top, struct rm_err *err)
{
    struct ui *ui = &top->ui;
    top->busy = true;
    int r = act_carry_out(ui, err);
    top->busy = false;
    top->unknown = r == -ECANCELED || r == -EINTR;
    if (r >= 0)
        r = act_detail(ui, err);
    if (r >= 0)
        r = site_look(ui->site, err);
    ui->is_new = true;
    bool away = r == -ETIMEDOUT;
    if (r >= 0 || away)
        r = client_sleep(ui->site->client, away ? PAUSE_AWAY : PAUSE);
    return r == -ECANCELED && !ui->quit ? 0 : r;
}

static int run(struct top *top, struct rm_err *err)
{
    int r = 0;
    turn(top);
    while (r >= 0 && !top->ui.quit)
        r = round_of_questions(top, err);
    return top->ui.quit ? 0 : r;
}

int top_run(struct client *client, const struct args *args)
{
    struct top top = {.ui.pane = UI_JOBS};
    struct rm_err err = {0};
    int code = EXIT_OK;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        out_error("top needs a terminal; queue, jobs and workers list the same");
        return EXIT_USAGE;
    }
    text_format(top.ui.only_host, sizeof(top.ui.only_host), "%s", args->host);
    top.ui.only_batch = args->batch;
    top.arena = arena_new(0);
    if (!top.arena || site_new(client, &top.ui.site) < 0) {
        code = out_no_memory();
        goto out;
    }
    if (!pen_begin()) {
        out_error("this terminal cannot be drawn on (TERM is %s)",
                  getenv("TERM") ? getenv("TERM") : "not set");
        code = EXIT_USAGE;
        goto out;
    }
    client_watch(client, &(struct client_watch){
                             .fd = STDIN_FILENO, .every = DRAW_EVERY, .turn = turn, .with = &top});
    int r = run(&top, &err);
    client_watch(client, &(struct client_watch){0});
    pen_give_back();
    if (r == -EINTR && client_signal(client) == SIGINT)
        r = 0; /* a way to quit */
    if (r < 0 && r != -EINTR)
        out_error("%s", err.text);
    if (top.unknown)
        out_note("it is not known whether the last order was carried out; see rmigrate jobs and "
                 "rmigrate events");
    code = top.gone      ? 128 + SIGHUP
           : r < 0       ? client_code(client, r)
           : top.unknown ? EXIT_NO_BROKER
                         : EXIT_OK;
out:
    site_free(top.ui.site);
    arena_free(top.arena);
    free(top.ui.detail);
    return code;
}
