// SPDX-License-Identifier: Apache-2.0
#include "hook/apps/cli/entry_text.h"

#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <utility>

#include "hook/base/text.h"

namespace actiondfs::cli {
namespace {

constexpr size_t kShownName = size_t{64} << 10;

const char* TypeName(tree::EntryKind kind) {
  switch (kind) {
    case tree::EntryKind::kFile:
      return "file";
    case tree::EntryKind::kDirectory:
      return "directory";
    case tree::EntryKind::kSymlink:
      return "symlink";
  }
  return "unknown";
}

std::string TimeText(tree::Timestamp time) {
  const std::time_t seconds = time.seconds;
  std::tm utc = {};
  if (::gmtime_r(&seconds, &utc) == nullptr) {
    return fmt::format("@{}", time.seconds);
  }
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                     time.nanoseconds);
}

}  // namespace

std::string ShownName(std::string_view name) {
  return Printable(name, kShownName);
}

std::string ModeText(const tree::Entry& entry) {
  const bool directory = entry.kind == tree::EntryKind::kDirectory;
  const bool symlink = entry.kind == tree::EntryKind::kSymlink;
  std::string text = directory ? "d" : symlink ? "l" : "-";
  for (int bit = 8; bit >= 0; --bit) {
    text += (entry.Permissions() >> bit & 1U) != 0 ? "xwr"[bit % 3] : '-';
  }
  return text;
}

nlohmann::ordered_json EntryJson(const tree::Entry& entry) {
  nlohmann::ordered_json json = {{"name", std::string(entry.name)},
                                 {"type", TypeName(entry.kind)},
                                 {"mode", fmt::format("{:04o}", entry.Permissions())},
                                 {"mtime", TimeText(entry.Mtime())}};
  if (entry.kind == tree::EntryKind::kSymlink) {
    json["target"] = std::string(entry.symlink_target);
    return json;
  }
  json["size"] = entry.digest.size;
  json["digest"] = entry.digest.ToString();
  if (entry.kind == tree::EntryKind::kFile) {
    json["executable"] = entry.is_executable;
  }
  return json;
}

void PrintJson(const nlohmann::ordered_json& json) {
  fmt::print("{}\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

tree::Entry WithProperties(tree::Entry entry, const tree::Directory& directory) {
  entry.unix_mode = directory.unix_mode();
  entry.mtime = directory.mtime();
  return entry;
}

}  // namespace actiondfs::cli
