/* act.h - orders of top: asks the broker to carry them out, and for all of a row */
#ifndef SUBMIT_TOP_ACT_H
#define SUBMIT_TOP_ACT_H

#include "submit/top/ui.h"

/* Carries out ui->wanted and says what became of it. 0; errors of client_ask() that are the end. */
int act_carry_out(struct ui *ui, struct rm_err *err);

/* Makes ui->detail anew, where it is older than a second. 0, or as above. */
int act_detail(struct ui *ui, struct rm_err *err);

#endif
