// SPDX-License-Identifier: Apache-2.0
//
// One mounted tree: its parts, and what the operations (the *_ops.cc files, one a concern) have in
// common. Thread-safe as its parts are; the fields themselves do not change once requests come.
#ifndef ACTIONDFS_HOOK_FUSE_FILE_SYSTEM_H_
#define ACTIONDFS_HOOK_FUSE_FILE_SYSTEM_H_

#include <sys/stat.h>

#include <cstddef>
#include <memory>
#include <string>

#include "hook/fuse/backing.h"
#include "hook/fuse/budget.h"
#include "hook/fuse/errno_result.h"
#include "hook/fuse/inputs.h"
#include "hook/fuse/kept_state.h"
#include "hook/fuse/log.h"
#include "hook/fuse/node_table.h"
#include "hook/fuse/open_handle.h"
#include "hook/fuse/pruner.h"
#include "hook/fuse/stage_tree.h"
#include "hook/fuse/stats.h"

struct fuse_session;

namespace actiondfs::fuse {

class MountSession;

struct FileSystemOptions {
  std::string id;  // printable
  InputOptions inputs;
  bool list_roots = false;
  bool passthrough = true;  // where the kernel has it
  bool prune = true;        // the same
};

class FileSystem {
 public:
  // `device` is the mount's /dev/fuse, borrowed. An invalid `stage`: read-only. `kept` may be null:
  // then the mount ends with this process.
  FileSystem(FileSystemOptions options, int device, cas::BlobStore store, UniqueFd stage,
             tree::DirectoryCache& cache, Pool& pool, std::unique_ptr<KeptState> kept);

  // Reads the root and readies the stage; before the first request.
  Status Start();
  // The same where an earlier process has served this mount: all is as `kept` has it.
  Status StartAgain();

  bool strict() const { return stage != nullptr; }
  bool IsTopOfManyRoots(const Node& node) const {
    return options.inputs.many_roots && node.parent == nullptr;
  }

  // Asked before a node is made: without, ENOMEM.
  bool HasRoomForNode() {
    const bool has = budget.HasRoom(Resource::kNodes);
    if (!has) {
      nodes.NoteRefusal();
    }
    return has;
  }

  // lstat(2) of a node, as the mount shows it.
  Errno<struct stat> Attributes(Node& node);
  // How long the kernel may keep them, seconds.
  static double AttributeTimeout(const Node& node);

  const FileSystemOptions options;
  // Borrowed; set before the first request.
  fuse_session* session = nullptr;
  MountSession* owner = nullptr;
  const std::unique_ptr<KeptState> kept;
  Stats stats;
  Log log;
  Backing backing;
  std::unique_ptr<StageTree> stage;  // null: read-only
  Budget budget;                     // of what a container makes the server hold
  NodeTable nodes;
  Inputs inputs;
  Pruner pruner;
  OpenHandles handles;  // the last: those that are left go before what they refer to

 private:
  Status LoadRoot();

  UniqueFd stage_fd_;
};

// For ever, as far as the protocol can say it.
inline constexpr double kForever = 1e12;

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_FILE_SYSTEM_H_
