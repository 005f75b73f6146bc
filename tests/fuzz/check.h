// SPDX-License-Identifier: Apache-2.0
//
// What targets say of what must hold. Thread-safe.
#ifndef ACTIONDFS_TESTS_FUZZ_CHECK_H_
#define ACTIONDFS_TESTS_FUZZ_CHECK_H_

#include <cstddef>
#include <string_view>

#include "hook/base/result.h"

namespace actiondfs::fuzz {

// Says which condition does not hold, and aborts.
[[noreturn]] void Fail(const char* file, int line, const char* condition);

// One line that is safe on a terminal and in a log, of at most `longest` bytes.
bool IsPrintableLine(std::string_view text, size_t longest);

// What holds for every error that a user may come to see: a true errno, and one printable line of
// bounded length.
void CheckError(const Error& error);

// A path below `/`, written in the one way that is allowed.
bool IsNormalPath(std::string_view path);
// The same for what is relative; may be empty.
bool IsNormalRelativePath(std::string_view path);

}  // namespace actiondfs::fuzz

#define MUST(condition)                                        \
  do {                                                         \
    if (!(condition)) {                                        \
      ::actiondfs::fuzz::Fail(__FILE__, __LINE__, #condition); \
    }                                                          \
  } while (false)

#endif  // ACTIONDFS_TESTS_FUZZ_CHECK_H_
