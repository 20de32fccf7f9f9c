/* draw.h - the screen of top */
#ifndef SUBMIT_TOP_DRAW_H
#define SUBMIT_TOP_DRAW_H

#include "submit/top/ui.h"

/* All of it; arena: what is made meanwhile. Moves the selection to a row that is there, and writes down how many
 * rows there are and are shown. */
void draw_screen(struct ui *ui, struct arena *arena);

#endif
