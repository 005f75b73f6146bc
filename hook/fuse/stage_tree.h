// SPDX-License-Identifier: Apache-2.0
//
// The mutable half of a strict mount: where nodes are in the stage directory, and every change to
// it. The stage mirrors input directories by name, but only those in which something was made. A
// mirror has its input's mtime until something changes in that very directory; that is how the two
// are told apart, also by a later mount.
//
// Thread-safe. Functions of the first group want `names` held by the caller; the others take it
// themselves.
#ifndef ACTIONDFS_HOOK_FUSE_STAGE_TREE_H_
#define ACTIONDFS_HOOK_FUSE_STAGE_TREE_H_

#include <sys/stat.h>

#include <list>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "hook/base/result.h"
#include "hook/fuse/budget.h"
#include "hook/fuse/errno_result.h"
#include "hook/fuse/inputs.h"
#include "hook/fuse/kept_state.h"
#include "hook/fuse/node.h"
#include "hook/fuse/node_table.h"
#include "hook/fuse/stage.h"
#include "hook/fuse/stats.h"

namespace actiondfs::fuse {

class StageTree {
 public:
  // `kept` may be null.
  StageTree(UniqueFd root, NodeTable& nodes, Inputs& inputs, Budget& budget, Stats& stats,
            KeptState* kept);

  // Readies an empty stage.
  Status Start();
  // Of a node that was made from its record: where it is; `held` is what was kept of it, if so.
  void Restore(Node& node, UniqueFd held);

  std::shared_mutex names;

  // ---- `names` held, shared at least ----

  // What a place is made of; valid while `names` is held.
  struct Place {
    SharedFd dir;
    const char* name = "";
    stage::At at() const { return {dir->get(), name}; }
  };
  // True for what is staged; an input directory may have a mirror. Fails where that cannot be told.
  Errno<bool> HasMirror(Node& directory);
  // The directory, staged or mirror, as O_PATH. ENOENT: an input without a mirror.
  Errno<SharedFd> DirectoryOf(Node& directory);
  Errno<Place> PlaceOf(const Node& staged);
  Errno<struct stat> StatusOf(Node& node);
  // The child in the stage with one reference; nullptr: none.
  Errno<Node*> Lookup(Node& directory, const char* name, struct stat& st);
  // Staged names in the directory, without those that an input has. `claim` is for their memory.
  Errno<std::vector<stage::Listed>> List(Node& directory, Claim& claim);

  // ---- `names` not held ----

  // Makes the mirror of an input directory, and of those above it; for what is staged nothing.
  Errno<void> EnsureMirror(Node& directory);
  // The new child with one reference. EEXIST also for an input's name; ENOMEM: no room for a node.
  Errno<Node*> Make(Node& directory, const char* name, const stage::NewEntry& entry,
                    struct stat& st);
  Errno<Node*> MakeUnnamed(Node& directory, const stage::NewEntry& entry, bool linkable,
                           struct stat& st);
  // One more name, and one more reference.
  Errno<struct stat> Link(Node& node, Node& directory, const char* name);
  Errno<void> Remove(Node& directory, const char* name, bool is_directory);
  Errno<void> Rename(Node& from, const char* name, Node& to, const char* new_name, unsigned flags);
  // The regular file (or directory) itself, by open(2) flags, or as O_PATH.
  Errno<UniqueFd> Open(Node& node, int flags);
  Errno<UniqueFd> OpenPath(Node& node);
  Errno<std::string> ReadLink(Node& node);

  // A rename that was planned, where it was made.
  void FinishRename(Node& from, Node& to, const RequestSlot& planned);
  // Of an input directory: its mirror, if it is there, was being made; `times` are for the
  // directory above it.
  void FinishMirror(Node& directory, const timespec (&times)[2]);

  // The node was opened. If it has no name any more, a later process needs its descriptor.
  void KeepOpen(const Node& node);

  // The node goes.
  void Forget(Node& node);
  int root_fd() const { return root_->get(); }

 private:
  // Directories that are kept open; more are opened when needed and closed again.
  static constexpr size_t kMaxOpenDirectories = 128;

  Errno<std::vector<stage::Listed>> ListHeld(int dir, Claim& claim);
  std::string NameOf(const Node& node) const;
  bool IsInputName(Node& directory, std::string_view name, int& error);
  SharedFd CachedDirectory(const Node& node);
  void CacheDirectory(const Node& node, SharedFd fd);
  void UncacheDirectory(const Node& node);
  Errno<SharedFd> MakeMirror(Node& directory, const SharedFd& parent);
  // What is about to lose its name in favour of a descriptor: the node, if there is one at that
  // name, and the place for the descriptor.
  struct Detaching {
    Node* node = nullptr;
    Claim claim;
  };
  // ENFILE: the mount has too many of them already.
  Errno<Detaching> BeginDetach(const Node& directory, const char* name, uint64_t ino);
  void Detach(Detaching detaching, UniqueFd path);
  // Shared with the place that was claimed for it.
  static SharedFd Held(UniqueFd fd, Claim claim);
  // The node has a name (again): it needs no descriptor.
  void Move(Node& node, Node& parent, std::string_view name);
  // The nodes follow what was renamed.
  void FollowRename(Node& from, const char* name, Node& to, const char* new_name, uint64_t source,
                    uint64_t other);
  static bool IsAt(const Node& node, const Node& directory, std::string_view name);
  struct Victim {
    UniqueFd path;
    struct stat st = {};
  };
  static Errno<Victim> OpenVictim(stage::At at);
  // The node is about to lose its name; or has not, after all.
  void AnnounceRemoval(const Node* node, const Victim& victim);
  void TakeBackRemoval(const Node* node);

  const SharedFd root_;
  NodeTable& nodes_;
  Inputs& inputs_;
  Budget& budget_;
  Stats& stats_;
  KeptState* const kept_;

  using Recent = std::list<std::pair<const Node*, SharedFd>>;
  std::mutex fds_mutex_;
  Recent recent_;                                              // fds_mutex_; the latest first
  std::unordered_map<const Node*, Recent::iterator> by_node_;  // fds_mutex_
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_STAGE_TREE_H_
