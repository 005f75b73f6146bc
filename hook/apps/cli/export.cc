// SPDX-License-Identifier: Apache-2.0
//
// actiondfs export: a tree, or a part of it, as real files in an empty directory. Nothing is opened
// outside of that directory, whatever somebody does to it meanwhile: every path is resolved beneath
// its descriptor, without symlinks. Modes and times are set when a directory is complete.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hook/apps/cli/blob_copy.h"
#include "hook/apps/cli/command.h"
#include "hook/apps/cli/entry_text.h"
#include "hook/apps/cli/progress.h"
#include "hook/apps/cli/tree_options.h"
#include "hook/base/beneath.h"
#include "hook/base/dir_stream.h"
#include "hook/base/files.h"
#include "hook/base/text.h"

namespace actiondfs::cli {
namespace {

constexpr mode_t kWhileWriting = 0700;  // directories; files are 0600 until they are complete

struct Options {
  TreeOptions tree;
  std::vector<std::string> arguments;  // [PATH] DEST
  std::string dest;
  bool no_progress = false;
};

struct Attributes {
  mode_t mode;
  tree::Timestamp mtime;
};

std::vector<timespec> Times(tree::Timestamp mtime) {
  timespec modified = {};
  modified.tv_sec = mtime.seconds;
  modified.tv_nsec = mtime.nanoseconds;
  return {modified, modified};
}

Status SetAttributes(int fd, const Attributes& attributes) {
  if (::fchmod(fd, attributes.mode) != 0) {
    return ErrnoError("chmod");
  }
  if (::futimens(fd, Times(attributes.mtime).data()) != 0) {
    return ErrnoError("set the time");
  }
  return {};
}

// DEST, made where it is missing; ENOTEMPTY.
Result<UniqueFd> OpenEmptyDirectory(const std::string& path) {
  if (::mkdir(path.c_str(), kWhileWriting) != 0 && errno != EEXIST) {
    return ErrnoError("make directory " + Quoted(path));
  }
  ASSIGN_OR_RETURN(UniqueFd dir, OpenAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(UniqueFd listed, OpenAt(dir.get(), ".", O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(DirStream stream, DirStream::Adopt(std::move(listed)));
  ASSIGN_OR_RETURN(const auto entry, stream.Next());
  if (entry) {
    return MakeError(ENOTEMPTY, Quoted(path) + " has " + Quoted(entry->name) + " in it");
  }
  return dir;
}

class Exporter {
 public:
  Exporter(TreeReader& reader, UniqueFd dest, bool progress)
      : reader_(reader), dest_(std::move(dest)), line_(progress) {}

  Status Run(const cas::Digest& top);
  std::string Summary() const {
    return fmt::format("{} files, {}", files_, HumanBytes(static_cast<uint64_t>(bytes_)));
  }

 private:
  Status Enter(const cas::Digest& digest);
  Status Leave(const std::string& path);
  Status Create(const std::string& path, const tree::Entry& entry);
  Status CreateFile(int parent, const std::string& name, const tree::Entry& entry);
  static Status CreateSymlink(int parent, const std::string& name, const tree::Entry& entry);
  Result<int> ParentOf(const std::string& path);

  TreeReader& reader_;
  const UniqueFd dest_;
  ProgressLine line_;
  std::vector<Attributes> open_;  // of the directories that are being filled, outermost first
  // The directory written to last: most entries come in a row.
  std::optional<std::string> parent_path_;
  UniqueFd parent_;
  uint64_t files_ = 0;
  int64_t bytes_ = 0;
};

Status Exporter::Run(const cas::Digest& top) {
  RETURN_IF_ERROR(Enter(top));
  const tree::Visitor visitor = {
      .entry = [&](const std::string& path, const tree::Entry& entry) -> Result<tree::Visit> {
        if (auto status = Create(path, entry); !status) {
          return Wrap(std::move(status).error(), Quoted(path, path.size() + 1));
        }
        line_.Show(std::nullopt, Summary());
        return tree::Visit::kContinue;
      },
      .leave = [&](const std::string& path) { return Leave(path); },
      .failure = {}};
  return tree::Walk(reader_.cache(), reader_.store(), top, visitor);
}

Status Exporter::Enter(const cas::Digest& digest) {
  ASSIGN_OR_RETURN(const auto directory, reader_.Load(digest));
  tree::Entry entry;
  entry.kind = tree::EntryKind::kDirectory;
  entry = WithProperties(entry, *directory);
  open_.push_back({entry.Permissions(), entry.Mtime()});
  return {};
}

Status Exporter::Leave(const std::string& path) {
  const Attributes attributes = open_.back();
  open_.pop_back();
  parent_path_.reset();
  ASSIGN_OR_RETURN(const UniqueFd dir, OpenBeneath(dest_.get(), path, O_RDONLY | O_DIRECTORY));
  if (auto status = SetAttributes(dir.get(), attributes); !status) {
    return Wrap(std::move(status).error(), Quoted(path, path.size() + 1));
  }
  return {};
}

Result<int> Exporter::ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "" : path.substr(0, slash);
  if (parent_path_ != parent) {
    ASSIGN_OR_RETURN(parent_, OpenBeneath(dest_.get(), parent, O_PATH | O_DIRECTORY));
    parent_path_ = parent;
  }
  return parent_.get();
}

Status Exporter::Create(const std::string& path, const tree::Entry& entry) {
  ASSIGN_OR_RETURN(const int parent, ParentOf(path));
  const std::string name(entry.name);  // one component: the parser saw to it
  switch (entry.kind) {
    case tree::EntryKind::kDirectory:
      RETURN_IF_ERROR(MkdirAt(parent, name, kWhileWriting));
      return Enter(entry.digest);
    case tree::EntryKind::kSymlink:
      return CreateSymlink(parent, name, entry);
    case tree::EntryKind::kFile:
      return CreateFile(parent, name, entry);
  }
  return MakeError(EINVAL, "an entry of an unknown kind");
}

Status Exporter::CreateFile(int parent, const std::string& name, const tree::Entry& entry) {
  ASSIGN_OR_RETURN(const UniqueFd fd,
                   OpenAt(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  if (auto status = CopyBlob(reader_.store(), entry.digest, fd.get()); !status) {
    ::unlinkat(parent, name.c_str(), 0);
    return status;
  }
  ++files_;
  bytes_ += entry.digest.size;
  return SetAttributes(fd.get(), {entry.Permissions(), entry.Mtime()});
}

Status Exporter::CreateSymlink(int parent, const std::string& name, const tree::Entry& entry) {
  if (::symlinkat(std::string(entry.symlink_target).c_str(), parent, name.c_str()) != 0) {
    return ErrnoError("make symlink");
  }
  if (::utimensat(parent, name.c_str(), Times(entry.Mtime()).data(), AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoError("set the time");
  }
  return {};
}

Status Export(const Options& options) {
  ASSIGN_OR_RETURN(TreeReader reader, TreeReader::Open(options.tree));
  ASSIGN_OR_RETURN(const cas::Digest top, reader.ResolveDirectory());
  // The root is read before anything is made: a wrong digest leaves no empty directory behind.
  RETURN_IF_ERROR(reader.Load(top));
  ASSIGN_OR_RETURN(UniqueFd dest, OpenEmptyDirectory(options.dest));
  std::string summary;
  {
    Exporter exporter(reader, std::move(dest), !options.no_progress);
    RETURN_IF_ERROR(exporter.Run(top));
    summary = exporter.Summary();
  }
  fmt::print(stderr, "{}\n", summary);
  return {};
}

}  // namespace

void RegisterExport(CLI::App& app, Outcome& outcome) {
  CLI::App& command =
      *app.add_subcommand("export", "Write a tree, or a part of it, to an empty directory");
  const auto options = std::make_shared<Options>();
  AddDigestArgument(command, options->tree.digest);
  command
      .add_option("PATH_DEST", options->arguments,
                  "[PATH] DEST: a path in the tree (default: its root); a directory, empty or new")
      ->required()
      ->expected(1, 2)
      ->type_name("");
  AddCasOptions(command, options->tree.cas);
  command.add_flag("--no-progress", options->no_progress, "No progress line");
  command.callback([options, &outcome] {
    options->dest = options->arguments.back();
    if (options->arguments.size() == 2) {
      options->tree.path = options->arguments.front();
    }
    outcome.code = Report(Export(*options));
  });
}

}  // namespace actiondfs::cli
