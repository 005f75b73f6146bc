// SPDX-License-Identifier: Apache-2.0
//
// Messages of a Unix socket whose sender is the fuzzer: any bytes, with any number of descriptors
// of any kind. Belongs to one thread.
#ifndef ACTIONDFS_TESTS_FUZZ_DESCRIPTORS_H_
#define ACTIONDFS_TESTS_FUZZ_DESCRIPTORS_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "hook/base/unique_fd.h"

namespace actiondfs::fuzz {

inline constexpr size_t kMostDescriptors = 10;

// One of: a directory, a directory as O_PATH, a file, a device, a pipe, a socket. `directory` is
// the directory that is meant.
UniqueFd MakeDescriptor(uint8_t kind, int directory);

// One packet. False: it cannot be sent (the other end is gone, or it is empty).
bool SendPacket(int socket, std::string_view data, const std::vector<UniqueFd>& descriptors);

}  // namespace actiondfs::fuzz

#endif  // ACTIONDFS_TESTS_FUZZ_DESCRIPTORS_H_
