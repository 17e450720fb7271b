/* Records what a process does to the files below a directory.  Loaded by LD_PRELOAD (tests/engine/recorded.py).
 *
 * A record: op, descriptor, two numbers, the lengths of two strings (struct record), then the strings.
 *
 *   o  descriptor, flags;           path          opened, perhaps made, perhaps emptied
 *   c  descriptor                                 closed
 *   w  descriptor, offset;          bytes         written; offset -1 is the end
 *   y  descriptor, offset, length                 that was synced by itself (O_DSYNC)
 *   t  descriptor, size                           cut or extended
 *   s  descriptor                                 synced: a file or a directory
 *   p  descriptor                                 mapped to be written, so unknown from now on
 *   r  path, path   l  path, path                 renamed, linked
 *   u  path         m  path         d  path       unlinked, directory made, directory removed
 *   k  text                                       a mark of the process itself (redraft_mark)
 *
 * A call and its record are one step for all threads.  Nothing is really synced: that would only take time.
 * Ways to change a file that are not here are found by comparing what the trace says with what is there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define DESCRIPTORS 65536
#define WATCHED 1
#define SYNCED 2 /* each write by itself */

struct __attribute__((packed)) record {
    char op;
    int32_t descriptor;
    int64_t first, second;
    uint32_t lengths[2];
};

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int trace = -1;
static const char *root;
static size_t root_length;
static unsigned char known[DESCRIPTORS];

__attribute__((constructor)) static void begin(void)
{
    root = getenv("RECORDER_ROOT");
    const char *path = getenv("RECORDER_TRACE");
    if (!root || !path)
        return;
    root_length = strlen(root);
    trace = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (trace < 0)
        abort();
    unsetenv("LD_PRELOAD"); /* not its children */
}

static void put(const void *data, size_t length)
{
    const char *at = data;
    while (length) {
        ssize_t done = syscall(SYS_write, trace, at, length);
        if (done <= 0)
            abort();
        at += done;
        length -= done;
    }
}

static void record(char op, int descriptor, int64_t first, int64_t second, const void *one, size_t one_length,
                   const char *other)
{
    struct record head = {op, descriptor, first, second, {one_length, other ? strlen(other) : 0}};
    put(&head, sizeof head);
    put(one, one_length);
    put(other, head.lengths[1]);
}

static int is_known(int descriptor)
{
    return trace >= 0 && descriptor >= 0 && descriptor < DESCRIPTORS ? known[descriptor] : 0;
}

/* Make a path absolute; return whether it is below the root. */
static int locate(char *whole, int directory, const char *path)
{
    char link[64], base[PATH_MAX] = "";
    if (trace < 0)
        return 0;
    if (path[0] != '/' && directory == AT_FDCWD) {
        if (!getcwd(base, sizeof base))
            return 0;
    } else if (path[0] != '/') {
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        ssize_t length = readlink(link, base, sizeof base - 1);
        base[length > 0 ? length : 0] = 0;
    }
    if (snprintf(whole, PATH_MAX, "%s%s%s", base, base[0] ? "/" : "", path) >= PATH_MAX)
        return 0;
    return !strncmp(whole, root, root_length) && (!whole[root_length] || whole[root_length] == '/');
}

void redraft_mark(const char *text)
{
    pthread_mutex_lock(&lock);
    record('k', -1, 0, 0, text, strlen(text), NULL);
    pthread_mutex_unlock(&lock);
}

/* ---- descriptors ---- */

static int opened(int directory, const char *path, int flags, mode_t mode)
{
    char whole[PATH_MAX];
    int inside = locate(whole, directory, path);
    pthread_mutex_lock(&lock);
    int descriptor = syscall(SYS_openat, directory, path, flags, mode);
    if (descriptor >= DESCRIPTORS)
        abort();
    if (descriptor >= 0)
        known[descriptor] = inside ? WATCHED | (flags & O_DSYNC ? SYNCED : 0) : 0;
    if (descriptor >= 0 && inside)
        record('o', descriptor, flags, 0, whole, strlen(whole), NULL);
    pthread_mutex_unlock(&lock);
    return descriptor;
}

#define MODE(flags)                                                                                            \
    mode_t mode = 0;                                                                                           \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                                   \
        va_list rest;                                                                                          \
        va_start(rest, flags);                                                                                 \
        mode = va_arg(rest, mode_t);                                                                           \
        va_end(rest);                                                                                          \
    }

int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return opened(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return opened(at, path, flags, mode); }

int creat(const char *path, mode_t mode)
{
    return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

static void closing(int descriptor)
{
    if (is_known(descriptor)) {
        record('c', descriptor, 0, 0, NULL, 0, NULL);
        known[descriptor] = 0;
    }
}

int close(int descriptor)
{
    pthread_mutex_lock(&lock);
    closing(descriptor);
    int result = syscall(SYS_close, descriptor);
    pthread_mutex_unlock(&lock);
    return result;
}

int fclose(FILE *file)
{
    static int (*real)(FILE *);
    if (!real)
        real = (int (*)(FILE *))dlsym(RTLD_NEXT, "fclose");
    pthread_mutex_lock(&lock);
    closing(fileno(file));
    int result = real(file);
    pthread_mutex_unlock(&lock);
    return result;
}

/* ---- what files hold ---- */

static void wrote(int descriptor, int64_t offset, const void *data, ssize_t length)
{
    if (length <= 0 || !is_known(descriptor))
        return;
    record('w', descriptor, offset, 0, data, length, NULL);
    if (known[descriptor] & SYNCED)
        record('y', descriptor, offset, length, NULL, 0, NULL);
}

ssize_t write(int descriptor, const void *data, size_t length)
{
    if (!is_known(descriptor))
        return syscall(SYS_write, descriptor, data, length);
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_write, descriptor, data, length);
    wrote(descriptor, lseek(descriptor, 0, SEEK_CUR) - done, data, done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite(int descriptor, const void *data, size_t length, off_t offset)
{
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_pwrite64, descriptor, data, length, offset);
    wrote(descriptor, offset, data, done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite64(int descriptor, const void *data, size_t length, off64_t offset)
{
    return pwrite(descriptor, data, length, offset);
}

/* One piece after the other, as a file takes them anyway. */
ssize_t writev(int descriptor, const struct iovec *pieces, int count)
{
    ssize_t sum = 0;
    pthread_mutex_lock(&lock);
    for (int at = 0; at < count; at++) {
        ssize_t done = write(descriptor, pieces[at].iov_base, pieces[at].iov_len);
        if (done < 0 && !sum)
            sum = -1;
        if (done < 0)
            break;
        sum += done;
        if ((size_t)done < pieces[at].iov_len)
            break;
    }
    pthread_mutex_unlock(&lock);
    return sum;
}

ssize_t pwritev(int descriptor, const struct iovec *pieces, int count, off_t offset)
{
    ssize_t sum = 0;
    pthread_mutex_lock(&lock);
    for (int at = 0; at < count; at++) {
        ssize_t done = pwrite(descriptor, pieces[at].iov_base, pieces[at].iov_len, offset + sum);
        if (done < 0 && !sum)
            sum = -1;
        if (done < 0)
            break;
        sum += done;
        if ((size_t)done < pieces[at].iov_len)
            break;
    }
    pthread_mutex_unlock(&lock);
    return sum;
}

ssize_t pwritev64(int descriptor, const struct iovec *pieces, int count, off64_t offset)
{
    return pwritev(descriptor, pieces, count, offset);
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *file)
{
    static size_t (*real)(const void *, size_t, size_t, FILE *);
    if (!real)
        real = (size_t(*)(const void *, size_t, size_t, FILE *))dlsym(RTLD_NEXT, "fwrite");
    pthread_mutex_lock(&lock);
    size_t done = real(data, size, count, file);
    wrote(fileno(file), -1, data, done * size); /* it may still be on its way; nothing promises more */
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int descriptor, off_t size)
{
    pthread_mutex_lock(&lock);
    int result = syscall(SYS_ftruncate, descriptor, size);
    if (!result && is_known(descriptor))
        record('t', descriptor, size, 0, NULL, 0, NULL);
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate64(int descriptor, off64_t size) { return ftruncate(descriptor, size); }

int fallocate(int descriptor, int mode, off_t offset, off_t length)
{
    struct stat found;
    pthread_mutex_lock(&lock);
    int result = syscall(SYS_fallocate, descriptor, mode, offset, length);
    if (!result && is_known(descriptor) && !fstat(descriptor, &found))
        record('t', descriptor, found.st_size, 0, NULL, 0, NULL);
    pthread_mutex_unlock(&lock);
    return result;
}

int fallocate64(int descriptor, int mode, off64_t offset, off64_t length)
{
    return fallocate(descriptor, mode, offset, length);
}

int posix_fallocate(int descriptor, off_t offset, off_t length)
{
    return fallocate(descriptor, 0, offset, length);
}

int posix_fallocate64(int descriptor, off64_t offset, off64_t length)
{
    return fallocate(descriptor, 0, offset, length);
}

int fsync(int descriptor)
{
    if (!is_known(descriptor))
        return syscall(SYS_fsync, descriptor);
    pthread_mutex_lock(&lock);
    record('s', descriptor, 0, 0, NULL, 0, NULL);
    pthread_mutex_unlock(&lock);
    return 0;
}

int fdatasync(int descriptor) { return fsync(descriptor); }

void *mmap(void *address, size_t length, int protection, int flags, int descriptor, off_t offset)
{
    pthread_mutex_lock(&lock);
    void *result = (void *)syscall(SYS_mmap, address, length, protection, flags, descriptor, offset);
    if (result != MAP_FAILED && flags & MAP_SHARED && protection & PROT_WRITE && is_known(descriptor))
        record('p', descriptor, 0, 0, NULL, 0, NULL);
    pthread_mutex_unlock(&lock);
    return result;
}

void *mmap64(void *address, size_t length, int protection, int flags, int descriptor, off64_t offset)
{
    return mmap(address, length, protection, flags, descriptor, offset);
}

/* ---- names ---- */

static int named(char op, long call, int at, const char *path, int flags_or_mode)
{
    char whole[PATH_MAX];
    int inside = locate(whole, at, path);
    pthread_mutex_lock(&lock);
    int result = syscall(call, at, path, flags_or_mode);
    if (!result && inside)
        record(op, -1, 0, 0, whole, strlen(whole), NULL);
    pthread_mutex_unlock(&lock);
    return result;
}

int mkdirat(int at, const char *path, mode_t mode) { return named('m', SYS_mkdirat, at, path, mode); }
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
int unlinkat(int at, const char *path, int flags)
{
    return named(flags & AT_REMOVEDIR ? 'd' : 'u', SYS_unlinkat, at, path, flags);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int renameat2(int old_at, const char *old, int new_at, const char *new, unsigned flags)
{
    char one[PATH_MAX], other[PATH_MAX];
    int inside = locate(one, old_at, old) | locate(other, new_at, new);
    pthread_mutex_lock(&lock);
    int result = syscall(SYS_renameat2, old_at, old, new_at, new, flags);
    if (!result && inside)
        record('r', -1, 0, 0, one, strlen(one), other);
    pthread_mutex_unlock(&lock);
    return result;
}

int renameat(int old_at, const char *old, int new_at, const char *new)
{
    return renameat2(old_at, old, new_at, new, 0);
}

int rename(const char *old, const char *new) { return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0); }

int linkat(int old_at, const char *old, int new_at, const char *new, int flags)
{
    char one[PATH_MAX], other[PATH_MAX];
    int inside = locate(one, old_at, old) | locate(other, new_at, new);
    pthread_mutex_lock(&lock);
    int result = syscall(SYS_linkat, old_at, old, new_at, new, flags);
    if (!result && inside)
        record('l', -1, 0, 0, one, strlen(one), other);
    pthread_mutex_unlock(&lock);
    return result;
}

int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }
