// SPDX-License-Identifier: Apache-2.0
//
// Extended attributes: the digests of input files, read-only, and user.* of what is staged.
#include <fcntl.h>
#include <linux/limits.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <string_view>

#include "hook/fuse/reply.h"
#include "hook/fuse/request_journal.h"
#include "kernel/uapi/actiondfs.h"

namespace actiondfs::fuse {
namespace {

constexpr std::string_view kUserPrefix = "user.";
// Reserved also on staged files: a digest there would be a claim that nobody has checked.
constexpr std::string_view kOwnPrefix = "user.actiondfs.";

void ReplyValue(fuse_req_t req, std::string_view value, size_t size) {
  if (size == 0) {
    (void)fuse_reply_xattr(req, value.size());
  } else if (value.size() > size) {
    ReplyErrno(req, ERANGE);
  } else {
    (void)fuse_reply_buf(req, value.data(), value.size());
  }
}

std::optional<std::string> InputValue(const tree::Entry& entry, std::string_view name) {
  if (entry.kind != tree::EntryKind::kFile) {
    return std::nullopt;
  }
  if (name == ACTIONDFS_XATTR_DIGEST) {
    return entry.digest.ToString();
  }
  if (name == ACTIONDFS_XATTR_SHA256 && entry.digest.function == cas::HashFunction::kSha256) {
    return std::string(entry.digest.hash.begin(), entry.digest.hash.end());
  }
  return std::nullopt;
}

bool CanHaveAttributes(const Node& node) {
  return S_ISREG(node.type) || S_ISDIR(node.type);
}

void GetXattr(fuse_req_t req, fuse_ino_t id, const char* name, size_t size) {
  FileSystem& fs = FileSystemOf(req);
  Node& node = fs.nodes.FromId(id);
  if (!std::string_view(name).starts_with(kUserPrefix)) {
    ReplyErrno(req, EOPNOTSUPP);
    return;
  }
  if (!node.staged) {
    const auto value = InputValue(fs.inputs.EntryOf(node), name);
    if (value) {
      ReplyValue(req, *value, size);
    } else {
      ReplyErrno(req, ENODATA);
    }
    return;
  }
  if (!CanHaveAttributes(node)) {
    ReplyErrno(req, ENODATA);
    return;
  }
  const auto file = fs.stage->Open(node, O_RDONLY);
  if (!file) {
    ReplyErrno(req, file.error());
    return;
  }
  std::string value(std::min(size, size_t{XATTR_SIZE_MAX}), '\0');
  const ssize_t got = ::fgetxattr(file->get(), name, value.data(), value.size());
  if (got < 0) {
    ReplyErrno(req, errno);
  } else if (size == 0) {
    (void)fuse_reply_xattr(req, static_cast<size_t>(got));
  } else {
    (void)fuse_reply_buf(req, value.data(), static_cast<size_t>(got));
  }
}

// The names in `list` (each with its NUL) that start with user.; the others are the stage's own
// affair.
std::string UserNames(std::string_view list) {
  std::string names;
  while (!list.empty()) {
    const size_t end = list.find('\0') + 1;
    if (list.starts_with(kUserPrefix)) {
      names.append(list.substr(0, end));
    }
    list.remove_prefix(end);
  }
  return names;
}

void ListXattr(fuse_req_t req, fuse_ino_t id, size_t size) {
  FileSystem& fs = FileSystemOf(req);
  Node& node = fs.nodes.FromId(id);
  if (!node.staged) {
    // The digests can be read, but are not listed: who lists attributes copies them (overlayfs, cp,
    // rsync), and a copy can be changed while it still claims the old digest.
    ReplyValue(req, "", size);
    return;
  }
  if (!CanHaveAttributes(node)) {
    ReplyValue(req, "", size);
    return;
  }
  const auto file = fs.stage->Open(node, O_RDONLY);
  if (!file) {
    ReplyErrno(req, file.error());
    return;
  }
  std::string list(XATTR_LIST_MAX, '\0');
  const ssize_t got = ::flistxattr(file->get(), list.data(), list.size());
  if (got < 0) {
    ReplyErrno(req, errno);
    return;
  }
  ReplyValue(req, UserNames(std::string_view(list).substr(0, static_cast<size_t>(got))), size);
}

// What a change of this attribute is refused with; 0: it is not.
int Refusal(const Node& node, std::string_view name) {
  if (!node.staged) {
    return EROFS;
  }
  if (!name.starts_with(kUserPrefix)) {
    return EOPNOTSUPP;
  }
  return name.starts_with(kOwnPrefix) || !CanHaveAttributes(node) ? EPERM : 0;
}

template <typename Change>
void ChangeXattr(fuse_req_t req, fuse_ino_t id, const char* name, Change change) {
  FileSystem& fs = FileSystemOf(req);
  Node& node = fs.nodes.FromId(id);
  if (const int refusal = Refusal(node, name); refusal != 0) {
    ReplyErrno(req, refusal);
    return;
  }
  const auto file = fs.stage->Open(node, O_RDONLY);
  if (!file) {
    ReplyErrno(req, file.error());
    return;
  }
  const bool again = PlannedBefore();
  PlanChange(0, 0);
  const int code = change(file->get(), again) == 0 ? 0 : errno;
  fs.stats.NoteStageError(code);
  ReplyErrno(req, code);
}

void SetXattr(fuse_req_t req, fuse_ino_t id, const char* name, const char* value, size_t size,
              int flags) {
  ChangeXattr(req, id, name, [&](int fd, bool again) {
    // Where an earlier process had begun with it, XATTR_CREATE may see its own doing.
    const int way = again ? flags & ~XATTR_CREATE : flags;
    return ::fsetxattr(fd, name, value, size, way);
  });
}

void RemoveXattr(fuse_req_t req, fuse_ino_t id, const char* name) {
  ChangeXattr(req, id, name, [&](int fd, bool again) {
    const int done = ::fremovexattr(fd, name);
    return again && done != 0 && errno == ENODATA ? 0 : done;
  });
}

}  // namespace

void AddXattrOps(fuse_lowlevel_ops& ops) {
  ops.getxattr = Guarded<GetXattr>::Call;
  ops.listxattr = Guarded<ListXattr>::Call;
  ops.setxattr = Guarded<SetXattr>::Call;
  ops.removexattr = Guarded<RemoveXattr>::Call;
}

}  // namespace actiondfs::fuse
