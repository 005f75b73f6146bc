// SPDX-License-Identifier: Apache-2.0
//
// The part of a bundle's config.json that a workspace depends on, and the request that it makes
// together with the state. Pure functions, thread-safe: reading the files is the caller's.
#ifndef ACTIONDFS_HOOK_OCI_BUNDLE_H_
#define ACTIONDFS_HOOK_OCI_BUNDLE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hook/base/result.h"
#include "hook/oci/state.h"
#include "hook/oci/workspace_request.h"

namespace actiondfs::oci {

struct BundleSpec {
  std::string root_path;  // as config.json has it: absolute, or relative to the bundle
  bool root_readonly = false;
  uint32_t uid = 0, gid = 0;  // process.user
  std::string cwd;            // process.cwd, absolute
  bool has_mount_namespace =
      false;  // new, or joined by path: whose it is, is compared by inode later
  bool has_user_namespace = false;
  bool joins_user_namespace = false;  // by path
  std::vector<IdMapping> uid_mappings, gid_mappings;
  std::string mount_label;
};

// EINVAL: malformed, a member of a wrong type or value (its path is in the message); EFBIG: over 16
// MiB.
Result<BundleSpec> ParseBundleConfig(std::string_view json_text);

// EINVAL: annotations (see ParseAnnotations); no pid; a container without a mount namespace of its
// own; an id that the user namespace does not map. May leave needs_id_maps set.
Result<WorkspaceRequest> MakeRequest(const ContainerState& state, const BundleSpec& spec);

// The lines of /proc/<pid>/uid_map or gid_map. EINVAL: malformed.
Result<std::vector<IdMapping>> ParseIdMap(std::string_view text);
// The host's id of a container's. EINVAL: not covered; the message names it ("uid 1000").
Result<uint32_t> MapId(const std::vector<IdMapping>& mappings, uint32_t id, std::string_view kind);
// Sets the host ids of the request and clears needs_id_maps. EINVAL as MapId.
Status ApplyIdMaps(WorkspaceRequest& request, const std::vector<IdMapping>& uid_mappings,
                   const std::vector<IdMapping>& gid_mappings);

}  // namespace actiondfs::oci

#endif  // ACTIONDFS_HOOK_OCI_BUNDLE_H_
