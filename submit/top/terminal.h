/* terminal.h - what terminfo says of the terminal */
#ifndef SUBMIT_TOP_TERMINAL_H
#define SUBMIT_TOP_TERMINAL_H

#include <stdbool.h>

/* Can a text be put anywhere on the terminal that TERM names? */
bool terminal_can_be_drawn_on(void);

#endif
