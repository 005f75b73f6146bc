// SPDX-License-Identifier: Apache-2.0
//
// A reply of the FUSE protocol, taken apart as strictly as the kernel does it, and more.
#ifndef ACTIONDFS_TESTS_FUZZ_FUSE_REPLY_H_
#define ACTIONDFS_TESTS_FUZZ_FUSE_REPLY_H_

#include <linux/fuse.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/check.h"
#include "tests/fuzz/fuse_request.h"

namespace actiondfs::fuzz {

struct Reply {
  int error = 0;  // positive
  std::string data;

  template <typename T>
  T Get(size_t offset = 0) const {
    T value = {};
    MUST(data.size() >= offset + sizeof(T));
    std::memcpy(&value, data.data() + offset, sizeof(T));
    return value;
  }
};

// The reply to `request`, whose form holds.
Reply ParseReply(const Request& request, std::string_view bytes);
// What the server says unasked.
bool IsNotification(std::string_view bytes);
// Whether a reply of that opcode begins with a fuse_entry_out.
bool HasEntry(uint32_t opcode);
// The entries of READDIRPLUS that come with a node.
std::vector<fuse_entry_out> EntriesOf(const Reply& reply);

}  // namespace actiondfs::fuzz

#endif  // ACTIONDFS_TESTS_FUZZ_FUSE_REPLY_H_
