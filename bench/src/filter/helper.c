/*
 * What `bench filter` has done in C: a program out of libseccomp, and the cost of calls under a program.
 *
 *   helper export OPTIMIZE < RULES > PROGRAM      prints the time it took on standard error
 *   helper measure PROGRAM DIRECTORY              prints: install getppid read openat (nanoseconds)
 *
 * RULES are lines of numbers: `default ACTION`, then `rule ACTION NR COUNT` with COUNT times `INDEX MASK VALUE`.
 * An empty PROGRAM is none at all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int export(unsigned optimize) {
    char word[16];
    uint32_t action;
    if (scanf("%15s %" SCNu32, word, &action) != 2 || strcmp(word, "default"))
        fail("no default action");
    uint64_t begin = now();
    scmp_filter_ctx filter = seccomp_init(action);
    if (!filter || seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, optimize))
        fail("seccomp_init");
    int nr;
    unsigned count;
    while (scanf("%15s %" SCNu32 " %d %u", word, &action, &nr, &count) == 4) {
        struct scmp_arg_cmp args[6];
        for (unsigned at = 0; at < count; at++) {
            unsigned index;
            uint64_t mask, value;
            if (at == 6 || scanf("%u %" SCNu64 " %" SCNu64, &index, &mask, &value) != 3)
                fail("no condition");
            args[at] = (struct scmp_arg_cmp){index, SCMP_CMP_MASKED_EQ, mask, value};
            if (mask == UINT64_MAX)
                args[at] = (struct scmp_arg_cmp){index, SCMP_CMP_EQ, value, 0};
        }
        int done = seccomp_rule_add_array(filter, action, nr, count, args);
        if (done) {
            errno = -done;
            fail("seccomp_rule_add");
        }
    }
    if (seccomp_export_bpf(filter, STDOUT_FILENO))
        fail("seccomp_export_bpf");
    fprintf(stderr, "%" PRIu64 "\n", now() - begin);
    return 0;
}

/*
 * The time of one call, in hundredths of a nanosecond: the mean of the quietest of five blocks, so that whoever else runs
 * meanwhile does not count.
 */
#define COST(times, call) __extension__({                                  \
    uint64_t best = UINT64_MAX;                                            \
    for (int block = 0; block < 5; block++) {                              \
        uint64_t begin = now();                                            \
        for (int i = 0; i < (times); i++)                                  \
            call;                                                          \
        uint64_t mean = (now() - begin) * 100 / (uint64_t)(times);         \
        best = mean < best ? mean : best;                                  \
    }                                                                      \
    best;                                                                  \
})

static int measure(const char *path, const char *directory) {
    static struct sock_filter instructions[4096];
    int fd = open(path, O_RDONLY);
    ssize_t size = fd < 0 ? -1 : read(fd, instructions, sizeof instructions);
    if (size < 0)
        fail(path);
    int ends[2];
    if (pipe2(ends, O_NONBLOCK))
        fail("pipe2");
    /* What the process needs of the C library beside the measured calls, before there is a filter. */
    if (chdir(directory))
        fail(directory);
    uint64_t installing = 0;
    if (size > 0) {
        struct sock_fprog program = {(unsigned short)(size / sizeof *instructions), instructions};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
            fail("prctl");
        uint64_t begin = now();
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
            fail("seccomp");
        installing = now() - begin;
    }
    char byte;
    uint64_t getppid = COST(20000, syscall(SYS_getppid));
    uint64_t reading = COST(20000, syscall(SYS_read, ends[0], &byte, 1));
    if (syscall(SYS_read, ends[0], &byte, 1) != -1 || errno != EAGAIN)
        fail("read of an empty pipe");
    uint64_t opening = COST(4000, syscall(SYS_openat, AT_FDCWD, "missing", O_RDONLY | O_CLOEXEC, 0));
    if (syscall(SYS_openat, AT_FDCWD, "missing", O_RDONLY | O_CLOEXEC, 0) != -1 || errno != ENOENT)
        fail("openat of a missing file");
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", installing * 100, getppid, reading, opening);
    return 0;
}

int main(int count, char **words) {
    if (count == 3 && !strcmp(words[1], "export"))
        return export((unsigned)atoi(words[2]));
    if (count == 4 && !strcmp(words[1], "measure"))
        return measure(words[2], words[3]);
    fputs("helper export OPTIMIZE | helper measure PROGRAM DIRECTORY\n", stderr);
    return 1;
}
