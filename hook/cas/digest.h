// SPDX-License-Identifier: Apache-2.0
//
// The name of a blob: hash function, hash and size, as REAPI's Digest message has it
// (build.bazel.remote. execution.v2). Plain values, thread-safe.
#ifndef ACTIONDFS_HOOK_CAS_DIGEST_H_
#define ACTIONDFS_HOOK_CAS_DIGEST_H_

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "hook/base/result.h"

namespace actiondfs::cas {

// Both give 32 bytes. This build hashes with SHA-256 only: BLAKE3 digests are understood, and
// refused with EOPNOTSUPP where something would have to be hashed.
enum class HashFunction : uint8_t { kSha256, kBlake3 };

inline constexpr size_t kHashSize = 32;
using Hash = std::array<uint8_t, kHashSize>;

struct Digest {
  HashFunction function = HashFunction::kSha256;
  Hash hash = {};
  int64_t size = 0;  // bytes, never negative

  auto operator<=>(const Digest&) const = default;

  std::string HashHex() const;   // 64 lowercase hex digits
  std::string ToString() const;  // "<hash>/<size>"
};

// "<64 lowercase hex>/<decimal size>", optionally "sha256:" or "blake3:" before it. EINVAL says
// which part is wrong; the text is shown printable.
Result<Digest> ParseDigest(std::string_view text);

std::string_view ToString(HashFunction function);  // "sha256", "blake3"
Result<HashFunction> ParseHashFunction(std::string_view text);

// The digest of no bytes at all.
const Digest& EmptyDigest();

struct DigestHasher {
  size_t operator()(const Digest& digest) const;  // the hash is uniform: its first bytes do
};

}  // namespace actiondfs::cas

#endif  // ACTIONDFS_HOOK_CAS_DIGEST_H_
