// SPDX-License-Identifier: Apache-2.0
//
// What a workspace needs of a REAPI Action and its Command, as their blobs in the CAS have it. The
// blobs' hashes were checked by who read them; what they say was not, by anybody. Pure functions,
// thread-safe.
#ifndef ACTIONDFS_HOOK_OCI_ACTION_H_
#define ACTIONDFS_HOOK_OCI_ACTION_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "hook/base/result.h"
#include "hook/cas/digest.h"

namespace actiondfs::oci {

// The largest Action or Command that is worth reading, in bytes.
inline constexpr size_t kMaxActionSize = size_t{16} << 20;

// The platform property that asks for inputs that the action may change (design 3.1).
inline constexpr std::string_view kMutatesInputsProperty = "mutates_inputs";

struct ActionDigests {
  cas::Digest input_root;
  cas::Digest command;
  std::optional<bool> mutates_inputs;  // of Action.platform
};

struct CommandFacts {
  std::optional<bool> mutates_inputs;  // of Command.platform; the Action's comes first
  std::string working_directory;       // relative to the input root, normal; may be empty
};

// EUCLEAN: not an Action. EINVAL: a digest that is missing or no 64 lowercase hex digits, a
// negative size, a mutates_inputs that is no flag. Digests are of `function`, as the Action's own
// is.
Result<ActionDigests> ParseAction(std::string_view blob, cas::HashFunction function);

// EUCLEAN: not a Command. EINVAL: a working directory that is absolute or leaves the input root, a
// mutates_inputs that is no flag.
Result<CommandFacts> ParseCommand(std::string_view blob);

}  // namespace actiondfs::oci

#endif  // ACTIONDFS_HOOK_OCI_ACTION_H_
