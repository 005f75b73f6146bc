// SPDX-License-Identifier: Apache-2.0
//
// What is kept of runs, and read again: a line of the records, and the text of cumulative counters
// that each record is added to. What was written can be read, and added to.
//
// Input: the text of the counters so far, and the record's line.
#include <string>

#include "hook/record/prometheus.h"
#include "hook/record/record.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/input.h"

namespace actiondfs::fuzz {
namespace {

const char* Run(Input input) {
  const std::string old_text = input.Part();
  const auto record = record::FromJsonLine(input.Rest());
  if (!record) {
    CheckError(record.error());
    return "record";
  }
  const std::string line = record::ToJsonLine(*record);
  MUST(line.find('\n') == std::string::npos);
  const auto again = record::FromJsonLine(line);
  MUST(again.has_value());
  MUST(record::ToJsonLine(*again) == line);

  const auto text = record::AddToText(old_text, *record);
  if (!text) {
    CheckError(text.error());
    return "text";
  }
  MUST(text->ends_with('\n'));
  MUST(record::AddToText(*text, *record).has_value());
  return "added";
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
