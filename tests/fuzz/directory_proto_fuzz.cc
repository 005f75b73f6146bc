// SPDX-License-Identifier: Apache-2.0
//
// kernel/shared's Directory parser against libprotobuf. What the parser accepts, libprotobuf parses
// to equal entries, and the oracle finds valid. What libprotobuf parses and the oracle finds valid,
// the parser accepts, but for what its header says is stricter; written anew without unknown
// fields, it accepts it always.
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/shared/directory_proto.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/directory_oracle.h"
#include "tests/fuzz/fuzz_target.h"

namespace actiondfs::fuzz {
namespace {

struct Input {
  const uint8_t* data;
  size_t size;
};

std::string_view View(const actiondfs_slice& slice) {
  return {reinterpret_cast<const char*>(slice.data), slice.size};
}

// What the parser said of an input.
struct Parsed {
  std::array<std::vector<actiondfs_entry>, ACTIONDFS_ENTRY_KINDS> lists;
  std::vector<uint32_t> offsets;  // of all entries, as they came
  std::vector<actiondfs_entry> entries;
  actiondfs_directory_result result;
};

int Gather(void* context, const actiondfs_entry* entry, uint32_t offset) {
  auto& parsed = *static_cast<Parsed*>(context);
  parsed.lists[entry->kind].push_back(*entry);
  parsed.entries.push_back(*entry);
  parsed.offsets.push_back(offset);
  return 0;
}

Parsed Parse(Input input) {
  Parsed parsed;
  actiondfs_directory_parse(input.data, input.size, Gather, &parsed, &parsed.result);
  return parsed;
}

void CheckProperties(const actiondfs_properties& ours, const reapi::NodeProperties& theirs) {
  MUST(ours.has_mtime == theirs.has_mtime());
  MUST(ours.mtime_seconds == theirs.mtime().seconds());
  MUST(std::cmp_equal(ours.mtime_nanos, theirs.mtime().nanos()));
  MUST(ours.has_unix_mode == theirs.has_unix_mode());
  MUST(ours.unix_mode == theirs.unix_mode().value());
}

void CheckDigest(const actiondfs_entry& ours, const reapi::Digest& theirs) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const uint8_t byte : ours.hash) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  MUST(hex == theirs.hash());
  MUST(ours.size == theirs.size_bytes());
}

void Check(const actiondfs_entry& ours, const reapi::FileNode& theirs) {
  MUST(ours.is_executable == theirs.is_executable());
  CheckDigest(ours, theirs.digest());
  CheckProperties(ours.properties, theirs.node_properties());
}

void Check(const actiondfs_entry& ours, const reapi::DirectoryNode& theirs) {
  CheckDigest(ours, theirs.digest());
}

void Check(const actiondfs_entry& ours, const reapi::SymlinkNode& theirs) {
  MUST(View(ours.target) == theirs.target());
  CheckProperties(ours.properties, theirs.node_properties());
}

template <typename Nodes>
void CheckList(const Parsed& parsed, actiondfs_entry_kind kind, const Nodes& theirs) {
  const std::vector<actiondfs_entry>& ours = parsed.lists[kind];
  MUST(parsed.result.counts[kind] == ours.size());
  MUST(std::cmp_equal(ours.size(), theirs.size()));
  for (size_t i = 0; i < ours.size(); ++i) {
    const auto& node = theirs[static_cast<int>(i)];
    MUST(ours[i].kind == kind);
    MUST(View(ours[i].name) == node.name());
    Check(ours[i], node);
  }
}

bool Same(const actiondfs_properties& a, const actiondfs_properties& b) {
  return a.has_mtime == b.has_mtime && a.mtime_seconds == b.mtime_seconds &&
         a.mtime_nanos == b.mtime_nanos && a.has_unix_mode == b.has_unix_mode &&
         a.unix_mode == b.unix_mode;
}

// Each entry comes out the same by its offset.
void CheckOffsets(Input input, const Parsed& parsed) {
  for (size_t i = 0; i < parsed.entries.size(); ++i) {
    const actiondfs_entry& seen = parsed.entries[i];
    const uint32_t offset = parsed.offsets[i];
    actiondfs_entry entry;
    MUST(actiondfs_directory_entry(input.data, input.size, offset, &entry) == ACTIONDFS_FAULT_NONE);
    MUST(entry.kind == seen.kind);
    MUST(View(entry.name) == View(seen.name));
    MUST(View(entry.target) == View(seen.target));
    MUST(std::ranges::equal(entry.hash, seen.hash));
    MUST(entry.size == seen.size);
    MUST(entry.is_executable == seen.is_executable);
    MUST(Same(entry.properties, seen.properties));
    MUST(View(actiondfs_directory_name(input.data, input.size, offset)) == View(seen.name));
  }
}

struct Name {
  actiondfs_entry_kind kind;
  std::string_view name;
  uint32_t offset;
};

std::vector<Name> Names(Input input) {
  std::vector<Name> names;
  actiondfs_directory_names(
      input.data, input.size,
      [](void* context, actiondfs_entry_kind kind, actiondfs_slice name, uint32_t offset) {
        static_cast<std::vector<Name>*>(context)->push_back({kind, View(name), offset});
      },
      &names);
  return names;
}

// The same entries, but for what names alone leave out.
void CheckNames(Input input, const Parsed& parsed) {
  const std::vector<Name> names = Names(input);
  MUST(names.size() == parsed.entries.size());
  for (size_t i = 0; i < names.size(); ++i) {
    MUST(names[i].kind == parsed.entries[i].kind);
    MUST(names[i].name == View(parsed.entries[i].name));
    MUST(names[i].offset == parsed.offsets[i]);
  }
}

void CheckAccepted(Input input, const Parsed& parsed, const reapi::Directory& message) {
  MUST(IsValid(message));
  CheckList(parsed, ACTIONDFS_ENTRY_FILE, message.files());
  CheckList(parsed, ACTIONDFS_ENTRY_DIRECTORY, message.directories());
  CheckList(parsed, ACTIONDFS_ENTRY_SYMLINK, message.symlinks());
  CheckProperties(parsed.result.properties, message.node_properties());
  CheckOffsets(input, parsed);
  CheckNames(input, parsed);
}

// The refusals of what libprotobuf takes, as the parser's header has them.
bool IsStricter(actiondfs_fault fault) {
  return fault == ACTIONDFS_FAULT_GROUP || fault == ACTIONDFS_FAULT_WIRE_TYPE_MISMATCH ||
         fault == ACTIONDFS_FAULT_VARINT_OVERLONG;
}

// A refusal says where: within the input, and a name that is in it.
void CheckRefusal(Input input, const actiondfs_directory_result& result) {
  MUST(result.offset <= input.size);
  if (result.name.data == nullptr) {
    MUST(result.name.size == 0);
    return;
  }
  MUST(result.name.data >= input.data);
  MUST(result.name.data + result.name.size <= input.data + input.size);
}

// The offsets of a message are trusted by nobody: none may lead outside.
void CheckForeignOffsets(Input input) {
  for (uint32_t offset = 0; offset <= std::min<size_t>(input.size, 64); ++offset) {
    actiondfs_entry entry;
    const auto fault = actiondfs_directory_entry(input.data, input.size, offset, &entry);
    const actiondfs_slice name = actiondfs_directory_name(input.data, input.size, offset);
    if (fault == ACTIONDFS_FAULT_NONE) MUST(View(name) == View(entry.name));
  }
  for (const Name& seen : Names(input)) MUST(seen.offset < input.size);
}

void Compare(Input input) {
  const Parsed parsed = Parse(input);
  reapi::Directory message;
  const bool theirs = message.ParseFromArray(input.data, static_cast<int>(input.size));
  const bool accepted = parsed.result.fault == ACTIONDFS_FAULT_NONE;
  CheckForeignOffsets(input);
  if (!accepted) CheckRefusal(input, parsed.result);
  if (!theirs) {
    MUST(!accepted);
    return;
  }
  if (accepted) CheckAccepted(input, parsed, message);
  if (!IsValid(message)) return;
  MUST(accepted || IsStricter(parsed.result.fault));

  const reapi::Directory known = WithoutUnknownFields(message);
  const std::string bytes = known.SerializeAsString();
  const Input canonical = {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
  const Parsed again = Parse(canonical);
  MUST(again.result.fault == ACTIONDFS_FAULT_NONE);
  CheckAccepted(canonical, again, known);
}

}  // namespace

const char* Outcome(const uint8_t* data, size_t size) {
  return actiondfs_fault_name(Parse({data, size}).result.fault);
}

}  // namespace actiondfs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  google::protobuf::SetLogHandler(nullptr);  // it would log each string that is not UTF-8
  actiondfs::fuzz::Compare({data, size});
  return 0;
}
