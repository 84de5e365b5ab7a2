/* Tries to get at what is outside of the working directory. Every way prints "ESCAPED" and what it got there with, if
   it did. Outside, beside the working directory, is `secret`, which begins with SECRET; and `outside/secret`, the same. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static volatile int over;
static long tries;

static void got(const char *how, int fd) {
    char text[8] = "";
    tries++;
    if (fd < 0)
        return;
    if (read(fd, text, 6) == 6 && !memcmp(text, "SECRET", 6))
        printf("ESCAPED: %s\n", how);
    close(fd);
}

static void seen(const char *how, int result, struct stat *st) {
    tries++;
    if (result == 0 && st->st_size == 6666)
        printf("ESCAPED: stat %s\n", how);
}

static void *start(void *(*body)(void *), void *argument) {
    pthread_t *thread = malloc(sizeof *thread);
    pthread_create(thread, NULL, body, argument);
    return thread;
}

/* Walks while others rename, until the file `stop` is there. */
static void walk(void) {
    static const char *paths[] = {
        "d/x/../secret", "d/x/../../secret", "d/x/../../../secret", "d/x/y/../../../secret", "d/x/y/../../secret",
        "d/x/y/../../../../secret", "d/./x/../x/../../../outside/secret", "l/secret", "l/../secret", "d/x/l/../secret",
        "x/../secret", "d/x/../x/../../secret", "../secret", "d/x/y/../../../outside/secret",
    };
    struct stat st;
    while (access("stop", F_OK)) {
        int x = open("d/x", O_RDONLY | O_DIRECTORY);
        int y = openat(x, "y", O_RDONLY | O_DIRECTORY);
        for (unsigned at = 0; at < sizeof paths / sizeof *paths; at++) {
            got(paths[at], open(paths[at], O_RDONLY));
            seen(paths[at], stat(paths[at], &st), &st);
        }
        got("x ../secret", openat(x, "../secret", O_RDONLY));
        got("x ../../secret", openat(x, "../../secret", O_RDONLY));
        got("y ../../secret", openat(y, "../../secret", O_RDONLY));
        struct open_how how = {O_RDONLY, 0, RESOLVE_IN_ROOT};
        got("in root", syscall(SYS_openat2, x, "../../secret", &how, sizeof how));
        how.resolve = RESOLVE_BENEATH;
        got("beneath", syscall(SYS_openat2, y, "../../secret", &how, sizeof how));
        close(open("d/x/../planted", O_CREAT | O_WRONLY, 0600));
        close(openat(x, "../../planted", O_CREAT | O_WRONLY, 0600));
        mkdirat(y, "../../planted", 0700);
        symlinkat("z", x, "../planted2");
        renameat(AT_FDCWD, "f", x, "../../planted3");
        linkat(AT_FDCWD, "f", x, "../../planted4", 0);
        unlinkat(x, "../../secret", 0);
        unlinkat(x, "../secret", 0);
        truncate("d/x/../../secret", 0);
        chmod("d/x/../secret", 0);
        if (!fchdir(x)) {
            got("cwd ..", open("../secret", O_RDONLY));
            got("cwd ../..", open("../../secret", O_RDONLY));
            close(open("../../planted", O_CREAT | O_WRONLY, 0600));
        }
        int back = open("/proc/self/fd/0", O_RDONLY | O_DIRECTORY);
        if (fchdir(0))
            printf("lost\n"), exit(1);
        close(back), close(x), close(y);
    }
}

/* Two links and two directories change places all the time. */
static void *swapper(void *unused) {
    (void)unused;
    symlink("../outside", "l1"), symlink("d", "l2");
    rename("l2", "l");
    for (int at = 0; !over; at++) {
        syscall(SYS_renameat2, AT_FDCWD, "l", AT_FDCWD, "l1", RENAME_EXCHANGE);
        syscall(SYS_renameat2, AT_FDCWD, "d/x", AT_FDCWD, "q", RENAME_EXCHANGE);
    }
    return NULL;
}

static void swap(void) {
    start(swapper, NULL);
    for (int at = 0; at < 5000; at++) {
        got("l/secret", open("l/secret", O_RDONLY));
        got("l/../secret", open("l/../secret", O_RDONLY));
        got("d/x/../../secret", open("d/x/../../secret", O_RDONLY));
        close(open("l/planted", O_CREAT | O_WRONLY, 0600));
        mkdir("l/planted", 0700);
        rename("f", "l/planted");
        unlink("l/secret");
    }
    over = 1;
}

/* The path and the flags change while the call waits. */
static char path[64];
static struct open_how changing = {O_RDONLY, 0, RESOLVE_IN_ROOT};

static void *writer(void *unused) {
    (void)unused;
    while (!over) {
        memcpy(path, "d/../f\0                ", 24);
        memcpy(path, "../secret", 10);
        memcpy(path, "d/x/../../../secret", 20);
        changing.resolve = 0;
        changing.resolve = RESOLVE_IN_ROOT;
        changing.flags = O_RDWR | O_CREAT;
        changing.flags = O_RDONLY;
    }
    return NULL;
}

static void memory(void) {
    struct stat st;
    start(writer, NULL);
    for (int at = 0; at < 4000; at++) {
        got("changed path", open(path, O_RDONLY));
        seen("changed path", stat(path, &st), &st);
        changing.mode = 0;
        got("changed how", syscall(SYS_openat2, AT_FDCWD, path, &changing, sizeof changing));
    }
    over = 1;
}

/* A number stands for a directory inside and for one outside, in turns. */
static int outside, inside;

static void *exchanger(void *unused) {
    (void)unused;
    while (!over)
        dup2(outside, 50), dup2(inside, 50);
    return NULL;
}

static int received(void) {
    char byte, space[CMSG_SPACE(sizeof(int))];
    struct iovec io = {&byte, 1};
    struct msghdr message = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    if (recvmsg(0, &message, 0) != 1 || !CMSG_FIRSTHDR(&message))
        printf("nothing received\n"), exit(1);
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

static void descriptors(void) {
    char name[64];
    struct stat st;
    outside = received();
    int bare = received(), file = received(), bare_file = received();
    inside = open(".", O_RDONLY | O_DIRECTORY);
    int dirs[] = {outside, bare};
    for (int at = 0; at < 2; at++) {
        int dir = dirs[at];
        got("dir", openat(dir, "secret", O_RDONLY));
        got("dir ..", openat(dir, "../secret", O_RDONLY));
        got("dir .. in", openat(dir, "../work/../secret", O_RDONLY));
        seen("dir", fstatat(dir, "secret", &st, 0), &st);
        close(openat(dir, "planted", O_CREAT | O_WRONLY, 0600));
        mkdirat(dir, "planted", 0700), symlinkat("x", dir, "planted"), linkat(AT_FDCWD, "f", dir, "planted", 0);
        renameat(AT_FDCWD, "f", dir, "planted"), renameat(dir, "secret", AT_FDCWD, "taken");
        linkat(dir, "secret", AT_FDCWD, "taken", 0), unlinkat(dir, "secret", 0);
        got("taken", open("taken", O_RDONLY));
        struct open_how how = {O_RDONLY, 0, RESOLVE_BENEATH};
        got("beneath", syscall(SYS_openat2, dir, "secret", &how, sizeof how));
        how.resolve = RESOLVE_IN_ROOT;
        got("in root", syscall(SYS_openat2, dir, "/secret", &how, sizeof how));
        static const char *ways[] = {"/proc/self/fd/%d/secret", "/dev/fd/%d/secret", "/proc/self/fd/%d/../secret",
                                     "/proc/thread-self/fd/%d/secret"};
        for (int way = 0; way < 4; way++) {
            sprintf(name, ways[way], dir);
            got(name, open(name, O_RDONLY));
            seen(name, stat(name, &st), &st);
        }
        sprintf(name, "/proc/self/fd/%d", dir);
        int again = open(name, O_RDONLY | O_DIRECTORY);
        if (again >= 0)
            printf("ESCAPED: outside opened again\n");
        fchmodat(dir, "secret", 0777, 0), fchownat(dir, "", 1, 1, AT_EMPTY_PATH), utimensat(dir, "secret", NULL, 0);
        if (!fchdir(dir)) {
            got("cwd", open("secret", O_RDONLY));
            got("cwd ./", open("./secret", O_RDONLY));
            got("proc cwd", open("/proc/self/cwd/secret", O_RDONLY));
            seen("cwd", stat("secret", &st), &st);
            close(open("planted", O_CREAT | O_WRONLY, 0600));
            fchdir(inside);
        }
    }
    /* A file that is open for reading stays so. */
    sprintf(name, "/proc/self/fd/%d", file);
    if (open(name, O_RDWR) >= 0 || open(name, O_WRONLY | O_TRUNC) >= 0 || !truncate(name, 0))
        printf("ESCAPED: written to what is open for reading\n");
    if (!fchmod(file, 0777) || !fchown(file, 1, 1) || !futimens(file, NULL) || !fsetxattr(file, "user.x", "x", 1, 0) ||
        !chmod(name, 0777) || !utimensat(AT_FDCWD, name, NULL, 0) || !fremovexattr(file, "user.y"))
        printf("ESCAPED: changed what is open for reading\n");
    if (!linkat(file, "", AT_FDCWD, "taken2", AT_EMPTY_PATH) ||
        !linkat(AT_FDCWD, name, AT_FDCWD, "taken3", AT_SYMLINK_FOLLOW))
        printf("ESCAPED: linked\n");
    /* One that was opened with O_PATH gives nothing. */
    sprintf(name, "/proc/self/fd/%d", bare_file);
    got("bare file", open(name, O_RDONLY));
    got("bare file in dev", open(name + 5, O_RDONLY));
    if (!linkat(bare_file, "", AT_FDCWD, "taken4", AT_EMPTY_PATH) ||
        !linkat(AT_FDCWD, name, AT_FDCWD, "taken5", AT_SYMLINK_FOLLOW) || !truncate(name, 0) || !chmod(name, 0777) ||
        !syscall(452, bare_file, "", 0777, AT_EMPTY_PATH) || !fchownat(bare_file, "", 1, 1, AT_EMPTY_PATH) ||
        !utimensat(bare_file, "", NULL, AT_EMPTY_PATH) || !setxattr(name, "user.x", "x", 1, 0) || !access(name, W_OK))
        printf("ESCAPED: by a bare file\n");
    start(exchanger, NULL);
    for (int at = 0; at < 2500; at++) {
        got("exchanged", openat(50, "secret", O_RDONLY));
        got("exchanged fd", open("/proc/self/fd/50/secret", O_RDONLY));
        close(openat(50, "planted", O_CREAT | O_WRONLY, 0600));
        seen("exchanged", fstatat(50, "secret", &st, 0), &st);
    }
    over = 1;
}

/* Every way of writing a path that leads out. */
static void spellings(const char *secret) {
    char name[600], up[300] = "";
    struct stat st;
    for (int at = 0; at < 40; at++)
        strcat(up, "../");
    const char *before[] = {"", "./", "d/../", "/proc/self/root", "/proc/self/cwd/", "/proc/self/task/../root", "/proc/1/root",
                            "/proc/1/cwd/", "/dev/../", "/usr/..", "/usr/bin/../..", "/dev/fd/../cwd/", "/proc/thread-self/root",
                            "/proc/self/exe/../", "//", "/./", "/proc/self/fd/0/", "/proc/2/root", "/dev/shm/../../"};
    char parent[64];
    sprintf(parent, "/proc/%d/root", getppid());
    for (unsigned at = 0; at <= sizeof before / sizeof *before; at++) {
        const char *start = at < sizeof before / sizeof *before ? before[at] : parent;
        snprintf(name, sizeof name, "%s%s", start, secret);
        got(name, open(name, O_RDONLY)), seen(name, stat(name, &st), &st);
        snprintf(name, sizeof name, "%s%s%s", start, up, secret + 1);
        got(name, open(name, O_RDONLY)), seen(name, stat(name, &st), &st);
        snprintf(name, sizeof name, "%s/../secret", start);
        got(name, open(name, O_RDONLY)), seen(name, stat(name, &st), &st);
        symlink(name, "way");
        got("by a link", open("way", O_RDONLY)), seen("by a link", stat("way", &st), &st);
        got("by a link in a path", open("d/../way", O_RDONLY));
        close(open("way", O_CREAT | O_WRONLY, 0600));
        rename("way", "way2");
        got("by a renamed link", open("way2", O_RDONLY));
        unlink("way"), unlink("way2");
    }
    symlink(secret, "hard");
    linkat(AT_FDCWD, "hard", AT_FDCWD, "hard2", AT_SYMLINK_FOLLOW);
    got("link to what a link is of", open("hard2", O_RDONLY));
    if (truncate("hard", 0) == 0 || chmod("hard", 0777) == 0 || setxattr("hard", "user.a", "b", 1, 0) == 0)
        printf("ESCAPED: changed\n");
    int notify = inotify_init1(IN_NONBLOCK);
    if (inotify_add_watch(notify, secret, IN_ALL_EVENTS) >= 0 || inotify_add_watch(notify, "/", IN_ALL_EVENTS) >= 0 ||
        inotify_add_watch(notify, "..", IN_ALL_EVENTS) >= 0)
        printf("ESCAPED: watched\n");
    if (open("/", O_RDONLY | O_DIRECTORY) >= 0 || open("..", O_RDONLY) >= 0 || open("/", O_TMPFILE | O_RDWR, 0600) >= 0)
        printf("ESCAPED: listed\n");
    struct { unsigned bytes; int type; char handle[128]; } handle = {128};
    int mount;
    if (!syscall(SYS_name_to_handle_at, AT_FDCWD, ".", &handle, &mount, 0) || syscall(SYS_open_by_handle_at, 0, &handle, 0) >= 0)
        printf("ESCAPED: by handle\n");
    if (!rename(".", "../x") || !rename("../work", "../x") || !rmdir("../work") || !mkdir("../new", 0700) ||
        !syscall(SYS_mount, "x", "d", "tmpfs", 0, 0) || !chroot("d"))
        printf("ESCAPED: what is not the job's\n");
}

/* Nothing of this may make the supervisor wait. */
static void waits(void) {
    struct timespec begun, ended;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    signal(SIGIO, SIG_IGN);
    mkfifo("p", 0600);
    open("p", O_RDONLY), open("p", O_WRONLY), open("p", O_RDONLY | O_TRUNC), truncate("p", 0);
    open("/dev/tty", O_RDWR), open("/dev/console", O_RDWR), open("/dev/stdin", O_WRONLY);
    int leased = open("leased", O_CREAT | O_RDWR, 0600);
    if (fcntl(leased, F_SETLEASE, F_WRLCK))
        printf("no lease\n");
    open("leased", O_RDONLY), open("leased", O_RDWR | O_TRUNC), truncate("leased", 0), creat("leased", 0600);
    /* A path of many links, each of many steps. */
    char text[4096] = "", name[32];
    while (strlen(text) < 4000)
        strcat(text, "d/../");
    for (int at = 0; at < 40; at++) {
        sprintf(name, "many%d", at);
        char target[4096];
        snprintf(target, sizeof target, "%.3996smany%d", text, at + 1);
        symlink(target, name);
    }
    open("many0", O_RDONLY);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    if (ended.tv_sec - begun.tv_sec > 5)
        printf("ESCAPED: waited\n");
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOFBF, 1 << 20);
    if (!strcmp(argv[1], "walk"))
        walk();
    else if (!strcmp(argv[1], "swap"))
        swap();
    else if (!strcmp(argv[1], "memory"))
        memory();
    else if (!strcmp(argv[1], "descriptors"))
        descriptors();
    else if (!strcmp(argv[1], "spellings"))
        spellings(argv[2]);
    else if (!strcmp(argv[1], "waits"))
        waits();
    printf("%ld tries\n", tries);
    fflush(stdout);
    _exit(0);
}
