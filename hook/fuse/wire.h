// SPDX-License-Identifier: Apache-2.0
//
// The parts of the FUSE protocol that libfuse 3.14 does not know, as include/uapi/linux/fuse.h of
// Linux 6.18 has them, beside the kernel header that this system has. Plain layouts, no functions.
#ifndef ACTIONDFS_HOOK_FUSE_WIRE_H_
#define ACTIONDFS_HOOK_FUSE_WIRE_H_

#include <linux/fuse.h>
#include <sys/ioctl.h>

#include <cstddef>
#include <cstdint>

namespace actiondfs::fuse::wire {

// INIT flags.
inline constexpr uint64_t kInitExt = uint64_t{1} << 30;  // flags2 is valid
inline constexpr uint64_t kHandleKillprivV2 = uint64_t{1} << 28;
inline constexpr uint64_t kPassthrough = uint64_t{1} << 37;
inline constexpr uint64_t kHasResend = uint64_t{1} << 39;

// open_flags of OPEN and CREATE replies.
inline constexpr uint32_t kOpenKeepCache = 1U << 1;
inline constexpr uint32_t kOpenNoFlush = 1U << 5;
inline constexpr uint32_t kOpenPassthrough = 1U << 7;

// The most that one request asks for: the kernel's own limit is max_pages, which libfuse sets to
// 256.
inline constexpr size_t kMaxData = size_t{1} << 20;

inline constexpr uint32_t kOpRelease = 18;
inline constexpr uint32_t kOpInit = 26;
inline constexpr uint32_t kOpTmpfile = 51;

// In a request's number: it was read before, and is sent again after kNotifyResend.
inline constexpr uint64_t kUniqueResend = uint64_t{1} << 63;

// What a notification has for an error; a kernel that does not know it answers EINVAL.
inline constexpr int32_t kNotifyResend = 7;
inline constexpr int32_t kNotifyPrune = 9;

// Node ids follow, `count` of them.
struct NotifyPruneOut {
  uint32_t count, padding;
  uint64_t spare;
};
static_assert(sizeof(NotifyPruneOut) == 16);

struct InitIn {
  uint32_t major, minor, max_readahead, flags, flags2;
  uint32_t unused[11];
};
static_assert(sizeof(InitIn) == 64);

struct InitOut {
  uint32_t major, minor, max_readahead, flags;
  uint16_t max_background, congestion_threshold;
  uint32_t max_write, time_gran;
  uint16_t max_pages, map_alignment;
  uint32_t flags2, max_stack_depth;
  uint16_t request_timeout;
  uint16_t unused[11];
};
static_assert(sizeof(InitOut) == 64);

struct OpenOut {
  uint64_t fh;
  uint32_t open_flags;
  int32_t backing_id;
};
static_assert(sizeof(OpenOut) == 16);

// What CREATE and TMPFILE are answered with.
struct CreateOut {
  fuse_entry_out entry;
  OpenOut open;
};
static_assert(sizeof(CreateOut) == 144);

struct BackingMap {
  int32_t fd;
  uint32_t flags;    // 0
  uint64_t padding;  // 0
};
static_assert(sizeof(BackingMap) == 16);

inline constexpr unsigned long kIoctlBackingOpen = _IOW(229, 1, BackingMap);
inline constexpr unsigned long kIoctlBackingClose = _IOW(229, 2, uint32_t);

}  // namespace actiondfs::fuse::wire

#endif  // ACTIONDFS_HOOK_FUSE_WIRE_H_
