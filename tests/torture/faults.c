/* Preloaded into a process, fails the n-th call that writes below one folder.

   Counted are opening for writing, write, fsync, truncate, rename, link, symlink and mkdir. Nothing
   is counted or failed before `arm_faults` is called. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 65536
#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))

static char folder[4096];
static size_t folder_length;
static long failing;
static int reason, lasts;
static _Atomic long *calls;
static _Atomic unsigned char is_watched[FILES];

/* `counter` counts the calls; it may lie in memory that processes share. With `lasting`, all calls
   from the n-th on fail, as on a full disk. */
void arm_faults(const char *path, long n, int error, int lasting, _Atomic long *counter)
{
    folder_length = strlen(path);
    memcpy(folder, path, folder_length + 1);
    failing = n;
    reason = error;
    lasts = lasting;
    calls = counter;
}

/* 0: go on; 1: the first call that fails; 2: a later one. */
static int failure(void)
{
    long number = atomic_fetch_add(calls, 1) + 1;
    if (number != failing && !(lasts && number > failing))
        return 0;
    errno = reason;
    return number == failing ? 1 : 2;
}

/* The process runs in the folder: what is not absolute lies below it. */
static int is_inside(const char *path)
{
    return calls && path && (path[0] != '/' || !strncmp(path, folder, folder_length));
}

static int is_counted(int fd) { return calls && fd >= 0 && fd < FILES && is_watched[fd]; }

static int opened(int fd, int is_written)
{
    if (fd >= 0 && fd < FILES)
        is_watched[fd] = is_written;
    return fd;
}

static int writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT; }

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                    \
        va_end(more);                                                                              \
        int is_written = is_inside(path) && writes(flags);                                         \
        if (is_written && failure())                                                               \
            return -1;                                                                             \
        return opened(REAL(int, name, const char *, int, ...)(path, flags, mode), is_written);     \
    }

#define OPENAT(name)                                                                               \
    int name(int at, const char *path, int flags, ...)                                             \
    {                                                                                              \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                    \
        va_end(more);                                                                              \
        int is_written = is_inside(path) && writes(flags);                                         \
        if (is_written && failure())                                                               \
            return -1;                                                                             \
        return opened(REAL(int, name, int, const char *, int, ...)(at, path, flags, mode),         \
                      is_written);                                                                 \
    }

#define FOPEN(name)                                                                                \
    FILE *name(const char *path, const char *mode)                                                 \
    {                                                                                              \
        int is_written = is_inside(path) && strpbrk(mode, "wa+");                                  \
        if (is_written && failure())                                                               \
            return NULL;                                                                           \
        FILE *file = REAL(FILE *, name, const char *, const char *)(path, mode);                   \
        if (file)                                                                                  \
            opened(fileno(file), is_written);                                                      \
        return file;                                                                               \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
FOPEN(fopen)
FOPEN(fopen64)

int close(int fd)
{
    opened(fd, 0);
    return REAL(int, close, int)(fd);
}

/* A disk that becomes full takes a part of what is written first. */
ssize_t write(int fd, const void *data, size_t size)
{
    int failed = is_counted(fd) ? failure() : 0;
    if (failed == 1 && lasts && size > 1)
        return REAL(ssize_t, write, int, const void *, size_t)(fd, data, size / 2);
    return failed ? -1 : REAL(ssize_t, write, int, const void *, size_t)(fd, data, size);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    if (is_counted(fd) && failure())
        return -1;
    return REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t)(fd, data, size, at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    return pwrite64(fd, data, size, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (is_counted(fd) && failure())
        return -1;
    return REAL(ssize_t, writev, int, const struct iovec *, int)(fd, parts, count);
}

#define OF_A_FILE(name)                                                                            \
    int name(int fd)                                                                               \
    {                                                                                              \
        return is_counted(fd) && failure() ? -1 : REAL(int, name, int)(fd);                        \
    }

OF_A_FILE(fsync)
OF_A_FILE(fdatasync)

int ftruncate64(int fd, off64_t size)
{
    return is_counted(fd) && failure() ? -1 : REAL(int, ftruncate64, int, off64_t)(fd, size);
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

#define OF_TWO_PATHS(name)                                                                         \
    int name(const char *from, const char *to)                                                     \
    {                                                                                              \
        return is_inside(to) && failure()                                                          \
            ? -1 : REAL(int, name, const char *, const char *)(from, to);                          \
    }

OF_TWO_PATHS(rename)
OF_TWO_PATHS(link)
OF_TWO_PATHS(symlink)

int renameat(int from_at, const char *from, int to_at, const char *to)
{
    return is_inside(to) && failure()
        ? -1 : REAL(int, renameat, int, const char *, int, const char *)(from_at, from, to_at, to);
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
    return is_inside(to) && failure()
        ? -1
        : REAL(int, linkat, int, const char *, int, const char *, int)(from_at, from, to_at, to,
                                                                      flags);
}

int mkdir(const char *path, mode_t mode)
{
    return is_inside(path) && failure() ? -1 : REAL(int, mkdir, const char *, mode_t)(path, mode);
}

int mkdirat(int at, const char *path, mode_t mode)
{
    return is_inside(path) && failure()
        ? -1 : REAL(int, mkdirat, int, const char *, mode_t)(at, path, mode);
}
