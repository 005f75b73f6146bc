// SPDX-License-Identifier: Apache-2.0
//
// The kernel's tables of mounts, in which containers choose many of the words: mount points,
// sources, options. What is read of a table is the same when it is written and read again.
//
// Input: a byte; even: the rest is a mountinfo, odd: a mountstats.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "hook/mount/mount_table.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/input.h"

namespace actiondfs::fuzz {
namespace {

// Everything that could mean something, in octal.
std::string Escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z')) {
      escaped += c;
    } else {
      escaped += '\\';
      for (const int shift : {6, 3, 0}) {
        escaped += static_cast<char>('0' + (byte >> shift & 7));
      }
    }
  }
  return escaped;
}

std::string LineOf(const mount::MountEntry& entry) {
  std::string options;
  for (const std::string& option : entry.super_options) {
    options += (options.empty() ? "" : ",") + Escape(option);
  }
  return "1 2 " + entry.device + " / " + Escape(entry.point) + " rw - " + entry.type + " " +
         Escape(entry.source) + " " + options + "\n";
}

bool Same(const mount::MountEntry& a, const mount::MountEntry& b) {
  return a.device == b.device && a.point == b.point && a.type == b.type && a.source == b.source &&
         a.super_options == b.super_options;
}

const char* MountInfo(const std::string& text) {
  const auto entries = mount::ParseMountInfo(text);
  MUST(std::cmp_less_equal(entries.size(), 1 + std::ranges::count(text, '\n')));
  std::string written;
  for (const mount::MountEntry& entry : entries) {
    MUST(!entry.super_options.empty());
    MUST(entry.SuperOption("root").data() != nullptr);
    // An empty first option cannot be told from none before it, when it is written.
    if (entry.super_options.size() > 1 && entry.super_options[0].empty()) {
      return "entries";
    }
    written += LineOf(entry);
  }
  const auto again = mount::ParseMountInfo(written);
  MUST(std::ranges::equal(entries, again, Same));
  return entries.empty() ? "empty" : "entries";
}

const char* MountStats(const std::string& text) {
  const auto found = mount::FindMountStats(text, "actiondfs", "/workspace");
  if (!found) {
    return "missing";
  }
  std::string written = "device x mounted on /workspace with fstype actiondfs statvers=1\n";
  for (const auto& [name, value] : *found) {
    MUST(name.find(' ') == std::string::npos && name.find('\n') == std::string::npos);
    written += "\t" + name + " " + std::to_string(value) + "\n";
  }
  MUST(mount::FindMountStats(written, "actiondfs", "/workspace") == found);
  MUST(!mount::FindMountStats(written, "actiondfs", "/other"));
  return "found";
}

}  // namespace

const char* Outcome(const uint8_t* data, size_t size) {
  Input input(data, size);
  return input.Byte() % 2 == 0 ? MountInfo(input.Rest()) : MountStats(input.Rest());
}

}  // namespace actiondfs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)actiondfs::fuzz::Outcome(data, size);
  return 0;
}
