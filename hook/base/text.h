// SPDX-License-Identifier: Apache-2.0
//
// Text that crosses a trust boundary: parsing numbers and hex strictly, and making bytes safe to
// show. Pure functions, thread-safe.
#ifndef ACTIONDFS_HOOK_BASE_TEXT_H_
#define ACTIONDFS_HOOK_BASE_TEXT_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace actiondfs {

// `text` with every control byte, every byte that is not part of valid UTF-8, and the backslash
// written as
// \n, \t, \r, \\ or \xHH; longer than `limit` bytes, it is cut and ends in "...". Terminals and
// logs are safe from it.
std::string Printable(std::string_view text, size_t limit = 256);
// Printable text in single quotes.
std::string Quoted(std::string_view text, size_t limit = 256);

// Well-formed UTF-8: no overlong form, no surrogate, nothing over U+10FFFF. Control characters are
// fine.
bool IsUtf8(std::string_view text);

// A decimal number, digits only (no sign, no space, no leading zero but "0" itself), at most
// INT64_MAX.
std::optional<int64_t> ParseDecimal(std::string_view text);

std::string ToHex(std::span<const uint8_t> bytes);
// Lowercase hex of exactly out.size() bytes; false where it is not.
bool FromHex(std::string_view hex, std::span<uint8_t> out);

std::vector<std::string> Split(std::string_view text, char separator);
// "1.5 GiB"
std::string HumanBytes(uint64_t bytes);

}  // namespace actiondfs

#endif  // ACTIONDFS_HOOK_BASE_TEXT_H_
