/*
 * Lock down the calling process: open everything, call lazaret_lockdown(), and only then parse.
 *
 *     char error[LAZARET_ERROR_SIZE];
 *     if (lazaret_lockdown("compute", 0, error, sizeof error) != LAZARET_OK) {
 *         fprintf(stderr, "%s\n", error);
 *         return 1;
 *     }
 *
 * From then on the process, in every thread of it and for the rest of its life, has the system calls that its policy
 * allows, less those that reach beyond the process (signals to others, new sockets, programs, IPC, tracing); it has no
 * capability, limits that it cannot lift, and Landlock. Linux alone, x86-64 and aarch64.
 *
 * Link with `pkg-config --cflags --libs lazaret`, or `--static` for liblazaret.a. C89 and later, and C++. Every function
 * can be called from any thread, and takes null pointers where it says so; none throws or unwinds.
 *
 * Locking down is not for signal handlers, nor for a child between fork() and exec of a process with threads.
 */
#ifndef LAZARET_H
#define LAZARET_H

#include <stddef.h>

#define LAZARET_VERSION_MAJOR 0
#define LAZARET_VERSION_MINOR 1
#define LAZARET_VERSION_PATCH 0

/* A buffer of this many bytes holds most error texts whole. A longer text is cut, at a whole character. */
#define LAZARET_ERROR_SIZE 1024

/* Answers of all functions that return int. */

/* Done. */
#define LAZARET_OK 0
/* An argument is wrong: a null or empty policy, text that is not UTF-8, an unknown flag. Nothing was changed. */
#define LAZARET_BAD_ARGUMENT 1
/* The policy is wrong, or forbids what every process needs. Nothing was changed. */
#define LAZARET_BAD_POLICY 2
/* The policy requires what a process cannot give itself here. Nothing was changed. */
#define LAZARET_UNMET 3
/* The pre-flight found what keeps the lockdown from holding. Nothing was changed. */
#define LAZARET_FINDINGS 4
/* The process is locked down already, and stays so. Nothing was changed. */
#define LAZARET_ALREADY 5
/* A step failed: the process is NOT locked down, and some of it cannot be taken back. The text says what. End it. */
#define LAZARET_PARTIAL 6
/* The process could not look at itself, memory ran out, or a defect of the library. Nothing was changed. */
#define LAZARET_FAILED 7

/* Flags of lazaret_lockdown(). */

/* What lets the process do more than the policy suggests, such as an open device, is an error: LAZARET_FINDINGS. */
#define LAZARET_STRICT 1u

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Says, within a job of Lazaret's, that it has all of its input, so that what its policy ends then is ended: the network of a
 * policy with [net] until = "input-complete". Returns 1 when there is a supervisor who ended it, otherwise 0.
 */
int lazaret_input_complete(void);

/*
 * Says, within a job of Lazaret's, that its work begins: that it is about to look at what nobody vouches for. Of the files that
 * its policy gives it only those are left that [phase.work] names, for every thread and process; what is open stays open.
 * Returns 1 when there is a supervisor who saw to it, otherwise 0.
 */
int lazaret_work_begins(void);

/*
 * Locks the process down.
 *
 * policy      the name of a built-in policy, such as "compute", or, with a slash in it, the path of a TOML file, such as
 *             "./parser.toml". Its tier has to be "seccomp".
 * flags       0 or LAZARET_STRICT.
 * error       where to put why not and what can be done: UTF-8, always terminated when error_size is not 0, and empty on
 *             success. May be null.
 * error_size  how many bytes there is room for.
 *
 * All threads get the filter, or the call fails. See the answers above.
 */
int lazaret_lockdown(const char *policy, unsigned flags, char *error, size_t error_size);

/* The same with the text of a policy in place of its name: "extends = \"compute\"\n[limits]\nmemory = \"64MiB\"\n". */
int lazaret_lockdown_text(const char *toml, unsigned flags, char *error, size_t error_size);

/*
 * Tells what lazaret_lockdown() would hold, break and leave open, with the descriptors and threads that there are now.
 * Changes nothing.
 *
 * json        set to a JSON object that the caller gives back with lazaret_free(): "policy", "threads", "controls" (each
 *             with "layer", "holding", "detail", "why_not") and "findings", the worst first (each with "severity", one of
 *             "refused", "breaks", "widens" and "note", "text" and "todo"). Set to null on error. Must not be null.
 *
 * LAZARET_OK also when there are findings of severity "refused", with which lazaret_lockdown() would fail.
 */
int lazaret_preflight(const char *policy, char **json, char *error, size_t error_size);

/* The same with the text of a policy. */
int lazaret_preflight_text(const char *toml, char **json, char *error, size_t error_size);

/*
 * What holds since the last successful lockdown: JSON as of lazaret_preflight(). Null when there was none. It belongs to
 * the library and stays valid; it makes no system call.
 */
const char *lazaret_report(void);

/* Gives back what lazaret_preflight() made. Null is ignored. */
void lazaret_free(char *json);

/* The library's version, such as "0.1.0". It belongs to the library and stays valid. */
const char *lazaret_version(void);

#ifdef __cplusplus
}
#endif

#endif /* LAZARET_H */
