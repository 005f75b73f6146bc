// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/kept_state.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "hook/base/files.h"

namespace actiondfs::fuse {
namespace {

constexpr uint64_t kMagic = 0x31656b6173666461;
// Another one for each change of what is laid out here, or in what it is made of.
constexpr uint32_t kVersion = 1;
constexpr size_t kMaxRequest = size_t{64} << 10;
constexpr size_t kMaxInit = 256;

// Not to be executed, where the kernel knows of that (Linux 6.3).
UniqueFd MakeMemory() {
  constexpr unsigned kNoExec = 8;  // MFD_NOEXEC_SEAL
  UniqueFd memory(::memfd_create("actiondfs-mount", MFD_CLOEXEC | kNoExec));
  if (!memory.valid() && errno == EINVAL) {
    memory = UniqueFd(::memfd_create("actiondfs-mount", MFD_CLOEXEC));
  }
  return memory;
}

}  // namespace

// As it lies in memory. What is never touched takes no memory.
struct KeptState::Layout {
  uint64_t magic;
  uint32_t version;
  uint32_t life;
  int64_t since;
  uint64_t stage_device, stage_ino;
  uint32_t request_size, init_size;
  bool passthrough;
  RecordCounts counts;
  char init[kMaxInit];
  char request[kMaxRequest];
  RequestSlot requests[RequestJournal::kSlots];
  StreamRecord streams[StreamRecords::kMaxStreams];
  alignas(4096) NodeRecord nodes[NodeRecords::kMaxNodes];
  NameRecord names[NodeRecords::kMaxNames];
  char arena[StreamRecords::kArenaSize];
};

Status KeptState::Map() {
  void* memory = ::mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                        memory_.get(), 0);
  if (memory == MAP_FAILED) {
    return ErrnoError("map a mount's state");
  }
  layout_ = static_cast<Layout*>(memory);
  return {};
}

void KeptState::Begin() {
  life_ = layout_->life;
  nodes_.emplace(layout_->nodes, layout_->names, layout_->counts);
  journal_.emplace(layout_->requests, life_);
  streams_.emplace(layout_->streams, layout_->arena);
}

KeptState::~KeptState() {
  if (layout_ != nullptr) {
    ::munmap(static_cast<void*>(layout_), sizeof(Layout));
  }
}

Result<std::unique_ptr<KeptState>> KeptState::Create() {
  UniqueFd memory = MakeMemory();
  if (!memory.valid() || ::ftruncate(memory.get(), sizeof(Layout)) != 0) {
    return ErrnoError("make memory for a mount's state");
  }
  std::unique_ptr<KeptState> state(new KeptState(std::move(memory)));
  RETURN_IF_ERROR(state->Map());
  ASSIGN_OR_RETURN(state->descriptors_, DescriptorKeep::Make());
  state->layout_->version = kVersion;
  state->layout_->since = ::time(nullptr);
  state->layout_->magic = kMagic;
  state->Begin();
  return state;
}

Result<std::unique_ptr<KeptState>> KeptState::Adopt(UniqueFd memory, UniqueFd one, UniqueFd other) {
  ASSIGN_OR_RETURN(const struct stat st, StatFd(memory.get()));
  if (!S_ISREG(st.st_mode) || static_cast<uint64_t>(st.st_size) != sizeof(Layout)) {
    return MakeError(EPROTO, "a mount's state has another size");
  }
  std::unique_ptr<KeptState> state(new KeptState(std::move(memory)));
  RETURN_IF_ERROR(state->Map());
  Layout& layout = *state->layout_;
  if (layout.magic != kMagic || layout.version != kVersion || layout.request_size > kMaxRequest ||
      layout.init_size > kMaxInit) {
    return MakeError(EPROTO, "a mount's state is of another version");
  }
  if (layout.counts.incomplete.load() || layout.life >= kMaxLives) {
    return MakeError(ECANCELED, "the mount had more to remember than there is room for");
  }
  ++layout.life;
  ASSIGN_OR_RETURN(state->descriptors_, DescriptorKeep::Adopt(std::move(one), std::move(other)));
  state->Begin();
  return state;
}

Status KeptState::SetRequest(std::string_view request) {
  if (request.size() > kMaxRequest) {
    return MakeError(E2BIG, "a mount's request");
  }
  std::ranges::copy(request, layout_->request);
  layout_->request_size = static_cast<uint32_t>(request.size());
  return {};
}

std::string_view KeptState::request() const {
  return {layout_->request, layout_->request_size};
}

void KeptState::SetInit(std::string_view init, bool passthrough) {
  const std::string_view kept = init.substr(0, kMaxInit);
  std::ranges::copy(kept, layout_->init);
  layout_->init_size = static_cast<uint32_t>(kept.size());
  layout_->passthrough = passthrough;
}

std::string_view KeptState::init() const {
  return {layout_->init, layout_->init_size};
}

bool KeptState::passthrough() const {
  return layout_->passthrough;
}

int64_t KeptState::since() const {
  return layout_->since;
}

Status KeptState::NoteStage(int fd) {
  ASSIGN_OR_RETURN(const struct stat st, StatFd(fd));
  layout_->stage_device = st.st_dev;
  layout_->stage_ino = st.st_ino;
  return {};
}

bool KeptState::IsStage(int fd) const {
  const auto st = StatFd(fd);
  return st && layout_->stage_ino != 0 && st->st_dev == layout_->stage_device &&
         st->st_ino == layout_->stage_ino;
}

}  // namespace actiondfs::fuse
