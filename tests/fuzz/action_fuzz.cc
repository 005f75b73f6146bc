// SPDX-License-Identifier: Apache-2.0
//
// An Action and its Command, as their blobs have them, up to the facts that a plan is made of. What
// is accepted is compared with what the messages say.
//
// Input: two bytes with the Action's length, the lower first; the Action; the Command.
#include <google/protobuf/stubs/logging.h>

#include <string>

#include "build/bazel/remote/execution/v2/remote_execution.pb.h"
#include "hook/oci/action.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/input.h"

namespace actiondfs::fuzz {
namespace {

namespace reapi = ::build::bazel::remote::execution::v2;

template <typename Message>
Message Decoded(const std::string& blob) {
  Message message;
  MUST(message.ParseFromString(blob));
  return message;
}

void CheckDigest(const cas::Digest& ours, const reapi::Digest& theirs) {
  MUST(ours.HashHex() == theirs.hash());
  MUST(ours.size == theirs.size_bytes() && ours.size >= 0);
}

// The properties of that name agree, and are this.
void CheckFlag(std::optional<bool> ours, const reapi::Platform& platform) {
  bool any = false;
  for (const auto& property : platform.properties()) {
    if (property.name() != oci::kMutatesInputsProperty) {
      continue;
    }
    any = true;
    const std::string& value = property.value();
    const bool yes = value == "1" || value == "true" || value == "yes";
    const bool no = value == "0" || value == "false" || value == "no";
    MUST(yes || no);
    MUST(ours == yes);
  }
  MUST(ours.has_value() == any);
}

const char* Run(Input input) {
  const std::string action_blob = input.Bytes(input.Short());
  const std::string command_blob = input.Rest();
  const auto action = oci::ParseAction(action_blob, cas::HashFunction::kSha256);
  if (!action) {
    CheckError(action.error());
    return "action";
  }
  const auto action_message = Decoded<reapi::Action>(action_blob);
  CheckDigest(action->input_root, action_message.input_root_digest());
  CheckDigest(action->command, action_message.command_digest());
  CheckFlag(action->mutates_inputs, action_message.platform());

  const auto command = oci::ParseCommand(command_blob);
  if (!command) {
    CheckError(command.error());
    return "command";
  }
  const auto command_message = Decoded<reapi::Command>(command_blob);
  MUST(command->working_directory == command_message.working_directory());
  MUST(IsNormalRelativePath(command->working_directory));
  CheckFlag(command->mutates_inputs, command_message.platform());
  return "accepted";
}

}  // namespace

const char* Outcome(const uint8_t* data, size_t size) {
  return Run({data, size});
}

}  // namespace actiondfs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  google::protobuf::SetLogHandler(nullptr);  // it would log each string that is not UTF-8
  (void)actiondfs::fuzz::Outcome(data, size);
  return 0;
}
