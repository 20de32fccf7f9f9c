/* pen.h - texts on the screen, by ncurses, which sends the terminal only what has changed
 *
 * Nothing is written beyond the end of a line; a text that is too long is cut and ends with dots, and what a
 * terminal would obey is a '?'. */
#ifndef SUBMIT_TOP_PEN_H
#define SUBMIT_TOP_PEN_H

#include "submit/listing.h"

#include <curses.h>
#include <stdbool.h>
#include <stdint.h>

enum { PEN_BAR = 8 /* columns of a bar, without its number */ };
enum { PEN_PLAIN, PEN_RED, PEN_GREEN, PEN_YELLOW, PEN_CYAN };

/* Takes the terminal, and gives it back. False: this one cannot be drawn on. */
bool pen_begin(void);
void pen_give_back(void);

/* The terminal was closed: no key will come any more. */
bool pen_is_gone(void);

/* Sends what was written to the terminal. False: that takes nothing now, as it is slow, or was stopped by Ctrl-S. */
bool pen_show(void);

/* The next key, as curses numbers them (KEY_REFRESH: Ctrl-L); -1: none waits. */
int pen_key(void);
void pen_drop_keys(void); /* those that wait */

/* Where the next text goes; nothing is written from `end` on. */
struct pen {
    int y, x, end;
    unsigned base; /* the look of all of the line */
};

/* An empty line of the screen. */
struct pen pen_line(int y, unsigned base);
void pen_end(struct pen *pen); /* a reversed line is reversed to its end */

/* Looks: attributes of curses. Without colours (NO_COLOR, or none there) those are 0. */
unsigned pen_colour(int pair);
unsigned pen_tone(enum tone tone);

void pen_put(struct pen *pen, unsigned look, const char *text, int most); /* columns */
void pen_format(struct pen *pen, unsigned look, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void pen_blank(struct pen *pen, int columns);

/* A column, and one blank behind it. */
void pen_cell(struct pen *pen, unsigned look, const char *text, int width, bool right);
void pen_number(struct pen *pen, unsigned look, uint64_t number, int width); /* 0 is "-" */

/* "████░░░░  62 %"; percent -1: blanks. */
void pen_bar(struct pen *pen, int percent, unsigned look);

#endif
