// SPDX-License-Identifier: Apache-2.0
#include "hook/oci/action.h"

#include <cerrno>
#include <climits>
#include <utility>

#include "build/bazel/remote/execution/v2/remote_execution.pb.h"
#include "hook/base/text.h"
#include "hook/oci/workspace_request.h"

namespace actiondfs::oci {
namespace {

namespace reapi = build::bazel::remote::execution::v2;

template <typename Message>
Result<Message> Decode(std::string_view blob, std::string_view name) {
  Message message;
  if (blob.size() > kMaxActionSize ||
      !message.ParseFromArray(blob.data(), static_cast<int>(blob.size()))) {
    return MakeError(EUCLEAN, "the blob is not a REAPI " + std::string(name));
  }
  return message;
}

Result<cas::Digest> ConvertDigest(bool present, const reapi::Digest& digest,
                                  cas::HashFunction function, const std::string& name) {
  if (!present) {
    return MakeError(EINVAL, "Action: " + name + ": missing, expected a digest");
  }
  cas::Digest converted = {.function = function, .hash = {}, .size = digest.size_bytes()};
  if (!FromHex(digest.hash(), converted.hash)) {
    return MakeError(EINVAL, "Action: " + name +
                                 ": expected a hash of 64 lowercase hex digits; got " +
                                 Quoted(digest.hash()));
  }
  if (digest.size_bytes() < 0) {
    return MakeError(EINVAL, "Action: " + name + ": expected a size that is not negative; got " +
                                 std::to_string(digest.size_bytes()));
  }
  return converted;
}

Result<std::optional<bool>> MutatesInputs(const reapi::Platform& platform,
                                          const std::string& name) {
  std::optional<bool> mutates;
  for (const reapi::Platform::Property& property : platform.properties()) {
    if (property.name() != kMutatesInputsProperty) {
      continue;
    }
    const std::string context = name + ": platform property mutates_inputs";
    const auto flag = ParseFlag(property.value());
    if (!flag) {
      return Wrap(flag.error(), context);
    }
    if (mutates && *mutates != *flag) {
      return MakeError(EINVAL, context + ": expected one value; got true and false");
    }
    mutates = *flag;
  }
  return mutates;
}

}  // namespace

Result<ActionDigests> ParseAction(std::string_view blob, cas::HashFunction function) {
  ASSIGN_OR_RETURN(const reapi::Action action, Decode<reapi::Action>(blob, "Action"));
  ActionDigests digests;
  ASSIGN_OR_RETURN(digests.input_root,
                   ConvertDigest(action.has_input_root_digest(), action.input_root_digest(),
                                 function, "input_root_digest"));
  ASSIGN_OR_RETURN(digests.command,
                   ConvertDigest(action.has_command_digest(), action.command_digest(), function,
                                 "command_digest"));
  ASSIGN_OR_RETURN(digests.mutates_inputs, MutatesInputs(action.platform(), "Action"));
  return digests;
}

Result<CommandFacts> ParseCommand(std::string_view blob) {
  ASSIGN_OR_RETURN(const reapi::Command command, Decode<reapi::Command>(blob, "Command"));
  CommandFacts facts;
  ASSIGN_OR_RETURN(facts.mutates_inputs, MutatesInputs(command.platform(), "Command"));
  facts.working_directory = command.working_directory();
  if (auto valid = ValidateRelativePath(facts.working_directory); !valid) {
    return Wrap(std::move(valid).error(), "Command: working_directory");
  }
  return facts;
}

}  // namespace actiondfs::oci
