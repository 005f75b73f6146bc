// SPDX-License-Identifier: Apache-2.0
#include "hook/base/text.h"

#include <fmt/format.h>

#include <array>
#include <limits>

namespace actiondfs {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

struct Sequence {
  size_t length = 0;  // 0: malformed
  uint32_t point = 0;
};

// The UTF-8 sequence at text[at].
Sequence DecodeUtf8(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned char lead = byte(0);
  size_t length = 0;
  uint32_t point = 0;
  if (lead < 0x80) {
    return {1, lead};
  }
  if ((lead & 0xe0) == 0xc0) {
    length = 2;
    point = lead & 0x1fU;
  } else if ((lead & 0xf0) == 0xe0) {
    length = 3;
    point = lead & 0x0fU;
  } else if ((lead & 0xf8) == 0xf0) {
    length = 4;
    point = lead & 0x07U;
  } else {
    return {};
  }
  if (at + length > text.size()) {
    return {};
  }
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) {
      return {};
    }
    point = point << 6 | (byte(i) & 0x3fU);
  }
  constexpr std::array<uint32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  const bool overlong = point < kSmallest[length];
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  return overlong || surrogate || point > 0x10ffff ? Sequence{} : Sequence{length, point};
}

// The length of the UTF-8 sequence at text[at] that is fit to be shown, or 0. Controls (C1 too,
// U+0080 to U+009F), the line and paragraph separators and the bidirectional overrides do not count
// as fit; nor does the backslash, which Printable() writes in its own way.
size_t ShowableSequence(std::string_view text, size_t at) {
  const auto [length, point] = DecodeUtf8(text, at);
  const bool control = point < 0x20 || (point >= 0x7f && point < 0xa0) ||
                       (point >= 0x2028 && point <= 0x202e) ||
                       (point >= 0x2066 && point <= 0x2069) || point == 0xfeff;
  return control || point == '\\' ? 0 : length;
}

}  // namespace

std::string Printable(std::string_view text, size_t limit) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (out.size() >= limit) {
      return out + "...";
    }
    if (const size_t length = ShowableSequence(text, i); length > 0) {
      out.append(text, i, length);
      i += length;
      continue;
    }
    const char c = text[i++];
    switch (c) {
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\\':
        out += "\\\\";
        break;
      default:
        out += "\\x";
        out += kHexDigits[static_cast<unsigned char>(c) >> 4];
        out += kHexDigits[static_cast<unsigned char>(c) & 0xf];
    }
  }
  return out;
}

std::string Quoted(std::string_view text, size_t limit) {
  return "'" + Printable(text, limit) + "'";
}

bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t length = DecodeUtf8(text, i).length;
    if (length == 0) {
      return false;
    }
    i += length;
  }
  return true;
}

std::optional<int64_t> ParseDecimal(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) {
    return std::nullopt;
  }
  int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') {
      return std::nullopt;
    }
    const int digit = c - '0';
    if (value > (std::numeric_limits<int64_t>::max() - digit) / 10) {
      return std::nullopt;
    }
    value = value * 10 + digit;
  }
  return value;
}

std::string ToHex(std::span<const uint8_t> bytes) {
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) {
    hex += kHexDigits[byte >> 4];
    hex += kHexDigits[byte & 0xf];
  }
  return hex;
}

bool FromHex(std::string_view hex, std::span<uint8_t> out) {
  if (hex.size() != out.size() * 2) {
    return false;
  }
  const auto nibble = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  for (size_t i = 0; i < out.size(); ++i) {
    const int high = nibble(hex[2 * i]);
    const int low = nibble(hex[2 * i + 1]);
    if (high < 0 || low < 0) {
      return false;
    }
    out[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(end + 1);
  }
}

std::string HumanBytes(uint64_t bytes) {
  if (bytes < 1024) {
    return fmt::format("{} B", bytes);
  }
  auto value = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* next : {"KiB", "MiB", "GiB", "TiB", "PiB"}) {
    if (value < 1024) {
      break;
    }
    value /= 1024;
    unit = next;
  }
  return fmt::format("{:.1f} {}", value, unit);
}

}  // namespace actiondfs
