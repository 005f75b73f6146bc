// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/kernel_mounter.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <set>
#include <utility>

#include "hook/base/files.h"
#include "hook/base/text.h"
#include "hook/mount/mount_table.h"
#include "kernel/uapi/actiondfs.h"

namespace actiondfs::mount {
namespace {

constexpr char kNotLoaded[] =
    "the kernel module actiondfs is not loaded (load it with `modprobe actiondfs`; `actiondfs "
    "doctor` says whether this host has it)";
constexpr size_t kMaxFilesystems = size_t{1} << 20;
// A mount has some 3 KiB of statistics.
constexpr size_t kMaxMountStats = size_t{256} << 20;

Status Configure(const FsContext& context, const TreeRequest& request, const cas::BlobStore& store,
                 int stage_fd) {
  RETURN_IF_ERROR(context.SetString("source", ACTIONDFS_FS_TYPE));
  RETURN_IF_ERROR(context.SetString(ACTIONDFS_OPT_ROOT, ToHex(request.root.hash)));
  RETURN_IF_ERROR(context.SetString(ACTIONDFS_OPT_ROOT_SIZE, std::to_string(request.root.size)));
  RETURN_IF_ERROR(context.SetFd(ACTIONDFS_OPT_CAS, store.dir_fd()));
  RETURN_IF_ERROR(
      context.SetString(ACTIONDFS_OPT_LAYOUT, std::string(cas::ToString(store.layout()))));
  if (stage_fd >= 0) {
    RETURN_IF_ERROR(context.SetFd(ACTIONDFS_OPT_STAGE, stage_fd));
  }
  RETURN_IF_ERROR(context.SetString(ACTIONDFS_OPT_UID, std::to_string(request.uid)));
  RETURN_IF_ERROR(context.SetString(ACTIONDFS_OPT_GID, std::to_string(request.gid)));
  if (request.inodes_by_content) {
    RETURN_IF_ERROR(context.SetString(ACTIONDFS_OPT_INODES, "content"));
  }
  if (!request.verify_directories) {
    RETURN_IF_ERROR(context.SetString(ACTIONDFS_OPT_VERIFY, "none"));
  }
  if (!request.selinux_context.empty()) {
    RETURN_IF_ERROR(context.SetString("context", request.selinux_context));
  }
  return {};
}

// The kernel counts no failed writes. What is full when it is looked at was too small.
bool IsFull(int fd) {
  struct statvfs fs = {};
  return ::fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_RDONLY) == 0 && fs.f_blocks > 0 &&
         fs.f_bavail == 0;
}

}  // namespace

Status KernelMounter::Probe() const {
  ASSIGN_OR_RETURN(const std::string list,
                   ReadFileAt(AT_FDCWD, proc_ + "/filesystems", kMaxFilesystems));
  for (const std::string& line : Split(list, '\n')) {
    // "nodev\ttype"
    if (line.substr(line.find('\t') + 1) == ACTIONDFS_FS_TYPE) {
      return {};
    }
  }
  return MakeError(ENODEV, kNotLoaded);
}

Result<DetachedMount> KernelMounter::MountTree(const TreeRequest& request,
                                               const cas::BlobStore& store, int stage_fd) const {
  if (request.root.function != cas::HashFunction::kSha256) {
    return MakeError(EOPNOTSUPP, "the kernel backend knows sha256 digests only");
  }
  if (request.many_roots || request.no_passthrough) {
    return MakeError(EOPNOTSUPP, "mounts of many roots, and reads without passthrough, are FUSE's");
  }
  auto context = FsContext::Open(ACTIONDFS_FS_TYPE);
  if (!context) {
    return context.error().code() == ENODEV ? Wrap(std::move(context).error(), kNotLoaded)
                                            : std::unexpected(std::move(context).error());
  }
  RETURN_IF_ERROR(Configure(*context, request, store, stage_fd));
  const unsigned readonly = stage_fd < 0 ? MOUNT_ATTR_RDONLY : 0;
  return context->Create(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | readonly);
}

Result<Statistics> KernelMounter::ReadStatistics(const std::string& /*id*/,
                                                 const std::string& point) const {
  // The path that the kernel knows it by.
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(AT_FDCWD, point, O_PATH | O_DIRECTORY));
  ASSIGN_OR_RETURN(const std::string path,
                   ReadLinkAt(AT_FDCWD, "/proc/self/fd/" + std::to_string(fd.get())));
  ASSIGN_OR_RETURN(const std::string all,
                   ReadFileAt(AT_FDCWD, proc_ + "/self/mountstats", kMaxMountStats));
  auto counters = FindMountStats(all, ACTIONDFS_FS_TYPE, path);
  if (!counters) {
    return MakeError(ENOENT, "no mount of actiondfs at " + Quoted(path));
  }
  return Statistics{.counters = std::move(*counters), .stage_error = IsFull(fd.get()) ? ENOSPC : 0};
}

Result<std::vector<TreeMount>> KernelMounter::List() const {
  ASSIGN_OR_RETURN(const std::vector<MountEntry> table, ReadMountTable(proc_));
  std::set<std::string> devices;
  std::vector<TreeMount> mounts;
  for (const MountEntry& entry : table) {
    if (entry.type != ACTIONDFS_FS_TYPE || !devices.insert(entry.device).second) {
      continue;
    }
    mounts.push_back({.id = entry.point,
                      .point = entry.point,
                      .root = std::string(entry.SuperOption(ACTIONDFS_OPT_ROOT)) + "/" +
                              std::string(entry.SuperOption(ACTIONDFS_OPT_ROOT_SIZE)),
                      .cas_name = std::string(entry.SuperOption(ACTIONDFS_OPT_CAS)),
                      .strict = !entry.SuperOption(ACTIONDFS_OPT_STAGE).empty(),
                      .passthrough = true});
  }
  return mounts;
}

}  // namespace actiondfs::mount
