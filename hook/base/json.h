// SPDX-License-Identifier: Apache-2.0
//
// JSON from untrusted hands, with bounds on size and depth, and an error that says where.
// Thread-safe.
#ifndef ACTIONDFS_HOOK_BASE_JSON_H_
#define ACTIONDFS_HOOK_BASE_JSON_H_

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "hook/base/result.h"

namespace actiondfs {

struct JsonLimits {
  size_t bytes = size_t{16} << 20;
  int depth = 64;
};

// EINVAL for malformed text (with line and column) and for nesting deeper than `depth`; EFBIG for
// size.
Result<nlohmann::json> ParseJson(std::string_view text, const JsonLimits& limits = {});

}  // namespace actiondfs

#endif  // ACTIONDFS_HOOK_BASE_JSON_H_
