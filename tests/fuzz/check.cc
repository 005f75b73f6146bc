// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/check.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <string>

#include "hook/base/text.h"

namespace actiondfs::fuzz {
namespace {

constexpr size_t kLongestError = 2048;
constexpr int kLargestErrno = 4095;

// Sequences that change what a terminal shows: C1 controls, separators of lines and paragraphs,
// bidirectional overrides and isolates, the byte order mark.
bool HasHiddenControl(std::string_view text) {
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    const auto a = static_cast<unsigned char>(text[i]);
    const auto b = static_cast<unsigned char>(text[i + 1]);
    const auto c = static_cast<unsigned char>(i + 2 < text.size() ? text[i + 2] : 0);
    if ((a == 0xc2 && b < 0xa0) || (a == 0xe2 && b == 0x80 && c >= 0xa8 && c <= 0xae) ||
        (a == 0xe2 && b == 0x81 && c >= 0xa6 && c <= 0xa9) ||
        (a == 0xef && b == 0xbb && c == 0xbf)) {
      return true;
    }
  }
  return false;
}

bool IsControl(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

}  // namespace

void Fail(const char* file, int line, const char* condition) {
  std::cerr << file << ":" << line << ": does not hold: " << condition << std::endl;
  std::abort();
}

bool IsPrintableLine(std::string_view text, size_t longest) {
  return text.size() <= longest && std::ranges::none_of(text, IsControl) && IsUtf8(text) &&
         !HasHiddenControl(text);
}

void CheckError(const Error& error) {
  MUST(error.code() > 0 && error.code() <= kLargestErrno);
  MUST(!error.what().empty());
  MUST(IsPrintableLine(error.ToString(), kLongestError));
}

bool IsNormalRelativePath(std::string_view path) {
  if (path.empty()) {
    return true;
  }
  if (path.size() >= 4096 || std::ranges::any_of(path, IsControl)) {
    return false;
  }
  for (;;) {
    const size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    if (part.empty() || part == "." || part == ".." || part.size() > 255) {
      return false;
    }
    if (end == path.size()) {
      return true;
    }
    path.remove_prefix(end + 1);
  }
}

bool IsNormalPath(std::string_view path) {
  return path.size() > 1 && path.front() == '/' && IsNormalRelativePath(path.substr(1));
}

}  // namespace actiondfs::fuzz
