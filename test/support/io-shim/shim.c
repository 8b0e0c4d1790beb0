/*
 * For LD_PRELOAD: counts what a Node process asks of the files below one directory, and makes single calls fail, fall
 * short, wait, or be the last thing that the process does. Steered through a mapped file, see shim.ts, which has the
 * same numbers; all other files, and calls while the phase word is 0, pass untouched.
 *
 * Environment: GROUPWAL_SHIM_ROOT, an absolute path without symbolic links; GROUPWAL_SHIM_CONTROL, the mapped file.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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

/* Same order as OPS and ROLES in shim.ts. */
enum { OPEN, CLOSE, WRITE, READ, DATASYNC, SYNC, TRUNCATE, RENAME, UNLINK, MKDIR, LIST, STAT, LOCK };
enum { DIRECTORY, SEGMENT, TEMPORARY, SPARE, LOCK_FILE, PROBE, OTHER, ROLES = 8 };
/* Same as ACTIONS in shim.ts. */
enum { PASS, FAIL, FAIL_AFTER, SHORT, ZERO, DELAY, HOLD, KILL_BEFORE, KILL_AFTER, KILL_MID };

enum { WORDS = 8192, KINDS = 128, PHASES = 24, RULES = 4, FOREVER = 0xffffffffu };
/* Words of the mapped file. */
enum { PHASE = 0, GATE = 1, UNCOUNTED = 2, TRACE_NEXT = 3, RULE = 16, RULE_WORDS = 16, COUNTS = 128 };
enum { TRACE = COUNTS + PHASES * KINDS, TRACE_ENTRIES = 1024, TRACE_WORDS = 4 };
/*
 * Words of a rule. THEN_LEFT calls of the operations in THEN_OPS that follow the first are treated as THEN says: calls of
 * any thread when there is no end of them, else of THREAD, which made the first: as when libuv goes on behind a short write.
 */
enum { ARMED, ON_PHASE, ON_KIND, ON_NTH, ACTION, VALUE, THEN_ACTION, THEN_VALUE, THEN_LEFT, THEN_OPS, FIRED, THREAD };
enum { RULE_OFF = 0, RULE_ARMED = 1, RULE_TRIGGERED = 2 };

enum { MOST_FDS = 65536 };

static uint32_t *words;
static char root[4096];
static size_t root_length;
/* Role + 1 of each tracked fd, else 0. */
static uint8_t roles[MOST_FDS];

#define REAL(type, name, ...)                                                                                       \
  static type (*real)(__VA_ARGS__);                                                                                 \
  if (real == NULL) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static uint32_t load(uint32_t index) { return __atomic_load_n(&words[index], __ATOMIC_SEQ_CST); }
static uint32_t add(uint32_t index) { return __atomic_fetch_add(&words[index], 1, __ATOMIC_SEQ_CST); }

static int real_open(const char *path, int flags, mode_t mode) {
  REAL(int, "open64", const char *, int, ...);
  return real(path, flags, mode);
}

static int real_close(int fd) {
  REAL(int, "close", int);
  return real(fd);
}

static ssize_t real_pwrite(int fd, const void *bytes, size_t length, off64_t offset) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
  return real(fd, bytes, length, offset);
}

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("GROUPWAL_SHIM_CONTROL");
  const char *directory = getenv("GROUPWAL_SHIM_ROOT");
  if (path == NULL || directory == NULL) return;
  int fd = real_open(path, O_RDWR | O_CLOEXEC, 0);
  if (fd < 0) abort();
  void *mapped = mmap(NULL, WORDS * sizeof *words, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) abort();
  real_close(fd);
  root_length = strlen(directory);
  if (root_length >= sizeof root) abort();
  memcpy(root, directory, root_length + 1);
  words = mapped;
}

static int role_of_path(const char *path) {
  if (words == NULL || path == NULL || strncmp(path, root, root_length) != 0) return -1;
  if (path[root_length] == '\0') return DIRECTORY;
  if (path[root_length] != '/') return -1;
  const char *name = strrchr(path, '/') + 1;
  const char *dot = strrchr(name, '.');
  if (strncmp(name, "wal-", 4) == 0) return dot != NULL && strcmp(dot, ".tmp") == 0 ? TEMPORARY : SEGMENT;
  if (strncmp(name, "spare-", 6) == 0) return SPARE;
  if (strncmp(name, "probe-", 6) == 0) return PROBE;
  if (strcmp(name, "LOCK") == 0) return LOCK_FILE;
  return dot == NULL ? DIRECTORY : OTHER;
}

/* A log syncs the path to its directory, too. */
static int is_ancestor(const char *path) {
  size_t length = path == NULL ? 0 : strlen(path);
  if (words == NULL || length == 0 || length >= root_length || strncmp(path, root, length) != 0) return 0;
  return path[length - 1] == '/' || root[length] == '/';
}

static int role_of_fd(int fd) {
  if (words == NULL || fd < 0 || fd >= MOST_FDS) return -1;
  return __atomic_load_n(&roles[fd], __ATOMIC_SEQ_CST) - 1;
}

static void track(int fd, int role) {
  if (fd >= 0 && fd < MOST_FDS) __atomic_store_n(&roles[fd], (uint8_t)(role + 1), __ATOMIC_SEQ_CST);
}

struct verdict {
  uint32_t action;
  uint32_t value;
};

static int consult(uint32_t rule, uint32_t phase, uint32_t kind, uint32_t nth, struct verdict *verdict) {
  uint32_t state = load(rule + ARMED);
  if (state == RULE_ARMED && load(rule + ON_PHASE) == phase && load(rule + ON_KIND) == kind &&
      load(rule + ON_NTH) == nth) {
    uint32_t expected = RULE_ARMED;
    if (!__atomic_compare_exchange_n(&words[rule + ARMED], &expected, RULE_TRIGGERED, 0, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
      return 0;
    __atomic_store_n(&words[rule + THREAD], (uint32_t)gettid(), __ATOMIC_SEQ_CST);
    *verdict = (struct verdict){load(rule + ACTION), load(rule + VALUE)};
    return 1;
  }
  if (state != RULE_TRIGGERED || (load(rule + THEN_OPS) >> (kind / ROLES) & 1) == 0) return 0;
  for (;;) {
    uint32_t left = load(rule + THEN_LEFT);
    if (left == 0 || (left != FOREVER && load(rule + THREAD) != (uint32_t)gettid())) return 0;
    if (left != FOREVER && !__atomic_compare_exchange_n(&words[rule + THEN_LEFT], &left, left - 1, 0,
                                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
      continue;
    *verdict = (struct verdict){load(rule + THEN_ACTION), load(rule + THEN_VALUE)};
    return 1;
  }
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static void wait_for_gate(uint32_t most_micros) {
  for (uint32_t waited = 0; waited < most_micros && load(GATE) == 0; waited += 100) usleep(100);
}

/* Counts a call; waits or dies if a rule says so. What is left to do stands in the result. */
static struct verdict before(uint32_t op, int role) {
  struct verdict verdict = {PASS, 0};
  uint32_t phase = role < 0 ? 0 : load(PHASE);
  if (phase == 0 || phase >= PHASES) return verdict;
  uint32_t kind = op * ROLES + (uint32_t)role;
  uint32_t nth = add(COUNTS + phase * KINDS + kind) + 1;
  uint32_t *entry = &words[TRACE + add(TRACE_NEXT) % TRACE_ENTRIES * TRACE_WORDS];
  entry[0] = phase << 16 | kind;
  entry[1] = nth;
  entry[2] = (uint32_t)gettid();
  entry[3] = 0;
  for (uint32_t at = RULE; at < RULE + RULES * RULE_WORDS; at += RULE_WORDS) {
    if (!consult(at, phase, kind, nth, &verdict)) continue;
    add(at + FIRED);
    entry[3] = verdict.action;
    break;
  }
  if (verdict.action == KILL_BEFORE) die();
  if (verdict.action == DELAY) usleep(verdict.value);
  if (verdict.action == HOLD) wait_for_gate(verdict.value);
  return verdict;
}

static int fails(struct verdict verdict) { return verdict.action == FAIL; }

/* Behind the call itself; its result becomes that of the caller. */
static long after(struct verdict verdict, long result) {
  if (verdict.action == KILL_AFTER || verdict.action == KILL_MID) die();
  if (verdict.action != FAIL && verdict.action != FAIL_AFTER) return result;
  errno = (int)verdict.value;
  return -1;
}

/* Calls that groupwal does not make: what is swept would not be all. */
static void refuse_to_miss(int fd) {
  if (role_of_fd(fd) >= 0 && load(PHASE) != 0) add(UNCOUNTED);
}

static int open_tracked(const char *path, int flags, mode_t mode) {
  int role = role_of_path(path);
  if (role < 0 && (flags & O_DIRECTORY) != 0 && is_ancestor(path)) role = DIRECTORY;
  struct verdict verdict = before(OPEN, role);
  if (fails(verdict)) return (int)after(verdict, -1);
  int fd = real_open(path, flags, mode);
  if (fd >= 0 && verdict.action == FAIL_AFTER) real_close(fd);
  else if (role >= 0) track(fd, role);
  return (int)after(verdict, fd);
}

static mode_t mode_of(int flags, va_list list) {
  return (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0;
}

int open64(const char *path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = mode_of(flags, list);
  va_end(list);
  return open_tracked(path, flags, mode);
}

int open(const char *path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = mode_of(flags, list);
  va_end(list);
  return open_tracked(path, flags, mode);
}

static int close_tracked(int fd) {
  int role = role_of_fd(fd);
  struct verdict verdict = before(CLOSE, role);
  /* Before its number can be given to another file. Linux frees it whatever close() returns. */
  if (role >= 0) track(fd, -1);
  return (int)after(verdict, real_close(fd));
}

int close(int fd) { return close_tracked(fd); }

/* Through another fd, since half a block cannot be written with O_DIRECT. */
static ssize_t write_part(int fd, const void *bytes, size_t length, off64_t offset) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int other = real_open(path, O_WRONLY | O_CLOEXEC, 0);
  if (other < 0) return -1;
  ssize_t written = real_pwrite(other, bytes, length, offset);
  real_close(other);
  return written;
}

static size_t part_of(size_t length, uint32_t wanted) {
  return length == 0 ? 0 : wanted < length ? wanted : length - 1;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
  struct verdict verdict = before(WRITE, role_of_fd(fd));
  if (fails(verdict)) return after(verdict, -1);
  if (verdict.action == ZERO) return 0;
  if (verdict.action == SHORT || verdict.action == KILL_MID)
    return after(verdict, write_part(fd, bytes, part_of(length, verdict.value), offset));
  return after(verdict, real_pwrite(fd, bytes, length, offset));
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t offset) {
  REAL(ssize_t, "pread64", int, void *, size_t, off64_t);
  struct verdict verdict = before(READ, role_of_fd(fd));
  if (fails(verdict)) return after(verdict, -1);
  ssize_t count = real(fd, bytes, length, offset);
  /* A read that is cut short delivers less of what is there, and something unless it is at the end of the file. */
  if (verdict.action == SHORT && count > 1) return (ssize_t)part_of((size_t)count, verdict.value);
  return after(verdict, count);
}

int fdatasync(int fd) {
  REAL(int, "fdatasync", int);
  struct verdict verdict = before(DATASYNC, role_of_fd(fd));
  return (int)after(verdict, fails(verdict) ? -1 : real(fd));
}

int fsync(int fd) {
  REAL(int, "fsync", int);
  struct verdict verdict = before(SYNC, role_of_fd(fd));
  return (int)after(verdict, fails(verdict) ? -1 : real(fd));
}

int ftruncate64(int fd, off64_t length) {
  REAL(int, "ftruncate64", int, off64_t);
  struct verdict verdict = before(TRUNCATE, role_of_fd(fd));
  return (int)after(verdict, fails(verdict) ? -1 : real(fd, length));
}

int rename(const char *from, const char *to) {
  REAL(int, "rename", const char *, const char *);
  struct verdict verdict = before(RENAME, role_of_path(from));
  return (int)after(verdict, fails(verdict) ? -1 : real(from, to));
}

int unlink(const char *path) {
  REAL(int, "unlink", const char *);
  struct verdict verdict = before(UNLINK, role_of_path(path));
  return (int)after(verdict, fails(verdict) ? -1 : real(path));
}

int mkdir(const char *path, mode_t mode) {
  REAL(int, "mkdir", const char *, mode_t);
  struct verdict verdict = before(MKDIR, role_of_path(path));
  return (int)after(verdict, fails(verdict) ? -1 : real(path, mode));
}

int scandir64(const char *path, struct dirent64 ***list, int (*filter)(const struct dirent64 *),
              int (*compare)(const struct dirent64 **, const struct dirent64 **)) {
  REAL(int, "scandir64", const char *, struct dirent64 ***, int (*)(const struct dirent64 *),
       int (*)(const struct dirent64 **, const struct dirent64 **));
  struct verdict verdict = before(LIST, role_of_path(path));
  return fails(verdict) ? (int)after(verdict, -1) : real(path, list, filter, compare);
}

/* libuv has these by their numbers. */
long syscall(long number, ...) {
  REAL(long, "syscall", long, ...);
  va_list list;
  va_start(list, number);
  long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long);
  long d = va_arg(list, long), e = va_arg(list, long), f = va_arg(list, long);
  va_end(list);
  if (number == SYS_close) return close_tracked((int)a);
  struct verdict verdict = {PASS, 0};
  if (number == SYS_statx) {
    const char *path = (const char *)b;
    verdict = before(STAT, path != NULL && *path != '\0' ? role_of_path(path) : role_of_fd((int)a));
  }
  return after(verdict, fails(verdict) ? -1 : real(number, a, b, c, d, e, f));
}

static int lock_tracked(int fd, int command, void *argument) {
  REAL(int, "fcntl64", int, int, ...);
  struct verdict verdict = before(LOCK, command == F_OFD_SETLK ? role_of_fd(fd) : -1);
  return (int)after(verdict, fails(verdict) ? -1 : real(fd, command, argument));
}

int fcntl(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  void *argument = va_arg(list, void *);
  va_end(list);
  return lock_tracked(fd, command, argument);
}

int fcntl64(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  void *argument = va_arg(list, void *);
  va_end(list);
  return lock_tracked(fd, command, argument);
}

#define MISSED(type, name, parameters, fd, ...)                                                                     \
  type name parameters {                                                                                            \
    static type(*real) parameters;                                                                                  \
    if (real == NULL) real = (type(*) parameters)dlsym(RTLD_NEXT, #name);                                           \
    refuse_to_miss(fd);                                                                                             \
    return real(__VA_ARGS__);                                                                                       \
  }

MISSED(ssize_t, write, (int fd, const void *bytes, size_t length), fd, fd, bytes, length)
MISSED(ssize_t, read, (int fd, void *bytes, size_t length), fd, fd, bytes, length)
MISSED(ssize_t, writev, (int fd, const struct iovec *vector, int count), fd, fd, vector, count)
MISSED(ssize_t, readv, (int fd, const struct iovec *vector, int count), fd, fd, vector, count)
MISSED(ssize_t, pwritev64, (int fd, const struct iovec *vector, int count, off64_t offset), fd, fd, vector, count,
       offset)
MISSED(ssize_t, preadv64, (int fd, const struct iovec *vector, int count, off64_t offset), fd, fd, vector, count,
       offset)
MISSED(int, fallocate, (int fd, int mode, off_t offset, off_t length), fd, fd, mode, offset, length)
