/* list.c - values that are lists a,b,c: items are added and taken out */
#include "broker/tables/list.h"

#include "broker/tables/common.h"
#include "store/items.h"

#include <errno.h>
#include <string.h>

/* A list that is made: its items, each once. */
struct list {
    char *text, *end;
    struct items seen; /* also those that must not come into it */
};

static const char *next_item(const char *at, size_t *ret_length)
{
    at += strspn(at, ",");
    *ret_length = strcspn(at, ",");
    return at;
}

/* Takes in the items; add: and puts them behind the list. */
static int take_items(struct list *list, const char *from, bool add)
{
    size_t n;

    for (from = next_item(from, &n); n > 0; from = next_item(from + n, &n)) {
        int r = items_add(&list->seen, from, n);
        if (r < 0)
            return r;
        if (r == 0 || !add)
            continue;
        if (list->end != list->text)
            *list->end++ = ',';
        list->end = mempcpy(list->end, from, n);
    }
    *list->end = '\0';
    return 0;
}

static bool has_item(const char *list, const char *item)
{
    size_t n, length = strlen(item);

    for (list = next_item(list, &n); n > 0; list = next_item(list + n, &n))
        if (n == length && memcmp(list, item, n) == 0)
            return true;
    return false;
}

static int change_list(struct list *to, const char *list, RmOperator op, const char *items)
{
    int r = 0;

    if (op == RM_OPERATOR__REMOVE || (op == RM_OPERATOR__PREPEND && !has_item(list, items)))
        r = take_items(to, items, /* add = */ op == RM_OPERATOR__PREPEND);
    if (r >= 0)
        r = take_items(to, list, true);
    if (r >= 0 && op == RM_OPERATOR__APPEND)
        r = take_items(to, items, true);
    return r;
}

const char *site_change_list(struct core *core, struct request *request, const char *list,
                             RmOperator op, const char *items)
{
    size_t length = strlen(list), more = strlen(items);
    struct list to = {0};
    int r = -ENOMEM;

    if (length > SITE_LIST_MAX || more > SITE_LIST_MAX) {
        request_refuse(core, request, RM_CODE__CODE_TABLE, "a list of more than %d bytes",
                       SITE_LIST_MAX);
        return NULL;
    }
    to.text = to.end = arena_alloc(core->arena, length + more + 2);
    if (to.text)
        r = change_list(&to, list, op, items);
    items_done(&to.seen);
    if (r >= 0)
        return to.text;
    request_refuse(core, request, RM_CODE__CODE_TRY_AGAIN, "no memory");
    return NULL;
}
