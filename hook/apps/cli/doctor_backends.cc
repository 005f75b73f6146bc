// SPDX-License-Identifier: Apache-2.0
//
// The part of `actiondfs doctor` that looks at the backends: the kernel module, the FUSE server.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "hook/apps/cli/doctor_checks.h"
#include "hook/apps/cli/kernel_release.h"
#include "hook/base/files.h"
#include "hook/base/text.h"
#include "hook/mount/fuse_client.h"
#include "hook/mount/kernel_mounter.h"
#include "hook/plan/allow.h"

namespace actiondfs::cli {
namespace {

constexpr size_t kMaxModules = size_t{16} << 20;
constexpr KernelVersion kFirstWithModule(6, 12);
constexpr KernelVersion kFirstWithPassthrough(6, 9);  // and with FUSE_NOTIFY_RESEND

void Add(Findings& findings, Level level, std::string check, std::string message) {
  findings.push_back({level, std::move(check), std::move(message)});
}

// Where modprobe finds the module, relative to /lib/modules/<release>; empty: nowhere.
std::string ModuleFile(const std::string& release) {
  const auto index = ReadFileAt(AT_FDCWD, "/lib/modules/" + release + "/modules.dep", kMaxModules);
  for (const std::string& line : Split(index.value_or(""), '\n')) {
    const std::string file = line.substr(0, line.find(':'));
    const std::string name = file.substr(file.rfind('/') + 1);
    if (name.starts_with("actiondfs.ko")) {
      return file;
    }
  }
  return "";
}

// True where it works.
bool CheckModule(Level missing, Findings& findings) {
  const std::string check = "kernel module";
  if (const auto loaded = mount::KernelMounter().Probe(); loaded) {
    Add(findings, Level::kOk, check, "loaded");
    return true;
  }
  const std::string release = KernelRelease();
  const auto version = ParseKernelVersion(release);
  if (version && *version < kFirstWithModule) {
    Add(findings, missing, check,
        fmt::format("not loaded, and cannot be: it needs Linux 6.12, this is {}",
                    Printable(release)));
  } else if (const std::string file = ModuleFile(release); !file.empty()) {
    Add(findings, missing, check,
        fmt::format("not loaded: modprobe actiondfs (there is {})", Quoted(file)));
  } else {
    Add(findings, missing, check,
        fmt::format("not loaded, and not installed for {}: build kernel/ for it, then modprobe "
                    "actiondfs",
                    Printable(release)));
  }
  return false;
}

bool CheckFuseDevice(Level missing, Findings& findings) {
  const auto st = StatAt(AT_FDCWD, "/dev/fuse");
  if (!st || !S_ISCHR(st->st_mode) || ::access("/dev/fuse", R_OK | W_OK) != 0) {
    Add(findings, missing, "/dev/fuse", "not there, or not to be opened: modprobe fuse");
    return false;
  }
  const auto version = ParseKernelVersion(KernelRelease());
  if (version && *version < kFirstWithPassthrough) {
    Add(findings, Level::kWarn, "/dev/fuse",
        "there; no passthrough before Linux 6.9: reads are slower, and mounts end with a server "
        "that is killed");
  } else {
    Add(findings, Level::kOk, "/dev/fuse",
        "there, passthrough is likely; mounts survive a server that is killed, if systemd runs it");
  }
  return true;
}

void CheckServer(const plan::Config& config, Level missing, Findings& findings) {
  if (const auto answer = mount::FuseClient(config.serve_socket).Probe(); !answer) {
    Add(findings, missing, "fuse server", answer.error().ToString());
  } else {
    Add(findings, Level::kOk, "fuse server", "answers at " + Quoted(config.serve_socket));
  }
}

}  // namespace

void CheckBackends(const plan::Config& config, Findings& findings) {
  using oci::Backend;
  const Backend wanted = config.defaults.backend;
  const bool kernel = wanted != Backend::kFuse && plan::IsAllowed(config, Backend::kKernel);
  const bool works =
      CheckModule(wanted == Backend::kKernel ? Level::kFail : Level::kWarn, findings) && kernel;
  // Also where containers get the other: an annotation may ask for it.
  const Level missing = works || wanted == Backend::kKernel ? Level::kWarn : Level::kFail;
  if (CheckFuseDevice(missing, findings)) {
    CheckServer(config, missing, findings);
  }
}

}  // namespace actiondfs::cli
