// SPDX-License-Identifier: Apache-2.0
//
// Which files the kernel reads and writes by itself (passthrough), and which by asking. The kernel
// insists on one backing id and one mode for an inode as long as it is open anywhere; an id is kept
// while the node lives, and the longest idle ones are closed when there are too many. Thread-safe.
#ifndef ACTIONDFS_HOOK_FUSE_BACKING_H_
#define ACTIONDFS_HOOK_FUSE_BACKING_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>

#include "hook/base/unique_fd.h"
#include "hook/fuse/errno_result.h"
#include "hook/fuse/node.h"
#include "hook/fuse/node_records.h"

namespace actiondfs::fuse {

class Backing {
 public:
  // Idle ids cost the kernel about 2 KiB each.
  static constexpr size_t kMaxIdle = 4096;

  // `device` is the mount's /dev/fuse, borrowed. Until Enable all files go without passthrough.
  explicit Backing(int device) : device_(device) {}
  void Enable();
  // Before the first open: what is open, and by which id, is recorded from now on.
  void Record(NodeRecords& records) { records_ = &records; }
  // What an earlier process had recorded of the node; before anything else.
  void Restore(Node& node);
  bool enabled() const;

  struct Grant {
    OpenMode mode;       // kPassthrough or kCached
    int32_t backing_id;  // kPassthrough
  };
  // Counts one more open of `node`. `open_path` gives the real file as O_PATH, if it is needed; its
  // error is returned.
  Errno<Grant> Acquire(Node& node, const std::function<Errno<UniqueFd>()>& open_path);
  // One open less.
  void Release(Node& node);
  // The node goes: its id is closed.
  void Forget(Node& node);

 private:
  static OpenState& StateOf(Node& node);
  Grant Count(Node& node);
  void CloseId(Node& node);
  void BecomeIdle(Node& node);
  void LeaveIdle(OpenState& state);
  void Note(const Node& node);

  const int device_;
  NodeRecords* records_ = nullptr;
  mutable std::mutex mutex_;
  bool enabled_ = false;   // mutex_
  std::list<Node*> idle_;  // mutex_; the longest idle first
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_BACKING_H_
