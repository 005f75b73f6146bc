// SPDX-License-Identifier: Apache-2.0
//
// The options by which every command that reads or writes a store finds it: --cas, --layout,
// --config; and the DIGEST argument. Single-threaded.
#ifndef ACTIONDFS_HOOK_APPS_CLI_CAS_OPTION_H_
#define ACTIONDFS_HOOK_APPS_CLI_CAS_OPTION_H_

#include <optional>
#include <string>

#include "hook/base/result.h"
#include "hook/cas/blob_store.h"
#include "hook/cas/digest.h"
#include "hook/cas/layout.h"
#include "hook/plan/config.h"

namespace CLI {
class App;
}

namespace actiondfs::cli {

struct CasOption {
  // A PATH where it has a '/' in it or begins with '.'; else a NAME in the configuration.
  std::string cas = "default";
  std::optional<cas::Layout> layout;  // nullopt: as configured, or by looking
  std::string config = plan::kDefaultConfigPath;
};

// Declares --cas, --layout and --config on `command`. `option` must outlive its parsing.
void AddCasOptions(CLI::App& command, CasOption& option);

// Declares the required positional DIGEST. What does not parse is a usage error.
void AddDigestArgument(CLI::App& command, cas::Digest& digest);

// The store that the options name. ENOENT: no such directory, no such name, or no configuration
// file; the message says which, and what to do. With `create`, a PATH that is not there yet is made
// (0755).
Result<cas::BlobStore> OpenCas(const CasOption& option, bool create = false);

}  // namespace actiondfs::cli

#endif  // ACTIONDFS_HOOK_APPS_CLI_CAS_OPTION_H_
