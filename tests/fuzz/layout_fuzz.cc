// SPDX-License-Identifier: Apache-2.0
//
// How the blobs of a directory are laid out, found by looking: against the same said a second time,
// over the list of names.
//
// Input: a line is the name of a file in the directory, or, with a slash, in a directory in it. '#'
// at the beginning of a line stands for 64 digits, '$' for 62: mutations keep a name's length.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>

#include "hook/base/text.h"
#include "hook/cas/layout.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/scratch.h"

namespace actiondfs::fuzz {
namespace {

// More than that, and looking ends early.
constexpr size_t kMostNames = 60;

constexpr std::string_view kDigits =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

std::string Expand(std::string_view name) {
  std::string expanded;
  for (const char c : name) {
    if (c == '#') {
      expanded += kDigits;
    } else if (c == '$') {
      expanded += kDigits.substr(2);
    } else {
      expanded += c;
    }
  }
  return expanded;
}

bool IsName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= 255 &&
         name.find_first_of(std::string_view("\0/", 2)) == std::string_view::npos;
}

bool IsHex(std::string_view text, size_t size) {
  return text.size() == size &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::optional<cas::Layout> LayoutOf(const std::string& shard, const std::string& name) {
  if (shard.empty()) {
    if (IsHex(name, 64)) {
      return cas::Layout::kFlat;
    }
    const bool has_size = name.size() > 65 && IsHex(name.substr(0, 64), 64) && name[64] == '-' &&
                          ParseDecimal(name.substr(65));
    return has_size ? std::optional(cas::Layout::kHashDashSize) : std::nullopt;
  }
  if (!IsHex(shard, 2)) {
    return std::nullopt;
  }
  if (IsHex(name, 64) && name.starts_with(shard)) {
    return cas::Layout::kSharded;
  }
  return IsHex(name, 62) ? std::optional(cas::Layout::kShardedSuffix) : std::nullopt;
}

// Makes what the line says; nullopt where it cannot be made.
std::optional<cas::Layout> Add(const std::filesystem::path& top, std::string_view line) {
  const size_t slash = line.find('/');
  const std::string shard = slash == std::string_view::npos ? "" : Expand(line.substr(0, slash));
  const std::string name = Expand(slash == std::string_view::npos ? line : line.substr(slash + 1));
  if (!IsName(name) || (slash != std::string_view::npos && !IsName(shard))) {
    return std::nullopt;
  }
  std::error_code error;
  std::filesystem::create_directory(top / shard, error);
  const UniqueFd file(
      ::open((top / shard / name).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  // In the directory itself the names of shards are directories.
  return file.valid() && !(shard.empty() && IsHex(name, 2)) ? LayoutOf(shard, name) : std::nullopt;
}

const char* Run(Input input) {
  static const Scratch scratch;
  scratch.Renew("cas");
  std::set<cas::Layout> seen;
  size_t names = 0;
  for (const std::string& line : Split(input.Rest(), '\n')) {
    if (++names > kMostNames) {
      break;
    }
    if (const auto layout = Add(scratch.path() / "cas", line)) {
      seen.insert(*layout);
    }
  }
  const UniqueFd directory = scratch.Open("cas");
  const auto found = cas::DetectLayout(directory.get());
  if (!found) {
    CheckError(found.error());
    MUST(seen.size() > 1);
    return "refused";
  }
  MUST(seen.size() <= 1);
  MUST(found->has_value() != seen.empty());
  if (seen.empty()) {
    return "none";
  }
  MUST(**found == *seen.begin());
  MUST(cas::ParseLayout(cas::ToString(**found)) == **found);
  return cas::ToString(**found).data();
}

}  // namespace

const char* Outcome(const uint8_t* data, size_t size) {
  return Run({data, size});
}

}  // namespace actiondfs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)actiondfs::fuzz::Outcome(data, size);
  return 0;
}
