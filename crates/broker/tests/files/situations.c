/* Makes calls on files in many situations and prints what each returned. Run twice, in two equal trees: as it is, and
   through the broker. What differs from run to run (times, inode numbers) is not printed. The working directory has:
   f (a file, "content\n"), d/ (with d/f and d/e/), l -> f, ld -> d, dangling -> none, loop -> loop, up -> ..,
   s (a FIFO), abs -> the absolute path of d. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

static int number;

static void told(const char *what, long result) {
    printf("%d %s: %ld %s\n", ++number, what, result < 0 ? -1 : result, result < 0 ? strerrorname_np(errno) : "");
}

/* A descriptor is told as 0, with how it is open. */
static void opened(const char *what, int fd) {
    char text[8] = "";
    if (fd < 0) {
        told(what, fd);
        return;
    }
    struct stat st;
    fstat(fd, &st);
    long got = S_ISFIFO(st.st_mode) ? 0 : read(fd, text, 3);
    int error = got < 0 ? errno : 0;
    printf("%d %s: open read %ld %s %s mode %o size %ld flags %o cloexec %d\n", ++number, what, got,
           error ? strerrorname_np(error) : "", text, st.st_mode, S_ISDIR(st.st_mode) ? 0 : (long)st.st_size,
           fcntl(fd, F_GETFL) & ~O_LARGEFILE & ~O_NOFOLLOW, fcntl(fd, F_GETFD));
    close(fd);
}

#define T(call) told(#call, (long)(call))
#define O(call) opened(#call, call)

static int how(int dir, const char *path, long flags, long mode, long resolve, long size) {
    struct { struct open_how how; long more[4]; } h = {{flags, mode, resolve}, {0}};
    return syscall(SYS_openat2, dir, path, &h, size);
}

static int in(const char *dir, const char *path, int flags) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY), result = openat(fd, path, flags, 0600), error = errno;
    close(fd);
    errno = error;
    return result;
}

static void looked(const char *path) {
    struct stat st;
    int result = lstat(path, &st);
    if (result < 0)
        told(path, result);
    else
        printf("%d %s: mode %o links %ld size %ld uid %d mtime %ld\n", ++number, path, st.st_mode,
               (long)st.st_nlink,
               S_ISDIR(st.st_mode) ? 0 : (long)st.st_size, st.st_uid != getuid(), st.st_mtime < 2000000 ? st.st_mtime : 0);
}

int main(int argc, char **argv) {
    char buffer[5000], longest[300], deep[5000];
    struct stat st;
    struct statx sx;
    struct statfs fs;
    setvbuf(stdout, NULL, _IOFBF, 1 << 20);
    memset(longest, 'n', 256), longest[256] = 0;
    for (int at = 0; at < 4998; at += 2)
        memcpy(deep + at, "d/", 3);
    umask(027);

    O(open("f", O_RDONLY));
    O(open("f", O_RDONLY | O_CLOEXEC));
    O(open("./f", O_RDWR | O_APPEND));
    O(open("f", O_RDONLY | O_NONBLOCK));
    O(open("f", O_WRONLY | O_SYNC));
    O(open("f/", O_RDONLY));
    O(open("f/x", O_RDONLY));
    O(open("f/.", O_RDONLY));
    O(open("f/..", O_RDONLY));
    O(open("none", O_RDONLY));
    O(open("none/x", O_RDONLY));
    O(open("none/../f", O_RDONLY));
    O(open("d/../f", O_RDONLY));
    O(open("ld/../f", O_RDONLY));
    O(open("", O_RDONLY));
    O(open("d", O_RDONLY));
    O(open("d", O_RDONLY | O_DIRECTORY));
    O(open("d/", O_RDONLY));
    O(open("d", O_WRONLY));
    O(open("d", O_RDWR | O_CREAT, 0600));
    O(open("d/", O_CREAT | O_WRONLY, 0600));
    O(open("f", O_DIRECTORY));
    O(open("l", O_RDONLY));
    O(open("l", O_RDONLY | O_NOFOLLOW));
    O(open("l/", O_RDONLY));
    O(open("ld/f", O_RDONLY | O_NOFOLLOW));
    O(open("ld", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    O(open("abs/f", O_RDONLY));
    O(open("loop", O_RDONLY));
    O(open("loop/x", O_RDONLY));
    O(open("dangling", O_RDONLY));
    O(open("dangling", O_RDONLY | O_CREAT | O_EXCL, 0600));
    O(open("up", O_RDONLY | O_NOFOLLOW));
    O(open(longest, O_RDONLY));
    O(open(deep, O_RDONLY));
    O(open((char *)8, O_RDONLY));
    O(open("f", O_RDONLY | O_CREAT | O_EXCL, 0600));
    O(open("new1", O_RDONLY | O_CREAT, 0666));
    O(open("new2", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0777));
    O(open("new3", O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 04755));
    O(open("new4", O_RDWR | O_CREAT, 0));
    O(open("new5/", O_RDWR | O_CREAT, 0600));
    O(open("none/new", O_RDWR | O_CREAT, 0600));
    O(open("f/new", O_RDWR | O_CREAT, 0600));
    O(open("dangling", O_RDWR | O_CREAT, 0640));
    looked("none");
    O(open("d", O_TMPFILE | O_RDWR, 0666));
    O(open("d", O_TMPFILE | O_RDONLY, 0666));
    O(open("f", O_TMPFILE | O_RDWR, 0666));
    O(open("none2", O_TMPFILE | O_RDWR, 0666));
    O(creat("new6", 0666));
    O(open("s", O_RDONLY | O_NONBLOCK));
    O(open("s", O_WRONLY | O_NONBLOCK));
    O(open("s", O_RDWR));
    O(openat(99, "f", O_RDONLY));
    O(openat(-7, "f", O_RDONLY));
    O(openat(0, "f", O_RDONLY));
    O(in("d", "f", O_RDONLY));
    O(in("d", "../f", O_RDONLY));
    O(in("d", "../d/e/../f", O_RDONLY));
    O(in("d", "", O_RDONLY));
    O(in("d/e", "new", O_RDWR | O_CREAT | O_EXCL));
    O(how(AT_FDCWD, "f", O_RDONLY, 0, 0, 24));
    O(how(AT_FDCWD, "f", O_RDONLY, 0, 0, 23));
    O(how(AT_FDCWD, "f", O_RDONLY, 0, 0, 40));
    O(how(AT_FDCWD, "f", O_RDONLY, 0, 0, 5000));
    O(how(AT_FDCWD, "f", O_RDONLY, 0600, 0, 24));
    O(how(AT_FDCWD, "f", O_RDONLY, 0, 1 << 20, 24));
    O(how(AT_FDCWD, "f", 1L << 30, 0, 0, 24));
    O(how(AT_FDCWD, "f", O_RDONLY | O_CLOEXEC, 0, 0, 24));
    O(how(AT_FDCWD, "l", O_RDONLY, 0, RESOLVE_NO_SYMLINKS, 24));
    O(how(AT_FDCWD, "ld/f", O_RDONLY, 0, RESOLVE_NO_SYMLINKS, 24));
    O(how(AT_FDCWD, "d/f", O_RDONLY, 0, RESOLVE_NO_SYMLINKS, 24));
    O(how(AT_FDCWD, "d/../f", O_RDONLY, 0, RESOLVE_BENEATH, 24));
    O(how(AT_FDCWD, "../x", O_RDONLY, 0, RESOLVE_BENEATH, 24));
    O(how(AT_FDCWD, "up/x", O_RDONLY, 0, RESOLVE_BENEATH, 24));
    O(how(AT_FDCWD, "/f", O_RDONLY, 0, RESOLVE_BENEATH, 24));
    O(how(AT_FDCWD, "/f", O_RDONLY, 0, RESOLVE_IN_ROOT, 24));
    O(how(AT_FDCWD, "../../f", O_RDONLY, 0, RESOLVE_IN_ROOT, 24));
    O(how(AT_FDCWD, "l", O_RDONLY, 0, RESOLVE_IN_ROOT, 24));
    O(how(AT_FDCWD, "l", O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT, 24));

    T(stat("f", &st));
    T(stat("none3", &st));
    T(stat("", &st));
    T(stat("f/", &st));
    T(stat("f", (void *)8));
    T(stat("loop", &st));
    T(lstat("loop", &st));
    T(lstat("ld/", &st));
    printf("%o\n", st.st_mode);
    T(fstatat(0, "", &st, AT_EMPTY_PATH));
    T(fstatat(AT_FDCWD, "", &st, AT_EMPTY_PATH));
    T(fstatat(AT_FDCWD, "", &st, 0));
    T(fstatat(AT_FDCWD, "f", &st, 0x8000));
    T(fstatat(99, "f", &st, 0));
    T(syscall(SYS_statx, AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, 0xfff, &sx));
    printf("%o %llu\n", sx.stx_mode, sx.stx_size);
    T(syscall(SYS_statx, AT_FDCWD, "l", 0, 0x80000000, &sx));
    T(syscall(SYS_statx, AT_FDCWD, "l", 0x6000, 0xfff, &sx));
    T(statfs("f", &fs));
    T(statfs("none3", &fs));
    T(access("f", R_OK));
    T(access("f", X_OK));
    T(access("f", 8));
    T(access("d", X_OK | W_OK));
    T(access("none3", F_OK));
    T(access("dangling2", F_OK));
    T(faccessat(AT_FDCWD, "loop", F_OK, AT_SYMLINK_NOFOLLOW));
    T(readlink("l", buffer, 10));
    T(readlink("l", buffer, 0));
    T(readlink("abs", buffer, 3));
    T(readlink("f", buffer, 10));
    T(readlink("none3", buffer, 10));
    T(readlink("ld/", buffer, 10));
    T(syscall(SYS_readlinkat, AT_FDCWD, "l", 8L, 10L));

    T(mkdir("m", 0777));
    looked("m");
    T(mkdir("m", 0777));
    T(mkdir("m2/", 01777));
    looked("m2");
    T(mkdir("none3/m", 0777));
    T(mkdir("f/m", 0777));
    T(mkdir("f", 0777));
    T(mkdir("l", 0777));
    T(mkdir("dangling3", 0777));
    T(mkdir(".", 0777));
    T(mkdir("..", 0777));
    T(mkdir("/", 0777));
    T(mkdir("", 0777));
    T(mkdir("m/..", 0777));
    T(mkdir(longest, 0777));
    T(rmdir("m"));
    T(rmdir("m"));
    T(rmdir("d"));
    T(rmdir("f"));
    T(rmdir("ld"));
    T(rmdir("."));
    T(rmdir("d/.."));
    T(rmdir("/"));
    T(rmdir("m2/"));
    T(unlink("d"));
    T(unlink("none3"));
    T(unlink("new1"));
    T(unlink("new2/"));
    T(unlink("."));
    T(unlink("/"));
    T(unlink("loop"));
    T(unlinkat(AT_FDCWD, "f", 1));
    T(unlinkat(AT_FDCWD, "d/e", AT_REMOVEDIR));
    T(unlink("d/e/new"));
    T(rename("f", "g"));
    T(rename("f", "g"));
    T(rename("g", "d"));
    T(rename("d", "g"));
    T(rename("d", "d/x"));
    T(rename("g", "f/"));
    T(rename("g/", "f"));
    T(rename("d/", "d2/"));
    T(rename("d2", "d"));
    T(rename("g", "."));
    T(rename("..", "x"));
    T(rename("g", "f"));
    T(syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "d", RENAME_NOREPLACE));
    T(syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "l", RENAME_EXCHANGE));
    looked("f");
    T(syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "l", RENAME_EXCHANGE));
    T(syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "none3", RENAME_EXCHANGE));
    T(syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "l", RENAME_EXCHANGE | RENAME_NOREPLACE));
    T(link("f", "h"));
    T(link("f", "h"));
    T(link("d", "h2"));
    T(link("l", "h3"));
    looked("h3");
    T(link("none3", "h4"));
    T(link("f/", "h4"));
    T(linkat(AT_FDCWD, "l", AT_FDCWD, "h5", AT_SYMLINK_FOLLOW));
    looked("h5");
    int fd = open("d", O_TMPFILE | O_RDWR, 0644);
    sprintf(buffer, "/proc/self/fd/%d", fd);
    T(linkat(AT_FDCWD, buffer, AT_FDCWD, "tmpfile", AT_SYMLINK_FOLLOW));
    looked("tmpfile");
    T(symlink("anything", "y"));
    T(symlink("anything", "y"));
    T(symlink("", "y2"));
    T(symlink("x", "none3/y"));
    T(symlink("x", "y3/"));
    looked("y");

    T(chmod("f", 0604));
    looked("f");
    T(chmod("none3", 0600));
    T(fchmodat(AT_FDCWD, "l", 0640, 0));
    T(syscall(452, AT_FDCWD, "y", 0600, AT_SYMLINK_NOFOLLOW));
    T(syscall(452, AT_FDCWD, "f", 0600, 1));
    fd = open("f", O_RDONLY);
    T(fchmod(fd, 0644));
    T(fchown(fd, -1, getgid()));
    T(futimens(fd, (struct timespec[2]){{1000, 5}, {2000, 6}}));
    looked("f");
    T(fchmod(99, 0644));
    T(chown("f", -1, -1));
    T(chown("f", getuid(), getgid()));
    T(lchown("y", -1, getgid()));
    T(chown("y", -1, -1));
    T(truncate("f", 3));
    T(truncate("f", -1));
    T(truncate("d", 0));
    T(truncate("s", 0));
    T(truncate("none3", 0));
    looked("f");
    T(utime("f", &(struct utimbuf){100, 200}));
    looked("f");
    T(utimes("f", (struct timeval[2]){{100, 0}, {300, 0}}));
    T(utimes("f", (struct timeval[2]){{100, 0}, {300, 1000000}}));
    T(utimensat(AT_FDCWD, "y", (struct timespec[2]){{1, 0}, {400, 0}}, AT_SYMLINK_NOFOLLOW));
    looked("y");
    T(utimensat(AT_FDCWD, "f", (struct timespec[2]){{1, 0}, {1, 1000000000}}, 0));
    T(utimensat(AT_FDCWD, "f", (struct timespec[2]){{0, UTIME_OMIT}, {0, UTIME_OMIT}}, 0));
    T(syscall(SYS_utimensat, AT_FDCWD, "f", 8L, 0L));
    T(utimes("none3", NULL));
    T(utimes("f", NULL));
    T(mknod("n", S_IFIFO | 0666, 0));
    looked("n");
    T(mknod("n2", S_IFREG | 0666, 0));
    T(mknod("n3", 0666, 0));
    T(mknod("n4", S_IFDIR | 0666, 0));
    T(mknod("n", S_IFSOCK | 0666, 0));
    T(mknod("n5", S_IFSOCK | 0666, 0));
    O(open("n5", O_RDONLY));

    T(getxattr("f", "user.none", buffer, 100));
    T(setxattr("f", "user.a", "value", 5, 0));
    T(setxattr("f", "user.a", "value", 5, XATTR_CREATE));
    T(setxattr("f", "user.b", "value", 5, XATTR_REPLACE));
    T(getxattr("f", "user.a", buffer, 100));
    T(getxattr("f", "user.a", buffer, 2));
    T(getxattr("f", "user.a", NULL, 0));
    T(getxattr("f", "", buffer, 2));
    T(lgetxattr("y", "user.a", buffer, 100));
    T(listxattr("f", buffer, 100));
    T(listxattr("f", buffer, 1));
    T(llistxattr("y", buffer, 100));
    T(removexattr("f", "user.a"));
    T(removexattr("f", "user.a"));
    T(fsetxattr(fd, "user.c", "v", 1, 0));
    T(fremovexattr(fd, "user.c"));
    int notify = inotify_init1(0);
    T(inotify_add_watch(notify, "d", IN_CREATE) > 0);
    T(inotify_add_watch(notify, "f", IN_ONLYDIR | IN_CREATE));
    T(inotify_add_watch(notify, "none3", IN_CREATE));
    T(inotify_add_watch(0, "d", IN_CREATE));
    T(chdir("d") + 0);
    O(open("f", O_RDONLY));
    O(open("../f", O_RDONLY));
    T(rmdir("../d/none"));
    T(mkdir("gone", 0700));
    T(chdir("gone"));
    T(rmdir("../gone"));
    O(open("x", O_RDONLY));
    O(open("x", O_RDWR | O_CREAT, 0600));
    T(fstatat(AT_FDCWD, ".", &st, 0));
    return 0;
}
