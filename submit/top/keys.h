/* keys.h - what each key of top does */
#ifndef SUBMIT_TOP_KEYS_H
#define SUBMIT_TOP_KEYS_H

#include "submit/top/ui.h"

/* Carries out one key, as curses numbers them; after one that moved the selection, the screen is drawn first. What the broker is to be asked for is left in ui->wanted. */
void keys_press(struct ui *ui, int key);

/* Does it only move the selection? Then the next key needs no screen in between. */
bool keys_moves(int key);

/* For the last line: the keys that count now. */
const char *keys_hint(const struct ui *ui);

/* All of them, in lines. */
const char *keys_help(void);

#endif
