// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/locked_mount.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "hook/base/files.h"

namespace actiondfs::mount {
namespace {

// Goes to a directory, and back in the end.
class WorkingDirectory {
 public:
  static Result<WorkingDirectory> Enter(int dirfd) {
    ASSIGN_OR_RETURN(UniqueFd before, OpenAt(AT_FDCWD, ".", O_PATH | O_DIRECTORY));
    if (::fchdir(dirfd) != 0) {
      return ErrnoError("enter the mount");
    }
    return WorkingDirectory(std::move(before));
  }
  WorkingDirectory(WorkingDirectory&&) = default;
  WorkingDirectory& operator=(WorkingDirectory&&) = delete;
  ~WorkingDirectory() {
    if (before_.valid() && ::fchdir(before_.get()) != 0) {
      ::abort();  // relative paths would lead elsewhere from here on
    }
  }

 private:
  explicit WorkingDirectory(UniqueFd before) : before_(std::move(before)) {}
  UniqueFd before_;
};

// What the child does: system calls only. Its working directory is the new namespace's copy of the
// mount. The exit status is an errno.
[[noreturn]] void CloneInto(int slot) {
  const int mount = ::open_tree(AT_FDCWD, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  const bool done = mount >= 0 && ::dup3(mount, slot, O_CLOEXEC) == slot;
  const int code = done ? 0 : errno;
  if (mount >= 0) {
    ::close(mount);
  }
  ::_exit(code);
}

Result<int> Wait(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) {
      return ErrnoError("wait for the process that locks the mount");
    }
  }
  // Killed, by whoever: it may or may not have got to the end.
  return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

}  // namespace

Result<DetachedMount> CloneMountLocked(int dirfd) {
  // The table of descriptors is shared with the child, which puts the mount in this slot.
  ASSIGN_OR_RETURN(UniqueFd slot, OpenAt(AT_FDCWD, "/", O_PATH | O_DIRECTORY));
  int code = 0;
  {
    ASSIGN_OR_RETURN(const WorkingDirectory inside, WorkingDirectory::Enter(dirfd));
    // The kernel copies this mount namespace for one that belongs to a new user namespace, with all
    // flags locked. Nobody can join that: the child ends before this call returns (CLONE_VFORK).
    // Born there, not by unshare(2): sanitizers give a process threads.
    constexpr unsigned long kFlags =
        CLONE_NEWUSER | CLONE_NEWNS | CLONE_FILES | CLONE_VFORK | SIGCHLD;
    const auto child = static_cast<pid_t>(::syscall(SYS_clone, kFlags, 0, 0, 0, 0));
    if (child < 0) {
      return ErrnoError("make a user namespace to lock the mount");
    }
    if (child == 0) {
      CloneInto(slot.get());
    }
    ASSIGN_OR_RETURN(code, Wait(child));
  }
  if (code != 0) {
    errno = code;
    return ErrnoError("lock the mount");
  }
  return DetachedMount(std::move(slot));
}

}  // namespace actiondfs::mount
