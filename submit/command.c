/* command.c - the one table of commands */
#include "submit/command.h"

#include "submit/host_cmd.h"
#include "submit/job_cmd.h"
#include "submit/job_list.h"
#include "submit/table_cmd.h"

#include <string.h>

/* ---- options, in the groups in which --help shows them */

#define COMMON                                                                                     \
    {"config", KEY_CONF, "FILE", 0, "Read the settings from FILE", 9},                             \
        {"verbose", KEY_VERBOSE, NULL, 0, "Say more", 9},                                          \
        {"help", KEY_HELP, NULL, 0, "Show this help", 9},                                          \
        {"version", KEY_VERSION, NULL, 0, "Show the version", 9},                                  \
        {"usage", KEY_USAGE, NULL, OPTION_HIDDEN, NULL, 9},                                        \
    {                                                                                              \
        NULL, 0, NULL, 0, NULL, 0                                                                  \
    }

#define JSON                                                                                       \
    {                                                                                              \
        "json", KEY_JSON, NULL, 0, "Print JSON for programs", 5                                    \
    }

#define LISTING                                                                                    \
    JSON,                                                                                          \
    {                                                                                              \
        "noheadings", KEY_NOHEADINGS, NULL, 0, "Leave out the line of headings", 5                 \
    }

#define WAITING                                                                                    \
    {"cancel-on-interrupt",                                                                        \
     KEY_CANCEL_ON_INTERRUPT,                                                                      \
     NULL,                                                                                         \
     0,                                                                                            \
     "Ctrl-C cancels the jobs; without it they go on",                                             \
     4},                                                                                           \
    {                                                                                              \
        "json", KEY_JSON, NULL, 0,                                                                 \
            "Print a JSON object for each guest that is finished, one a line", 5                   \
    }

#define MOVE                                                                                       \
    {"to", KEY_TO, "HOSTS", 0, "Choose the destination among these hosts", 1},                     \
        {"detach", KEY_DETACH, NULL, 0, "Print the batch's number and do not wait", 1},            \
        {"reason", KEY_REASON, "TEXT", 0, "Stands in the history", 1},                             \
        {"priority", KEY_PRIORITY, "N", 0, "Lower comes first; 100 if not given", 1},              \
        {"anywhere",                                                                               \
         KEY_ANYWHERE,                                                                             \
         NULL,                                                                                     \
         0,                                                                                        \
         "When the destination turns out unfit, any other open host will do",                      \
         1},                                                                                       \
        {"attempts", KEY_ATTEMPTS, "N", 0, "Tries at most", 1},                                    \
        {"bandwidth", KEY_BANDWIDTH, "RATE", 0, "Most that one migration may send: 200 MiB/s", 2}, \
        {"downtime", KEY_DOWNTIME, "TIME", 0, "Longest pause of the guest: 300 ms", 2},            \
        {"timeout", KEY_TIMEOUT, "TIME", 0, "Give a migration up after this: 20 min", 2},          \
        {"stall", KEY_STALL, "TIME", 0, "Give it up when nothing moves for this long: 60 s", 2},   \
        {"auto-converge",                                                                          \
         KEY_AUTO_CONVERGE,                                                                        \
         NULL,                                                                                     \
         0,                                                                                        \
         "Slow down a guest that writes faster than the link carries",                             \
         2},                                                                                       \
        {"fence",                                                                                  \
         KEY_FENCE,                                                                                \
         "MODE",                                                                                   \
         0,                                                                                        \
         "Resume the guest only when its source cannot run it any more: auto, always, never",      \
         2},                                                                                       \
    {                                                                                              \
        "unsafe", KEY_UNSAFE, NULL, 0,                                                             \
            "Your word that the storage is shared although the hypervisor cannot see it", 2        \
    }

#define SELECT                                                                                     \
    {"batch", KEY_BATCH, "NUMBER", 0, "All jobs of this batch", 1},                                \
        {"guests", KEY_GUESTS, "NODERANGE", 0, "The jobs of these guests", 1},                     \
        {"host", KEY_HOST, "HOST", 0, "The jobs away from this host", 1},                          \
        {"all", KEY_ALL, NULL, 0, "Every unfinished job", 1},                                      \
    {                                                                                              \
        "reason", KEY_REASON, "TEXT", 0, "Stands in the history", 1                                \
    }

#define SECRETS                                                                                    \
    {                                                                                              \
        "secrets", KEY_SECRETS, NULL, 0, "Passwords as they are; needs the role admin", 1          \
    }

#define LIMIT                                                                                      \
    {                                                                                              \
        "limit", KEY_LIMIT, "N", 0, "The newest N rows", 1                                         \
    }

static const struct argp_option general_options[] = {COMMON};
static const struct argp_option submit_options[] = {
    MOVE, {"dry-run", KEY_DRY_RUN, NULL, 0, "Check everything, move nothing", 1}, WAITING, COMMON};
static const struct argp_option evacuate_options[] = {
    MOVE,
    {"plan", KEY_PLAN, NULL, 0, "Print who would go where, change nothing", 1},
    WAITING,
    {"noheadings", KEY_NOHEADINGS, NULL, 0, "Leave out the line of headings of the plan", 5},
    COMMON};
static const struct argp_option wait_options[] = {WAITING, COMMON};
static const struct argp_option select_options[] = {SELECT, JSON, COMMON};
static const struct argp_option reason_options[] = {
    {"reason", KEY_REASON, "TEXT", 0, "Stands in the history", 1}, JSON, COMMON};
static const struct argp_option list_options[] = {LISTING, COMMON};
static const struct argp_option ping_options[] = {JSON, COMMON};
static const struct argp_option events_options[] = {LIMIT, LISTING, COMMON};
static const struct argp_option guests_options[] = {
    {"host", KEY_HOST, "HOST", 0, "Only guests that run on this host", 1}, LISTING, COMMON};
static const struct argp_option jobs_options[] = {
    {"batch", KEY_BATCH, "NUMBER", 0, "Only jobs of this batch, finished ones too", 1},
    {"state", KEY_STATE, "STATE,...", 0, "Only jobs in these states: running,waiting", 1},
    {"host", KEY_HOST, "HOST", 0, "Only jobs away from this host", 1},
    {"finished", KEY_FINISHED, NULL, 0, "Finished jobs too", 1},
    {NULL, KEY_ADD, NULL, 0, "The same as --finished", 1},
    LIMIT,
    LISTING,
    COMMON};
static const struct argp_option reconcile_options[] = {
    {"mend", KEY_MEND, NULL, 0, "Write into the table what the hypervisors say", 1},
    LISTING,
    COMMON};
static const struct argp_option restore_options[] = {
    {"addrows", KEY_ADD, NULL, 0, "Keep the rows that are there", 1}, COMMON};
static const struct argp_option dump_options[] = {
    {"where", KEY_WHERE, "COLUMN==VALUE", 0,
     "Only rows that meet this; != =~ !~ > < >= <= as well, % and _ are wildcards of =~", 1},
    {"file", KEY_FILE, "FILE", 0, "Write to FILE", 1},
    {"describe", KEY_DELETE, NULL, 0, "Say what the tables, or a table's columns, are for", 1},
    SECRETS,
    LISTING,
    COMMON};
static const struct argp_option nodels_options[] = {
    {"with-fieldname", KEY_FIELDS, NULL, 0, "Each value with the name of its column", 1},
    {"blame", KEY_BLAME, NULL, 0, "Say from which group a value is inherited", 1},
    {"hidden", KEY_HIDDEN, NULL, 0, "Without a noderange: hidden nodes too", 1},
    SECRETS,
    JSON,
    COMMON};
static const struct argp_option gettab_options[] = {
    {"with-fieldname", KEY_FIELDS, NULL, 0, "Each value with the name of its column", 1},
    SECRETS,
    COMMON};
static const struct argp_option delete_options[] = {
    {"delete", KEY_DELETE, NULL, 0, "Delete the rows of these tables", 1}, COMMON};
static const struct argp_option keygen_options[] = {
    {"dir", KEY_DIR, "DIRECTORY", 0, "Write NAME.key there; here if not given", 1},
    {"role", KEY_ROLE, "ROLE", 0, "viewer, operator, admin or worker; operator if not given", 1},
    COMMON};

/* ---- commands */

#define ZVM_MORE                                                                                   \
    "Operands for guests on z/VM, in any order and case; others ignore them: destination=HOST, "   \
    "action=MOVE|TEST|CANCEL, force=ARCHITECTURE|DOMAIN|STORAGE (several), immediate=YES|NO, "     \
    "max_total=NOLIMIT|SECONDS, max_quiesce=NOLIMIT|SECONDS.\n\n"

#define MOVE_MORE                                                                                  \
    "A noderange is a name, a list a,b, a range kvm[01-20], a group, and more: noderange(7).\n\n"  \
    "Exit status: 0 all is well, 1 some guest failed, 2 usage, 3 the broker was not reached, 5 "   \
    "not permitted, 130 interrupted."

static const struct command commands[] = {
    {.name = "submit",
     .topic = "Moving guests",
     .operands = "NODERANGE [TARGET] [KEY=VALUE...]",
     .doc = "Move guests to another hypervisor and wait",
     .more = "Without TARGET or --to the destination is chosen: from vm.migrationdest, else from "
             "all open hosts. `rmigrate NODERANGE TARGET' is short for this "
             "command.\n\n" ZVM_MORE MOVE_MORE,
     .options = submit_options,
     .least = 1,
     .most = 2,
     .has_target = true,
     .takes = OPERANDS_OF_MOVE,
     .has_nodes = true,
     .run = job_submit},
    {.name = "evacuate",
     .operands = "HOSTS [KEY=VALUE...]",
     .doc = "Empty hypervisors: close them, plan for all their guests, move, wait",
     .more = MOVE_MORE,
     .options = evacuate_options,
     .least = 1,
     .most = 1,
     .takes = OPERANDS_OF_EVACUATION,
     .has_nodes = true,
     .run = job_evacuate},
    {.name = "watch",
     .operands = "[NUMBER...]",
     .doc = "Follow jobs or batches live; without a number all that are unfinished",
     .options = wait_options,
     .most = COMMAND_ANY,
     .run = job_watch},
    {.name = "wait",
     .operands = "NUMBER...",
     .doc = "Wait for jobs or batches, print how each ended",
     .options = wait_options,
     .least = 1,
     .most = COMMAND_ANY,
     .run = job_watch},

    {.name = "jobs",
     .topic = "Looking",
     .operands = "[NODERANGE]",
     .doc = "List jobs: the unfinished ones, and with -a the others too",
     .options = jobs_options,
     .most = 1,
     .has_nodes = true,
     .run = job_list},
    {.name = "show",
     .operands = "JOB",
     .doc = "Everything about one job, with its history",
     .options = list_options,
     .least = 1,
     .most = 1,
     .run = job_show},
    {.name = "history",
     .operands = "GUEST",
     .doc = "The moves of a guest, the newest first",
     .options = events_options,
     .least = 1,
     .most = 1,
     .has_nodes = true,
     .run = job_history},
    {.name = "queue",
     .operands = "[HOSTS]",
     .doc = "The queue of each hypervisor, and why its next job waits",
     .options = list_options,
     .most = 1,
     .has_nodes = true,
     .run = host_queue},
    {.name = "hosts",
     .operands = "[HOSTS]",
     .doc = "Hypervisors: open or closed, guests, memory",
     .options = list_options,
     .most = 1,
     .has_nodes = true,
     .run = host_list},
    {.name = "guests",
     .operands = "[NODERANGE]",
     .doc = "Guests and where they run",
     .options = guests_options,
     .most = 1,
     .has_nodes = true,
     .run = host_guests},
    {.name = "workers",
     .operands = "",
     .doc = "Workers that are connected",
     .options = list_options,
     .run = host_workers},
    {.name = "events",
     .operands = "",
     .doc = "What happened on the site: hosts, tables, denials",
     .options = events_options,
     .run = host_events},

    {.name = "cancel",
     .topic = "Changing jobs",
     .operands = "[JOB...]",
     .doc = "Stop jobs; a guest that is under way stays where it was",
     .options = select_options,
     .most = COMMAND_ANY,
     .needs_select = true,
     .run = job_change},
    {.name = "retry",
     .operands = "[JOB...]",
     .doc = "Try again now: jobs that wait, and failed ones anew",
     .options = select_options,
     .most = COMMAND_ANY,
     .needs_select = true,
     .run = job_change},
    {.name = "pause",
     .operands = "[JOB...]",
     .doc = "Hold jobs back that have not begun",
     .options = select_options,
     .most = COMMAND_ANY,
     .needs_select = true,
     .run = job_change},
    {.name = "resume",
     .operands = "[JOB...]",
     .doc = "Let paused jobs go on",
     .options = select_options,
     .most = COMMAND_ANY,
     .needs_select = true,
     .run = job_change},
    {.name = "modify",
     .operands = "[JOB...] max_total=TIME max_quiesce=TIME",
     .doc = "Other limits for moves of z/VM guests that run",
     .more = "One of both is enough. TIME is NOLIMIT or seconds.",
     .options = select_options,
     .most = COMMAND_ANY,
     .needs_select = true,
     .takes = OPERANDS_OF_LIMITS,
     .run = job_modify},
    {.name = "release",
     .operands = "NODERANGE",
     .doc = "Unlock guests that were left in doubt, after you have looked yourself",
     .options = reason_options,
     .least = 1,
     .most = 1,
     .has_nodes = true,
     .run = job_change},

    {.name = "open",
     .topic = "Changing the site",
     .operands = "HOSTS",
     .doc = "Guests may be sent there",
     .options = reason_options,
     .least = 1,
     .most = 1,
     .has_nodes = true,
     .run = host_change},
    {.name = "close",
     .operands = "HOSTS",
     .doc = "Guests may not be sent there",
     .options = reason_options,
     .least = 1,
     .most = 1,
     .has_nodes = true,
     .run = host_change},
    {.name = "reconcile",
     .operands = "[NODERANGE]",
     .doc = "Hold the vm table against what runs where",
     .options = reconcile_options,
     .most = 1,
     .has_nodes = true,
     .run = table_reconcile},

    {.name = "nodels",
     .topic = "Nodes and tables",
     .operands = "[NODERANGE [TABLE.COLUMN|TABLE|groups|mgt|CONDITION...]]",
     .doc = "List nodes and their attributes, as they come through groups and patterns",
     .more = "A CONDITION is TABLE.COLUMN==VALUE, !=, =~ or !~: only nodes that meet it.",
     .options = nodels_options,
     .most = COMMAND_ANY,
     .has_nodes = true,
     .run = table_nodels},
    {.name = "nodech",
     .operands = "NODERANGE TABLE.COLUMN=VALUE... | -d NODERANGE TABLE...",
     .doc = "Change attributes of nodes, in their own rows",
     .more = ",= puts a value in front of a list, ^= takes it out, =@ is = whatever the value "
             "begins with; ==, !=, =~ and !~ are conditions. An empty value means: none, whatever "
             "the groups say.",
     .options = delete_options,
     .least = 2,
     .most = COMMAND_ANY,
     .has_nodes = true,
     .run = table_nodech},
    {.name = "gettab",
     .operands = "COLUMN=VALUE[,...] TABLE.COLUMN...",
     .doc = "Print columns of one row as they are stored",
     .options = gettab_options,
     .least = 2,
     .most = COMMAND_ANY,
     .run = table_gettab},
    {.name = "chtab",
     .operands = "COLUMN=VALUE[,...] TABLE.COLUMN=VALUE... | -d COLUMN=VALUE[,...] TABLE...",
     .doc = "Change, make or delete rows; += adds to a list",
     .options = delete_options,
     .least = 2,
     .most = COMMAND_ANY,
     .run = table_chtab},
    {.name = "tabdump",
     .operands = "[TABLE]",
     .doc = "Print a table as CSV; without TABLE the names of all",
     .options = dump_options,
     .most = 1,
     .run = table_dump},
    {.name = "tabrestore",
     .operands = "FILE...|DIRECTORY",
     .doc = "Replace tables by CSV files, all or nothing",
     .more = "A file's name up to its first dot is the table's. Of a directory every TABLE.csv is "
             "taken whose table there is.",
     .options = restore_options,
     .least = 1,
     .most = COMMAND_ANY,
     .run = table_restore_files},
    {.name = "tabedit",
     .operands = "TABLE",
     .doc = "Change a table in an editor: TABEDITOR, else EDITOR, else vi",
     .options = general_options,
     .least = 1,
     .most = 1,
     .run = table_edit},

    {.name = "ping",
     .topic = "The rest",
     .operands = "",
     .doc = "Does the broker answer, and who am I to it",
     .options = ping_options,
     .run = host_ping},
    {.name = "keygen",
     .operands = "NAME",
     .doc = "Make a key and say what to do with it",
     .options = keygen_options,
     .least = 1,
     .most = 1,
     .local = true,
     .run = table_keygen},
    {.name = "version",
     .operands = "",
     .doc = "Show the version",
     .options = general_options,
     .local = true,
     .run = table_version},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const struct command general = {.name = "",
                                       .operands = "",
                                       .doc = "Move guests between hypervisors",
                                       .options = general_options};

const struct command *command_at(size_t i)
{
    return i < COMMANDS ? &commands[i] : NULL;
}

const struct command *command_general(void)
{
    return &general;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

void command_help(FILE *file)
{
    fputs("Usage: rmigrate NODERANGE [TARGET] [KEY=VALUE...]   move guests to another hypervisor\n"
          "       rmigrate COMMAND [OPTION...] ...\n",
          file);
    for (size_t i = 0; i < COMMANDS; i++) {
        const struct command *c = &commands[i];
        if (c->topic)
            fprintf(file, "\n%s\n", c->topic);
        int length = fprintf(file, "  %s %s", c->name, c->operands);
        if (length > 28)
            length = fprintf(file, "\n") - 1;
        fprintf(file, "%*s %s\n", 28 - length, "", c->doc);
    }
    fputs("\n`rmigrate COMMAND --help' tells the options of a command. For all of them:\n"
          "  -c, --config=FILE    read the settings from FILE (else RMIGRATE_CONF, else "
          "/etc/rmigrate/rmigrate.conf)\n"
          "  -V, --verbose        say more\n"
          "  -h, --help           show this help\n"
          "  -v, --version        show the version\n"
          "\nExit status: 0 all is well, 1 some guest failed, 2 usage, 3 the broker was not "
          "reached,\n4 table or CSV, 5 not permitted, 130 interrupted. More: rmigrate(1).\n",
          file);
}
