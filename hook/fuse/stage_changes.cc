// SPDX-License-Identifier: Apache-2.0
//
// StageTree's changes to the stage: what makes, links, removes and renames.
#include <fcntl.h>
#include <linux/fs.h>

#include <memory>
#include <utility>

#include "hook/fuse/request_journal.h"
#include "hook/fuse/stage_tree.h"

namespace actiondfs::fuse {
namespace {

bool IsFile(stage::At at, uint64_t ino) {
  const auto st = stage::Status(at);
  return st && st->st_ino == ino;
}

// Whether it was made, as it was planned.
bool WasRenamed(stage::At from, stage::At to, uint64_t source, uint64_t victim, bool exchange) {
  return source != victim && IsFile(to, source) && (!exchange || IsFile(from, victim));
}

}  // namespace

Errno<Node*> StageTree::Make(Node& directory, const char* name, const stage::NewEntry& entry,
                             struct stat& st) {
  if (!budget_.HasRoom(Resource::kNodes)) {
    nodes_.NoteRefusal();
    return Fail(ENOMEM);
  }
  if (auto mirrored = EnsureMirror(directory); !mirrored) {
    return Fail(mirrored.error());
  }
  int error = 0;
  if (IsInputName(directory, name, error)) {
    return Fail(EEXIST);
  }
  if (error != 0) {
    return Fail(error);
  }
  const std::shared_lock lock(names);
  auto dir = DirectoryOf(directory);
  if (!dir) {
    return Fail(dir.error());
  }
  const stage::At at = {(*dir)->get(), name};
  const bool again = PlannedBefore();
  PlanChange(0, 0);
  if (auto made = stage::Make(at, entry, again); !made) {
    stats_.NoteStageError(made.error());
    return Fail(made.error());
  }
  auto status = stage::Status(at);
  if (!status) {
    return Fail(status.error());
  }
  st = *status;
  return &nodes_.GetStaged(directory, name, st);
}

Errno<Node*> StageTree::MakeUnnamed(Node& directory, const stage::NewEntry& entry, bool linkable,
                                    struct stat& st) {
  if (!budget_.HasRoom(Resource::kNodes)) {
    nodes_.NoteRefusal();
    return Fail(ENOMEM);
  }
  Claim claim;
  if (!claim.Take(budget_, Resource::kDescriptors, 1)) {
    return Fail(ENFILE);
  }
  if (auto mirrored = EnsureMirror(directory); !mirrored) {
    return Fail(mirrored.error());
  }
  // Exclusive: the place of the new node changes, and lookups may not see it half made.
  const std::unique_lock lock(names);
  auto dir = DirectoryOf(directory);
  if (!dir) {
    return Fail(dir.error());
  }
  auto made = stage::MakeUnnamed((*dir)->get(), entry, linkable);
  if (!made) {
    stats_.NoteStageError(made.error());
    return Fail(made.error());
  }
  auto status = stage::Status({made->get(), ""});
  if (!status) {
    return Fail(status.error());
  }
  st = *status;
  SharedFd held = Held(std::move(*made), std::move(claim));
  Node& node = nodes_.GetStaged(directory, "", st);
  if (node.id != 0) {
    kept_->nodes().Of(node)->removed.store(true, std::memory_order_release);
  }
  node.place->held = std::move(held);
  return &node;
}

bool StageTree::IsAt(const Node& node, const Node& directory, std::string_view name) {
  return !node.place->held && node.parent == &directory && node.place->name == name;
}

Errno<StageTree::Victim> StageTree::OpenVictim(stage::At at) {
  auto path = stage::OpenPath(at);
  if (!path) {
    return Fail(path.error());
  }
  auto st = stage::Status({path->get(), ""});
  if (!st) {
    return Fail(st.error());
  }
  return Victim{std::move(*path), *st};
}

SharedFd StageTree::Held(UniqueFd fd, Claim claim) {
  struct Both {
    Claim claim;
    UniqueFd fd;
  };
  auto both = std::make_shared<const Both>(std::move(claim), std::move(fd));
  return {both, &both->fd};
}

Errno<StageTree::Detaching> StageTree::BeginDetach(const Node& directory, const char* name,
                                                   uint64_t ino) {
  Detaching detaching;
  Node* node = nodes_.FindStaged(ino);
  if (node != nullptr && IsAt(*node, directory, name)) {
    detaching.node = node;
    if (!detaching.claim.Take(budget_, Resource::kDescriptors, 1)) {
      return Fail(ENFILE);
    }
  }
  return detaching;
}

void StageTree::Detach(Detaching detaching, UniqueFd path) {
  if (detaching.node != nullptr) {
    UncacheDirectory(*detaching.node);
    detaching.node->place->held = Held(std::move(path), std::move(detaching.claim));
  }
}

Errno<struct stat> StageTree::Link(Node& node, Node& directory, const char* name) {
  if (auto mirrored = EnsureMirror(directory); !mirrored) {
    return Fail(mirrored.error());
  }
  int error = 0;
  if (IsInputName(directory, name, error)) {
    return Fail(EEXIST);
  }
  if (error != 0) {
    return Fail(error);
  }
  const std::unique_lock lock(names);
  auto from = PlaceOf(node);
  auto dir = from ? DirectoryOf(directory) : Errno<SharedFd>(Fail(from.error()));
  if (!dir) {
    return Fail(dir.error());
  }
  const stage::At to = {(*dir)->get(), name};
  const bool there = PlannedBefore() && IsFile(to, node.ino);
  PlanChange(0, 0);
  if (auto linked = there ? Errno<void>() : stage::Link(from->at(), to); !linked) {
    stats_.NoteStageError(linked.error());
    return Fail(linked.error());
  }
  // The newest name: for link() and then unlink() of the old one, as git does, no descriptor need
  // be held.
  Move(node, directory, name);
  nodes_.Reference(node);
  return stage::Status(to);
}

Errno<void> StageTree::Remove(Node& directory, const char* name, bool is_directory) {
  const std::unique_lock lock(names);
  auto dir = DirectoryOf(directory);
  if (!dir) {
    return Fail(dir.error());
  }
  const stage::At at = {(*dir)->get(), name};
  auto victim = OpenVictim(at);
  if (!victim) {
    return victim.error() == ENOENT && PlannedBefore() ? Errno<void>() : Fail(victim.error());
  }
  auto detaching = BeginDetach(directory, name, victim->st.st_ino);
  if (!detaching) {
    return Fail(detaching.error());
  }
  PlanChange(victim->st.st_ino, 0);
  AnnounceRemoval(detaching->node, *victim);
  if (auto removed = stage::Unlink(at, is_directory); !removed) {
    TakeBackRemoval(detaching->node);
    stats_.NoteStageError(removed.error());
    return removed;
  }
  Detach(std::move(*detaching), std::move(victim->path));
  return {};
}

Errno<void> StageTree::Rename(Node& from, const char* name, Node& to, const char* new_name,
                              unsigned flags) {
  if (auto mirrored = EnsureMirror(to); !mirrored) {
    return mirrored;
  }
  const std::unique_lock lock(names);
  auto from_dir = DirectoryOf(from);
  auto to_dir = from_dir ? DirectoryOf(to) : Errno<SharedFd>(Fail(from_dir.error()));
  if (!to_dir) {
    return Fail(to_dir.error());
  }
  const stage::At old_at = {(*from_dir)->get(), name};
  const stage::At new_at = {(*to_dir)->get(), new_name};
  const bool exchange = (flags & RENAME_EXCHANGE) != 0;
  if (PlannedBefore()) {
    const auto [planned, other] = std::pair(CurrentRequest()->source, CurrentRequest()->victim);
    if (WasRenamed(old_at, new_at, planned, other, exchange)) {
      FollowRename(from, name, to, new_name, planned, exchange ? other : 0);
      return {};
    }
  }
  const auto source = stage::Status(old_at);
  if (!source) {
    return Fail(source.error());
  }
  auto victim = OpenVictim(new_at);
  if (!victim && victim.error() != ENOENT) {
    return Fail(victim.error());
  }
  const uint64_t victim_ino = victim ? victim->st.st_ino : 0;
  auto detaching =
      victim && !exchange ? BeginDetach(to, new_name, victim_ino) : Errno<Detaching>(Detaching());
  if (!detaching) {
    return Fail(detaching.error());
  }
  PlanRename(NodeRecords::IdOf(from), name, NodeRecords::IdOf(to), new_name, exchange);
  PlanChange(source->st_ino, victim_ino);
  if (detaching->node != nullptr) {
    AnnounceRemoval(detaching->node, *victim);
  }
  if (auto renamed = stage::Rename(old_at, new_at, flags); !renamed) {
    TakeBackRemoval(detaching->node);
    stats_.NoteStageError(renamed.error());
    return renamed;
  }
  if (victim_ino == source->st_ino) {
    TakeBackRemoval(detaching->node);
    return {};  // two names of one file: POSIX has nothing happen
  }
  if (victim && !exchange) {
    Detach(std::move(*detaching), std::move(victim->path));
  }
  FollowRename(from, name, to, new_name, source->st_ino, exchange ? victim_ino : 0);
  return {};
}

void StageTree::FinishRename(Node& from, Node& to, const RequestSlot& planned) {
  const std::unique_lock lock(names);
  const PlannedRename& rename = planned.rename;
  const auto from_dir = DirectoryOf(from);
  const auto to_dir = from_dir ? DirectoryOf(to) : from_dir;
  if (to_dir && WasRenamed({(*from_dir)->get(), rename.name}, {(*to_dir)->get(), rename.new_name},
                           planned.source, planned.victim, rename.exchange)) {
    FollowRename(from, rename.name, to, rename.new_name, planned.source,
                 rename.exchange ? planned.victim : 0);
  }
}

void StageTree::Move(Node& node, Node& parent, std::string_view name) {
  const bool held = node.place->held != nullptr;
  nodes_.Move(node, parent, name);
  if (held && node.id != 0) {
    kept_->descriptors().Drop(node.id);
  }
}

void StageTree::FollowRename(Node& from, const char* name, Node& to, const char* new_name,
                             uint64_t source, uint64_t other) {
  Node* moved = nodes_.FindStaged(source);
  const bool follows = moved != nullptr && (moved->place->held || IsAt(*moved, from, name));
  Node* back = other != 0 ? nodes_.FindStaged(other) : nullptr;
  if (back != nullptr && (back->place->held || IsAt(*back, to, new_name))) {
    Move(*back, from, name);
  }
  if (follows) {
    Move(*moved, to, new_name);
  }
}

void StageTree::AnnounceRemoval(const Node* node, const Victim& victim) {
  if (node == nullptr || node->id == 0) {
    return;
  }
  NodeRecord& record = *kept_->nodes().Of(*node);
  const bool has_other_names = victim.st.st_nlink > 1 && !S_ISDIR(victim.st.st_mode);
  if (has_other_names || record.opens.load(std::memory_order_acquire) > 0) {
    // Without room for it, the file is gone for a later process.
    (void)kept_->descriptors().Put(node->id, victim.path.get());
  }
  record.removed.store(true, std::memory_order_release);
}

void StageTree::TakeBackRemoval(const Node* node) {
  if (node != nullptr && node->id != 0) {
    kept_->nodes().Of(*node)->removed.store(false, std::memory_order_release);
    kept_->descriptors().Drop(node->id);
  }
}

void StageTree::KeepOpen(const Node& node) {
  if (kept_ == nullptr || node.id == 0) {
    return;
  }
  const std::shared_lock lock(names);
  if (node.place->held && node.place->held->valid()) {
    (void)kept_->descriptors().Put(node.id, node.place->held->get());
  }
}

void StageTree::Restore(Node& node, UniqueFd held) {
  const std::unique_lock lock(names);
  if (held.valid()) {
    Claim claim;
    claim.Add(budget_, Resource::kDescriptors, 1);  // it is there
    node.place->held = Held(std::move(held), std::move(claim));
    return;
  }
  NodeRecord& record = *kept_->nodes().Of(node);
  // Without a name it was made without one, and killed before more was said of it.
  const bool unnamed = node.place->name.empty();
  if (!unnamed && !record.removed.load(std::memory_order_acquire)) {
    return;
  }
  auto place = PlaceOf(node);
  if (place && !unnamed && IsFile(place->at(), node.ino)) {
    record.removed.store(false, std::memory_order_release);
  } else {
    nodes_.Lose(node);
  }
}

}  // namespace actiondfs::fuse
