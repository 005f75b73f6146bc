// SPDX-License-Identifier: Apache-2.0
//
// Bounds what the kernel makes the server remember. A node lives until the kernel forgets it, and
// the kernel forgets when it is short of memory itself, not when the server is: a container that
// walks ten million entries would leave as many nodes. So beyond a mount's share the kernel is
// asked to let go of what nobody uses, some for each one that is made, going round and round the
// table. What is in use stays, and what was let go of is looked up again when it is asked for.
//
// FUSE_NOTIFY_PRUNE (Linux 6.18) says just that. Older kernels can only be told that a name is no
// longer valid, which unhashes also what is in use: there, only input files that are not open.
//
// Thread-safe. One thread at a time does the work, between two requests: an invalidation waits for
// its directory's lock, so the others have to be free to answer whoever holds that.
#ifndef ACTIONDFS_HOOK_FUSE_PRUNER_H_
#define ACTIONDFS_HOOK_FUSE_PRUNER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

#include "hook/fuse/budget.h"
#include "hook/fuse/inputs.h"
#include "hook/fuse/node_table.h"

struct fuse_session;

namespace actiondfs::fuse {

class Pruner {
 public:
  // All outlive the object. `ask`: the kernel may know FUSE_NOTIFY_PRUNE; false in tests of older
  // ones.
  Pruner(NodeTable& nodes, const Inputs& inputs, const Budget& budget, bool ask)
      : nodes_(nodes), inputs_(inputs), budget_(budget), ask_(ask) {}

  // Called by a serving thread that has no request in hand. `device` is the mount's /dev/fuse.
  void Work(fuse_session* session, int device);

 private:
  bool Pressed() const;
  void Ask(int device, size_t count);
  bool SendIds(int device, std::span<const uint64_t> ids);
  void Invalidate(fuse_session* session, size_t count);

  NodeTable& nodes_;
  const Inputs& inputs_;
  const Budget& budget_;
  std::mutex working_;
  // NodeTable::growth as of the last time, or as of when the mount was within its share yet.
  std::atomic<uint64_t> done_growth_ = 0;
  std::atomic<bool> ask_;
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_PRUNER_H_
