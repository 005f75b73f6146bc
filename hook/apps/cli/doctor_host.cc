// SPDX-License-Identifier: Apache-2.0
//
// The part of `actiondfs doctor` that looks at the kernel and at the runtimes.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "hook/apps/cli/doctor_checks.h"
#include "hook/apps/cli/kernel_release.h"
#include "hook/base/dir_stream.h"
#include "hook/base/files.h"
#include "hook/base/json.h"
#include "hook/base/json_object.h"
#include "hook/base/text.h"

namespace actiondfs::cli {
namespace {

constexpr size_t kMaxFile = size_t{1} << 20;
// Where podman looks, the later before the earlier, file name by file name (oci-hooks(5)).
constexpr std::array<const char*, 2> kHookDirs = {"/usr/share/containers/oci/hooks.d",
                                                  "/etc/containers/oci/hooks.d"};

void Add(Findings& findings, Level level, std::string check, std::string message) {
  findings.push_back({level, std::move(check), std::move(message)});
}

void CheckKernel(Findings& findings) {
  const std::string release = Printable(KernelRelease());
  const auto version = ParseKernelVersion(release);
  if (!version) {
    Add(findings, Level::kWarn, "kernel", "cannot tell the version of " + Quoted(release));
  } else if (*version < KernelVersion(5, 12)) {
    Add(findings, Level::kFail, "kernel",
        fmt::format("{}: expected Linux 5.12 or later (mount_setattr)", release));
  } else {
    Add(findings, Level::kOk, "kernel", release);
  }
}

void CheckOverlay(Findings& findings) {
  const auto list = ReadFileAt(AT_FDCWD, "/proc/filesystems", kMaxFile);
  const bool there = list && list->find("\toverlay\n") != std::string::npos;
  Add(findings, there ? Level::kOk : Level::kWarn, "overlayfs",
      there ? "there" : "not loaded, mode overlay needs it: modprobe overlay");
}

std::string FindProgram(std::string_view name) {
  for (const char* directory :
       {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}) {
    std::string path = fmt::format("{}/{}", directory, name);
    if (::access(path.c_str(), X_OK) == 0) {
      return path;
    }
  }
  return "";
}

void CheckRuntimes(Findings& findings) {
  std::string found;
  for (const char* name : {"runc", "crun", "podman", "containerd"}) {
    if (!FindProgram(name).empty()) {
      found += found.empty() ? "" : ", ";
      found += name;
    }
  }
  Add(findings, found.empty() ? Level::kWarn : Level::kOk, "runtimes",
      found.empty() ? "found none of runc, crun, podman, containerd" : found);
}

struct Registration {
  std::string hook;
  std::set<std::string> stages;
};

// nullopt: it registers something else.
Result<std::optional<Registration>> ReadRegistration(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(AT_FDCWD, path, kMaxFile));
  ASSIGN_OR_RETURN(const nlohmann::json parsed, ParseJson(text));
  ASSIGN_OR_RETURN(const JsonObject top, JsonObject::From(parsed, ""));
  ASSIGN_OR_RETURN(const auto hook, top.Object("hook"));
  ASSIGN_OR_RETURN(const auto stages, top.Strings("stages"));
  if (!hook || !stages) {
    return std::nullopt;
  }
  Registration registration;
  ASSIGN_OR_RETURN(registration.hook, hook->RequiredString("path"));
  if (!registration.hook.ends_with("/actiondfs-hook")) {
    return std::nullopt;
  }
  registration.stages.insert(stages->begin(), stages->end());
  return registration;
}

std::map<std::string, std::string> HookFiles() {
  std::map<std::string, std::string> files;
  for (const std::string directory : kHookDirs) {
    auto fd = OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    if (!fd) {
      continue;
    }
    auto stream = DirStream::Adopt(std::move(*fd));
    while (stream) {
      const auto entry = stream->Next();
      if (!entry || !*entry) {
        break;
      }
      if ((*entry)->name.ends_with(".json")) {
        files[(*entry)->name] = directory + "/" + (*entry)->name;
      }
    }
  }
  return files;
}

void CheckPodman(Findings& findings) {
  if (FindProgram("podman").empty()) {
    return;
  }
  const std::string check = "podman hooks";
  std::set<std::string> stages;
  for (const auto& [name, path] : HookFiles()) {
    const auto registration = ReadRegistration(path);
    if (!registration) {
      Add(findings, Level::kFail, check,
          fmt::format("{}: {} (podman starts no container with such a file)", Quoted(path),
                      registration.error().ToString()));
    } else if (*registration) {
      if (::access((*registration)->hook.c_str(), X_OK) != 0) {
        Add(findings, Level::kFail, check,
            fmt::format("{} names {}, which cannot be run: podman would start containers without a "
                        "workspace",
                        Quoted(path), Quoted((*registration)->hook)));
      }
      stages.insert((*registration)->stages.begin(), (*registration)->stages.end());
    }
  }
  const bool begins = stages.contains("prestart") || stages.contains("createRuntime");
  if (begins && stages.contains("poststop")) {
    Add(findings, Level::kOk, check, "registered for both stages");
  } else {
    Add(findings, Level::kWarn, check,
        fmt::format("not registered for {}: copy config/hooks.d to {}, or use --hooks-dir",
                    begins ? "poststop" : "prestart", kHookDirs.back()));
  }
}

}  // namespace

void CheckHost(Findings& findings) {
  CheckKernel(findings);
  CheckOverlay(findings);
  CheckRuntimes(findings);
  CheckPodman(findings);
}

}  // namespace actiondfs::cli
