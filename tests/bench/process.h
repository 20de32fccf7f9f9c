/* process.h - a program that is measured: started, looked at through /proc, ended by its number */
#ifndef TESTS_BENCH_PROCESS_H
#define TESTS_BENCH_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

struct usage {
    double user, system; /* seconds of processor */
    uint64_t resident;   /* bytes in memory, mapped files included */
    uint64_t own;        /* of them those that belong to no file: the heap */
};

/* Its output goes to the end of that file. Ends the caller where it cannot be started. It gets SIGKILL when the
 * caller ends. */
pid_t process_start(char *const argv[], const char *log);

/* Sends the signal and waits for the end; what wait() says of it. 0 as a signal only waits. */
int process_end(pid_t pid, int signal);

/* Zeros where there is no such process. */
struct usage process_usage(pid_t pid);

#endif
