// SPDX-License-Identifier: Apache-2.0
//
// actiondfs umount: takes away what `actiondfs mount` made, and nothing else.
#include <fcntl.h>
#include <sys/mount.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hook/apps/cli/command.h"
#include "hook/apps/cli/mount_names.h"
#include "hook/base/files.h"
#include "hook/base/text.h"

namespace actiondfs::cli {
namespace {

constexpr size_t kMaxMountInfo = size_t{64} << 20;

struct FreeText {
  void operator()(char* text) const { std::free(text); }
};

// proc(5): space, tab, newline and backslash are octal there.
std::string Unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

struct MountLine {
  std::string point, type, source;
  std::vector<std::string> super_options;
};

// "36 35 98:0 /root /point options [tags...] - type source super"
std::optional<MountLine> ParseMountLine(const std::string& line) {
  const size_t separator = line.find(" - ");
  if (separator == std::string::npos) {
    return std::nullopt;
  }
  const auto before = Split(line.substr(0, separator), ' ');
  const auto after = Split(line.substr(separator + 3), ' ');
  if (before.size() < 5 || after.size() < 3) {
    return std::nullopt;
  }
  return MountLine{Unescape(before[4]), after[0], Unescape(after[1]),
                   Split(Unescape(after[2]), ',')};
}

// The topmost mount at exactly `path`.
Result<std::optional<MountLine>> FindMount(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string all,
                   ReadFileAt(AT_FDCWD, "/proc/self/mountinfo", kMaxMountInfo));
  std::optional<MountLine> found;
  for (const std::string& line : Split(all, '\n')) {
    auto mount = ParseMountLine(line);
    if (mount && mount->point == path) {
      found = std::move(mount);
    }
  }
  return found;
}

Status Detach(const std::string& path) {
  if (::umount2(path.c_str(), UMOUNT_NOFOLLOW) == 0) {
    return {};
  }
  if (errno == EBUSY) {
    return MakeError(EBUSY, "unmount " + Quoted(path) +
                                ": a process has a file open in it, or works there (fuser -vm)");
  }
  return ErrnoError("unmount " + Quoted(path));
}

// The tree below an overlay of ours: the sibling of its upper directory.
std::string LowerOf(const MountLine& overlay) {
  constexpr std::string_view kKey = "upperdir=";
  for (const std::string& option : overlay.super_options) {
    if (option.starts_with(kKey)) {
      const std::string upper = option.substr(kKey.size());
      return upper.substr(0, upper.rfind('/') + 1) + kLowerName;
    }
  }
  return "";
}

Status Umount(const std::string& argument) {
  ASSIGN_OR_RETURN(const std::string path, RealPath(argument));
  ASSIGN_OR_RETURN(const std::optional<MountLine> found, FindMount(path));
  if (!found) {
    return MakeError(EINVAL, Quoted(path) + " is no mount point");
  }
  const bool overlay = found->type == kOverlayType && found->source == kSource;
  if (!overlay && found->type != kFuseType) {
    return MakeError(
        EINVAL, Quoted(path) + " is a mount of type " + Quoted(found->type) + ", not of actiondfs");
  }
  RETURN_IF_ERROR(Detach(path));
  if (!overlay) {
    return {};
  }
  const std::string lower = LowerOf(*found);
  ASSIGN_OR_RETURN(const std::optional<MountLine> below, FindMount(lower));
  if (below && below->type == kFuseType) {
    RETURN_IF_ERROR(Detach(lower));
  }
  return {};
}

}  // namespace

Result<std::string> RealPath(const std::string& path) {
  const std::unique_ptr<char, FreeText> real(::realpath(path.c_str(), nullptr));
  if (!real) {
    return ErrnoError(Quoted(path));
  }
  return std::string(real.get());
}

void RegisterUmount(CLI::App& app, Outcome& outcome) {
  CLI::App& command = *app.add_subcommand("umount", "Unmount what `actiondfs mount` mounted");
  const auto path = std::make_shared<std::string>();
  command.add_option("MOUNTPOINT", *path, "Where it is mounted")->required()->type_name("");
  command.callback([path, &outcome] { outcome.code = Report(Umount(*path)); });
}

}  // namespace actiondfs::cli
