// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/mount_table.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "hook/base/files.h"
#include "hook/base/text.h"

namespace actiondfs::mount {
namespace {

constexpr size_t kMaxMountInfo = size_t{64} << 20;
constexpr std::string_view kVersion = " statvers=1";

bool IsOctal(std::string_view digits) {
  return digits.size() == 3 && digits.find_first_not_of("01234567") == std::string_view::npos;
}

// Blanks, and what separates options, are octal there.
std::string Unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && IsOctal(text.substr(i + 1, 3))) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// "36 35 98:0 /root /point options [tags...] - type source super"
std::optional<MountEntry> ParseLine(const std::string& line) {
  const size_t separator = line.find(" - ");
  if (separator == std::string::npos) {
    return std::nullopt;
  }
  const auto before = Split(line.substr(0, separator), ' ');
  const auto after = Split(line.substr(separator + 3), ' ');
  if (before.size() < 5 || after.size() < 3) {
    return std::nullopt;
  }
  const auto id = ParseDecimal(before[0]);
  if (!id) {
    return std::nullopt;
  }
  MountEntry entry = {static_cast<uint64_t>(*id), before[2], Unescape(before[4]), after[0],
                      Unescape(after[1]),         {}};
  for (const std::string& option : Split(after[2], ',')) {
    entry.super_options.push_back(Unescape(option));
  }
  return entry;
}

// The point of a mount of `type`: "device SOURCE mounted on POINT with fstype TYPE statvers=1". The
// blanks in names are octal, so that these words are what they seem.
std::optional<std::string> PointOf(std::string_view line, std::string_view type) {
  constexpr std::string_view kOn = " mounted on ";
  const std::string end = " with fstype " + std::string(type) + std::string(kVersion);
  const size_t on = line.find(kOn);
  if (on == std::string_view::npos || !line.ends_with(end)) {
    return std::nullopt;
  }
  line.remove_suffix(end.size());
  // They share a blank where there is no point between them.
  return on + kOn.size() > line.size() ? std::nullopt
                                       : std::optional(Unescape(line.substr(on + kOn.size())));
}

}  // namespace

std::string_view MountEntry::SuperOption(std::string_view key) const {
  for (const std::string_view option : super_options) {
    if (option.starts_with(key) && option.substr(key.size()).starts_with('=')) {
      return option.substr(key.size() + 1);
    }
  }
  return "";
}

std::vector<MountEntry> ParseMountInfo(std::string_view text) {
  std::vector<MountEntry> entries;
  for (const std::string& line : Split(text, '\n')) {
    if (auto entry = ParseLine(line)) {
      entries.push_back(std::move(*entry));
    }
  }
  return entries;
}

Result<std::vector<MountEntry>> ReadMountTable(const std::string& proc) {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadFileAt(AT_FDCWD, proc + "/self/mountinfo", kMaxMountInfo));
  return ParseMountInfo(text);
}

Result<uint64_t> MountIdOf(int fd) {
  constexpr size_t kMaxFdInfo = 4096;
  constexpr std::string_view kKey = "mnt_id:\t";
  const std::string path = "/proc/self/fdinfo/" + std::to_string(fd);
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(AT_FDCWD, path, kMaxFdInfo));
  for (const std::string& line : Split(text, '\n')) {
    if (line.starts_with(kKey)) {
      if (const auto id = ParseDecimal(std::string_view(line).substr(kKey.size()))) {
        return static_cast<uint64_t>(*id);
      }
    }
  }
  return MakeError(EPROTO, path);
}

std::optional<Counters> FindMountStats(std::string_view text, std::string_view type,
                                       std::string_view point) {
  std::optional<Counters> found;
  bool inside = false;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() < text.size() ? line.size() + 1 : line.size());
    if (!line.starts_with('\t')) {
      // Also the empty line after a mount's statistics.
      inside = PointOf(line, type) == point;
      if (inside) {
        found.emplace();
      }
      continue;
    }
    const size_t space = line.find(' ');
    const auto value =
        space == std::string_view::npos ? std::nullopt : ParseDecimal(line.substr(space + 1));
    if (inside && value) {
      found->emplace_back(line.substr(1, space - 1), static_cast<uint64_t>(*value));
    }
  }
  return found;
}

}  // namespace actiondfs::mount
