/* ui.c - what top says in its last line */
#include "submit/top/ui.h"

#include "conf/text.h"

#include <stdarg.h>

void ui_say(struct ui *ui, bool is_bad, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    text_vformat(ui->message, sizeof(ui->message), format, list);
    va_end(list);
    text_one_line(ui->message);
    ui->message_is_bad = is_bad;
    ui->is_new = true;
}
