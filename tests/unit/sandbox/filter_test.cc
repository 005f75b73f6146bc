// SPDX-License-Identifier: Apache-2.0
//
// The very filters of the programs: what is allowed works, what is not ends the process or fails.
#include "hook/sandbox/filter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/sandbox/child.h"

namespace actiondfs::sandbox {
namespace {

constexpr long kX32Bit = 0x40000000;

struct Attempt {
  const char* name;
  std::function<long()> call;
};

long Execute() {
  char* none[] = {nullptr};
  return ::execve("/bin/true", none, none);
}

long Socket(int family) {
  return ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

long MapExecutable() {
  const void* map =
      ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return map == MAP_FAILED ? -1 : 0;
}

// Not fork(), which runs handlers.
long Fork() {
  return ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

// What no profile with a filter may do.
std::vector<Attempt> Forbidden() {
  return {{"execve", Execute},
          {"execveat", [] { return ::syscall(SYS_execveat, AT_FDCWD, "/bin/true", 0, 0, 0); }},
          {"fork", Fork},
          {"socket of the network", [] { return Socket(AF_INET); }},
          {"executable memory", MapExecutable},
          {"ptrace", [] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }},
          {"setns", [] { return ::syscall(SYS_setns, -1, 0); }},
          {"unshare", [] { return ::syscall(SYS_unshare, 0); }},
          {"move_mount", [] { return ::syscall(SYS_move_mount, -1, "", -1, "", 0); }},
          {"mount", [] { return ::mount("", "", "", 0, nullptr); }},
          {"pidfd_getfd", [] { return ::syscall(SYS_pidfd_getfd, -1, 0, 0); }},
          {"bpf", [] { return ::syscall(SYS_bpf, -1, 0, 0); }},
          {"io_uring_setup", [] { return ::syscall(SYS_io_uring_setup, 1, 0); }},
          {"init_module", [] { return ::syscall(SYS_init_module, 0, 0, 0); }},
          {"capset", [] { return ::syscall(SYS_capset, 0, 0); }}};
}

// In the filter of `profile`.
int Behind(Profile profile, const std::function<int()>& body) {
  return InChild([&] {
    const bool ready =
        ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && InstallFilter(profile).has_value();
    return ready ? body() : 100;
  });
}

int KilledBy(Profile profile, const std::function<long()>& call) {
  return Behind(profile, [&] { return call() == -1 ? 1 : 2; });
}

class FilterTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!kFiltersBuilt) {
      GTEST_SKIP() << "a build with sanitizers has no filters";
    }
  }
};

TEST_F(FilterTest, TheHookIsKilledForWhatItNeverDoes) {
  for (const Profile profile : {Profile::kAttached, Profile::kPoststop}) {
    for (const Attempt& attempt : Forbidden()) {
      EXPECT_EQ(KilledBy(profile, attempt.call), -SIGSYS)
          << attempt.name << " in " << NameOf(profile);
    }
  }
}

TEST_F(FilterTest, AfterTheAttachNothingThatExistsIsOpened) {
  const std::vector<Attempt> attempts = {
      {"reading", [] { return ::open("/etc/passwd", O_RDONLY); }},
      {"writing", [] { return ::open("/dev/null", O_WRONLY); }},
      {"creating or opening", [] { return ::open("/dev/null", O_WRONLY | O_CREAT, 0600); }},
      {"through a symlink", [] { return ::open("/dev/null", O_WRONLY | O_CREAT | O_EXCL, 0600); }},
      {"openat2", [] { return ::syscall(SYS_openat2, AT_FDCWD, "/", nullptr, 0); }},
      {"a socket", [] { return Socket(AF_UNIX); }},
      {"umount2", [] { return ::umount2("/nonexistent", 0); }},
      {"mkdirat", [] { return ::mkdirat(AT_FDCWD, "/nonexistent/x", 0700); }},
      {"read", [] { return ::read(-1, nullptr, 0); }}};
  for (const Attempt& attempt : attempts) {
    EXPECT_EQ(KilledBy(Profile::kAttached, attempt.call), -SIGSYS) << attempt.name;
  }
}

TEST_F(FilterTest, CallsOfAnotherArchitectureKill) {
#ifdef __x86_64__
  for (const Profile profile : kProfiles) {
    if (OtherwiseOf(profile) != Otherwise::kNothing) {
      EXPECT_EQ(KilledBy(profile, [] { return ::syscall(kX32Bit | SYS_getpid); }), -SIGSYS)
          << NameOf(profile);
    }
  }
#else
  GTEST_SKIP() << "this architecture has one way to make system calls";
#endif
}

TEST_F(FilterTest, GcAndServerAreRefusedWhatTheyNeverDo) {
  for (const Profile profile : {Profile::kGc, Profile::kServe}) {
    for (const Attempt& attempt : Forbidden()) {
      EXPECT_EQ(Behind(profile,
                       [&] {
                         errno = 0;
                         return attempt.call() == -1 && errno == ENOSYS ? 0 : 1;
                       }),
                0)
          << attempt.name << " in " << NameOf(profile);
    }
  }
}

TEST_F(FilterTest, TheServerAttachesAndDetachesNothing) {
  EXPECT_EQ(Behind(Profile::kServe,
                   [] { return ::umount2("/nonexistent", 0) == -1 && errno == ENOSYS ? 0 : 1; }),
            0);
}

TEST_F(FilterTest, TheServerChangesNoOtherProcessLimits) {
  EXPECT_EQ(Behind(Profile::kServe,
                   [] {
                     rlimit limit = {};
                     const bool own = ::getrlimit(RLIMIT_NOFILE, &limit) == 0;
                     const bool other = ::prlimit(1, RLIMIT_NOFILE, nullptr, &limit) == 0;
                     return own && !other && errno == ENOSYS ? 0 : 1;
                   }),
            0);
}

TEST_F(FilterTest, TheServerMakesThreads) {
  EXPECT_EQ(Behind(Profile::kServe,
                   [] {
                     int made = 0;
                     std::thread([&] { made = 1; }).join();
                     return made == 1 ? 0 : 1;
                   }),
            0);
}

TEST_F(FilterTest, ThreadsThatRunAlreadyAreFilteredToo) {
  EXPECT_EQ(InChild([] {
              std::promise<pid_t> started;
              std::promise<void> end;
              std::thread thread([&] {
                started.set_value(::gettid());
                end.get_future().wait();
              });
              const pid_t tid = started.get_future().get();
              const bool ready = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                                 InstallFilter(Profile::kServe).has_value();
              const std::string mode =
                  StatusField("Seccomp", "/proc/self/task/" + std::to_string(tid) + "/status");
              end.set_value();
              thread.join();
              return ready && mode == "2" ? 0 : 1;
            }),
            0);
}

TEST_F(FilterTest, PrestartHasNoneAndSaysSo) {
  EXPECT_EQ(InChild([] {
              return InstallFilter(Profile::kPrestart).has_value() && StatusField("Seccomp") == "0"
                         ? 0
                         : 1;
            }),
            0);
}

TEST_F(FilterTest, WithoutNoNewPrivilegesAUserMayNot) {
  if (::geteuid() != 0 || ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) {
    GTEST_SKIP() << "not root, or no_new_privs is set already";
  }
  EXPECT_EQ(InChild([] {
              if (::setresuid(65534, 65534, 65534) != 0) {
                return 1;
              }
              const auto status = InstallFilter(Profile::kServe);
              return !status && status.error().code() == EACCES ? 0 : 2;
            }),
            0);
}

}  // namespace
}  // namespace actiondfs::sandbox
