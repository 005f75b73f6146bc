// SPDX-License-Identifier: Apache-2.0
//
// actiondfs umount: takes away what `actiondfs mount` made, and nothing else.
#include <fcntl.h>
#include <sys/mount.h>

#include <CLI/CLI.hpp>
#include <algorithm>
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
#include "hook/mount/mount_table.h"
#include "kernel/uapi/actiondfs.h"

namespace actiondfs::cli {
namespace {

struct FreeText {
  void operator()(char* text) const { std::free(text); }
};

// The mount whose root `path` leads to: of those that are stacked there the topmost, which is what
// umount2(2) takes. nullopt: it leads to no mount's root.
Result<std::optional<mount::MountEntry>> FindMount(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(AT_FDCWD, path, O_PATH | O_NOFOLLOW));
  ASSIGN_OR_RETURN(const uint64_t id, mount::MountIdOf(fd.get()));
  ASSIGN_OR_RETURN(std::vector<mount::MountEntry> table, mount::ReadMountTable());
  const auto entry = std::ranges::find(table, id, &mount::MountEntry::id);
  return entry == table.end() || entry->point != path ? std::nullopt
                                                      : std::optional(std::move(*entry));
}

bool IsTree(const mount::MountEntry& entry) {
  return entry.type == kFuseType || entry.type == ACTIONDFS_FS_TYPE;
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
std::string LowerOf(const mount::MountEntry& overlay) {
  const std::string_view upper = overlay.SuperOption("upperdir");
  return std::string(upper.substr(0, upper.rfind('/') + 1)) + kLowerName;
}

Status Umount(const std::string& argument) {
  ASSIGN_OR_RETURN(const std::string path, RealPath(argument));
  ASSIGN_OR_RETURN(const std::optional<mount::MountEntry> found, FindMount(path));
  if (!found) {
    return MakeError(EINVAL, Quoted(path) + " is no mount point");
  }
  const bool overlay = found->type == kOverlayType && found->source == kSource;
  if (!overlay && !IsTree(*found)) {
    return MakeError(
        EINVAL, Quoted(path) + " is a mount of type " + Quoted(found->type) + ", not of actiondfs");
  }
  RETURN_IF_ERROR(Detach(path));
  if (!overlay) {
    return {};
  }
  const std::string lower = LowerOf(*found);
  ASSIGN_OR_RETURN(const std::optional<mount::MountEntry> below, FindMount(lower));
  if (below && IsTree(*below)) {
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
