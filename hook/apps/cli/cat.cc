// SPDX-License-Identifier: Apache-2.0
//
// actiondfs cat: one file of a tree to stdout.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <memory>
#include <utility>

#include "hook/apps/cli/blob_copy.h"
#include "hook/apps/cli/command.h"
#include "hook/apps/cli/tree_options.h"
#include "hook/base/text.h"

namespace actiondfs::cli {
namespace {

Status Cat(const TreeOptions& options) {
  ASSIGN_OR_RETURN(TreeReader reader, TreeReader::Open(options));
  ASSIGN_OR_RETURN(const tree::Resolved found, reader.Resolve());
  switch (found.entry.kind) {
    case tree::EntryKind::kDirectory:
      return MakeError(EISDIR, Quoted(options.path));
    case tree::EntryKind::kSymlink:
      return MakeError(EINVAL, Quoted(options.path) + " is a symlink to " +
                                   Quoted(found.entry.symlink_target) +
                                   " (symlinks are not followed)");
    case tree::EntryKind::kFile:
      break;
  }
  if (auto status = CopyBlob(reader.store(), found.entry.digest, STDOUT_FILENO); !status) {
    return Wrap(std::move(status).error(), Quoted(options.path));
  }
  return {};
}

}  // namespace

void RegisterCat(CLI::App& app, Outcome& outcome) {
  CLI::App& command = *app.add_subcommand("cat", "Print one file of a tree");
  const auto options = std::make_shared<TreeOptions>();
  AddDigestArgument(command, options->digest);
  command.add_option("PATH", options->path, "A path in the tree")->required()->type_name("");
  AddCasOptions(command, options->cas);
  command.callback([options, &outcome] { outcome.code = Report(Cat(*options)); });
}

}  // namespace actiondfs::cli
