// SPDX-License-Identifier: Apache-2.0
//
// actiondfs import: a directory tree into a store; its digest is the last line of stdout.
#include "hook/cas/import.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "hook/apps/cli/cas_option.h"
#include "hook/apps/cli/command.h"
#include "hook/apps/cli/progress.h"
#include "hook/base/text.h"
#include "hook/tree/directory_cache.h"

namespace actiondfs::cli {
namespace {

// What is imported must be readable again.
static_assert(cas::kMaxDirectoryBytes == tree::kMaxDirectorySize);

constexpr int kMaxJobs = 256;

struct Options {
  std::string dir;
  CasOption cas;
  int jobs = 0;
  bool json = false;
  bool node_properties = false;
  bool no_progress = false;
};

void PrintFailure(const cas::ImportFailure& failure) {
  for (const Error& error : failure.errors) {
    (void)Report(std::unexpected(error));
  }
  if (failure.errors.size() == cas::kMaxImportErrors) {
    fmt::print(stderr, "actiondfs: there may be more; the import ended here\n");
  }
}

void PrintResult(const cas::ImportResult& result, std::chrono::duration<double> time, bool json) {
  const cas::ImportCounts& counts = result.counts;
  if (json) {
    const nlohmann::ordered_json object = {{"digest", result.root.ToString()},
                                           {"files", counts.files},
                                           {"directories", counts.directories},
                                           {"symlinks", counts.symlinks},
                                           {"bytes", counts.bytes},
                                           {"new_blobs", counts.new_blobs},
                                           {"new_bytes", counts.new_bytes},
                                           {"seconds", time.count()}};
    fmt::print("{}\n", object.dump());
    return;
  }
  fmt::print(
      stderr,
      "{} files, {} directories, {} symlinks, {}; new: {} blobs, {}; {:.2f} s, {:.0f} files/s\n",
      counts.files, counts.directories, counts.symlinks, HumanBytes(counts.bytes), counts.new_blobs,
      HumanBytes(counts.new_bytes), time.count(), static_cast<double>(counts.files) / time.count());
  fmt::print("{}\n", result.root.ToString());
}

int Import(const Options& options) {
  const auto store = OpenCas(options.cas, /*create=*/true);
  if (!store) {
    return Report(std::unexpected(store.error()));
  }
  const auto begin = std::chrono::steady_clock::now();
  const auto result = [&] {
    ProgressLine line(!options.no_progress);
    return cas::ImportTree(options.dir, *store,
                           {.jobs = options.jobs,
                            .node_properties = options.node_properties,
                            .progress = [&](const cas::ImportProgress& progress) {
                              line.Show(progress.fraction,
                                        fmt::format("{} files, {}", progress.counts.files,
                                                    HumanBytes(progress.counts.bytes)));
                            }});
  }();
  if (!result) {
    PrintFailure(result.error());
    return kFailure;
  }
  PrintResult(*result, std::chrono::steady_clock::now() - begin, options.json);
  return kSuccess;
}

}  // namespace

void RegisterImport(CLI::App& app, Outcome& outcome) {
  CLI::App& command = *app.add_subcommand("import", "Import a directory tree into a store");
  const auto options = std::make_shared<Options>();
  command.add_option("DIR", options->dir, "The tree's root")->required()->type_name("");
  AddCasOptions(command, options->cas);
  command.add_option("--jobs,-j", options->jobs, "Threads (default: one a processor)")
      ->check(CLI::Range(1, kMaxJobs));
  command.add_flag("--json", options->json, "Print the digest and all counts as a JSON object");
  command.add_flag("--node-properties", options->node_properties,
                   "Record permissions and mtime of everything (the digest depends on them then)");
  command.add_flag("--no-progress", options->no_progress, "No progress bar");
  command.callback([options, &outcome] { outcome.code = Import(*options); });
}

}  // namespace actiondfs::cli
