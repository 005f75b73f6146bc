// SPDX-License-Identifier: Apache-2.0
//
// The kernel's INIT and the answer to it. libfuse 3.14 does not know of all that the kernel offers:
// that is seen and put in on the wire (<linux/fuse.h>, wire.h).
#ifndef ACTIONDFS_HOOK_FUSE_INIT_EXCHANGE_H_
#define ACTIONDFS_HOOK_FUSE_INIT_EXCHANGE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

struct fuse_conn_info;
struct iovec;

namespace actiondfs::fuse {

class FileSystem;

// Of one mount. Thread-safe: INIT is the first request, and which thread reads it is not known.
class InitExchange {
 public:
  // For fuse_lowlevel_ops.init: what libfuse does know of.
  static void Negotiate(void* userdata, fuse_conn_info* conn);

  // Looks at what was read from the device, until it was INIT; tells file_system.kept of it.
  void NoteRequest(std::string_view request, FileSystem& file_system);
  // True: these are the parts of the answer to INIT, to which the rest was added. Enables
  // passthrough where the kernel has it and the options allow it.
  bool EditAnswer(const iovec* parts, int count, FileSystem& file_system);
  // INIT as an earlier process got and answered it. False: it is none.
  bool Adopt(std::string_view request);

  // The kernel can be asked for what was left unanswered (since Linux 6.9).
  bool has_resend() const;

 private:
  std::atomic<bool> seen_ = false;
  std::atomic<uint64_t> unique_ = 0;  // of an INIT that was not answered yet
  std::atomic<uint64_t> kernel_flags_ = 0;
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_INIT_EXCHANGE_H_
