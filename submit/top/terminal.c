/* terminal.c - what terminfo says of the terminal
 *
 * Apart from pen.c, as <term.h> makes macros of words like "lines" and "columns". newterm() is no way to ask: it
 * takes a terminal that cannot move its cursor, and where it takes none it leaks. */
#include "submit/top/terminal.h"

#include <curses.h>
#include <term.h>
#include <unistd.h>

bool terminal_can_be_drawn_on(void)
{
    int found;
    if (setupterm(NULL, STDOUT_FILENO, &found) != OK)
        return false;
    bool can = cursor_address != NULL;
    del_curterm(cur_term);
    return can;
}
