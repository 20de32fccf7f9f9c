/* command.c - the one table of commands */
#include "submit/command.h"

#include "submit/admin_cmd.h"
#include "submit/host_cmd.h"
#include "submit/init_cmd.h"
#include "submit/job_cmd.h"
#include "submit/job_list.h"
#include "submit/maintain_cmd.h"
#include "submit/option.h"
#include "submit/plan_cmd.h"
#include "submit/tables/dump_cmd.h"
#include "submit/tables/node_cmd.h"
#include "submit/tables/restore_cmd.h"
#include "submit/top/top_cmd.h"
#include "submit/whatif/whatif_cmd.h"

#include <string.h>

enum {
    OF_MOVE = OPTIONS_COMMON | OPTIONS_MOVE | OPTIONS_WAIT,
    OF_WAIT = OPTIONS_COMMON | OPTIONS_WAIT,
    OF_CHANGE = OPTIONS_COMMON | OPTIONS_REASON | OPTIONS_JSON,
    OF_SELECT = OPTIONS_COMMON | OPTIONS_SELECT | OPTIONS_HOST | OPTIONS_JSON,
    OF_HOLD = OPTIONS_COMMON | OPTIONS_SELECT | OPTIONS_HOLD | OPTIONS_JSON,
    OF_LISTING = OPTIONS_COMMON | OPTIONS_LISTING,
};

/* The words of KEY=VALUE are read by completion too (conf/completion). */
#define ZVM_LIMITS                                                                                 \
    "force=ARCHITECTURE|DOMAIN|STORAGE (several are allowed), immediate=YES|NO, "                  \
    "max_total=NOLIMIT|SECONDS, max_quiesce=NOLIMIT|SECONDS.\n\n"

#define ZVM_MORE                                                                                   \
    "Operands for guests on z/VM, in any order and in upper or lower case; other guests ignore "   \
    "all but destination= and action=: destination=HOST, action=MOVE|TEST|CANCEL, " ZVM_LIMITS

#define ZVM_EMPTY_MORE                                                                             \
    "Operands for guests on z/VM, in any order and in upper or lower case; other guests ignore "   \
    "all but destination=: destination=HOST, " ZVM_LIMITS

#define ZVM_HOME_MORE                                                                              \
    "Operands for guests on z/VM, in any order and in upper or lower case; other guests ignore "   \
    "them: " ZVM_LIMITS

#define MOVE_MORE                                                                                  \
    "A noderange is a name, a list a,b, a range kvm[01-20], a group, and more: noderange(7).\n\n"  \
    "Exit status: 0 success, 1 some guests failed, 2 wrong usage, 3 broker not reached, 5 not "    \
    "permitted, 130 interrupted."

/* clang-format off */
static const struct command commands[] = {
    {"submit", "NODERANGE [TARGET] [KEY=VALUE...]",
     "Move guests to another hypervisor and wait for them", 1, 2, OF_MOVE | OPTIONS_DRY_RUN | OPTIONS_LOCAL | OPTIONS_FROM,
     .has_nodes = true, .has_target = true, .takes = OPERANDS_OF_MOVE, .run = job_submit,
     .topic = "Moving guests",
     .more = "Without TARGET or --to, the destination is chosen from vm.migrationdest, or else from "
             "all open hosts. `rmigrate NODERANGE TARGET' is short for this "
             "command.\n\n" ZVM_MORE MOVE_MORE},
    {"evacuate", "HOSTS [KEY=VALUE...]",
     "Close hypervisors, move all their guests elsewhere and wait", 1, 1,
     OF_MOVE | OPTIONS_PLAN | OPTIONS_KEPT | OPTIONS_LOCAL,
     .has_nodes = true, .takes = OPERANDS_OF_EVACUATION, .run = whatif_evacuate,
     .more = "The destinations of all guests are chosen together.\n\n" ZVM_EMPTY_MORE MOVE_MORE
             " With --apply: 6 the plan cannot be carried out any more, nothing was moved."},
    {"restore", "HOSTS [KEY=VALUE...]",
     "Open hypervisors, bring back the guests that were evacuated from them and wait", 1, 1,
     OF_MOVE | OPTIONS_PLAN | OPTIONS_HOME, .has_nodes = true, .takes = OPERANDS_OF_EVACUATION,
     .run = job_restore,
     .more = "Guests that somebody has moved since stay where they are, unless --all is given.\n\n"
             ZVM_HOME_MORE MOVE_MORE},
    {"maintain", "HOSTS [KEY=VALUE...]",
     "Empty hypervisors one after the other, run a command for each, and bring their guests home", 1,
     1, OF_MOVE | OPTIONS_PLAN | OPTIONS_MAINTAIN,
     .has_nodes = true, .takes = OPERANDS_OF_EVACUATION, .run = maintain_hosts,
     .more = "It stops at the first hypervisor that cannot be emptied, whose command fails, that does not come back or "
             "whose guests do not; what it says then goes on with the others.\n\n" ZVM_EMPTY_MORE MOVE_MORE},
    {"watch", "[NUMBER...]", "Follow jobs or batches; without a number, all unfinished jobs",
     0, COMMAND_ANY, OF_WAIT, .run = job_watch},
    {"wait", "NUMBER...", "Wait for jobs or batches and print how each job ended",
     1, COMMAND_ANY, OF_WAIT, .run = job_watch},

    {"top", "", "Show hypervisors and jobs on the whole screen as they change; ? there shows the keys",
     0, 0, OPTIONS_COMMON | OPTIONS_TOP, .run = top_run, .topic = "Looking"},
    {"jobs", "[NODERANGE]", "List unfinished jobs; with -a, finished ones too",
     0, 1, OF_LISTING | OPTIONS_JOBS | OPTIONS_LIMIT, .has_nodes = true, .run = job_list},
    {"show", "JOB", "Show a job and its history", 1, 1, OF_LISTING, .run = job_show},
    {"history", "NODERANGE", "List the moves of guests, newest first",
     1, 1, OF_LISTING | OPTIONS_LIMIT, .has_nodes = true, .run = job_history},
    {"plans", "[PLAN]", "List the plans of evacuations that are kept, or show one of them",
     0, 1, OF_LISTING, .run = plan_list},
    {"snapshot", "", "Print the site as JSON, for evacuate --plan --snapshot", 0, 0, OPTIONS_COMMON,
     .run = whatif_snapshot},
    {"queue", "[HOSTS]", "Show the queue of each hypervisor and why its next job waits",
     0, 1, OF_LISTING, .has_nodes = true, .run = host_queue},
    {"hosts", "[HOSTS]", "List hypervisors: open or closed, guests, memory",
     0, 1, OF_LISTING, .has_nodes = true, .run = host_list},
    {"guests", "[NODERANGE]", "List guests and where they run",
     0, 1, OF_LISTING | OPTIONS_GUESTS, .has_nodes = true, .run = host_guests},
    {"workers", "", "List connected workers", 0, 0, OF_LISTING, .run = host_workers},
    {"events", "", "List events of the site: hosts, tables, denied requests",
     0, 0, OF_LISTING | OPTIONS_LIMIT, .run = host_events},

    {"cancel", "[JOB...]", "Stop jobs; a guest that is being moved stays on its source",
     0, COMMAND_ANY, OF_SELECT, .needs_select = true, .run = job_change,
     .ask = RM_REQUEST__ASK_CANCEL, .topic = "Changing jobs"},
    {"retry", "[JOB...]", "Retry waiting jobs now; submit failed and cancelled ones again",
     0, COMMAND_ANY, OF_SELECT, .needs_select = true, .run = job_change,
     .ask = RM_REQUEST__ASK_RETRY},
    {"pause", "[JOB...]", "Hold jobs that have not started, or everything until it is resumed",
     0, COMMAND_ANY, OF_HOLD, .needs_select = true, .run = job_change,
     .ask = RM_REQUEST__ASK_PAUSE},
    {"resume", "[JOB...]", "Let paused jobs, or everything, continue",
     0, COMMAND_ANY, OF_HOLD, .needs_select = true, .run = job_change,
     .ask = RM_REQUEST__ASK_RESUME},
    {"modify", "[JOB...] KEY=VALUE...",
     "Change limits of unfinished jobs, those in progress included, or their priority", 0,
     COMMAND_ANY, OF_SELECT | OPTIONS_MODIFY, .needs_select = true, .takes = OPERANDS_OF_LIMITS,
     .run = job_modify,
     .more = "KEY=VALUE is bandwidth=RATE, downtime=TIME, timeout=TIME, stall=TIME or priority=N, "
             "with the values of the options of these names, or, for relocations of guests on z/VM "
             "in progress, max_total=NOLIMIT|SECONDS or max_quiesce=NOLIMIT|SECONDS. A migration "
             "in progress goes on with its new limits; timeout and stall count from where they "
             "did, and its priority counts for a later attempt."},
    {"release", "NODERANGE", "Unlock guests left in doubt; check first where they run",
     1, 1, OF_CHANGE, .has_nodes = true, .run = job_release},

    {"open", "HOSTS", "Allow guests to be sent to hypervisors",
     1, 1, OF_CHANGE, .has_nodes = true, .run = host_change, .topic = "Changing the site"},
    {"close", "HOSTS", "Stop guests from being sent to hypervisors",
     1, 1, OF_CHANGE, .has_nodes = true, .run = host_change},
    {"reconcile", "[NODERANGE]", "Compare the vm table with what is running",
     0, 1, OF_LISTING | OPTIONS_REPAIR, .has_nodes = true, .run = admin_reconcile},

    {"nodels", "[NODERANGE [TABLE.COLUMN|TABLE|groups|mgt|CONDITION...]]",
     "List nodes and their attributes, with what groups and patterns add", 0, COMMAND_ANY,
     OPTIONS_COMMON | OPTIONS_NODES | OPTIONS_FIELDS | OPTIONS_SECRETS | OPTIONS_JSON,
     .has_nodes = true, .run = table_nodels, .topic = "Nodes and tables",
     .more = "A CONDITION is TABLE.COLUMN==VALUE, !=, =~ or !~. Only nodes that meet it are "
             "listed."},
    {"nodech", "NODERANGE TABLE.COLUMN=VALUE... | -d NODERANGE TABLE...",
     "Change attributes of nodes, in their own rows", 2, COMMAND_ANY,
     OPTIONS_COMMON | OPTIONS_DELETE, .has_nodes = true, .run = table_nodech,
     .more = ",= puts a value at the front of a list, += at its end, and ^= removes it. =@ is = for "
             "a value that begins with any character. ==, !=, =~ and !~ are conditions. An empty "
             "value means none, whatever the groups say."},
    {"gettab", "COLUMN=VALUE[,...] TABLE.COLUMN...",
     "Print columns of one row as they are stored", 2, COMMAND_ANY,
     OPTIONS_COMMON | OPTIONS_FIELDS | OPTIONS_SECRETS, .run = table_gettab},
    {"chtab", "COLUMN=VALUE[,...] TABLE.COLUMN=VALUE... | -d COLUMN=VALUE[,...] TABLE...",
     "Change, add or delete rows; += adds to a list", 2, COMMAND_ANY,
     OPTIONS_COMMON | OPTIONS_DELETE, .run = table_chtab},
    {"tabdump", "[TABLE]", "Print a table as CSV; without TABLE, list the tables",
     0, 1, OF_LISTING | OPTIONS_DUMP | OPTIONS_SECRETS, .run = table_dump},
    {"tabrestore", "FILE...|DIRECTORY", "Replace tables with CSV files, all of them or none",
     1, COMMAND_ANY, OPTIONS_COMMON | OPTIONS_RESTORE, .run = table_restore_files,
     .more = "The name of a file up to its first dot is the name of its table. From a directory, "
             "every TABLE.csv of an existing table is restored."},
    {"tabedit", "TABLE", "Edit a table with $TABEDITOR, $EDITOR or vi",
     1, 1, OPTIONS_COMMON, .run = table_edit},

    {"ping", "", "Check the broker and show my identity and role",
     0, 0, OPTIONS_COMMON | OPTIONS_JSON, .run = host_ping, .topic = "Other commands"},
    {"init", "HYPERVISOR...",
     "Make the settings and keys of a site: of the broker here, and of hypervisors",
     1, COMMAND_ANY, OPTIONS_COMMON | OPTIONS_INIT, .local = true, .run = init_run,
     .more = "Prints what is to be run next, here and on the hypervisors. Run again, it adds "
             "hypervisors and operators to the site that it has made."},
    {"keygen", "NAME", "Create a key and show how to use it",
     1, 1, OPTIONS_COMMON | OPTIONS_KEYGEN, .local = true, .run = admin_keygen},
    {"version", "", "Show the version", 0, 0, OPTIONS_COMMON, .local = true, .run = admin_version},
};
/* clang-format on */

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const struct command general = {"", "", "Move guests between hypervisors",
                                       .options = OPTIONS_COMMON};

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
    fputs("\n`rmigrate COMMAND --help' shows the options of a command. Options of all commands:\n"
          "  -c, --config=FILE    read the settings from FILE (default: RMIGRATE_CONF, or else\n"
          "                       /etc/rmigrate/rmigrate.conf)\n"
          "  -V, --verbose        print more\n"
          "  -h, --help           show this help\n"
          "  -v, --version        show the version\n"
          "\nExit status: 0 success, 1 some guests failed, 2 wrong usage, 3 broker not reached,\n"
          "4 table or CSV file, 5 not permitted, 6 a plan that does not hold any more,\n"
          "130 interrupted. More: rmigrate(1).\n",
          file);
}
