// SPDX-License-Identifier: Apache-2.0
#include "hook/tree/walk.h"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "hook/base/text.h"

namespace actiondfs::tree {
namespace {

constexpr size_t kShownPath = 1024;

std::string Shown(std::string_view path) {
  return path.empty() ? "the root" : Quoted(path, kShownPath);
}

Entry RootEntry(const cas::Digest& digest) {
  Entry entry;
  entry.kind = EntryKind::kDirectory;
  entry.digest = digest;
  return entry;
}

// Cuts the first component off `path`; empty where there is none left.
std::string_view TakeComponent(std::string_view& path) {
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view component = path.substr(0, slash);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    if (!component.empty() && component != ".") return component;
  }
  return {};
}

// The walk's place in one Directory.
struct Level {
  std::shared_ptr<const Directory> directory;
  std::vector<size_t> order;
  size_t next = 0;
  size_t path_size = 0;  // of the Directory's own path
};

class Walker {
 public:
  Walker(DirectoryCache& cache, const cas::BlobStore& store, const Visitor& visitor)
      : cache_(cache), store_(store), visitor_(visitor) {}

  Status Run(const cas::Digest& root) {
    RETURN_IF_ERROR(Enter(root));
    while (!levels_.empty()) {
      Level& level = levels_.back();
      path_.resize(level.path_size);
      if (level.next == level.order.size()) {
        RETURN_IF_ERROR(Leave());
        continue;
      }
      ASSIGN_OR_RETURN(const Visit visit, Step(level));
      if (visit == Visit::kStop) return {};
    }
    return {};
  }

 private:
  // Visits the next entry, and goes into it where it is a directory. `level` is void afterwards.
  Result<Visit> Step(Level& level) {
    const Entry entry = level.directory->at(level.order[level.next++]);
    if (!path_.empty()) path_ += '/';
    path_ += entry.name;
    ASSIGN_OR_RETURN(const Visit visit, visitor_.entry(path_, entry));
    if (visit == Visit::kContinue && entry.kind == EntryKind::kDirectory) {
      RETURN_IF_ERROR(Enter(entry.digest));
    }
    return visit;
  }

  // path_ is the Directory's own.
  Status Enter(const cas::Digest& digest) {
    if (levels_.size() >= kMaxDepth) {
      return Fail(digest, Error(ELOOP, "tree of over " + std::to_string(kMaxDepth) + " levels"));
    }
    Result<std::shared_ptr<const Directory>> directory = cache_.Get(store_, digest);
    if (!directory.has_value()) return Fail(digest, std::move(directory).error());
    Level level;
    level.directory = std::move(directory).value();
    level.order = OrderByName(*level.directory);
    level.path_size = path_.size();
    levels_.push_back(std::move(level));
    return {};
  }

  Status Leave() {
    levels_.pop_back();
    return visitor_.leave ? visitor_.leave(path_) : Status{};
  }

  Status Fail(const cas::Digest& digest, Error error) {
    std::unexpected<Error> shown = Wrap(std::move(error), Shown(path_));
    if (!visitor_.failure) return shown;
    return visitor_.failure(path_, digest, std::move(shown).error());
  }

  DirectoryCache& cache_;
  const cas::BlobStore& store_;
  const Visitor& visitor_;
  std::vector<Level> levels_;
  std::string path_;
};

}  // namespace

Result<Resolved> Resolve(DirectoryCache& cache, const cas::BlobStore& store,
                         const cas::Digest& root, std::string_view path) {
  Resolved here = {RootEntry(root), nullptr};
  std::string_view rest = path;
  for (std::string_view name = TakeComponent(rest); !name.empty(); name = TakeComponent(rest)) {
    const std::string_view walked = path.substr(0, static_cast<size_t>(name.data() - path.data()));
    if (here.entry.kind != EntryKind::kDirectory) return MakeError(ENOTDIR, Shown(walked));
    auto directory = cache.Get(store, here.entry.digest);
    if (!directory.has_value()) return Wrap(std::move(directory).error(), Shown(walked));
    const std::optional<size_t> index = (*directory)->Find(name);
    if (!index.has_value()) {
      return MakeError(ENOENT, Shown(path.substr(0, walked.size() + name.size())));
    }
    here = {(*directory)->at(*index), std::move(directory).value()};
  }
  return here;
}

Status Walk(DirectoryCache& cache, const cas::BlobStore& store, const cas::Digest& root,
            const Visitor& visitor) {
  return Walker(cache, store, visitor).Run(root);
}

std::vector<size_t> OrderByName(const Directory& directory) {
  std::vector<std::pair<std::string_view, size_t>> names;
  names.reserve(directory.size());
  for (size_t i = 0; i < directory.size(); ++i) names.emplace_back(directory.at(i).name, i);
  std::ranges::sort(names);
  std::vector<size_t> order;
  order.reserve(names.size());
  for (const auto& [name, index] : names) order.push_back(index);
  return order;
}

}  // namespace actiondfs::tree
