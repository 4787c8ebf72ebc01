/* Makes calls of the C library fail, or ends the process in the middle of them: preloaded into a process under test.
 *
 * $FAILING_CALLS names a file; while it is there it says `MODE N`: every Nth call that MODE is about is the one. Calls are
 * counted for each process. What ends the process removes the file first, so it happens once.
 *
 *   MODE           which call                                     what happens
 *   rename-fail    of a part (its name holds `tmp_insert_`)       EIO, and no rename
 *   rename-kill    of a part                                      SIGKILL before it
 *   renamed-kill   of a part                                      SIGKILL after it
 *   write-fail     write to a file below $FAILING_FOLDER          ENOSPC, and nothing written
 *   write-short    write to a file below $FAILING_FOLDER          half of it is written and says so
 *   write-tear     write to a file below $FAILING_FOLDER          half of it is written, then SIGKILL
 *   sync-fail      fsync, fdatasync below $FAILING_FOLDER         EIO
 *   sync-kill      fsync, fdatasync below $FAILING_FOLDER         SIGKILL before it
 *   synced-kill    fsync, fdatasync below $FAILING_FOLDER         SIGKILL after it
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_uint calls;

/* Whether it is this call's turn to be hit by a mode that begins with `kind`; `mode` is what the file says. */
static int hit(const char *kind, char mode[32]) {
    const char *path = getenv("FAILING_CALLS");
    if (!path) return 0;
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    char text[64] = {0};
    unsigned every = 0;
    long length = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    if (length <= 0 || sscanf(text, "%31s %u", mode, &every) != 2 || !every) return 0;
    if (strncmp(mode, kind, strlen(kind))) return 0;
    return atomic_fetch_add(&calls, 1) % every == every - 1;
}

static void die(void) {
    syscall(SYS_unlinkat, AT_FDCWD, getenv("FAILING_CALLS"), 0);
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static int watched(int fd) {
    const char *folder = getenv("FAILING_FOLDER");
    char link[64], path[PATH_MAX];
    if (!folder || !getenv("FAILING_CALLS")) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    size_t prefix = strlen(folder);
    return !strncmp(path, folder, prefix) && path[prefix] == '/';
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define RENAMING(source, call)                                              \
    char mode[32];                                                          \
    if (!strstr(source, "tmp_insert_") || !hit("rename", mode)) return call; \
    if (!strcmp(mode, "rename-fail")) return errno = EIO, -1;               \
    if (!strcmp(mode, "rename-kill")) die();                                \
    int done = call;                                                        \
    if (!strcmp(mode, "renamed-kill")) die();                               \
    return done;

int rename(const char *from, const char *to) { RENAMING(from, REAL(rename)(from, to)) }
int renameat(int a, const char *from, int b, const char *to) { RENAMING(from, REAL(renameat)(a, from, b, to)) }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    RENAMING(from, REAL(renameat2)(a, from, b, to, flags))
}

/* What is to become of a write of `size` bytes: how many to write, or -1 for an error; `last`: the process ends then. */
static ssize_t allowed(int fd, size_t size, int *last) {
    char mode[32];
    *last = 0;
    if (!size || !watched(fd) || !hit("write", mode)) return size;
    if (!strcmp(mode, "write-fail")) return errno = ENOSPC, -1;
    *last = !strcmp(mode, "write-tear");
    return size > 1 ? size / 2 : size;
}

#define WRITING(size, call)                         \
    int last;                                       \
    ssize_t count = allowed(fd, size, &last), done; \
    if (count < 0) return -1;                       \
    done = call;                                    \
    if (last) die();                                \
    return done;

ssize_t write(int fd, const void *data, size_t size) { WRITING(size, REAL(write)(fd, data, count)) }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { WRITING(size, REAL(pwrite)(fd, data, count, at)) }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { WRITING(size, REAL(pwrite64)(fd, data, count, at)) }

/* Of several buffers, half of the bytes: those that come first. */
static int first(const struct iovec *from, int parts, size_t count, struct iovec *to) {
    int used = 0;
    for (; used < parts && count; used++) {
        to[used] = from[used];
        if (to[used].iov_len > count) to[used].iov_len = count;
        count -= to[used].iov_len;
    }
    return used;
}

static size_t total(const struct iovec *parts, int count) {
    size_t size = 0;
    for (int i = 0; i < count; i++) size += parts[i].iov_len;
    return size;
}

#define WRITING_PARTS(call)                    \
    struct iovec some[IOV_MAX];                \
    WRITING(total(parts, number), (number = first(parts, number, count, some), call))

ssize_t writev(int fd, const struct iovec *parts, int number) { WRITING_PARTS(REAL(writev)(fd, some, number)) }
ssize_t pwritev(int fd, const struct iovec *parts, int number, off_t at) {
    WRITING_PARTS(REAL(pwritev)(fd, some, number, at))
}
ssize_t pwritev2(int fd, const struct iovec *parts, int number, off_t at, int flags) {
    WRITING_PARTS(REAL(pwritev2)(fd, some, number, at, flags))
}

#define SYNCING(call)                                              \
    char mode[32];                                                 \
    if (!watched(fd) || !hit("sync", mode)) return call;           \
    if (!strcmp(mode, "sync-fail")) return errno = EIO, -1;        \
    if (!strcmp(mode, "sync-kill")) die();                         \
    int done = call;                                               \
    if (!strcmp(mode, "synced-kill")) die();                       \
    return done;

int fsync(int fd) { SYNCING(REAL(fsync)(fd)) }
int fdatasync(int fd) { SYNCING(REAL(fdatasync)(fd)) }

/* The engine's library asks to be bound to the C library past us: it is not. */
void *dlopen(const char *path, int flags) { return REAL(dlopen)(path, flags & ~RTLD_DEEPBIND); }
