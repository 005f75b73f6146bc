// SPDX-License-Identifier: Apache-2.0
//
// at_call: runs a program and does something to it on its way into its Nth system call, which is
// then not made yet. Counting begins after the program's execve(2). What is done to a process
// between two of its calls is seen by nobody else, so these are all the places where it can be
// killed. One of
//
//   at_call list FILE
//   at_call kill N
//   at_call pause N TELL WAIT
//
// followed by `-- PROGRAM ARG...`, or by `--pid TID` for one thread that runs already: then "ready"
// is said on stdout, and the thread goes on when this program is ended.
//
// list writes the calls' names (or numbers), one a line; kill is SIGKILL; pause says so on the FIFO
// TELL, and goes on when WAIT is written to or closed.
//
// Exits as the program does; with 128 and the signal's number where one ended it; with 77 where
// ptrace(2) is not allowed.
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace {

constexpr int kSkip = 77;
constexpr int kUsage = 2;

// What the matrix wants to know by name.
const std::map<uint64_t, const char*> kNames = {
    {SYS_read, "read"},
    {SYS_write, "write"},
    {SYS_openat, "openat"},
    {SYS_openat2, "openat2"},
    {SYS_close, "close"},
    {SYS_mkdirat, "mkdirat"},
    {SYS_unlinkat, "unlinkat"},
    {SYS_renameat2, "renameat2"},
    {SYS_fsync, "fsync"},
    {SYS_fchown, "fchown"},
    {SYS_fchmod, "fchmod"},
    {SYS_utimensat, "utimensat"},
    {SYS_flock, "flock"},
    {SYS_connect, "connect"},
    {SYS_sendmsg, "sendmsg"},
    {SYS_recvmsg, "recvmsg"},
    {SYS_setns, "setns"},
    {SYS_fsopen, "fsopen"},
    {SYS_fsconfig, "fsconfig"},
    {SYS_fsmount, "fsmount"},
    {SYS_move_mount, "move_mount"},
    {SYS_open_tree, "open_tree"},
    {SYS_umount2, "umount2"},
    {SYS_mount_setattr, "mount_setattr"},
    {SYS_capset, "capset"},
    {SYS_fstatfs, "fstatfs"},
    {SYS_exit_group, "exit_group"},
    {SYS_renameat, "renameat"},
#ifdef SYS_rename
    {SYS_rename, "rename"},
    {SYS_mkdir, "mkdir"},
    {SYS_unlink, "unlink"},
    {SYS_rmdir, "rmdir"},
    {SYS_poll, "poll"},
#else
    {SYS_ppoll, "poll"},
#endif
};

struct Options {
  std::string action;
  long call = 0;  // kill, pause
  std::string file, tell, wait;
  pid_t pid = 0;
  std::vector<char*> program;
};

[[noreturn]] void Fail(const char* what, int code = 1) {
  std::perror(what);
  std::exit(code);
}

Options Parse(int argc, char** argv) {
  Options options;
  std::vector<std::string> words;
  int i = 1;
  for (; i < argc && std::strcmp(argv[i], "--") != 0; ++i) {
    if (std::strcmp(argv[i], "--pid") == 0 && i + 1 < argc) {
      options.pid = static_cast<pid_t>(std::strtol(argv[++i], nullptr, 10));
    } else {
      words.emplace_back(argv[i]);
    }
  }
  options.program.assign(argv + (i < argc ? i + 1 : argc), argv + argc);
  options.program.push_back(nullptr);
  options.action = words.empty() ? "" : words[0];
  const bool list = options.action == "list" && words.size() == 2;
  const bool kill = options.action == "kill" && words.size() == 2;
  const bool pause = options.action == "pause" && words.size() == 4;
  if ((!list && !kill && !pause) || (options.pid != 0) == (options.program.size() > 1)) {
    (void)std::fputs(
        "usage: at_call list FILE | kill N | pause N TELL WAIT, -- PROGRAM ARG... | --pid TID\n",
        stderr);
    std::exit(kUsage);
  }
  if (list) {
    options.file = words[1];
  } else {
    options.call = std::strtol(words[1].c_str(), nullptr, 10);
  }
  if (pause) {
    options.tell = words[2];
    options.wait = words[3];
  }
  return options;
}

// The program, stopped after its execve().
pid_t Start(const Options& options) {
  const pid_t child = ::fork();
  if (child < 0) {
    Fail("fork");
  }
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) {
      Fail("ptrace", kSkip);
    }
    (void)::raise(SIGSTOP);
    ::execv(options.program[0], options.program.data());
    Fail(options.program[0], 127);
  }
  int status = 0;
  if (::waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status)) {
    std::exit(kSkip);
  }
  const long flags = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC;
  if (::ptrace(PTRACE_SETOPTIONS, child, 0, flags) != 0 ||
      ::ptrace(PTRACE_CONT, child, 0, 0) != 0) {
    Fail("ptrace");
  }
  if (::waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status)) {
    std::exit(127);
  }
  return child;
}

pid_t Attach(pid_t pid) {
  if (::ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD) != 0 ||
      ::ptrace(PTRACE_INTERRUPT, pid, 0, 0) != 0) {
    Fail("ptrace", kSkip);
  }
  int status = 0;
  if (::waitpid(pid, &status, __WALL) < 0) {
    Fail("wait");
  }
  return pid;
}

class Tracer {
 public:
  explicit Tracer(const Options& options) : options_(options) {
    if (!options_.file.empty()) {
      list_ = std::fopen(options_.file.c_str(), "we");
      if (list_ == nullptr) {
        Fail(options_.file.c_str());
      }
    }
    if (!options_.tell.empty()) {
      tell_ = ::open(options_.tell.c_str(), O_WRONLY | O_CLOEXEC);
      if (tell_ < 0) {
        Fail(options_.tell.c_str());
      }
    }
  }

  int Run(pid_t pid) {
    for (int signal = 0;;) {
      if (::ptrace(PTRACE_SYSCALL, pid, 0, static_cast<long>(signal)) != 0 && errno != ESRCH) {
        Fail("ptrace");
      }
      int status = 0;
      if (::waitpid(pid, &status, __WALL) < 0) {
        Fail("wait");
      }
      if (!WIFSTOPPED(status)) {
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      }
      signal = 0;
      if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
        AtStop(pid);
      } else if (status >> 16 == 0) {
        signal = WSTOPSIG(status);  // for the program
      }
    }
  }

 private:
  void AtStop(pid_t pid) {
    __ptrace_syscall_info info = {};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY) {
      return;
    }
    ++count_;
    if (list_ != nullptr) {
      const auto found = kNames.find(info.entry.nr);
      (void)(found != kNames.end()
                 ? std::fprintf(list_, "%s\n", found->second)
                 : std::fprintf(list_, "%llu\n", static_cast<unsigned long long>(info.entry.nr)));
      (void)std::fflush(list_);  // this program may be killed
    } else if (count_ == options_.call) {
      if (options_.action == "kill") {
        (void)::kill(pid, SIGKILL);
      } else {
        Pause();
      }
    }
  }

  void Pause() const {
    char byte = 'p';
    if (::write(tell_, &byte, 1) != 1) {
      Fail("tell");
    }
    const int wait = ::open(options_.wait.c_str(), O_RDONLY | O_CLOEXEC);
    if (wait < 0 || ::read(wait, &byte, 1) < 0) {
      Fail("wait");
    }
    ::close(wait);
  }

  const Options& options_;
  FILE* list_ = nullptr;
  int tell_ = -1;  // as long as it is open, the other side waits
  long count_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const Options options = Parse(argc, argv);
  Tracer tracer(options);
  if (options.pid == 0) {
    return tracer.Run(Start(options));
  }
  const pid_t pid = Attach(options.pid);
  (void)std::puts("ready");
  (void)std::fflush(stdout);
  return tracer.Run(pid);
}
