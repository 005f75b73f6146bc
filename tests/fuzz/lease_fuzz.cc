// SPDX-License-Identifier: Apache-2.0
//
// lease.json: whatever a crash or a hand left there is refused in one line, or read as what it
// says; written again it says the same.
#include <nlohmann/json.hpp>
#include <string_view>

#include "hook/mount/lease.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/fuzz_target.h"

namespace actiondfs::fuzz {
namespace {

// Each member of the lease is what the text has.
void CheckMembers(std::string_view text, const nlohmann::json& written) {
  const auto read = nlohmann::json::parse(text);
  for (const auto& [key, value] : written.items()) {
    MUST(read.at(key) == value);
  }
}

}  // namespace

const char* Outcome(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto lease = mount::ParseLease(text);
  if (!lease) {
    CheckError(lease.error());
    return "refused";
  }
  const std::string written = mount::ToJson(*lease);
  CheckMembers(text, nlohmann::json::parse(written));
  const auto again = mount::ParseLease(written);
  MUST(again.has_value());
  MUST(mount::ToJson(*again) == written);
  return "accepted";
}

}  // namespace actiondfs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)actiondfs::fuzz::Outcome(data, size);
  return 0;
}
