// SPDX-License-Identifier: Apache-2.0
//
// What one mount needs for its server to be killed and started again: memory without a name, which
// lives as long as a descriptor of it (the service manager holds one), and DescriptorKeep. All is
// written before it is needed: there is no saving at the end, for a process that is killed has no
// end. The parts say who may use them when.
#ifndef ACTIONDFS_HOOK_FUSE_KEPT_STATE_H_
#define ACTIONDFS_HOOK_FUSE_KEPT_STATE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"
#include "hook/fuse/descriptor_keep.h"
#include "hook/fuse/node_records.h"
#include "hook/fuse/request_journal.h"
#include "hook/fuse/stream_records.h"

namespace actiondfs::fuse {

class KeptState {
 public:
  // An open file is known to the kernel by a number that says which process gave it.
  static constexpr uint32_t kMaxLives = 0xfff0;

  static Result<std::unique_ptr<KeptState>> Create();
  // What an earlier process left. EPROTO: another version's, or damaged. ECANCELED: it did not have
  // room for all that it had to remember.
  static Result<std::unique_ptr<KeptState>> Adopt(UniqueFd memory, UniqueFd one, UniqueFd other);
  ~KeptState();
  KeptState(const KeptState&) = delete;
  KeptState& operator=(const KeptState&) = delete;

  int memory() const { return memory_.get(); }
  // How many processes had it before this one.
  uint32_t life() const { return life_; }

  // Opaque here: what the mount was asked for with, and INIT as the kernel sent it.
  Status SetRequest(std::string_view request);
  std::string_view request() const;
  void SetInit(std::string_view init, bool passthrough);
  std::string_view init() const;
  bool passthrough() const;
  int64_t since() const;
  // Tells the CAS' directory from the stage's among the descriptors that come back.
  Status NoteStage(int fd);
  bool IsStage(int fd) const;

  NodeRecords& nodes() { return *nodes_; }
  RequestJournal& journal() { return *journal_; }
  StreamRecords& streams() { return *streams_; }
  DescriptorKeep& descriptors() { return *descriptors_; }

 private:
  struct Layout;
  explicit KeptState(UniqueFd memory) : memory_(std::move(memory)) {}
  Status Map();
  void Begin();

  const UniqueFd memory_;
  Layout* layout_ = nullptr;
  uint32_t life_ = 0;
  std::unique_ptr<DescriptorKeep> descriptors_;
  std::optional<NodeRecords> nodes_;
  std::optional<RequestJournal> journal_;
  std::optional<StreamRecords> streams_;
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_KEPT_STATE_H_
