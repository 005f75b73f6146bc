// SPDX-License-Identifier: Apache-2.0
//
// What the subcommands of `actiondfs` share. Each lives in a file of its own, which declares its
// options on CLI11's app and does its work in a callback; main.cc lists them. Single-threaded.
#ifndef ACTIONDFS_HOOK_APPS_CLI_COMMAND_H_
#define ACTIONDFS_HOOK_APPS_CLI_COMMAND_H_

#include "hook/base/result.h"

namespace CLI {
class App;
}

namespace actiondfs::cli {

// Exit codes (design 3.8); usage errors are 2, by main.cc.
inline constexpr int kSuccess = 0;
inline constexpr int kFailure = 1;
inline constexpr int kUsage = 2;

// Where a callback leaves the exit code for main.
struct Outcome {
  int code = kSuccess;
};

// Prints "actiondfs: <error>" as one line on stderr and returns kFailure; kSuccess for success.
int Report(const Status& status);

void RegisterImport(CLI::App& app, Outcome& outcome);
void RegisterLs(CLI::App& app, Outcome& outcome);
void RegisterTree(CLI::App& app, Outcome& outcome);
void RegisterCat(CLI::App& app, Outcome& outcome);
void RegisterExport(CLI::App& app, Outcome& outcome);
void RegisterVerify(CLI::App& app, Outcome& outcome);
void RegisterMount(CLI::App& app, Outcome& outcome);
void RegisterUmount(CLI::App& app, Outcome& outcome);
void RegisterServe(CLI::App& app, Outcome& outcome);
void RegisterPs(CLI::App& app, Outcome& outcome);
void RegisterStats(CLI::App& app, Outcome& outcome);
void RegisterGc(CLI::App& app, Outcome& outcome);
void RegisterDoctor(CLI::App& app, Outcome& outcome);
void RegisterPlan(CLI::App& app, Outcome& outcome);

}  // namespace actiondfs::cli

#endif  // ACTIONDFS_HOOK_APPS_CLI_COMMAND_H_
