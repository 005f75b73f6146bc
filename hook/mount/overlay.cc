// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/overlay.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

#include "hook/base/files.h"
#include "hook/base/text.h"

namespace actiondfs::mount {
namespace {

// `lowerdir` is a list separated by colons; the backslash escapes.
std::string EscapeLower(const std::string& path) {
  std::string escaped;
  for (const char c : path) {
    if (c == ':' || c == '\\') {
      escaped += '\\';
    }
    escaped += c;
  }
  return escaped;
}

// The merged top shows the upper directory's own attributes: those of an input directory
// (design 3.4).
Status MakeUpper(const OverlayOptions& options) {
  ASSIGN_OR_RETURN(const struct stat lower, StatAt(AT_FDCWD, options.lower, 0));
  ASSIGN_OR_RETURN(const UniqueFd stage,
                   OpenAt(AT_FDCWD, options.stage_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  RETURN_IF_ERROR(MkdirAt(stage.get(), kWork, 0700));
  RETURN_IF_ERROR(MkdirAt(stage.get(), kUpper, 0700));
  ASSIGN_OR_RETURN(const UniqueFd upper,
                   OpenAt(stage.get(), kUpper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const timespec times[2] = {lower.st_atim, lower.st_mtim};
  if (::fchown(upper.get(), options.uid, options.gid) != 0 ||
      ::fchmod(upper.get(), lower.st_mode & 0777) != 0 || ::futimens(upper.get(), times) != 0) {
    return ErrnoError("prepare " + Quoted(options.stage_dir + "/" + kUpper));
  }
  return {};
}

}  // namespace

Result<DetachedMount> MakeOverlay(const OverlayOptions& options) {
  RETURN_IF_ERROR(MakeUpper(options));
  ASSIGN_OR_RETURN(const FsContext context, FsContext::Open("overlay"));
  RETURN_IF_ERROR(context.SetString("source", "actiondfs"));
  RETURN_IF_ERROR(context.SetString("lowerdir", EscapeLower(options.lower)));
  RETURN_IF_ERROR(context.SetString("upperdir", options.stage_dir + "/" + kUpper));
  RETURN_IF_ERROR(context.SetString("workdir", options.stage_dir + "/" + kWork));
  // Without it a directory of inputs could not be renamed (EXDEV).
  RETURN_IF_ERROR(context.SetString("redirect_dir", "on"));
  if (!options.selinux_context.empty()) {
    RETURN_IF_ERROR(context.SetString("context", options.selinux_context));
  }
  ASSIGN_OR_RETURN(DetachedMount overlay, context.Create(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  struct statvfs fs = {};
  if (::fstatvfs(overlay.fd(), &fs) != 0) {
    return ErrnoError("statvfs of the overlay");
  }
  if ((fs.f_flag & ST_RDONLY) != 0) {
    return MakeError(EROFS, "overlayfs would be read-only above stage " +
                                Quoted(options.stage_dir) +
                                ": its file system cannot be an upper layer");
  }
  return overlay;
}

}  // namespace actiondfs::mount
