// SPDX-License-Identifier: Apache-2.0
//
// The checks of `actiondfs doctor`. Each looks and changes nothing. Single-threaded.
#ifndef ACTIONDFS_HOOK_APPS_CLI_DOCTOR_CHECKS_H_
#define ACTIONDFS_HOOK_APPS_CLI_DOCTOR_CHECKS_H_

#include <string>
#include <vector>

#include "hook/plan/config.h"

namespace actiondfs::cli {

enum class Level { kOk, kWarn, kFail };

struct Finding {
  Level level = Level::kOk;
  std::string check;    // "cas.default"
  std::string message;  // one printable line
};
using Findings = std::vector<Finding>;

// The backends. One that is missing is a failure only where no other is there. Without a
// configuration `config` has the defaults.
void CheckBackends(const plan::Config& config, Findings& findings);
// What the configuration names: stores, stage, state, what crashes left.
void CheckConfigured(const plan::Config& config, Findings& findings);
// The kernel's version, and the container runtimes.
void CheckHost(Findings& findings);

}  // namespace actiondfs::cli

#endif  // ACTIONDFS_HOOK_APPS_CLI_DOCTOR_CHECKS_H_
