// SPDX-License-Identifier: Apache-2.0
//
// Where a blob's file is below the CAS directory. Names and meanings: docs and design call them by
// shape, with H the hash in hex and S the size in decimal:
//   sharded         H[0:2]/H       actiond; Bazel's --disk_cache below cas/
//   flat            H
//   sharded-suffix  H[0:2]/H[2:]   buildbox
//   hash-size       H-S            NativeLink d/, Buildbarn's worker cache
// Pure functions, but for DetectLayout. Thread-safe.
#ifndef ACTIONDFS_HOOK_CAS_LAYOUT_H_
#define ACTIONDFS_HOOK_CAS_LAYOUT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hook/cas/digest.h"

namespace actiondfs::cas {

enum class Layout : uint8_t { kSharded, kFlat, kShardedSuffix, kHashDashSize };

std::string_view ToString(Layout layout);
// EINVAL names the text and the four choices ("auto" is not a layout: see DetectLayout).
Result<Layout> ParseLayout(std::string_view text);

// The blob's path relative to the CAS directory.
std::string BlobPath(Layout layout, const Digest& digest);

// What the names in the directory say, by the first entries that fit a layout; nullopt where none
// does (an empty directory, say). EINVAL where entries of two layouts are found.
Result<std::optional<Layout>> DetectLayout(int cas_dir_fd);

}  // namespace actiondfs::cas

#endif  // ACTIONDFS_HOOK_CAS_LAYOUT_H_
