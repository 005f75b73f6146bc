// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/stage_tree.h"

#include <fcntl.h>

#include <memory>

#include "hook/fuse/request_journal.h"

namespace actiondfs::fuse {
namespace {

// The stage is private; what else is in a mirror's place was put there from outside.
int MirrorError(int code) {
  return code == ENOTDIR || code == ELOOP ? EIO : code;
}

}  // namespace

StageTree::StageTree(UniqueFd root, NodeTable& nodes, Inputs& inputs, Budget& budget, Stats& stats,
                     KeptState* kept)
    : root_(std::make_shared<const UniqueFd>(std::move(root))),
      nodes_(nodes),
      inputs_(inputs),
      budget_(budget),
      stats_(stats),
      kept_(kept) {
  nodes_.top().directory->mirror = Mirror::kPresent;
}

Status StageTree::Start() {
  Claim claim;
  const auto names_there = ListHeld(root_->get(), claim);
  if (!names_there) {
    return MakeError(names_there.error(), "read the stage directory");
  }
  if (names_there->empty()) {
    const struct stat st = inputs_.Attributes(nodes_.top());
    if (auto set = stage::ChangeTimes({root_->get(), ""}, {st.st_atim, st.st_mtim}); !set) {
      return MakeError(set.error(), "set the times of the stage directory");
    }
  }
  return {};
}

Errno<std::vector<stage::Listed>> StageTree::ListHeld(int dir, Claim& claim) {
  claim.Add(budget_, Resource::kBytes, 0);
  return stage::List(dir, [&](size_t bytes) { return claim.TakeMore(bytes); });
}

std::string StageTree::NameOf(const Node& node) const {
  return node.staged ? node.place->name : inputs_.NameOf(node);
}

SharedFd StageTree::CachedDirectory(const Node& node) {
  const std::lock_guard lock(fds_mutex_);
  const auto found = by_node_.find(&node);
  if (found == by_node_.end()) {
    return nullptr;
  }
  recent_.splice(recent_.begin(), recent_, found->second);
  return found->second->second;
}

void StageTree::CacheDirectory(const Node& node, SharedFd fd) {
  const std::lock_guard lock(fds_mutex_);
  if (by_node_.contains(&node)) {
    return;
  }
  recent_.emplace_front(&node, std::move(fd));
  by_node_[&node] = recent_.begin();
  if (recent_.size() > kMaxOpenDirectories) {
    by_node_.erase(recent_.back().first);
    recent_.pop_back();
  }
}

void StageTree::UncacheDirectory(const Node& node) {
  const std::lock_guard lock(fds_mutex_);
  if (const auto found = by_node_.find(&node); found != by_node_.end()) {
    recent_.erase(found->second);
    by_node_.erase(found);
  }
}

void StageTree::Forget(Node& node) {
  if (node.IsDirectory()) {
    UncacheDirectory(node);
  }
  if (kept_ != nullptr && node.staged && node.id != 0) {
    kept_->descriptors().Drop(node.id);
  }
}

Errno<bool> StageTree::HasMirror(Node& directory) {
  if (directory.staged) {
    return true;
  }
  const Mirror known = directory.directory->mirror.load(std::memory_order_acquire);
  if (known != Mirror::kUnknown) {
    return known == Mirror::kPresent;
  }
  // Only a stage that had something in it before this mount, or a node that was forgotten, comes
  // here.
  const auto opened = DirectoryOf(directory);
  if (!opened && opened.error() != ENOENT) {
    return Fail(opened.error());
  }
  return opened.has_value();
}

Errno<SharedFd> StageTree::DirectoryOf(Node& directory) {
  // From the nearest directory above that is open, downwards.
  std::vector<Node*> below;
  SharedFd fd;
  for (Node* node = &directory; !fd; node = node->parent) {
    if (node->parent == nullptr) {
      fd = root_;
    } else if (node->staged && node->place->held) {
      if (!node->place->held->valid()) {
        return Fail(ESTALE);
      }
      fd = node->place->held;
    } else if (!node->staged &&
               node->directory->mirror.load(std::memory_order_acquire) == Mirror::kAbsent) {
      // Below it nothing is mirrored either; saying so there spares the next one the way up.
      for (Node* node_below : below) {
        if (!node_below->staged) {  // staged ones: where somebody took the stage away
          node_below->directory->mirror.store(Mirror::kAbsent, std::memory_order_release);
        }
      }
      return Fail(ENOENT);
    } else if (fd = CachedDirectory(*node); !fd) {
      below.push_back(node);
    }
  }
  for (auto it = below.rbegin(); it != below.rend(); ++it) {
    Node& node = **it;
    auto opened = stage::OpenDirectory({fd->get(), NameOf(node).c_str()});
    if (!opened) {
      if (opened.error() == ENOENT && !node.staged) {
        node.directory->mirror.store(Mirror::kAbsent, std::memory_order_release);
      }
      return Fail(MirrorError(opened.error()));
    }
    fd = std::make_shared<const UniqueFd>(std::move(*opened));
    if (!node.staged) {
      node.directory->mirror.store(Mirror::kPresent, std::memory_order_release);
    }
    CacheDirectory(node, fd);
  }
  return fd;
}

Errno<StageTree::Place> StageTree::PlaceOf(const Node& staged) {
  if (staged.place->held) {
    return staged.place->held->valid() ? Errno<Place>(Place{staged.place->held, ""}) : Fail(ESTALE);
  }
  auto dir = DirectoryOf(*staged.parent);
  if (!dir) {
    return Fail(dir.error());
  }
  return Place{std::move(*dir), staged.place->name.c_str()};
}

Errno<struct stat> StageTree::StatusOf(Node& node) {
  if (!node.staged) {
    auto dir = DirectoryOf(node);
    return dir ? stage::Status({(*dir)->get(), ""}) : Fail(dir.error());
  }
  auto place = PlaceOf(node);
  return place ? stage::Status(place->at()) : Fail(place.error());
}

Errno<Node*> StageTree::Lookup(Node& directory, const char* name, struct stat& st) {
  stats_.Add(Stat::stage_inode_lookups);
  const auto mirrored = HasMirror(directory);
  if (!mirrored) {
    stats_.Add(Stat::stage_inode_lookup_errors);
    return Fail(mirrored.error());
  }
  if (!*mirrored) {
    stats_.Add(Stat::stage_inode_lookup_unstaged_parent);
    return nullptr;
  }
  auto dir = DirectoryOf(directory);
  auto found = dir ? stage::Status({(*dir)->get(), name}) : Errno<struct stat>(Fail(dir.error()));
  if (!found) {
    const bool missing = found.error() == ENOENT;
    stats_.Add(missing ? Stat::stage_inode_lookup_negative : Stat::stage_inode_lookup_errors);
    return missing ? Errno<Node*>(nullptr) : Fail(found.error());
  }
  stats_.Add(Stat::stage_inode_lookup_hits);
  st = *found;
  return &nodes_.GetStaged(directory, name, st);
}

bool StageTree::IsInputName(Node& directory, std::string_view name, int& error) {
  if (directory.staged) {
    return false;
  }
  const auto inputs = inputs_.DirectoryOf(directory);
  if (!inputs) {
    error = inputs.error();
    return false;
  }
  return (*inputs)->Find(name).has_value();
}

Errno<std::vector<stage::Listed>> StageTree::List(Node& directory, Claim& claim) {
  stats_.Add(Stat::stage_readdir_calls);
  const auto mirrored = HasMirror(directory);
  if (!mirrored) {
    stats_.Add(Stat::stage_readdir_errors);
    return Fail(mirrored.error());
  }
  if (!*mirrored) {
    stats_.Add(Stat::stage_readdir_misses);
    return std::vector<stage::Listed>();
  }
  auto dir = DirectoryOf(directory);
  auto listed =
      dir ? ListHeld((*dir)->get(), claim) : Errno<std::vector<stage::Listed>>(Fail(dir.error()));
  if (!listed) {
    stats_.Add(Stat::stage_readdir_errors);
    return listed;
  }
  stats_.Add(Stat::stage_readdir_hits);
  int error = 0;
  std::erase_if(*listed, [&](const stage::Listed& entry) {
    return IsInputName(directory, entry.name, error);
  });
  if (error != 0) {
    return Fail(error);
  }
  return listed;
}

Errno<SharedFd> StageTree::MakeMirror(Node& directory, const SharedFd& parent) {
  // The mirror gets its input's times, and the one above it keeps its own: see the header.
  const auto before = stage::Status({parent->get(), ""});
  if (!before) {
    return Fail(before.error());
  }
  const std::string name = inputs_.NameOf(directory);
  const stage::At at = {parent->get(), name.c_str()};
  stats_.Add(Stat::stage_ensure_dir_components);
  PlanMirror(directory.id, before->st_atim, before->st_mtim);
  auto made = stage::Make(at, {.mode = S_IFDIR | 0700});
  if (!made && made.error() != EEXIST) {
    return Fail(made.error());
  }
  auto opened = stage::OpenDirectory(at);
  if (!opened) {
    return Fail(MirrorError(opened.error()));
  }
  auto fd = std::make_shared<const UniqueFd>(std::move(*opened));
  stats_.Add(made ? Stat::stage_ensure_dir_created : Stat::stage_ensure_dir_existing);
  if (made) {
    const struct stat st = inputs_.Attributes(directory);
    auto set = stage::ChangeTimes({fd->get(), ""}, {st.st_atim, st.st_mtim});
    if (set) {
      set = stage::ChangeTimes({parent->get(), ""}, {before->st_atim, before->st_mtim});
    }
    if (!set) {
      return Fail(set.error());
    }
  }
  PlanMirror(0, before->st_atim, before->st_mtim);
  directory.directory->mirror.store(Mirror::kPresent, std::memory_order_release);
  CacheDirectory(directory, fd);
  return fd;
}

void StageTree::FinishMirror(Node& directory, const timespec (&times)[2]) {
  const std::shared_lock lock(names);
  const auto mirror = DirectoryOf(directory);
  const auto above = mirror ? DirectoryOf(*directory.parent) : mirror;
  if (above) {
    const struct stat st = inputs_.Attributes(directory);
    // As when it was being made; where it fails, the times are what is wrong.
    (void)stage::ChangeTimes({(*mirror)->get(), ""}, {st.st_atim, st.st_mtim});
    (void)stage::ChangeTimes({(*above)->get(), ""}, {times[0], times[1]});
  }
}

Errno<void> StageTree::EnsureMirror(Node& directory) {
  stats_.Add(Stat::stage_ensure_dir_calls);
  if (directory.staged ||
      directory.directory->mirror.load(std::memory_order_acquire) == Mirror::kPresent) {
    return {};
  }
  // A Directory that cannot be read has no place for anything new.
  if (auto loaded = inputs_.DirectoryOf(directory); !loaded) {
    return Fail(loaded.error());
  }
  const std::unique_lock lock(names);
  std::vector<Node*> missing;
  Node* node = &directory;
  auto mirrored = HasMirror(*node);
  for (; mirrored && !*mirrored; mirrored = HasMirror(*node)) {
    missing.push_back(node);
    node = node->parent;
  }
  auto fd = mirrored ? DirectoryOf(*node) : Errno<SharedFd>(Fail(mirrored.error()));
  for (auto it = missing.rbegin(); fd && it != missing.rend(); ++it) {
    fd = MakeMirror(**it, *fd);
  }
  if (!fd) {
    stats_.Add(Stat::stage_ensure_dir_errors);
    stats_.NoteStageError(fd.error());
    return Fail(fd.error());
  }
  return {};
}

Errno<UniqueFd> StageTree::Open(Node& node, int flags) {
  const std::shared_lock lock(names);
  if (!node.staged) {
    auto dir = DirectoryOf(node);
    return dir ? stage::Open({(*dir)->get(), "."}, flags) : Fail(dir.error());
  }
  auto place = PlaceOf(node);
  return place ? stage::Open(place->at(), flags) : Fail(place.error());
}

Errno<UniqueFd> StageTree::OpenPath(Node& node) {
  const std::shared_lock lock(names);
  auto place = PlaceOf(node);
  return place ? stage::OpenPath(place->at()) : Fail(place.error());
}

Errno<std::string> StageTree::ReadLink(Node& node) {
  const std::shared_lock lock(names);
  auto place = PlaceOf(node);
  return place ? stage::ReadLink(place->at()) : Fail(place.error());
}

}  // namespace actiondfs::fuse
