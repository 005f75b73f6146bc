/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs in a container, as root of it with every capability, and tries each way that Linux knows to
 * change the file of an input: hostile FILE SCRATCH. SCRATCH is a directory that can be written to.
 * Prints the name of each way that the kernel let through, and "done N" in the end: N ways were
 * tried. Whether anything was changed is for the caller to see in the store. With "euid" it only
 * says whose rights it has.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char* path;
static const char* scratch;
static int tried;

static void tell(const char* what, int worked) {
  tried++;
  if (worked) printf("THROUGH %s\n", what);
}

static int opened(int flags) {
  return open(path, flags | O_CLOEXEC, 0600);
}

static int put(int fd) {
  return pwrite(fd, "evil", 4, 0) == 4;
}

static void by_opening(void) {
  static const struct {
    const char* name;
    int flags;
  } ways[] = {
      {"O_WRONLY", O_WRONLY},
      {"O_RDWR", O_RDWR},
      {"O_TRUNC", O_RDONLY | O_TRUNC},
      {"O_APPEND", O_WRONLY | O_APPEND},
      {"O_DIRECT", O_WRONLY | O_DIRECT},
      {"O_CREAT", O_WRONLY | O_CREAT},
      {"access mode 3", O_ACCMODE},
  };

  for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
    int fd = opened(ways[i].flags);

    tell(ways[i].name, fd >= 0 && (put(fd) || (ways[i].flags & O_TRUNC)));
    if (fd >= 0) close(fd);
  }
}

/* Ways from one descriptor that may only read to one that may write. */
static void by_reopening(void) {
  static const char* const links[] = {"/proc/self/fd/%d", "/proc/thread-self/fd/%d", "/dev/fd/%d"};
  static const int flags[] = {O_RDONLY, O_PATH};
  char link[64];

  for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
    for (size_t k = 0; k < 2; k++) {
      int from = opened(flags[k]);

      (void)snprintf(link, sizeof(link), links[i], from);
      int fd = open(link, O_WRONLY);

      tell(links[i], fd >= 0 && put(fd));
      tell("truncate of it", truncate(link, 1) == 0);
      tell("chmod of it", chmod(link, 0666) == 0);
      close(fd);
      close(from);
    }
  }
}

static void by_mapping(void) {
  int fd = opened(O_RDONLY);
  char* map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

  tell("shared writable map", map != MAP_FAILED);
  map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) {
    tell("no map at all", 1);
    return;
  }
  tell("mprotect of a shared map", mprotect(map, 4096, PROT_READ | PROT_WRITE) == 0);
  /* What a debugger does, and /proc/PID/mem: it writes where there is no right to. */
  int memory = open("/proc/self/mem", O_RDWR);

  tell("/proc/self/mem on a shared map", memory >= 0 && pwrite(memory, "evil", 4, (off_t)map) == 4);
  char name[64];

  (void)snprintf(name, sizeof(name), "/proc/self/map_files/%lx-%lx", (unsigned long)map,
                 (unsigned long)map + 4096);
  int again = open(name, O_RDWR);

  tell("/proc/self/map_files", again >= 0 && put(again));
  struct stat st;

  if (fstat(fd, &st) != 0 || st.st_size == 0) {
    close(memory);
    close(again);
    close(fd);
    return; /* touching it is SIGBUS */
  }
  /* A private copy may be written, and must stay one. */
  char* private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

  if (private != MAP_FAILED) {
    private[0] = '!';
    msync(private, 4096, MS_SYNC);
  }
  char* text = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

  if (memory >= 0 && text != MAP_FAILED) {
    for (int i = 0; i < 100; i++) {
      if (pwrite(memory, "evil", 4, (off_t)text) != 4) break;
      madvise(text, 4096, MADV_DONTNEED);
    }
  }
  tried++;
  close(memory);
  close(again);
  close(fd);
}

static void by_copying(void) {
  char other[4096];

  (void)snprintf(other, sizeof(other), "%s/hostile.tmp", scratch);
  int from = open(other, O_RDWR | O_CREAT | O_TRUNC, 0600);
  int to = opened(O_RDONLY);
  int pipes[2];

  if (from < 0 || pwrite(from, "evilevil", 8, 0) != 8 || pipe(pipes) != 0) {
    printf("THROUGH no scratch\n");
    return;
  }
  struct file_clone_range range = {.src_fd = from};
  union {
    struct file_dedupe_range range;
    char room[sizeof(struct file_dedupe_range) + sizeof(struct file_dedupe_range_info)];
  } dedupe = {.range = {.src_length = 4, .dest_count = 1}};
  dedupe.range.info[0].dest_fd = to;
  loff_t zero = 0;
  off_t offset = 0;

  tell("copy_file_range", copy_file_range(from, &zero, to, NULL, 4, 0) > 0);
  tell("sendfile", sendfile(to, from, &offset, 4) > 0);
  tell("FICLONE", ioctl(to, FICLONE, from) == 0);
  tell("FICLONERANGE", ioctl(to, FICLONERANGE, &range) == 0);
  tell("FIDEDUPERANGE", ioctl(from, FIDEDUPERANGE, &dedupe) == 0 &&
                            dedupe.range.info[0].status == FILE_DEDUPE_RANGE_SAME);
  if (write(pipes[1], "evil", 4) == 4) tell("splice", splice(pipes[0], NULL, to, &zero, 4, 0) > 0);
  /* Pages of the input's own, taken into a pipe, and what is written to the pipe after them
   * (CVE-2022-0847). */
  loff_t start = 0;

  if (splice(to, &start, pipes[1], NULL, 1, 0) == 1 && write(pipes[1], "EVIL", 4) == 4) tried++;
  struct iovec vector = {.iov_base = "evil", .iov_len = 4};

  tell("pwritev2", pwritev2(to, &vector, 1, 0, 0) > 0);
  unlink(other);
  close(from);
  close(to);
}

static void by_attributes(void) {
  int fd = opened(O_RDONLY);
  struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
  int flags = FS_IMMUTABLE_FL;

  tell("ftruncate", ftruncate(fd, 0) == 0);
  tell("truncate", truncate(path, 0) == 0);
  tell("fallocate", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4) == 0);
  tell("fchmod", fchmod(fd, 0666) == 0);
  tell("chmod", chmod(path, 04755) == 0);
  tell("fchown", fchown(fd, 1, 1) == 0);
  tell("lchown", lchown(path, 1, 1) == 0);
  tell("futimens", futimens(fd, times) == 0);
  tell("utimensat", utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) == 0);
  tell("setxattr user", setxattr(path, "user.evil", "x", 1, 0) == 0);
  tell("setxattr trusted", setxattr(path, "trusted.evil", "x", 1, 0) == 0);
  tell("setxattr overlay", setxattr(path, "trusted.overlay.opaque", "y", 1, 0) == 0);
  tell("setxattr digest", setxattr(path, "user.actiondfs.digest", "x", 1, 0) == 0);
  tell("setxattr capability",
       setxattr(path, "security.capability", "\1\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, 0) == 0);
  tell("removexattr", removexattr(path, "user.actiondfs.digest") == 0);
  tell("FS_IOC_SETFLAGS", ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0);
  close(fd);
}

/* Other names, beside the first: on another mount it is EXDEV anyway. */
static void by_names(void) {
  char other[4096];
  char link_of_it[64];
  int fd = opened(O_RDONLY);

  (void)snprintf(other, sizeof(other), "%s.hostile", path);
  (void)snprintf(link_of_it, sizeof(link_of_it), "/proc/self/fd/%d", fd);
  tell("link", link(path, other) == 0);
  unlink(other);
  tell("linkat of a descriptor", linkat(fd, "", AT_FDCWD, other, AT_EMPTY_PATH) == 0);
  unlink(other);
  tell("linkat of /proc", linkat(AT_FDCWD, link_of_it, AT_FDCWD, other, AT_SYMLINK_FOLLOW) == 0);
  unlink(other);
  tell("rename", rename(path, other) == 0 && rename(other, path) == 0);
  close(fd);
}

static void by_handle(void) {
  struct {
    struct file_handle head;
    char rest[MAX_HANDLE_SZ];
  } handle = {.head = {.handle_bytes = MAX_HANDLE_SZ}};
  int mount_id;

  if (name_to_handle_at(AT_FDCWD, path, &handle.head, &mount_id, 0) == 0) {
    int at = open(scratch, O_RDONLY | O_DIRECTORY);
    int fd = open_by_handle_at(at, &handle.head, O_RDWR);

    tell("open_by_handle_at", fd >= 0 && put(fd));
    close(fd);
    close(at);
  }
  tried++;
}

/* A copy of the mount, made to be all that the workspace's is not. */
static void by_mounting(void) {
  char point[4096];
  char directory[4096];
  char target[8192];

  (void)snprintf(directory, sizeof(directory), "%s", path);
  *strrchr(directory, '/') = '\0';
  (void)snprintf(point, sizeof(point), "/tmp/hostile.mnt");
  mkdir(point, 0700);
  (void)snprintf(target, sizeof(target), "%s/%s", point, strrchr(path, '/') + 1);
  int tree = (int)syscall(SYS_open_tree, AT_FDCWD, directory, OPEN_TREE_CLONE | AT_RECURSIVE);
  struct mount_attr attributes = {.attr_clr =
                                      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};

  if (tree >= 0) {
    syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes));
    int fd = openat(tree, strrchr(path, '/') + 1, O_WRONLY);

    tell("open_tree", fd >= 0 && put(fd));
    close(fd);
    close(tree);
  }
  if (mount(directory, point, NULL, MS_BIND, NULL) == 0) {
    mount(NULL, point, NULL, MS_REMOUNT | MS_BIND, NULL);
    int fd = open(target, O_WRONLY);

    tell("bind mount", fd >= 0 && put(fd));
    close(fd);
    umount2(point, MNT_DETACH);
  }
  mount(NULL, directory, NULL, MS_REMOUNT, NULL);
  int fd = opened(O_WRONLY);

  tell("remount", fd >= 0 && put(fd));
  close(fd);
  int configured = (int)syscall(SYS_fspick, AT_FDCWD, directory, 0);

  if (configured >= 0) {
    syscall(SYS_fsconfig, configured, FSCONFIG_SET_FLAG, "rw", NULL, 0);
    syscall(SYS_fsconfig, configured, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0);
    fd = opened(O_WRONLY);
    tell("fspick", fd >= 0 && put(fd));
    close(fd);
    close(configured);
  }
}

/* A program of the inputs that runs, and is written to by its debugger. */
static void by_debugging(void) {
  pid_t child = fork();

  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    execl(path, path, (char*)NULL);
    _exit(127);
  }
  int status;

  if (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
    char line[256];
    unsigned long start = 0;

    (void)snprintf(line, sizeof(line), "/proc/%d/maps", child);
    FILE* maps = fopen(line, "r");

    if (maps && fgets(line, sizeof(line), maps)) start = strtoul(line, NULL, 16);
    if (maps) (void)fclose(maps);
    for (unsigned long at = start; start && at < start + 64; at += sizeof(long)) {
      ptrace(PTRACE_POKEDATA, child, (void*)at, (void*)0x6c697665);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
  }
  tried++;
}

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "euid") == 0) {
    printf("%u\n", geteuid());
    return 0;
  }
  if (argc != 3) {
    (void)fprintf(stderr, "usage: hostile FILE SCRATCH | euid\n");
    return 2;
  }
  path = argv[1];
  scratch = argv[2];
  /* The last ones change where the workspace is. */
  by_opening();
  by_reopening();
  by_mapping();
  by_copying();
  by_attributes();
  by_names();
  by_handle();
  by_debugging();
  by_mounting();
  printf("done %d\n", tried);
  return 0;
}
