/* Opens a file many times, by several paths, and reads one; prints the median of each kind in nanoseconds. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIECE (64 << 10)
#define CARRIED (64 << 20)

static char absolute[4096 + 64], piece[PIECE];

static long long now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void opened(const char *name, const char *path, int count, int there) {
    long long *took = malloc(count * sizeof *took);
    for (int i = 0; i < count; i++) {
        long long begun = now();
        int file = open(path, O_RDONLY | O_CLOEXEC);
        took[i] = now() - begun;
        if ((file >= 0) != there) fail(path);
        if (file >= 0) close(file);
    }
    qsort(took, count, sizeof *took, ascending);
    printf("%s %lld\n", name, took[count / 2]);
    free(took);
}

static void looked(int count) {
    long long *took = malloc(count * sizeof *took);
    struct stat found;
    for (int i = 0; i < count; i++) {
        long long begun = now();
        if (stat(absolute, &found)) fail("stat");
        took[i] = now() - begun;
    }
    qsort(took, count, sizeof *took, ascending);
    printf("stat %lld\n", took[count / 2]);
    free(took);
}

static void carried(void) {
    int file = open("large", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0) fail("large");
    memset(piece, 'x', sizeof piece);
    long long begun = now();
    for (int i = 0; i < CARRIED / PIECE; i++)
        if (write(file, piece, PIECE) != PIECE) fail("write");
    printf("write %lld\n", now() - begun);
    begun = now();
    for (int i = 0; i < CARRIED / PIECE; i++)
        if (pread(file, piece, PIECE, (off_t)i * PIECE) != PIECE) fail("read");
    printf("read %lld\n", now() - begun);
    begun = now();
    unsigned char *mapped = mmap(NULL, CARRIED, PROT_READ, MAP_PRIVATE, file, 0);
    if (mapped == MAP_FAILED) fail("mmap");
    unsigned sum = 0;
    for (int i = 0; i < CARRIED; i += 4096) sum += mapped[i];
    printf("mmap %lld\n", now() - begun);
    if (sum != (CARRIED / 4096u) * 'x') fail("content");
    unlink("large");
}

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 1000;
    mkdir("one", 0700);
    mkdir("one/two", 0700);
    int file = open("one/two/file", O_WRONLY | O_CREAT, 0600);
    if (file < 0) fail("one/two/file");
    close(file);
    if (symlink("two/file", "one/link") && access("one/link", F_OK)) fail("one/link");
    if (!getcwd(absolute, 4096)) fail("getcwd");
    strcat(absolute, "/one/two/file");
    opened("absolute", absolute, count, 1);
    opened("relative", "one/two/file", count, 1);
    opened("link", "one/link", count, 1);
    opened("absent", "one/two/none", count, 0);
    looked(count);
    carried();
    return 0;
}
