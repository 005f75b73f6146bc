// SPDX-License-Identifier: Apache-2.0
#include "hook/cas/digest.h"

#include <cerrno>
#include <cstring>
#include <string>

#include "hook/base/text.h"

namespace actiondfs::cas {
namespace {

constexpr size_t kHexSize = 2 * kHashSize;

std::unexpected<Error> Malformed(std::string_view text, std::string_view fault) {
  return MakeError(EINVAL, "digest " + Quoted(text) + ": " + std::string(fault));
}

}  // namespace

std::string Digest::HashHex() const {
  return ToHex(hash);
}

std::string Digest::ToString() const {
  return HashHex() + "/" + std::to_string(size);
}

Result<Digest> ParseDigest(std::string_view text) {
  Digest digest;
  std::string_view rest = text;
  if (const size_t colon = rest.find(':'); colon != std::string_view::npos) {
    const auto function = ParseHashFunction(rest.substr(0, colon));
    if (!function) {
      return Malformed(text, "what is before ':' must be sha256 or blake3");
    }
    digest.function = *function;
    rest.remove_prefix(colon + 1);
  }
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos) {
    return Malformed(text, "no '/' and size after the hash (expected <hash>/<size>)");
  }
  const std::string_view hex = rest.substr(0, slash);
  if (hex.size() != kHexSize) {
    return Malformed(text, "the hash has " + std::to_string(hex.size()) +
                               " characters (expected 64 lowercase hex digits)");
  }
  if (!FromHex(hex, digest.hash)) {
    return Malformed(text, "the hash is not lowercase hex");
  }
  const auto size = ParseDecimal(rest.substr(slash + 1));
  if (!size) {
    return Malformed(text, "the size is not a decimal number of bytes");
  }
  digest.size = *size;
  return digest;
}

std::string_view ToString(HashFunction function) {
  return function == HashFunction::kBlake3 ? "blake3" : "sha256";
}

Result<HashFunction> ParseHashFunction(std::string_view text) {
  for (const HashFunction function : {HashFunction::kSha256, HashFunction::kBlake3}) {
    if (text == ToString(function)) {
      return function;
    }
  }
  return MakeError(EINVAL, "digest function " + Quoted(text) + " (expected sha256 or blake3)");
}

const Digest& EmptyDigest() {
  // SHA-256 of the empty string, FIPS 180-4.
  static constexpr Digest kEmpty = {
      .function = HashFunction::kSha256,
      .hash = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
               0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
               0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55},
      .size = 0};
  return kEmpty;
}

size_t DigestHasher::operator()(const Digest& digest) const {
  size_t value = 0;
  std::memcpy(&value, digest.hash.data(), sizeof(value));
  return value;
}

}  // namespace actiondfs::cas
