// SPDX-License-Identifier: Apache-2.0
//
// The OCI runtime state that a hook finds on its standard input. Pure functions, thread-safe.
#ifndef ACTIONDFS_HOOK_OCI_STATE_H_
#define ACTIONDFS_HOOK_OCI_STATE_H_

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "hook/base/result.h"

namespace actiondfs::oci {

struct ContainerState {
  std::string oci_version;
  std::string id;      // ValidateContainerId
  std::string status;  // creating, created, running, stopped; or the runtime's own
  pid_t pid = 0;       // of the container's init; 0 where there is none (poststop)
  std::string bundle;  // absolute path
  std::map<std::string, std::string> annotations;
};

// EINVAL: malformed, a member of a wrong type or value (its name is in the message); EFBIG: over 16
// MiB. Members that are not known are ignored (crun adds "root").
Result<ContainerState> ParseState(std::string_view json_text);

// Whether there is any dev.actiondfs. annotation: without one, the container is none of our
// business.
bool HasActiondfsAnnotation(const ContainerState& state);
// ParseState for the hook: nullopt where that refuses a container that is none of our business.
Result<std::optional<ContainerState>> ParseStateUnlessForeign(std::string_view json_text);

}  // namespace actiondfs::oci

#endif  // ACTIONDFS_HOOK_OCI_STATE_H_
