/* option.c - the options of all commands */
#include "submit/option.h"

#include "conf/unit.h"
#include "wire/job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    KEY_FIRST = OPTION_USAGE + 1, /* of options without a letter: this and the index of the row */
    LIMIT_MOST = 1000000,         /* rows */
    ATTEMPTS_MOST = 1000,
    PRIORITY_MOST = 1000000,
};

enum kind {
    IS_FLAG,   /* bool or protobuf_c_boolean; no value */
    IS_TEXT,   /* const char *, not empty */
    IS_COUNT,  /* uint32_t or uint64_t: 1 to most */
    IS_RATE,   /* uint64_t, not 0: bytes a second */
    IS_TIME,   /* usec_t, not 0 */
    IS_FENCE,  /* uint32_t: 1 + enum fence_mode */
    IS_ROLE,   /* enum role */
    IS_STATES, /* states and n_states */
    IS_WHERE,  /* where and n_where: once more each time */
    IS_KEY,    /* enum option_key */
};

struct option_row {
    const char *name;
    int letter;       /* 0: none */
    const char *arg;  /* NULL: it takes no value */
    const char *help; /* NULL: not shown */
    int group;        /* of --help: 1 what is done, 2 how, 4 and 5 what is printed, 9 the rest */
    unsigned sets;    /* enum option_set */
    enum kind kind;
    struct {
        size_t offset, size; /* in struct args */
    } at;
    uint64_t most; /* IS_COUNT */
};

#define AT(field) .at = {offsetof(struct args, field), sizeof(((struct args *)0)->field)}

/* clang-format off */
static const struct option_row rows[] = {
    {"config", 'c', "FILE", "Read the settings from FILE", 9, OPTIONS_COMMON, IS_TEXT, AT(conf_file)},
    {"verbose", 'V', NULL, "Print more", 9, OPTIONS_COMMON, IS_FLAG, AT(verbose)},
    {"help", OPTION_HELP, NULL, "Show this help", 9, OPTIONS_COMMON, IS_KEY, .most = 0},
    {"version", OPTION_VERSION, NULL, "Show the version", 9, OPTIONS_COMMON, IS_KEY, .most = 0},
    {"usage", OPTION_USAGE, NULL, NULL, 9, OPTIONS_COMMON, IS_KEY, .most = 0},

    {"json", 0, NULL, "Print JSON", 5, OPTIONS_JSON | OPTIONS_LISTING, IS_FLAG, AT(json)},
    {"json", 0, NULL, "Print a JSON object for each guest as it finishes, one per line", 5,
     OPTIONS_WAIT, IS_FLAG, AT(json)},
    {"noheadings", 0, NULL, "Leave out the headings", 5, OPTIONS_LISTING, IS_FLAG, AT(noheadings)},
    {"noheadings", 0, NULL, "Leave out the headings of the plan", 5, OPTIONS_PLAN, IS_FLAG,
     AT(noheadings)},
    {"cancel-on-interrupt", 0, NULL, "Cancel the jobs on Ctrl-C", 4,
     OPTIONS_WAIT, IS_FLAG, AT(cancel_on_interrupt)},

    {"to", 0, "HOSTS", "Choose the destination among these hypervisors", 1, OPTIONS_MOVE, IS_TEXT,
     AT(to)},
    {"local", 0, NULL,
     "Without a broker: run one for this command; hypervisors are URIs of libvirt, or NAME=URI", 1,
     OPTIONS_LOCAL, IS_FLAG, AT(local)},
    {"from", 0, "URI", "With --local: where the guests run (default: qemu:///system)", 1,
     OPTIONS_FROM, IS_TEXT, AT(from)},
    {"dry-run", 0, NULL, "Check everything, move nothing", 1, OPTIONS_DRY_RUN, IS_FLAG,
     AT(dry_run)},
    {"plan", 0, NULL, "Print the plan, change nothing", 1, OPTIONS_PLAN, IS_FLAG, AT(plan)},
    {"apply", 0, "PLAN", "Carry out the plan of this number, exactly as it is", 1, OPTIONS_KEPT,
     IS_COUNT, AT(apply), UINT64_MAX},
    {"replan", 0, NULL, "With --apply: where things have changed since, make a new plan", 1,
     OPTIONS_KEPT, IS_FLAG, AT(replan)},
    {"snapshot", 0, "FILE", "With --plan: without a broker, from what `rmigrate snapshot' wrote", 1,
     OPTIONS_KEPT, IS_TEXT, AT(snapshot)},
    {"no-room", 0, NULL, "Do not move guests of other hosts to make room", 1, OPTIONS_PLAN,
     IS_FLAG, AT(no_room)},
    {"detach", 0, NULL, "Print the number of the batch and do not wait", 1, OPTIONS_MOVE, IS_FLAG,
     AT(detach)},
    {"reason", 0, "TEXT", "Recorded in the job's history", 1, OPTIONS_MOVE | OPTIONS_SELECT,
     IS_TEXT, AT(reason)},
    {"reason", 0, "TEXT", "Recorded in the history", 1, OPTIONS_REASON, IS_TEXT, AT(reason)},
    {"priority", 0, "N", "Jobs with a lower number start first (default: 100)", 1,
     OPTIONS_MOVE | OPTIONS_MODIFY, IS_COUNT, AT(priority), PRIORITY_MOST},
    {"anywhere", 0, NULL, "Use any other open host if the destination proves unsuitable", 1,
     OPTIONS_MOVE, IS_FLAG, AT(options.anywhere)},
    {"ignore-rules", 0, NULL, "Let no rule (separate, together, avoid) hold these guests", 1,
     OPTIONS_MOVE, IS_FLAG, AT(options.ignore_rules)},
    {"attempts", 0, "N", "Maximum number of attempts", 1, OPTIONS_MOVE, IS_COUNT,
     AT(options.attempts), ATTEMPTS_MOST},
    {"bandwidth", 0, "RATE", "Maximum bandwidth of each migration, for example 200MiB/s", 2,
     OPTIONS_MOVE | OPTIONS_MODIFY, IS_RATE, AT(options.bandwidth)},
    {"downtime", 0, "TIME", "Maximum pause of the guest, for example 300ms", 2,
     OPTIONS_MOVE | OPTIONS_MODIFY, IS_TIME, AT(options.downtime_for)},
    {"timeout", 0, "TIME", "Abort a migration that takes longer, for example 20min", 2,
     OPTIONS_MOVE | OPTIONS_MODIFY, IS_TIME, AT(options.timeout_for)},
    {"stall", 0, "TIME", "Abort a migration that makes no progress for this long, for example 60s",
     2, OPTIONS_MOVE | OPTIONS_MODIFY, IS_TIME, AT(options.stall_for)},
    {"auto-converge", 0, NULL, "Slow down a guest that writes faster than its memory is copied", 2,
     OPTIONS_MOVE, IS_FLAG, AT(options.auto_converge)},
    {"fence", 0, "MODE",
     "Resume the guest only when its source can no longer run it: always or never", 2,
     OPTIONS_MOVE, IS_FENCE, AT(options.fence)},
    {"unsafe", 0, NULL, "Skip libvirt's shared-storage check", 2, OPTIONS_MOVE, IS_FLAG,
     AT(options.unsafe)},

    {"run", 0, "COMMAND", "What is done to each hypervisor while it is empty, by sh, with its name in RMIGRATE_HOST", 1,
     OPTIONS_MAINTAIN, IS_TEXT, AT(run)},
    {"at-once", 0, "N", "So many hypervisors at a time (default: 1)", 1, OPTIONS_MAINTAIN, IS_COUNT,
     AT(at_once), LIMIT_MOST},
    {"reboots", 0, NULL, "The command reboots: a hypervisor is back when another process of its worker is there", 1,
     OPTIONS_MAINTAIN, IS_FLAG, AT(reboots)},
    {"back-within", 0, "TIME", "Give up when a hypervisor is not back after its command for so long (default: 30min)", 1,
     OPTIONS_MAINTAIN, IS_TIME, AT(back_within)},

    {"batch", 0, "NUMBER", "Jobs of this batch", 1, OPTIONS_SELECT, IS_COUNT, AT(batch),
     UINT64_MAX},
    {"guests", 0, "NODERANGE", "Jobs of these guests", 1, OPTIONS_SELECT, IS_TEXT, AT(guests)},
    {"host", 0, "HOST", "Jobs that move guests away from this host", 1, OPTIONS_HOST, IS_TEXT,
     AT(host)},
    {"host", 0, "HOSTS", "Everything that moves guests away from these hosts, also jobs to come", 1,
     OPTIONS_HOLD, IS_TEXT, AT(host)},
    {"site", 0, NULL, "Everything, also jobs to come", 1, OPTIONS_HOLD, IS_FLAG, AT(site)},
    {"all", 0, NULL, "Also guests that somebody has moved since", 1, OPTIONS_HOME, IS_FLAG, AT(all)},
    {"all", 0, NULL, "All unfinished jobs", 1, OPTIONS_SELECT, IS_FLAG, AT(all)},

    {"batch", 0, "NUMBER", "At first, only jobs of this batch", 1, OPTIONS_TOP, IS_COUNT, AT(batch),
     UINT64_MAX},
    {"host", 0, "HOST", "At first, only jobs from and to this host", 1, OPTIONS_TOP, IS_TEXT,
     AT(host)},
    {"batch", 0, "NUMBER", "Only jobs of this batch, finished ones included", 1, OPTIONS_JOBS,
     IS_COUNT, AT(batch), UINT64_MAX},
    {"state", 0, "STATE,...", "Only jobs in these states, for example running,waiting", 1,
     OPTIONS_JOBS, IS_STATES, .most = 0},
    {"host", 0, "HOST", "Only jobs that move guests away from this host", 1, OPTIONS_JOBS, IS_TEXT,
     AT(host)},
    {"to", 0, "HOST", "Only jobs that move guests to this host", 1, OPTIONS_JOBS, IS_TEXT, AT(to)},
    {"finished", 'a', NULL, "Include finished jobs", 1, OPTIONS_JOBS, IS_FLAG, AT(finished)},
    {"host", 0, "HOST", "Only guests that run on this host", 1, OPTIONS_GUESTS, IS_TEXT, AT(host)},
    {"limit", 0, "N", "Show only the newest N", 1, OPTIONS_LIMIT, IS_COUNT, AT(limit), LIMIT_MOST},

    {"repair", 0, NULL, "Write what the hypervisors report into the table", 1, OPTIONS_REPAIR,
     IS_FLAG, AT(repair)},
    {"mend", 0, NULL, NULL, 1, OPTIONS_REPAIR, IS_FLAG, AT(repair)},
    {"dir", 0, "DIRECTORY", "Write NAME.key there (default: the current directory)", 1,
     OPTIONS_KEYGEN, IS_TEXT, AT(dir)},
    {"role", 0, "ROLE", "viewer, operator, admin or worker (default: operator)", 1, OPTIONS_KEYGEN,
     IS_ROLE, AT(role)},
    {"broker", 0, NULL, "Create the broker's own key, which has no role", 1, OPTIONS_KEYGEN, IS_FLAG,
     AT(broker)},
    {"owner", 0, "USER",
     "Give the file to this user, which needs root (default: you; with --broker, from root: "
     "rmigrate)", 1, OPTIONS_KEYGEN, IS_TEXT, AT(owner)},

    {"address", 0, "HOST", "Where the hypervisors reach this machine, HOST or HOST:PORT (default: its name, 9749)", 1,
     OPTIONS_INIT, IS_TEXT, AT(address)},
    {"operators", 0, "NAME,...", "People who get a key, to move guests from other machines", 1,
     OPTIONS_INIT, IS_TEXT, AT(operators)},
    {"dir", 0, "DIRECTORY", "Write there (default: /etc/rmigrate)", 1, OPTIONS_INIT, IS_TEXT,
     AT(dir)},
    {"owner", 0, "USER", "Whom the broker's key belongs to (default: you; from root: rmigrate)", 1,
     OPTIONS_INIT, IS_TEXT, AT(owner)},

    {"addrows", 'a', NULL, "Keep the existing rows", 1, OPTIONS_RESTORE, IS_FLAG, AT(add)},
    {"where", 'w', "COLUMN==VALUE",
     "Only rows that meet this condition; also != =~ !~ > < >= <=, where % and _ are wildcards of "
     "=~ and !~", 1, OPTIONS_DUMP, IS_WHERE, .most = 0},
    {"file", 'f', "FILE", "Write to FILE", 1, OPTIONS_DUMP, IS_TEXT, AT(file)},
    {"describe", 'd', NULL, "Describe the tables, or the columns of TABLE", 1, OPTIONS_DUMP,
     IS_FLAG, AT(describe)},
    {"secrets", 0, NULL, "Show passwords; needs the role admin", 1, OPTIONS_SECRETS, IS_FLAG,
     AT(secrets)},
    {"with-fieldname", 'H', NULL, "Print the name of the column before each value", 1,
     OPTIONS_FIELDS, IS_FLAG, AT(fields)},
    {"blame", 'b', NULL, "Show the group that a value is inherited from", 1, OPTIONS_NODES, IS_FLAG,
     AT(blame)},
    {"hidden", 'S', NULL, "Without a noderange: include hidden nodes", 1, OPTIONS_NODES, IS_FLAG,
     AT(hidden)},
    {"delete", 'd', NULL, "Delete the rows of these tables", 1, OPTIONS_DELETE, IS_FLAG,
     AT(delete)},
};
/* clang-format on */

#define ROWS (sizeof(rows) / sizeof(rows[0]))
_Static_assert(ROWS < OPTIONS_MAX, "option_list() fills a list of OPTIONS_MAX");

static int key_of(const struct option_row *row)
{
    return row->letter ? row->letter : KEY_FIRST + (int)(row - rows);
}

void option_list(unsigned sets, struct argp_option ret_list[static OPTIONS_MAX])
{
    size_t n = 0;
    for (const struct option_row *row = rows; row < rows + ROWS; row++)
        if (row->sets & sets)
            ret_list[n++] = (struct argp_option){row->name, key_of(row),
                                                 row->arg,  row->help ? 0 : OPTION_HIDDEN,
                                                 row->help, row->group};
    ret_list[n] = (struct argp_option){0};
}

bool option_takes_value(const char *name, size_t length, int letter)
{
    for (const struct option_row *row = rows; row < rows + ROWS; row++)
        if (row->arg && (name ? strncmp(row->name, name, length) == 0 : row->letter == letter))
            return true;
    return false;
}

/* ---- values */

static int bad_value(struct rm_err *err, const struct option_row *row, const char *value,
                     const char *why)
{
    return rm_fail(err, -EINVAL, "--%s: %s%s%s", row->name, value ? value : "", value ? ": " : "",
                   why);
}

static int take_count(const struct option_row *row, const char *value, void *field,
                      struct rm_err *err)
{
    uint64_t n;
    if (args_number(value, row->most, &n) < 0)
        return rm_fail(err, -EINVAL, "--%s: '%s' is not a number from 1 to %" PRIu64, row->name,
                       value, row->most);
    if (row->at.size == sizeof(uint64_t))
        *(uint64_t *)field = n;
    else
        *(uint32_t *)field = (uint32_t)n;
    return 0;
}

static int take_unit(const struct option_row *row, const char *value, void *field,
                     struct rm_err *err)
{
    uint64_t n;
    struct rm_err why = {0};
    int r = row->kind == IS_RATE ? unit_rate(value, &n, &why) : unit_duration(value, &n, &why);
    if (r < 0)
        return bad_value(err, row, NULL, why.text);
    if (n == 0)
        return bad_value(err, row, value, "must be more than 0");
    *(uint64_t *)field = n;
    return 0;
}

static int take_states(const struct option_row *row, const char *value, struct args *args,
                       struct rm_err *err)
{
    char *copy = strdup(value), *save = NULL;
    int r = copy ? 0 : rm_fail(err, -ENOMEM, "no memory");
    for (char *name = copy ? strtok_r(copy, ",", &save) : NULL; name && r == 0;
         name = strtok_r(NULL, ",", &save)) {
        RmState state = job_state_parse(name);
        if (strcmp(name, "paused") == 0)
            args->paused = true; /* those of the waiting ones that wait for a person */
        else if (state == RM_STATE__NO_STATE || args->n_states == ARGS_STATES_MAX)
            r = bad_value(err, row, name,
                          "a state is one of queued, assigned, running, cancelling, waiting, "
                          "paused, doubt, done, failed, cancelled");
        else
            args->states[args->n_states++] = state;
    }
    free(copy);
    return r;
}

static int take(const struct option_row *row, const char *value, struct args *args,
                struct rm_err *err)
{
    void *field = (char *)args + row->at.offset;
    enum fence_mode fence;
    switch (row->kind) {
    case IS_FLAG:
        if (row->at.size == sizeof(bool))
            *(bool *)field = true;
        else
            *(protobuf_c_boolean *)field = true;
        return 0;
    case IS_TEXT:
        if (value[0] == '\0')
            return bad_value(err, row, NULL, "needs a value");
        *(const char **)field = value;
        return 0;
    case IS_COUNT:
        return take_count(row, value, field, err);
    case IS_RATE:
    case IS_TIME:
        return take_unit(row, value, field, err);
    case IS_FENCE:
        if (fence_parse(value, &fence) < 0)
            return bad_value(err, row, value, "must be auto, always or never");
        *(uint32_t *)field = 1 + (uint32_t)fence;
        return 0;
    case IS_ROLE:
        if (role_parse(value, field) < 0 || *(enum role *)field == ROLE_NONE)
            return bad_value(err, row, value, "must be viewer, operator, admin or worker");
        return 0;
    case IS_STATES:
        return take_states(row, value, args, err);
    case IS_WHERE:
        args->where[args->n_where++] = value;
        return 0;
    case IS_KEY:
        break;
    }
    return ARGP_ERR_UNKNOWN;
}

int option_operand(unsigned sets, const char *word, struct args *args, struct rm_err *err)
{
    size_t length = strcspn(word, "=");
    if (word[length] == '\0')
        return 0;
    for (const struct option_row *row = rows; row < rows + ROWS; row++)
        if ((row->sets & sets) && strlen(row->name) == length &&
            strncasecmp(row->name, word, length) == 0)
            return take(row, word + length + 1, args, err) < 0 ? -EINVAL : 1;
    return 0;
}

int option_take(unsigned sets, int key, const char *value, struct args *args, struct rm_err *err)
{
    for (const struct option_row *row = rows; row < rows + ROWS; row++)
        if ((row->sets & sets) && key_of(row) == key)
            return take(row, value, args, err);
    return ARGP_ERR_UNKNOWN;
}
