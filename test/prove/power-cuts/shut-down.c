// shut-down MOUNT [IMAGE PER_MILLE SEED]: cuts a mounted file system off from its disk, when told to.
//
// Waits for one byte on stdin, shuts the file system down as if the power had gone (no log flush, nothing is written
// any more), and answers one byte, so that the caller has no process to start at the decisive moment. With an image, a
// file on that file system, it first writes this share of the image's pages back in random order: what a disk's
// volatile cache may have done on its own.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FS_IOC_SHUTDOWN _IOR('X', 125, uint32_t)
#define NO_LOG_FLUSH 2

static int fail(const char *what) {
  fprintf(stderr, "shut-down: %s: %s\n", what, strerror(errno));
  return 1;
}

static uint64_t next(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

// A page that is clean costs nothing, so each is asked for without knowing which are not.
static int write_back(int image, uint64_t per_mille, uint64_t seed) {
  struct stat status;
  const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
  uint64_t state = seed * 2 + 1;
  if (fstat(image, &status) != 0) return fail("fstat");
  const uint64_t count = (uint64_t)status.st_size / page;
  for (uint64_t done = 0; done < count * per_mille / 1000; done++) {
    const off64_t at = (off64_t)(next(&state) % count * page);
    if (sync_file_range(image, at, page, SYNC_FILE_RANGE_WRITE) != 0) return fail("sync_file_range");
  }
  return 0;
}

int main(int count, char **arguments) {
  const uint32_t how = NO_LOG_FLUSH;
  char byte = 0;
  if (count != 2 && count != 5) return 2;
  const int mount = open(arguments[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (mount < 0) return fail(arguments[1]);
  const int image = count == 5 ? open(arguments[2], O_RDWR | O_CLOEXEC) : -1;
  if (count == 5 && image < 0) return fail(arguments[2]);
  // Ready. The end of stdin means that nobody wants the cut any more.
  if (write(STDOUT_FILENO, "r", 1) != 1 || read(STDIN_FILENO, &byte, 1) != 1) return 0;
  if (image >= 0 && write_back(image, strtoull(arguments[3], 0, 10), strtoull(arguments[4], 0, 10)) != 0) return 1;
  if (ioctl(mount, FS_IOC_SHUTDOWN, &how) != 0) return fail("FS_IOC_SHUTDOWN");
  return write(STDOUT_FILENO, "d", 1) == 1 ? 0 : 1;
}
