// SPDX-License-Identifier: Apache-2.0
//
// What each thread of a mount is at, in memory that outlives the process (KeptState). When a later
// process takes over, the kernel sends again what was not answered; a change that was made already
// may not be made twice. So a small answer is written here before the kernel gets it, and is given
// again as it is; and before a change of the stage, what it is about to change.
//
// Each thread uses its own slot. Claim and Begin may be called by any thread.
#ifndef ACTIONDFS_HOOK_FUSE_REQUEST_JOURNAL_H_
#define ACTIONDFS_HOOK_FUSE_REQUEST_JOURNAL_H_

#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <mutex>
#include <string_view>
#include <vector>

namespace actiondfs::fuse {

// A rename that is planned: the nodes follow it also if the kernel does not send it again first.
struct PlannedRename {
  std::atomic<uint32_t> from;  // directories by their records; 0: none is planned
  uint32_t to;
  bool exchange;
  char name[256];
  char new_name[256];
};

// One request. All of it zero: none.
struct RequestSlot {
  static constexpr size_t kMaxReply = 176;  // CREATE's answer has 160

  std::atomic<uint64_t> unique;  // as the kernel first sent it
  std::atomic<uint32_t> life;    // of the process that took it
  std::atomic<uint32_t> reply_size;
  std::atomic<bool> planned;
  // The input directory (by its record) whose mirror is being made, and what the times of the one
  // above it are to be then.
  std::atomic<uint32_t> mirror;
  uint64_t source;  // inode numbers in the stage, if planned
  uint64_t victim;
  timespec times[2];
  PlannedRename rename;
  char reply[kMaxReply];

  // The change comes next. Only what is known to be possible is planned: where the next process
  // finds it done, it was done here.
  void Plan(uint64_t the_source, uint64_t the_victim);
  std::string_view Reply() const;
};

// The request that this thread serves; null where no journal is kept.
RequestSlot* CurrentRequest();
// True where an earlier process planned the change of this thread's request; it may be done.
bool PlannedBefore();
// As RequestSlot::Plan; nothing where no journal is kept.
void PlanChange(uint64_t source, uint64_t victim);
// What PlanChange is about to plan is a rename.
void PlanRename(uint32_t from, std::string_view name, uint32_t to, std::string_view new_name,
                bool exchange);
// A mirror is about to be made, with the times of the directory above it; 0: it is done.
void PlanMirror(uint32_t directory, const timespec& access, const timespec& change);

class RequestJournal {
 public:
  static constexpr size_t kSlots = 64;

  // `life` counts the processes that had it.
  RequestJournal(RequestSlot* slots, uint32_t life);

  // Renames that earlier processes had planned, each once; before the first Claim.
  void TakeRenames(const std::function<void(const RequestSlot&)>& use);
  // Mirrors that earlier processes had begun to make, each once; before the first Claim.
  void TakeMirrors(const std::function<void(uint32_t directory, const timespec (&times)[2])>& use);
  // A slot for a thread.
  RequestSlot* Claim();
  // The thread begins with a request; what is known of it from an earlier process, or its own slot.
  // `taken_over` says which.
  RequestSlot& Begin(RequestSlot& own, uint64_t unique, bool& taken_over);
  // It is answered, or needs no answer.
  static void End(RequestSlot& slot);
  // What the kernel is about to get, if it is this thread's answer and a small one.
  static void NoteReply(const iovec* parts, int count);

 private:
  RequestSlot* const slots_;
  const uint32_t life_;
  std::mutex mutex_;
  std::vector<RequestSlot*> claimed_;  // mutex_
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_REQUEST_JOURNAL_H_
