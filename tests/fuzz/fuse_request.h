// SPDX-License-Identifier: Apache-2.0
//
// A request of the FUSE protocol as a fuzzer builds it: the parts that its opcode has.
#ifndef ACTIONDFS_TESTS_FUZZ_FUSE_REQUEST_H_
#define ACTIONDFS_TESTS_FUZZ_FUSE_REQUEST_H_

#include <linux/fuse.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "tests/fuzz/check.h"
#include "tests/fuzz/input.h"

namespace actiondfs::fuzz {

// What follows the structure of an opcode.
enum class Tail : uint8_t { kNone, kName, kTwoNames, kNameAndData, kData };

struct Shape {
  uint32_t opcode = 0;
  size_t fixed = 0;  // size of the structure after the header
  Tail tail = Tail::kNone;
  bool directory = false;  // the node is one
  bool handle = false;     // the structure begins with a handle
  bool changes = false;    // has to fail on a mount that is read-only
};

struct Request {
  const Shape* shape = nullptr;
  uint64_t unique = 0, node = 0;
  uint32_t uid = 0, gid = 0;
  uint8_t node_choice = 0, other_choice = 0;
  bool unheard = false;  // the reply cannot be delivered
  std::string fixed;     // the structure
  std::string tail;      // names, each with its NUL, and data
  size_t data_size = 0;  // how much of the tail is data

  // The message, with its header.
  std::string Bytes() const;

  template <typename T>
  T Get() const {
    T value = {};
    MUST(fixed.size() == sizeof(T));
    std::memcpy(&value, fixed.data(), sizeof(T));
    return value;
  }
  template <typename T>
  void Set(const T& value) {
    fixed.assign(reinterpret_cast<const char*>(&value), sizeof(T));
  }
};

// Everything but node ids and handles, which the caller puts in.
Request TakeRequest(Input& input);
// The shape of an opcode that there is one for.
const Shape& ShapeOf(uint32_t opcode);

}  // namespace actiondfs::fuzz

#endif  // ACTIONDFS_TESTS_FUZZ_FUSE_REQUEST_H_
