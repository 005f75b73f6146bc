// SPDX-License-Identifier: Apache-2.0
//
// actiondfs ls: one directory of a tree, as `ls -l` would show it; or one file or symlink.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "hook/apps/cli/command.h"
#include "hook/apps/cli/entry_text.h"
#include "hook/apps/cli/tree_options.h"

namespace actiondfs::cli {
namespace {

struct Options {
  TreeOptions tree;
  bool json = false;
};

void Print(const tree::Entry& entry) {
  fmt::print("{} {:>12} {}", ModeText(entry), entry.digest.size, ShownName(entry.name));
  if (entry.kind == tree::EntryKind::kSymlink) {
    fmt::print(" -> {}", ShownName(entry.symlink_target));
  }
  fmt::print("\n");
}

Status Ls(const Options& options) {
  ASSIGN_OR_RETURN(TreeReader reader, TreeReader::Open(options.tree));
  ASSIGN_OR_RETURN(const tree::Resolved found, reader.Resolve());
  std::vector<tree::Entry> entries;
  std::shared_ptr<const tree::Directory> directory;  // owns what the entries borrow
  if (found.entry.kind == tree::EntryKind::kDirectory) {
    ASSIGN_OR_RETURN(directory, reader.Load(found.entry.digest));
    for (const size_t index : tree::OrderByName(*directory)) {
      entries.push_back(directory->at(index));
    }
  } else {
    entries.push_back(found.entry);
  }
  auto json = nlohmann::ordered_json::array();
  for (tree::Entry& entry : entries) {
    if (entry.kind == tree::EntryKind::kDirectory) {
      // One that cannot be read must not hide its siblings: it is listed with the default mode.
      if (const auto child = reader.Load(entry.digest)) {
        entry = WithProperties(entry, **child);
      }
    }
    if (options.json) {
      json.push_back(EntryJson(entry));
    } else {
      Print(entry);
    }
  }
  if (options.json) {
    PrintJson(json);
  }
  return {};
}

}  // namespace

void RegisterLs(CLI::App& app, Outcome& outcome) {
  CLI::App& command = *app.add_subcommand("ls", "List one directory of a tree");
  const auto options = std::make_shared<Options>();
  AddDigestArgument(command, options->tree.digest);
  command.add_option("PATH", options->tree.path, "A path in the tree (default: its root)")
      ->type_name("");
  AddCasOptions(command, options->tree.cas);
  command.add_flag("--json", options->json, "Print a JSON array of the entries");
  command.callback([options, &outcome] { outcome.code = Report(Ls(*options)); });
}

}  // namespace actiondfs::cli
