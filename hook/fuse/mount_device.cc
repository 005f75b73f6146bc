// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/mount_device.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "hook/base/files.h"
#include "hook/base/text.h"

namespace actiondfs::fuse {
namespace {

// What the kernel says of a context's failure, newest line last.
std::string KernelMessages(int context) {
  std::string all;
  std::array<char, 512> line = {};
  for (ssize_t size = 0; (size = ::read(context, line.data(), line.size())) > 0;) {
    all += " (" + Printable({line.data(), static_cast<size_t>(size)}) + ")";
  }
  return all;
}

class Context {
 public:
  explicit Context(int fd) : fd_(fd) {}
  int fd() const { return fd_.get(); }

  Status String(const char* key, const std::string& value) const {
    return Configure(FSCONFIG_SET_STRING, key, value.c_str());
  }
  Status Flag(const char* key) const { return Configure(FSCONFIG_SET_FLAG, key, nullptr); }
  Status Create() const { return Configure(FSCONFIG_CMD_CREATE, nullptr, nullptr); }

 private:
  Status Configure(unsigned command, const char* key, const char* value) const {
    if (::fsconfig(fd_.get(), command, key, value, 0) != 0) {
      const int code = errno;
      return MakeError(code, std::string("make FUSE mount: ") + (key != nullptr ? key : "create") +
                                 KernelMessages(fd_.get()));
    }
    return {};
  }
  const UniqueFd fd_;
};

Status SetAll(const Context& context, int device, const DetachedMountOptions& options) {
  RETURN_IF_ERROR(context.String("source", "actiondfs"));
  RETURN_IF_ERROR(context.String("subtype", "actiondfs"));
  RETURN_IF_ERROR(context.String("fd", std::to_string(device)));
  RETURN_IF_ERROR(context.String("rootmode", "40000"));
  RETURN_IF_ERROR(context.String("user_id", "0"));
  RETURN_IF_ERROR(context.String("group_id", "0"));
  RETURN_IF_ERROR(context.Flag("allow_other"));
  RETURN_IF_ERROR(context.Flag("default_permissions"));
  if (!options.selinux_context.empty()) {
    RETURN_IF_ERROR(context.String("context", options.selinux_context));
  }
  if (options.read_only) {
    RETURN_IF_ERROR(context.Flag("ro"));
  }
  return {};
}

}  // namespace

Result<UniqueFd> OpenFuseDevice() {
  auto device = OpenAt(AT_FDCWD, "/dev/fuse", O_RDWR);
  if (!device && (device.error().code() == ENOENT || device.error().code() == ENODEV)) {
    return Wrap(std::move(device).error(), "this kernel has no FUSE (modprobe fuse)");
  }
  return device;
}

Result<UniqueFd> MakeDetachedMount(int device, const DetachedMountOptions& options) {
  const Context context(::fsopen("fuse", FSOPEN_CLOEXEC));
  if (context.fd() < 0) {
    return ErrnoError("fsopen fuse");
  }
  RETURN_IF_ERROR(SetAll(context, device, options));
  RETURN_IF_ERROR(context.Create());
  const unsigned attributes =
      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (options.read_only ? MOUNT_ATTR_RDONLY : 0U);
  UniqueFd mount(::fsmount(context.fd(), FSMOUNT_CLOEXEC, attributes));
  if (!mount.valid()) {
    return ErrnoError("fsmount fuse");
  }
  return mount;
}

Result<UniqueFd> ReadOnlyView(UniqueFd dir) {
  const UniqueFd clone(
      ::open_tree(dir.get(), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (!clone.valid() ||
      ::mount_setattr(clone.get(), "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) != 0) {
    return dir;
  }
  // The clone is an O_PATH descriptor; its directory has to be readable too, to tell the layout.
  auto view = OpenAt(clone.get(), ".", O_RDONLY | O_DIRECTORY);
  if (!view) {
    return dir;
  }
  return view;
}

}  // namespace actiondfs::fuse
