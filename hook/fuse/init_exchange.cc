// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/init_exchange.h"

#include <sys/uio.h>

#include <algorithm>
#include <cstring>

#include "hook/fuse/file_system.h"
#include "hook/fuse/reply.h"
#include "hook/fuse/wire.h"

namespace actiondfs::fuse {
namespace {

// What the kernel offers in the INIT that follows a header.
uint64_t FlagsOf(std::string_view request) {
  wire::InitIn init = {};
  const std::string_view body = request.substr(sizeof(fuse_in_header));
  std::memcpy(&init, body.data(), std::min(body.size(), sizeof(init)));
  const uint64_t more = (init.flags & wire::kInitExt) != 0 ? init.flags2 : 0;
  return init.flags | more << 32;
}

}  // namespace

void InitExchange::Negotiate(void* /*userdata*/, fuse_conn_info* conn) {
  // O_TRUNC comes as SETATTR, so that the kernel deals with set-id bits; data here changes through
  // the kernel alone, so nothing need be invalidated when times differ; requests are read, not
  // spliced: they are small.
  conn->want &= ~static_cast<unsigned>(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA |
                                       FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_SPLICE_READ |
                                       FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE);
  const auto want = [conn](unsigned capability) {
    if ((conn->capable & capability) != 0) {
      conn->want |= capability;
    }
  };
  want(FUSE_CAP_CACHE_SYMLINKS);
  want(FUSE_CAP_SPLICE_WRITE);
  want(FUSE_CAP_PARALLEL_DIROPS);
  conn->max_background = 64;
  conn->congestion_threshold = 48;
  conn->time_gran = 1;
}

void InitExchange::NoteRequest(std::string_view request, FileSystem& file_system) {
  fuse_in_header header = {};
  if (seen_.load(std::memory_order_relaxed) || request.size() < sizeof(header)) {
    return;
  }
  std::memcpy(&header, request.data(), sizeof(header));
  if (header.opcode != wire::kOpInit || seen_.exchange(true)) {
    return;
  }
  const uint64_t flags = FlagsOf(request);
  kernel_flags_ = flags;
  if (file_system.kept) {
    const bool passthrough = (flags & wire::kPassthrough) != 0 && file_system.options.passthrough;
    file_system.kept->SetInit(request, passthrough);
  }
  unique_ = header.unique;
}

bool InitExchange::EditAnswer(const iovec* parts, int count, FileSystem& file_system) {
  if (unique_.load(std::memory_order_relaxed) == 0 || count < 2) {
    return false;
  }
  fuse_out_header header = {};
  std::memcpy(&header, parts[0].iov_base, sizeof(header));
  if (header.unique != unique_) {
    return false;
  }
  unique_ = 0;
  if (header.error != 0 || parts[1].iov_len < sizeof(wire::InitOut)) {
    return true;
  }
  wire::InitOut init = {};
  std::memcpy(&init, parts[1].iov_base, sizeof(init));
  if ((kernel_flags_ & wire::kHandleKillprivV2) != 0) {
    // Without it every write(2) asks for security.capability first.
    init.flags |= static_cast<uint32_t>(wire::kHandleKillprivV2);
  }
  if ((kernel_flags_ & wire::kPassthrough) != 0 && file_system.options.passthrough) {
    init.flags |= static_cast<uint32_t>(wire::kInitExt);
    init.flags2 |= static_cast<uint32_t>(wire::kPassthrough >> 32);
    init.max_stack_depth =
        1;  // overlayfs can stand above, and blobs be on any file system but a stacked one
    file_system.backing.Enable();
  }
  std::memcpy(parts[1].iov_base, &init, sizeof(init));
  return true;
}

bool InitExchange::Adopt(std::string_view request) {
  if (request.size() < sizeof(fuse_in_header)) {
    return false;
  }
  kernel_flags_ = FlagsOf(request);
  seen_ = true;
  return true;
}

bool InitExchange::has_resend() const {
  return (kernel_flags_ & wire::kHasResend) != 0;
}

}  // namespace actiondfs::fuse
