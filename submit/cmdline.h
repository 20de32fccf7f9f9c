/* cmdline.h - the command line: which command, its operands and its options
 *
 * The first word that is no option and no option's value is a command, or else the noderange of
 * `submit`; options may precede and follow it. Errors are printed on stderr as argp does, and the
 * program ends with EXIT_USAGE; --help and --version end it as well. */
#ifndef SUBMIT_CMDLINE_H
#define SUBMIT_CMDLINE_H

#include "submit/args.h"
#include "submit/command.h"

/* flags: of argp_parse; 0, or ARGP_NO_EXIT | ARGP_NO_ERRS in tests. 0, -EINVAL (only where argp may
 * not exit) or -ENOMEM. On success *ret_args is to be freed with args_done(). */
int cmdline_parse(int argc, char **argv, unsigned flags, const struct command **ret_command,
                  struct args *ret_args);

/* Replaces ^FILE in every noderange by what the files hold; an error is printed. 0 or -EINVAL. */
int cmdline_read_files(const struct command *command, struct args *args);

#endif
