// SPDX-License-Identifier: Apache-2.0
//
// The dev.actiondfs. annotations of a container (docs/annotations.md): untrusted text of whoever
// wrote the pod. Pure functions, thread-safe.
#ifndef ACTIONDFS_HOOK_OCI_ANNOTATIONS_H_
#define ACTIONDFS_HOOK_OCI_ANNOTATIONS_H_

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "hook/base/result.h"
#include "hook/oci/workspace_request.h"

namespace actiondfs::oci {

inline constexpr std::string_view kAnnotationPrefix = "dev.actiondfs.";
inline constexpr std::string_view kInputRootKey = "dev.actiondfs.input-root";
inline constexpr std::string_view kActionKey = "dev.actiondfs.action";
inline constexpr std::string_view kDestinationKey = "dev.actiondfs.destination";
inline constexpr std::string_view kModeKey = "dev.actiondfs.mode";
inline constexpr std::string_view kMutatesInputsKey = "dev.actiondfs.mutates-inputs";
inline constexpr std::string_view kBackendKey = "dev.actiondfs.backend";
inline constexpr std::string_view kCasKey = "dev.actiondfs.cas";

// The longest value of ours, in bytes. Annotations of others may be of any size.
inline constexpr size_t kMaxAnnotationValue = 4096;

// EINVAL, in one line with the key, the value made safe to show, and what is expected: a key with
// our prefix that is not one of ours; a value that is empty, too long or malformed; keys that
// contradict each other; neither input-root nor action, or both.
Result<Annotations> ParseAnnotations(const std::map<std::string, std::string>& annotations);

}  // namespace actiondfs::oci

#endif  // ACTIONDFS_HOOK_OCI_ANNOTATIONS_H_
