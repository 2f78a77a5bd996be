/* Preloaded into a program, lets one of its file operations fail.
 *
 * Operations on files whose path contains ASSAY_SHIM_PATH are counted, those of
 * one kind; the one with the number ASSAY_SHIM_FAIL (from 1 on) fails once:
 *
 * ASSAY_SHIM_KIND=read    opening and reading fail
 * ASSAY_SHIM_KIND=write   writing fails, and writes nothing
 * ASSAY_SHIM_KIND=short   writing fails after half of the bytes
 * ASSAY_SHIM_KIND=sync    fsync, fdatasync, sync_file_range, ftruncate fail
 * ASSAY_SHIM_KIND=kill    before anything is changed, the process is killed
 * ASSAY_SHIM_ERRNO        EIO or ENOSPC
 * ASSAY_SHIM_LOG          the file to which the name of the call is written
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define FILES 65536

/* Whether a file descriptor is that of a file whose operations count. */
static atomic_uchar tracked[FILES];
static atomic_long count;

static int is_kind(const char *kind) {
    const char *wanted = getenv("ASSAY_SHIM_KIND");
    return wanted != NULL && strcmp(wanted, kind) == 0;
}

/* Counts an operation of this kind; whether it is to fail. What changes files is
 * counted for the kind "kill" too, and does not return when it is due. */
static int due(const char *kind, const char *call) {
    int kills = is_kind("kill");
    if (kills) {
        if (strcmp(kind, "write") != 0 && strcmp(kind, "sync") != 0 && strcmp(kind, "kill") != 0)
            return 0;
        kind = "kill";
    }
    const char *at = getenv("ASSAY_SHIM_FAIL");
    const char *path = getenv("ASSAY_SHIM_LOG");
    if (!is_kind(kind) || at == NULL || atomic_fetch_add(&count, 1) + 1 != atol(at))
        return 0;
    if (path != NULL) {
        long log = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0600);
        syscall(SYS_write, log, call, strlen(call));
        syscall(SYS_close, log);
    }
    if (kills)
        syscall(SYS_kill, getpid(), SIGKILL);
    return 1;
}

static int fail(void) {
    const char *name = getenv("ASSAY_SHIM_ERRNO");
    errno = name != NULL && strcmp(name, "ENOSPC") == 0 ? ENOSPC : EIO;
    return -1;
}

static int is_tracked(int fd) {
    return fd >= 0 && fd < FILES && atomic_load(&tracked[fd]);
}

static void *real(const char *name) {
    return dlsym(RTLD_NEXT, name);
}

static int is_ours(const char *path) {
    const char *part = getenv("ASSAY_SHIM_PATH");
    return part != NULL && strstr(path, part) != NULL;
}

static int open_file(int dir, const char *path, int flags, mode_t mode, const char *call) {
    int ours = is_ours(path);
    if (ours && due("read", call))
        return fail();
    if (ours && (flags & O_CREAT))
        due("kill", call);
    int fd = (int)syscall(SYS_openat, dir, path, flags | O_LARGEFILE, mode);
    if (fd >= 0 && fd < FILES)
        atomic_store(&tracked[fd], ours);
    return fd;
}

#define MODE(flags)                           \
    mode_t mode = 0;                          \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {  \
        va_list rest;                         \
        va_start(rest, flags);                \
        mode = va_arg(rest, mode_t);          \
        va_end(rest);                         \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return open_file(AT_FDCWD, path, flags, mode, "open");
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    return open_file(AT_FDCWD, path, flags, mode, "open");
}

int openat(int dir, const char *path, int flags, ...) {
    MODE(flags)
    return open_file(dir, path, flags, mode, "openat");
}

int openat64(int dir, const char *path, int flags, ...) {
    MODE(flags)
    return open_file(dir, path, flags, mode, "openat");
}

int close(int fd) {
    if (fd >= 0 && fd < FILES)
        atomic_store(&tracked[fd], 0);
    return (int)syscall(SYS_close, fd);
}

ssize_t read(int fd, void *buffer, size_t len) {
    if (is_tracked(fd) && due("read", "read"))
        return fail();
    return ((ssize_t(*)(int, void *, size_t))real("read"))(fd, buffer, len);
}

static ssize_t read_at(int fd, void *buffer, size_t len, off_t offset) {
    if (is_tracked(fd) && due("read", "pread"))
        return fail();
    return ((ssize_t(*)(int, void *, size_t, off_t))real("pread64"))(fd, buffer, len, offset);
}

ssize_t pread(int fd, void *buffer, size_t len, off_t offset) {
    return read_at(fd, buffer, len, offset);
}

ssize_t pread64(int fd, void *buffer, size_t len, off_t offset) {
    return read_at(fd, buffer, len, offset);
}

ssize_t write(int fd, const void *buffer, size_t len) {
    ssize_t (*next)(int, const void *, size_t) = real("write");
    if (is_tracked(fd) && due("write", "write"))
        return fail();
    if (is_tracked(fd) && due("short", "write")) {
        next(fd, buffer, len / 2);
        return fail();
    }
    return next(fd, buffer, len);
}

static ssize_t write_at(int fd, const void *buffer, size_t len, off_t offset) {
    ssize_t (*next)(int, const void *, size_t, off_t) = real("pwrite64");
    if (is_tracked(fd) && due("write", "pwrite"))
        return fail();
    if (is_tracked(fd) && due("short", "pwrite")) {
        next(fd, buffer, len / 2, offset);
        return fail();
    }
    return next(fd, buffer, len, offset);
}

ssize_t pwrite(int fd, const void *buffer, size_t len, off_t offset) {
    return write_at(fd, buffer, len, offset);
}

ssize_t pwrite64(int fd, const void *buffer, size_t len, off_t offset) {
    return write_at(fd, buffer, len, offset);
}

int fsync(int fd) {
    if (is_tracked(fd) && due("sync", "fsync"))
        return fail();
    return ((int (*)(int))real("fsync"))(fd);
}

int fdatasync(int fd) {
    if (is_tracked(fd) && due("sync", "fdatasync"))
        return fail();
    return ((int (*)(int))real("fdatasync"))(fd);
}

int sync_file_range(int fd, off_t offset, off_t len, unsigned int flags) {
    if (is_tracked(fd) && due("sync", "sync_file_range"))
        return fail();
    return (int)syscall(SYS_sync_file_range, fd, offset, len, flags);
}

static int truncate_to(int fd, off_t len) {
    if (is_tracked(fd) && due("sync", "ftruncate"))
        return fail();
    return (int)syscall(SYS_ftruncate, fd, len);
}

int ftruncate(int fd, off_t len) {
    return truncate_to(fd, len);
}

int ftruncate64(int fd, off_t len) {
    return truncate_to(fd, len);
}

int rename(const char *from, const char *to) {
    if (is_ours(from))
        due("kill", "rename");
    return (int)syscall(SYS_rename, from, to);
}

int unlink(const char *path) {
    if (is_ours(path))
        due("kill", "unlink");
    return (int)syscall(SYS_unlink, path);
}

/* Within a directory that is removed: names are relative. */
int unlinkat(int dir, const char *path, int flags) {
    due("kill", "unlinkat");
    return (int)syscall(SYS_unlinkat, dir, path, flags);
}

int mkdir(const char *path, mode_t mode) {
    if (is_ours(path))
        due("kill", "mkdir");
    return (int)syscall(SYS_mkdir, path, mode);
}

int rmdir(const char *path) {
    if (is_ours(path))
        due("kill", "rmdir");
    return (int)syscall(SYS_rmdir, path);
}
