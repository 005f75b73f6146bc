// SPDX-License-Identifier: Apache-2.0
//
// The operator's configuration, hook.json: what is accepted can be worked with, and what is refused
// says in one line why.
#include <algorithm>
#include <string>
#include <string_view>

#include "hook/plan/allow.h"
#include "hook/plan/config.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/fuzz_target.h"

namespace actiondfs::fuzz {
namespace {

void CheckCas(const plan::Config& config) {
  MUST(!config.cas.empty());
  for (const auto& [name, cas] : config.cas) {
    MUST(!name.empty() && name.size() <= 64 && IsPrintableLine(name, 64));
    MUST(name.find('/') == std::string::npos);
    MUST(IsNormalPath(cas.path));
    // gc removes from the stages' directory.
    MUST(cas.path != config.stage_root && !cas.path.starts_with(config.stage_root + "/"));
  }
}

void CheckPaths(const plan::Config& config) {
  for (const std::string& path : {config.stage_root, config.state_root, config.serve_socket}) {
    MUST(IsNormalPath(path));
  }
  MUST(config.stage_root != config.state_root);
  for (const std::string& path : {config.records.path, config.records.prometheus_textfile}) {
    MUST(path.empty() || IsNormalPath(path));
  }
}

// A container without a wish gets what the operator allows.
void CheckDefaults(const plan::Config& config) {
  MUST(IsNormalPath(config.defaults.destination));
  MUST(plan::IsAllowed(config, config.defaults.mode));
  MUST(plan::IsAllowed(config, config.defaults.backend));
  MUST(plan::IsAllowed(config, config.defaults.destination));
}

void CheckLists(const plan::Config& config) {
  if (config.allow.destinations) {
    MUST(!config.allow.destinations->empty());
    MUST(std::ranges::all_of(*config.allow.destinations, IsNormalPath));
  }
  MUST(!config.allow.modes || !config.allow.modes->empty());
  MUST(!config.allow.backends ||
       (!config.allow.backends->empty() && !config.allow.backends->contains(oci::Backend::kAuto)));
}

}  // namespace

const char* Outcome(const uint8_t* data, size_t size) {
  const auto config = plan::ParseConfig({reinterpret_cast<const char*>(data), size});
  if (!config) {
    CheckError(config.error());
    return "refused";
  }
  CheckCas(*config);
  CheckPaths(*config);
  CheckDefaults(*config);
  CheckLists(*config);
  return "accepted";
}

}  // namespace actiondfs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)actiondfs::fuzz::Outcome(data, size);
  return 0;
}
