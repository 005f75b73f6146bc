// SPDX-License-Identifier: Apache-2.0
//
// StageTree's changes to the stage: what makes, links, removes and renames.
#include <fcntl.h>
#include <linux/fs.h>

#include <memory>

#include "hook/fuse/stage_tree.h"

namespace actiondfs::fuse {

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
  if (auto made = stage::Make(at, entry); !made) {
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
  if (auto linked = stage::Link(from->at(), to); !linked) {
    stats_.NoteStageError(linked.error());
    return Fail(linked.error());
  }
  // The newest name: for link() and then unlink() of the old one, as git does, no descriptor need
  // be held.
  nodes_.Move(node, directory, name);
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
    return Fail(victim.error());
  }
  auto detaching = BeginDetach(directory, name, victim->st.st_ino);
  if (!detaching) {
    return Fail(detaching.error());
  }
  if (auto removed = stage::Unlink(at, is_directory); !removed) {
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
  const auto source = stage::Status(old_at);
  if (!source) {
    return Fail(source.error());
  }
  auto victim = OpenVictim(new_at);
  if (!victim && victim.error() != ENOENT) {
    return Fail(victim.error());
  }
  const bool replaces = victim && (flags & RENAME_EXCHANGE) == 0;
  auto detaching =
      replaces ? BeginDetach(to, new_name, victim->st.st_ino) : Errno<Detaching>(Detaching());
  if (!detaching) {
    return Fail(detaching.error());
  }
  if (auto renamed = stage::Rename(old_at, new_at, flags); !renamed) {
    stats_.NoteStageError(renamed.error());
    return renamed;
  }
  if (victim && victim->st.st_ino == source->st_ino) {
    return {};  // two names of one file: POSIX has nothing happen
  }
  Node* moved = nodes_.FindStaged(source->st_ino);
  const bool follows = moved != nullptr && (moved->place->held || IsAt(*moved, from, name));
  if ((flags & RENAME_EXCHANGE) != 0) {
    Node* other = victim ? nodes_.FindStaged(victim->st.st_ino) : nullptr;
    if (other != nullptr && (other->place->held || IsAt(*other, to, new_name))) {
      nodes_.Move(*other, from, name);
    }
  } else if (replaces) {
    Detach(std::move(*detaching), std::move(victim->path));
  }
  if (follows) {
    nodes_.Move(*moved, to, new_name);
  }
  return {};
}

}  // namespace actiondfs::fuse
