// SPDX-License-Identifier: Apache-2.0
//
// The directory in the container's root at which the workspace is attached. It is opened, and made
// where it is missing, one component at a time with openat2(2), so that nothing in the image (a
// symlink, a mount, a rename under way) can lead outside of the root. To be called inside the
// container's mount namespace.
#ifndef ACTIONDFS_HOOK_MOUNT_TARGET_H_
#define ACTIONDFS_HOOK_MOUNT_TARGET_H_

#include <string>
#include <vector>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"

namespace actiondfs::mount {

class Target {
 public:
  // `rootfs` is the root's path in this namespace, `destination` absolute inside it (validated by
  // oci). `may_create`: false where the root is to be read-only. ELOOP: a symlink on the way;
  // EXDEV: another mount on the way; ENOTDIR; ENOENT and EROFS: it is missing and may not be made.
  // What was made is removed again on failure.
  static Result<Target> Open(const std::string& rootfs, const std::string& destination,
                             bool may_create);

  int fd() const { return fd_.get(); }
  // Removes the directories that Open made, if nothing was attached or put there.
  void RemoveCreated();

 private:
  struct Created {
    UniqueFd parent;
    std::string name;
  };

  UniqueFd fd_;
  std::vector<Created> created_;
};

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_HOOK_MOUNT_TARGET_H_
