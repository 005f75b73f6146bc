// SPDX-License-Identifier: Apache-2.0
#include "hook/sandbox/profile.h"

#include <asm/ioctls.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/ioctl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>

namespace actiondfs::sandbox {
namespace {

constexpr uint32_t kWhole = ~uint32_t{0};
constexpr uint32_t kNewFileMask = O_ACCMODE | O_CREAT | O_EXCL | O_NOFOLLOW;
constexpr uint32_t kNewFile = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
// linux/fuse.h is of another room, and older than these: FUSE_DEV_IOC_BACKING_OPEN and _CLOSE.
constexpr uint32_t kBackingOpen = _IOC(_IOC_WRITE, 229, 1, 16);
constexpr uint32_t kBackingClose = _IOC(_IOC_WRITE, 229, 2, 4);

constexpr CallRule kLeave[] = {{"exit"}, {"exit_group"}, {"rt_sigreturn"}, {"restart_syscall"}};
constexpr CallRule kSelf[] = {{"clock_gettime"}, {"gettimeofday"}, {"getpid"},
                              {"gettid"},        {"getuid"},       {"geteuid"}};
constexpr CallRule kMemory[] = {
    {"brk"},    {"mmap", 2, PROT_EXEC, 0}, {"mprotect", 2, PROT_EXEC, 0}, {"munmap"}, {"mremap"},
    {"madvise"}};
constexpr CallRule kNewFiles[] = {{"openat", 2, kNewFileMask, kNewFile},
                                  {"write"},
                                  {"fsync"},
                                  {"renameat"},
                                  {"renameat2"},
                                  {"unlinkat"},
                                  {"close"}};
constexpr CallRule kAnswers[] = {{"fstatfs"}};
constexpr CallRule kLog[] = {{"sendto"}};
constexpr CallRule kFiles[] = {
    {"openat"},     {"openat2"}, {"read"},      {"pread64"},   {"write"},   {"close"},
    {"newfstatat"}, {"fstat"},   {"statx"},     {"statfs"},    {"fstatfs"}, {"readlinkat"},
    {"readlink"},   {"lseek"},   {"fcntl"},     {"flock"},     {"fsync"},   {"unlinkat"},
    {"renameat"},   {"mkdirat"}, {"renameat2"}, {"getdents64"}};
constexpr CallRule kUnmount[] = {{"umount2"}};
// Whether a process is there: no signal is sent.
constexpr CallRule kProbe[] = {{"kill", 1, kWhole, 0}};
constexpr CallRule kClient[] = {{"socket", 0, kWhole, AF_UNIX},
                                {"connect"},
                                {"sendmsg"},
                                {"sendto"},
                                {"recvmsg"},
                                {"poll"},
                                {"ppoll"}};
constexpr CallRule kLocks[] = {{"futex"}};
constexpr CallRule kOutput[] = {{"writev"}, {"ioctl", 1, kWhole, TCGETS}};
constexpr CallRule kThreads[] = {{"clone", 0, CLONE_THREAD, CLONE_THREAD},
                                 {"set_robust_list"},
                                 {"rseq"},
                                 {"sched_getaffinity"},
                                 {"sched_yield"},
                                 {"clock_nanosleep"},
                                 {"rt_sigprocmask"},
                                 {"rt_sigaction"},
                                 {"tgkill"}};
constexpr CallRule kServer[] = {
    {"accept4"}, {"socketpair", 0, kWhole, AF_UNIX}, {"getsockopt"},  {"setsockopt"}, {"eventfd2"},
    {"umask"},   {"prlimit64", 0, kWhole, 0},        {"memfd_create"}};
constexpr CallRule kDetachedMounts[] = {
    {"fsopen"}, {"fsconfig"}, {"fsmount"}, {"open_tree"}, {"mount_setattr"}};
constexpr CallRule kRequests[] = {{"writev"},
                                  {"pipe2"},
                                  {"splice"},
                                  {"vmsplice"},
                                  {"ioctl", 1, kWhole, kBackingOpen},
                                  {"ioctl", 1, kWhole, kBackingClose}};
constexpr CallRule kStage[] = {
    {"pwrite64"},  {"ftruncate"}, {"fallocate"}, {"fdatasync"},  {"copy_file_range"}, {"mknodat"},
    {"symlinkat"}, {"linkat"},    {"fchmod"},    {"fchmodat"},   {"fchown"},          {"fchownat"},
    {"utimensat"}, {"fgetxattr"}, {"fsetxattr"}, {"flistxattr"}, {"fremovexattr"},    {"chmod"}};

constexpr CallClass kLeaveClass = {"leave", kLeave};
constexpr CallClass kSelfClass = {"self", kSelf};
constexpr CallClass kMemoryClass = {"memory", kMemory};
constexpr CallClass kFilesClass = {"files", kFiles};
constexpr CallClass kUnmountClass = {"unmount", kUnmount};
constexpr CallClass kProbeClass = {"probe", kProbe};
constexpr CallClass kClientClass = {"client", kClient};
constexpr CallClass kLocksClass = {"locks", kLocks};

constexpr CallClass kAttachedCalls[] = {kLeaveClass,           kSelfClass,
                                        kMemoryClass,          {"new files", kNewFiles},
                                        {"answers", kAnswers}, {"log", kLog}};
constexpr CallClass kPoststopCalls[] = {kLeaveClass, kSelfClass,    kMemoryClass, kLocksClass,
                                        kFilesClass, kUnmountClass, kProbeClass,  kClientClass};
constexpr CallClass kGcCalls[] = {kLeaveClass, kSelfClass,   kMemoryClass,
                                  kLocksClass, kFilesClass,  kUnmountClass,
                                  kProbeClass, kClientClass, {"output", kOutput}};
constexpr CallClass kServeCalls[] = {kLeaveClass,
                                     kSelfClass,
                                     kMemoryClass,
                                     kLocksClass,
                                     kFilesClass,
                                     kClientClass,
                                     {"threads", kThreads},
                                     {"server", kServer},
                                     {"detached mounts", kDetachedMounts},
                                     {"requests", kRequests},
                                     {"stage", kStage}};

constexpr int kPrestartCapabilities[] = {CAP_SYS_ADMIN,    CAP_SYS_CHROOT, CAP_SYS_PTRACE,
                                         CAP_DAC_OVERRIDE, CAP_CHOWN,      CAP_FOWNER,
                                         CAP_FSETID};
constexpr int kFinishCapabilities[] = {CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_DAC_OVERRIDE, CAP_FOWNER};
constexpr int kServeCapabilities[] = {CAP_SYS_ADMIN, CAP_DAC_OVERRIDE, CAP_CHOWN, CAP_FOWNER,
                                      CAP_FSETID};

struct Contents {
  std::string_view name;
  std::span<const int> capabilities;
  std::span<const CallClass> calls;
  Otherwise otherwise;
};

constexpr Contents kContents[] = {
    {"prestart", kPrestartCapabilities, {}, Otherwise::kNothing},
    {"attached", {}, kAttachedCalls, Otherwise::kKill},
    {"poststop", kFinishCapabilities, kPoststopCalls, Otherwise::kKill},
    {"gc", kFinishCapabilities, kGcCalls, Otherwise::kRefuse},
    {"serve", kServeCapabilities, kServeCalls, Otherwise::kRefuse},
};
static_assert(std::size(kContents) == kProfiles.size());

const Contents& Of(Profile profile) {
  return kContents[static_cast<size_t>(profile)];
}

}  // namespace

std::string_view NameOf(Profile profile) {
  return Of(profile).name;
}

std::span<const int> CapabilitiesOf(Profile profile) {
  return Of(profile).capabilities;
}

std::span<const CallClass> CallsOf(Profile profile) {
  return Of(profile).calls;
}

Otherwise OtherwiseOf(Profile profile) {
  return Of(profile).otherwise;
}

}  // namespace actiondfs::sandbox
