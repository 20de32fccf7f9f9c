/* pen.c - texts on the screen, by ncurses */
#include "submit/top/pen.h"

#include "conf/text.h"
#include "submit/out.h"

#include <curses.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

enum { TEXT_MAX = 1024 /* bytes: more than any line has */ };

static struct {
    bool utf8, colours;
    SCREEN *screen;
} terminal;

bool pen_begin(void)
{
    const char *no = getenv("NO_COLOR");
    terminal.screen = newterm(NULL, stdout, stdin); /* initscr() would end the program */
    if (!terminal.screen)
        return false;
    terminal.utf8 = out_is_utf8();
    terminal.colours = !(no && no[0]) && has_colors();
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(25);
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

void pen_give_back(void)
{
    endwin();
    delscreen(terminal.screen);
}

int pen_key(void)
{
    int key = wgetch(stdscr);
    return key == ERR ? -1 : key;
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
    int dots = cut ? (terminal.utf8 ? 1 : 2) : 0;
    attrset((int)(pen->base | look));
    while (*text) {
        size_t n = text_next(text, &columns);
        bool fit = columns >= 0;
        columns = fit ? columns : 1;
        if (pen->x + columns > end - dots)
            break;
        if (fit)
            mvaddnstr(pen->y, pen->x, text, (int)n);
        else
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
    pen_cell(pen, look, text, PEN_BAR, false);
    snprintf(text, sizeof(text), percent >= 0 ? "%3d %%" : "", percent);
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
