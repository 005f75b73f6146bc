// SPDX-License-Identifier: Apache-2.0
//
// What one container asks for, every field validated but nothing decided: absent annotations are
// absent here, and defaults are plan's business. Plain values.
#ifndef ACTIONDFS_HOOK_OCI_WORKSPACE_REQUEST_H_
#define ACTIONDFS_HOOK_OCI_WORKSPACE_REQUEST_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hook/base/result.h"
#include "hook/cas/digest.h"

namespace actiondfs::oci {

enum class Mode : uint8_t { kStrict, kOverlay, kReadonly };
enum class Backend : uint8_t { kAuto, kKernel, kFuse, kHardlink };

std::string_view ToString(Mode mode);        // "strict", "overlay", "readonly"
std::string_view ToString(Backend backend);  // "auto", "kernel", "fuse", "hardlink"
// EINVAL names the text and the choices.
Result<Mode> ParseMode(std::string_view text);
Result<Backend> ParseBackend(std::string_view text);
// "1", "true", "yes" and "0", "false", "no" (design 3.1).
Result<bool> ParseFlag(std::string_view text);
// A destination inside a container: absolute, normal (no "//", ".", ".." components, no trailing
// slash), at most PATH_MAX, without control characters; not "/", and not in /proc, /sys or /dev.
// EINVAL says which.
Status ValidateDestination(std::string_view path);
// A path of an Action, relative to its input root: as ValidateDestination has it but relative; may
// be empty.
Status ValidateRelativePath(std::string_view path);
// [A-Za-z0-9_.+-]{1,255}, not "." or "..": it becomes the name of a directory. EINVAL shows it.
Status ValidateContainerId(std::string_view id);
// The name of a CAS in the configuration: [A-Za-z0-9_.-]{1,64}. EINVAL shows it.
Status ValidateCasName(std::string_view name);

// Values of dev.actiondfs.* annotations (design 3.1).
struct Annotations {
  std::optional<cas::Digest> input_root;
  std::optional<cas::Digest> action;
  std::optional<std::string> destination;
  std::optional<Mode> mode;  // contradictions with mutates-inputs are refused before
  std::optional<bool> mutates_inputs;
  std::optional<Backend> backend;
  std::optional<std::string> cas;
};

// One line of a user namespace's map: as linux.uidMappings has it.
struct IdMapping {
  uint32_t container_id = 0;
  uint32_t host_id = 0;
  uint32_t size = 0;
};

struct WorkspaceRequest {
  std::string container_id;  // [A-Za-z0-9_.+-]{1,255}, not "." or ".."
  pid_t pid = 0;             // of the container's init, in the hook's pid namespace
  std::string bundle;        // absolute path
  std::string rootfs;        // absolute path on the host; root.path taken relative to the bundle
  bool rootfs_readonly = false;
  Annotations annotations;

  // process.user, ids inside the container, and the same ids outside of it: equal, but for a user
  // namespace.
  uint32_t uid = 0, gid = 0;
  uint32_t host_uid = 0, host_gid = 0;
  // Ids that container root has on the host; 0 without a user namespace.
  uint32_t host_root_uid = 0, host_root_gid = 0;
  bool has_user_namespace = false;
  // The user namespace is one that is joined: its maps are the kernel's to tell, and the four host
  // ids above are not set yet. Read /proc/<pid>/uid_map and gid_map, and call ApplyIdMaps
  // (hook/oci/bundle.h).
  bool needs_id_maps = false;
  std::string cwd;          // process.cwd
  std::string mount_label;  // linux.mountLabel, may be empty
};

}  // namespace actiondfs::oci

#endif  // ACTIONDFS_HOOK_OCI_WORKSPACE_REQUEST_H_
