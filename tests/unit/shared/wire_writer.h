// SPDX-License-Identifier: Apache-2.0
//
// Writes protobuf's wire format piece by piece, so that a test can write it wrong. Independent of
// libprotobuf and of the parser under test. A WireWriter belongs to one thread.
#ifndef ACTIONDFS_TESTS_UNIT_SHARED_WIRE_WRITER_H_
#define ACTIONDFS_TESTS_UNIT_SHARED_WIRE_WRITER_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace actiondfs::testing {

class WireWriter {
 public:
  WireWriter& RawVarint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
    out_ += static_cast<char>(value);
    return *this;
  }
  WireWriter& Tag(uint32_t number, uint32_t wire_type) {
    return RawVarint(uint64_t{number} << 3 | wire_type);
  }
  WireWriter& Varint(uint32_t number, uint64_t value) { return Tag(number, 0).RawVarint(value); }
  WireWriter& Bytes(uint32_t number, std::string_view bytes) {
    return Tag(number, 2).RawVarint(bytes.size()).Raw(bytes);
  }
  WireWriter& Raw(std::string_view bytes) {
    out_ += bytes;
    return *this;
  }
  const std::string& str() const { return out_; }
  operator std::string_view() const { return out_; }  // NOLINT: a message nests in another as it is

 private:
  std::string out_;
};

// Field numbers of build.bazel.remote.execution.v2.Directory.
inline constexpr uint32_t kFiles = 1, kDirectories = 2, kSymlinks = 3, kProperties = 5;
// Field numbers of its nodes.
inline constexpr uint32_t kName = 1, kDigest = 2, kTarget = 2, kExecutable = 4;
inline constexpr uint32_t kFileProperties = 6, kSymlinkProperties = 4;

inline std::string HexHash(char digit) {
  return std::string(64, digit);
}

inline WireWriter DigestMessage(std::string_view hash, uint64_t size) {
  return WireWriter().Bytes(1, hash).Varint(2, size);
}
// A valid FileNode or DirectoryNode.
inline WireWriter Node(std::string_view name, char hash_digit = 'a', uint64_t size = 7) {
  return WireWriter().Bytes(kName, name).Bytes(kDigest, DigestMessage(HexHash(hash_digit), size));
}
inline WireWriter SymlinkNode(std::string_view name, std::string_view target) {
  return WireWriter().Bytes(kName, name).Bytes(kTarget, target);
}
inline WireWriter MtimeProperties(uint64_t seconds, uint64_t nanos) {
  return WireWriter().Bytes(2, WireWriter().Varint(1, seconds).Varint(2, nanos));
}
inline WireWriter ModeProperties(uint64_t unix_mode) {
  return WireWriter().Bytes(3, WireWriter().Varint(1, unix_mode));
}

}  // namespace actiondfs::testing

#endif  // ACTIONDFS_TESTS_UNIT_SHARED_WIRE_WRITER_H_
