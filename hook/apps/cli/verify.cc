// SPDX-License-Identifier: Apache-2.0
//
// actiondfs verify: re-hashes every blob of a tree.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "hook/apps/cli/cas_option.h"
#include "hook/apps/cli/command.h"
#include "hook/apps/cli/entry_text.h"
#include "hook/apps/cli/progress.h"
#include "hook/apps/cli/tree_check.h"
#include "hook/base/text.h"

namespace actiondfs::cli {
namespace {

struct Options {
  cas::Digest digest;
  CasOption cas;
  int jobs = 0;
  bool json = false;
  bool no_progress = false;
};

std::string Counts(const TreeCheck& check) {
  return fmt::format("{} blobs ({} directories), {}", check.blobs, check.directories,
                     HumanBytes(check.bytes));
}

void PrintText(const TreeCheck& check) {
  for (const Fault& fault : check.faults) {
    fmt::print("{}: /{}: {}\n", fault.kind, ShownName(fault.path), fault.message);
  }
  fmt::print("{}: {}\n", Counts(check),
             check.faults.empty() ? "all good" : fmt::format("{} bad", check.faults.size()));
}

void PrintAsJson(const cas::Digest& root, const TreeCheck& check) {
  auto faults = nlohmann::ordered_json::array();
  for (const Fault& fault : check.faults) {
    faults.push_back({{"kind", fault.kind},
                      {"digest", fault.digest.ToString()},
                      {"path", fault.path},
                      {"message", fault.message}});
  }
  PrintJson({{"digest", root.ToString()},
             {"ok", check.faults.empty()},
             {"blobs", check.blobs},
             {"directories", check.directories},
             {"bytes", check.bytes},
             {"faults", std::move(faults)}});
}

Result<TreeCheck> Check(const Options& options) {
  ASSIGN_OR_RETURN(const cas::BlobStore store, OpenCas(options.cas));
  ProgressLine line(!options.no_progress);
  return CheckTree(store, options.digest, options.jobs,
                   [&](const TreeCheck& check) { line.Show(std::nullopt, Counts(check)); });
}

int Verify(const Options& options) {
  const auto check = Check(options);
  if (!check) {
    return Report(std::unexpected(check.error()));
  }
  if (options.json) {
    PrintAsJson(options.digest, *check);
  } else {
    PrintText(*check);
  }
  return check->faults.empty() ? kSuccess : kFailure;
}

}  // namespace

void RegisterVerify(CLI::App& app, Outcome& outcome) {
  CLI::App& command = *app.add_subcommand("verify", "Re-hash every blob of a tree");
  const auto options = std::make_shared<Options>();
  AddDigestArgument(command, options->digest);
  AddCasOptions(command, options->cas);
  command.add_option("--jobs,-j", options->jobs, "Threads (default: one a processor)")
      ->check(CLI::Range(1, 256));
  command.add_flag("--json", options->json, "Print a JSON object");
  command.add_flag("--no-progress", options->no_progress, "No progress line");
  command.callback([options, &outcome] { outcome.code = Verify(*options); });
}

}  // namespace actiondfs::cli
