// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/target.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <cerrno>
#include <ranges>
#include <utility>

#include "hook/base/files.h"
#include "hook/base/text.h"

namespace actiondfs::mount {
namespace {

constexpr uint64_t kResolve =
    RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;

Result<UniqueFd> OpenComponent(int parent, const std::string& name) {
  return OpenAt2(parent, name, O_PATH | O_DIRECTORY, kResolve);
}

// Says of the errno what it means here.
Error Explain(Error error) {
  switch (error.code()) {
    case ELOOP:
      return std::move(error).Wrap("a symlink is on the way");
    case EXDEV:
      return std::move(error).Wrap("another mount is on the way");
    case EOVERFLOW:
      return std::move(error).Wrap(
          "the container's root maps ids, and not the host's root: make the directory in the "
          "image");
    default:
      return error;
  }
}

}  // namespace

Result<Target> Target::Open(const std::string& rootfs, const std::string& destination,
                            bool may_create) {
  const std::string context = "destination " + Quoted(destination);
  auto root = OpenAt(AT_FDCWD, rootfs, O_PATH | O_DIRECTORY);
  if (!root) {
    return Wrap(std::move(root).error(), "container root");
  }
  Target target;
  target.fd_ = std::move(*root);
  for (const std::string& name : Split(std::string_view(destination).substr(1), '/')) {
    auto next = OpenComponent(target.fd_.get(), name);
    if (!next && next.error().code() == ENOENT) {
      if (!may_create) {
        target.RemoveCreated();
        return MakeError(ENOENT, context +
                                     ": is not in the container's root, which is read-only: make "
                                     "the directory " +
                                     Quoted(name) + " in the image");
      }
      if (auto made = MkdirAt(target.fd_.get(), name, 0755, /*exist_ok=*/true); !made) {
        target.RemoveCreated();
        return Wrap(Explain(std::move(made).error()), context);
      }
      next = OpenComponent(target.fd_.get(), name);
      target.created_.push_back({std::move(target.fd_), name});
    }
    if (!next) {
      target.RemoveCreated();
      return Wrap(Explain(std::move(next).error()), context);
    }
    target.fd_ = std::move(*next);
  }
  return target;
}

void Target::RemoveCreated() {
  for (const Created& made : std::views::reverse(created_)) {
    ::unlinkat(made.parent.get(), made.name.c_str(), AT_REMOVEDIR);
  }
  created_.clear();
}

}  // namespace actiondfs::mount
