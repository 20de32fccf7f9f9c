/* pen.c - texts on the screen, by ncurses */
#include "submit/top/pen.h"

#include "conf/text.h"
#include "submit/out.h"
#include "submit/top/terminal.h"

#include <curses.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

enum { TEXT_MAX = 1024 /* bytes: more than any line has */ };
enum { ESCAPE = 27, CONTROL_L = 12 };
enum { ESCAPE_MSEC = 100 /* within which the sequence of a key arrives over a slow link */ };

static struct {
    bool utf8, colours;
    SCREEN *screen;
    WINDOW *
        keys; /* from which they are read: to read from the screen's own window would also show that */
} terminal;

/* Ctrl-\ would end the program and leave the terminal as it is: it is a key as any other. */
static void take_quit_key(void)
{
    struct termios modes;
    if (tcgetattr(STDIN_FILENO, &modes) < 0)
        return;
    modes.c_cc[VQUIT] = _POSIX_VDISABLE;
    if (tcsetattr(STDIN_FILENO, TCSANOW, &modes) == 0)
        def_prog_mode();
}

void pen_give_back(void)
{
    /* One that Ctrl-S has stopped would not be given back; TCOON alone undoes what TCOOFF has done. */
    tcflow(STDOUT_FILENO, TCOOFF);
    tcflow(STDOUT_FILENO, TCOON);
    endwin();
    if (terminal.keys)
        delwin(terminal.keys);
    delscreen(terminal.screen);
}

/* SIGCONT, after a SIGSTOP too: what the shell has made of the terminal meanwhile is undone. */
static volatile sig_atomic_t continued;

static void note_continued(int signal)
{
    (void)signal;
    continued = true;
}

bool pen_begin(void)
{
    const char *no = getenv("NO_COLOR");
    if (!terminal_can_be_drawn_on())
        return false;
    use_tioctl(TRUE); /* what the terminal says of its size counts, not LINES and COLUMNS */
    terminal.screen = newterm(NULL, stdout, stdin); /* initscr() would end the program */
    if (!terminal.screen)
        return false;
    terminal.keys = newpad(1, 1);
    if (!terminal.keys) {
        pen_give_back();
        return false;
    }
    terminal.utf8 = out_is_utf8();
    terminal.colours = !(no && no[0]) && has_colors();
    cbreak();
    take_quit_key();
    sigaction(SIGCONT, &(struct sigaction){.sa_handler = note_continued, .sa_flags = SA_RESTART},
              NULL);
    noecho();
    keypad(terminal.keys, TRUE);
    nodelay(terminal.keys, TRUE);
    set_escdelay(ESCAPE_MSEC);
    curs_set(0);
    if (terminal.colours) {
        start_color();
        use_default_colors();
        init_pair(PEN_RED, COLOR_RED, -1);
        init_pair(PEN_GREEN, COLOR_GREEN, -1);
        init_pair(PEN_YELLOW, COLOR_YELLOW, -1);
        init_pair(PEN_CYAN, COLOR_CYAN, -1);
    }
    return true;
}

static bool has(int fd, short events)
{
    struct pollfd polled = {.fd = fd, .events = events};
    return poll(&polled, 1, 0) > 0 && (polled.revents & events);
}

bool pen_is_gone(void)
{
    return has(STDIN_FILENO, POLLHUP | POLLERR | POLLNVAL);
}

bool pen_show(void)
{
    if (!has(STDOUT_FILENO, POLLOUT))
        return false;
    if (continued) {
        continued = false;
        reset_prog_mode();
        clearok(curscr, TRUE);
    }
    refresh();
    return true;
}

/* A sequence of a key that curses does not know goes as a whole: the letters in it were not pressed. False: Escape
 * was. */
static bool skip_sequence(void)
{
    int key = wgetch(terminal.keys);
    if (key != '[' && key != 'O') {
        if (key != ERR)
            ungetch(key);
        return false;
    }
    bool is_long = key == '[';
    do
        key = wgetch(terminal.keys);
    while (is_long && key >= ' ' && key < '@');
    return true;
}

int pen_key(void)
{
    int key = wgetch(terminal.keys);
    while (key == ESCAPE && skip_sequence())
        key = wgetch(terminal.keys);
    if (key == CONTROL_L) {
        clearok(curscr, TRUE); /* something else has written there */
        return KEY_REFRESH;
    }
    return key == ERR ? -1 : key;
}

void pen_drop_keys(void)
{
    flushinp();
}

unsigned pen_colour(int pair)
{
    return terminal.colours ? (unsigned)COLOR_PAIR(pair) : 0;
}

unsigned pen_tone(enum tone tone)
{
    return tone == TONE_BAD    ? pen_colour(PEN_RED) | A_BOLD
           : tone == TONE_ODD  ? pen_colour(PEN_YELLOW)
           : tone == TONE_GOOD ? pen_colour(PEN_GREEN)
                               : 0;
}

/* ---- texts */

void pen_put(struct pen *pen, unsigned look, const char *text, int most)
{
    int columns, end = pen->end - pen->x > most ? pen->x + most : pen->end;
    int wide = (int)text_width(text, 1);
    bool cut = pen->x + wide > end;
    int dots = cut ? (terminal.utf8 ? 1 : 2) : 0, start = pen->x;
    attrset((int)(pen->base | look));
    while (*text) {
        size_t n = text_next(text, &columns);
        bool fit = columns > 0 || (columns == 0 && pen->x > start); /* that stands above another */
        columns = fit ? columns : columns < 0;
        if (pen->x + columns > end - dots)
            break;
        if (fit)
            mvaddnstr(pen->y, pen->x, text, (int)n);
        else if (columns > 0)
            mvaddch(pen->y, pen->x, '?');
        pen->x += columns;
        text += n;
    }
    if (cut && pen->x + dots <= end) {
        mvaddstr(pen->y, pen->x, terminal.utf8 ? "…" : "..");
        pen->x += dots;
    }
    attrset((int)A_NORMAL);
}

void pen_blank(struct pen *pen, int columns)
{
    attrset((int)pen->base);
    for (; columns > 0 && pen->x < pen->end; columns--)
        mvaddch(pen->y, pen->x++, ' ');
    attrset((int)A_NORMAL);
}

void pen_format(struct pen *pen, unsigned look, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list list;
    va_start(list, format);
    text_vformat(text, sizeof(text), format, list);
    va_end(list);
    pen_put(pen, look, text, pen->end);
}

void pen_cell(struct pen *pen, unsigned look, const char *text, int width, bool right)
{
    int used = (int)text_width(text, 1), start = pen->x;
    if (right && used < width)
        pen_blank(pen, width - used);
    pen_put(pen, look, text, width - (pen->x - start));
    pen_blank(pen, start + width - pen->x);
    pen_blank(pen, 1);
}

void pen_number(struct pen *pen, unsigned look, uint64_t number, int width)
{
    char text[32] = "-";
    if (number)
        snprintf(text, sizeof(text), "%" PRIu64, number);
    pen_cell(pen, number ? look : 0, text, width, true);
}

void pen_bar(struct pen *pen, int percent, unsigned look)
{
    char text[PEN_BAR * 4 + 16];
    int used = 0;
    for (int i = 0; i < PEN_BAR && percent >= 0; i++) {
        bool full = i < (percent * PEN_BAR + 50) / 100;
        used += snprintf(text + used, sizeof(text) - (size_t)used, "%s",
                         terminal.utf8 ? (full ? "█" : "░")
                         : full        ? "#"
                                       : ".");
    }
    text[used] = '\0';
    unsigned base = pen->base;
    if (terminal.utf8) /* reversed, what is full would look empty */
        pen->base &= ~(unsigned)A_REVERSE;
    pen_cell(pen, look, text, PEN_BAR, false);
    pen->base = base;
    text[0] = '\0';
    if (percent >= 0)
        snprintf(text, sizeof(text), "%3d %%", percent);
    pen_cell(pen, 0, text, 5, false);
}

struct pen pen_line(int y, unsigned base)
{
    struct pen pen = {.y = y, .end = COLS, .base = base};
    move(y, 0);
    clrtoeol();
    return pen;
}

void pen_end(struct pen *pen)
{
    if (pen->base & A_REVERSE)
        pen_blank(pen, pen->end - pen->x);
}
