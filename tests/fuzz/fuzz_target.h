// SPDX-License-Identifier: Apache-2.0
//
// What each fuzz target defines. Both functions are called by one thread.
#ifndef ACTIONDFS_TESTS_FUZZ_FUZZ_TARGET_H_
#define ACTIONDFS_TESTS_FUZZ_FUZZ_TARGET_H_

#include <cstddef>
#include <cstdint>

// libFuzzer's entry: returns 0, or aborts where something that must hold does not.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace actiondfs::fuzz {

// What the code under test says of an input, in one word. The files of a corpus are named by it.
const char* Outcome(const uint8_t* data, size_t size);

}  // namespace actiondfs::fuzz

#endif  // ACTIONDFS_TESTS_FUZZ_FUZZ_TARGET_H_
