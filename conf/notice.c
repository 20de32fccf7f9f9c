/* notice.c - the names and numbers of what a person has to act on */
#include "conf/notice.h"

#define NOTICE_ROW(name_, word_, id_) [NOTICE_##name_] = {(word_), (id_)},
static const struct {
    const char *name, *id;
} rows[NOTICE_COUNT] = {[NOTICE_NONE] = {"", ""}, NOTICES(NOTICE_ROW)};

const char *notice_name(enum notice notice)
{
    return rows[notice].name;
}

const char *notice_id(enum notice notice)
{
    return rows[notice].id;
}
