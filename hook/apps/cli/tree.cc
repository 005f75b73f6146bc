// SPDX-License-Identifier: Apache-2.0
//
// actiondfs tree: everything below one directory, indented by depth.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>
#include <memory>
#include <string>

#include "hook/apps/cli/command.h"
#include "hook/apps/cli/entry_text.h"
#include "hook/apps/cli/tree_options.h"

namespace actiondfs::cli {
namespace {

struct Options {
  TreeOptions tree;
  int depth = std::numeric_limits<int>::max();
};

struct Totals {
  uint64_t directories = 0, files = 0, symlinks = 0;
};

void Print(const tree::Entry& entry, size_t depth, Totals& totals) {
  fmt::print("{:{}}{}", "", 2 * depth, ShownName(entry.name));
  switch (entry.kind) {
    case tree::EntryKind::kDirectory:
      fmt::print("/");
      ++totals.directories;
      break;
    case tree::EntryKind::kFile:
      fmt::print("{}", entry.is_executable ? "*" : "");
      ++totals.files;
      break;
    case tree::EntryKind::kSymlink:
      fmt::print(" -> {}", ShownName(entry.symlink_target));
      ++totals.symlinks;
      break;
  }
  fmt::print("\n");
}

Status Tree(const Options& options) {
  ASSIGN_OR_RETURN(TreeReader reader, TreeReader::Open(options.tree));
  ASSIGN_OR_RETURN(const cas::Digest top, reader.ResolveDirectory());
  Totals totals;
  const tree::Visitor visitor = {
      .entry = [&](const std::string& path, const tree::Entry& entry) -> Result<tree::Visit> {
        const auto depth = static_cast<size_t>(std::ranges::count(path, '/'));
        Print(entry, depth, totals);
        return depth + 1 < static_cast<size_t>(options.depth) ? tree::Visit::kContinue
                                                              : tree::Visit::kSkip;
      },
      .leave = {},
      .failure = {}};
  RETURN_IF_ERROR(tree::Walk(reader.cache(), reader.store(), top, visitor));
  fmt::print("\n{} directories, {} files, {} symlinks\n", totals.directories, totals.files,
             totals.symlinks);
  return {};
}

}  // namespace

void RegisterTree(CLI::App& app, Outcome& outcome) {
  CLI::App& command = *app.add_subcommand("tree", "Show everything below a directory of a tree");
  const auto options = std::make_shared<Options>();
  AddDigestArgument(command, options->tree.digest);
  command.add_option("PATH", options->tree.path, "A path in the tree (default: its root)")
      ->type_name("");
  AddCasOptions(command, options->tree.cas);
  command.add_option("--depth", options->depth, "Levels to show (default: all)")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  command.callback([options, &outcome] { outcome.code = Report(Tree(*options)); });
}

}  // namespace actiondfs::cli
