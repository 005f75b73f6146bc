// SPDX-License-Identifier: Apache-2.0
//
// What a Directory must be, said a second time: over libprotobuf's message, with nothing of the
// parser under test. Pure functions, thread-safe.
#ifndef ACTIONDFS_TESTS_FUZZ_DIRECTORY_ORACLE_H_
#define ACTIONDFS_TESTS_FUZZ_DIRECTORY_ORACLE_H_

#include "build/bazel/remote/execution/v2/remote_execution.pb.h"

namespace actiondfs::fuzz {

namespace reapi = ::build::bazel::remote::execution::v2;

// Whether the message obeys all rules of a Directory.
bool IsValid(const reapi::Directory& directory);

// The message with its known fields alone.
reapi::Directory WithoutUnknownFields(const reapi::Directory& directory);

}  // namespace actiondfs::fuzz

#endif  // ACTIONDFS_TESTS_FUZZ_DIRECTORY_ORACLE_H_
