// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "hook/apps/cli/command.h"

namespace actiondfs::cli {

int Report(const Status& status) {
  if (status) {
    return kSuccess;
  }
  fmt::print(stderr, "actiondfs: {}\n", status.error().ToString());
  return kFailure;
}

namespace {

int Run(int argc, char** argv) {
  CLI::App app("REAPI input trees, straight from a content-addressed store", "actiondfs");
  app.require_subcommand(1);
  app.set_version_flag("--version", ACTIONDFS_VERSION);

  Outcome outcome;
  RegisterImport(app, outcome);
  RegisterLs(app, outcome);
  RegisterTree(app, outcome);
  RegisterCat(app, outcome);
  RegisterExport(app, outcome);
  RegisterVerify(app, outcome);
  RegisterMount(app, outcome);
  RegisterUmount(app, outcome);
  RegisterServe(app, outcome);
  RegisterPs(app, outcome);
  RegisterStats(app, outcome);
  RegisterGc(app, outcome);
  RegisterDoctor(app, outcome);
  RegisterPlan(app, outcome);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? kSuccess : kUsage;
  }
  return outcome.code;
}

}  // namespace
}  // namespace actiondfs::cli

int main(int argc, char** argv) {
  using namespace actiondfs::cli;
  // It would print what a message from a store looks like. The error that the caller gets says it.
  google::protobuf::SetLogHandler(nullptr);
  // CLI11 reports by exceptions, and memory may run out: they end here.
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {
    (void)std::fprintf(stderr, "actiondfs: %s\n", error.what());
    return kFailure;
  }
}
