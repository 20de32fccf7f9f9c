/* fault.c - what the simulator is told to do wrong, and when */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

static struct fault *faults; /* the oldest first */

static const struct {
    const char *name;
    enum fault_kind kind;
} kinds[] = {
    {"close-before-id", FAULT_CLOSE_BEFORE_ID},
    {"close-before-id-taken", FAULT_CLOSE_BEFORE_ID_TAKEN},
    {"close-after-id", FAULT_CLOSE_AFTER_ID},
    {"bytewise", FAULT_BYTEWISE},
    {"late", FAULT_LATE},
    {"late-id", FAULT_LATE_ID},
    {"garbage-length", FAULT_GARBAGE_LENGTH},
    {"short-length", FAULT_SHORT_LENGTH},
    {"wrong-id", FAULT_WRONG_ID},
    {"592", FAULT_ASYNC},
    {"592-rs", FAULT_ASYNC_RS},
    {"drop-reply", FAULT_DROP_REPLY},
    {"no-recovery", FAULT_NO_RECOVERY},
    {"rc", FAULT_RC},
    {"rc-taken", FAULT_RC_TAKEN},
};

static const char *kind_name(enum fault_kind kind)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].kind == kind)
            return kinds[i].name;
    return "none";
}

static bool is_faulty_name(const char *what)
{
    return strcmp(what, "*") == 0 || same_word(what, "MOVE") || same_word(what, "TEST") ||
           same_word(what, "CANCEL") || function_find(what) != NULL;
}

static bool read_count(const char *text, long *ret_count)
{
    char *end;
    long count = strtol(text, &end, 10);

    if (end == text || *end != '\0' || count < 1)
        return false;
    *ret_count = count;
    return true;
}

static const char *read_fault(struct fault *fault, int argc, char **argv)
{
    int i = 2;
    char *at = strchr(argv[0], '@'), *end;

    if (at != NULL) {
        *at = '\0';
        if (member_find(at + 1) == NULL)
            return "no such member";
        snprintf(fault->member, sizeof(fault->member), "%s", member_find(at + 1)->name);
    }
    if (strlen(argv[0]) > FUNCTION_MAX || !is_faulty_name(argv[0]))
        return "no such function";
    snprintf(fault->what, sizeof(fault->what), "%s", argv[0]);
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
        if (strcmp(kinds[k].name, argv[1]) == 0)
            fault->kind = kinds[k].kind;
    fault->count = 1;
    if (argc >= 4 && strcmp(argv[argc - 2], "times") == 0) {
        if (!read_count(argv[argc - 1], &fault->count))
            return "not a count";
        argc -= 2;
    }
    switch (fault->kind) {
    case FAULT_NONE:
        return "no such kind";
    case FAULT_LATE:
    case FAULT_LATE_ID:
        if (argc < 3 || !read_seconds(argv[i++], &fault->msec))
            return "late: SECONDS";
        break;
    case FAULT_RC:
    case FAULT_RC_TAKEN:
        if (argc < 4)
            return "rc: RC RS [DATA]";
        fault->rc = (uint32_t)strtoul(argv[2], &end, 10);
        if (*end != '\0')
            return "not a return code";
        fault->rs = (uint32_t)strtoul(argv[3], &end, 10);
        if (*end != '\0')
            return "not a reason code";
        for (i = 4; i < argc; i++) {
            size_t n = strlen(fault->data);
            snprintf(fault->data + n, sizeof(fault->data) - n, "%s%s", n > 0 ? " " : "", argv[i]);
        }
        break;
    default:
        break;
    }
    if (i < argc && !read_count(argv[i++], &fault->count))
        return "not a count";
    return i < argc ? "too many words" : NULL;
}

const char *fault_add(int argc, char **argv)
{
    struct fault *fault, **end = &faults;
    const char *why;

    if (argc == 1 && strcmp(argv[0], "clear") == 0) {
        while (faults != NULL) {
            fault = faults;
            faults = fault->next;
            free(fault);
        }
        return NULL;
    }
    if (argc < 2)
        return "fault FUNCTION[@MEMBER] KIND [COUNT] | fault clear";
    fault = must_alloc(sizeof(*fault));
    why = read_fault(fault, argc, argv);
    if (why != NULL) {
        free(fault);
        return why;
    }
    while (*end != NULL)
        end = &(*end)->next;
    *end = fault;
    return NULL;
}

void faults_list(struct bytes *out)
{
    for (const struct fault *fault = faults; fault != NULL; fault = fault->next)
        bytes_printf(out, "%s%s%s %s %ld\n", fault->what, fault->member[0] != '\0' ? "@" : "",
                     fault->member, kind_name(fault->kind), fault->count);
}

struct fault fault_take(const struct request *request, const struct member *member)
{
    const char *action = request_action(request);

    for (struct fault **at = &faults, *fault; (fault = *at) != NULL; at = &fault->next) {
        struct fault copy = *fault;
        if (strcmp(fault->what, "*") != 0 && !same_word(fault->what, request->name) &&
            (action == NULL || !same_word(fault->what, action)))
            continue;
        if (fault->member[0] != '\0' && strcmp(fault->member, member->name) != 0)
            continue;
        if (--fault->count == 0) {
            *at = fault->next;
            free(fault);
        }
        say("fault: %s", kind_name(copy.kind));
        return copy;
    }
    return (struct fault){0};
}
