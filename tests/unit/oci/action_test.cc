// SPDX-License-Identifier: Apache-2.0
#include "hook/oci/action.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "build/bazel/remote/execution/v2/remote_execution.pb.h"

namespace actiondfs::oci {
namespace {

namespace reapi = build::bazel::remote::execution::v2;
using testing::HasSubstr;

constexpr auto kSha256 = cas::HashFunction::kSha256;

reapi::Action SomeAction() {
  reapi::Action action;
  action.mutable_input_root_digest()->set_hash(std::string(64, 'a'));
  action.mutable_input_root_digest()->set_size_bytes(5);
  action.mutable_command_digest()->set_hash(std::string(64, 'b'));
  action.mutable_command_digest()->set_size_bytes(7);
  return action;
}

void SetProperty(reapi::Platform* platform, const std::string& name, const std::string& value) {
  auto* property = platform->add_properties();
  property->set_name(name);
  property->set_value(value);
}

TEST(ActionTest, Digests) {
  const auto action = ParseAction(SomeAction().SerializeAsString(), kSha256).value();
  EXPECT_EQ(action.input_root.ToString(), std::string(64, 'a') + "/5");
  EXPECT_EQ(action.command.ToString(), std::string(64, 'b') + "/7");
  EXPECT_EQ(action.mutates_inputs, std::nullopt);
}

TEST(ActionTest, DigestFunctionIsTheActionsOwn) {
  const auto action =
      ParseAction(SomeAction().SerializeAsString(), cas::HashFunction::kBlake3).value();
  EXPECT_EQ(action.input_root.function, cas::HashFunction::kBlake3);
}

TEST(ActionTest, MutatesInputsOfThePlatform) {
  reapi::Action action = SomeAction();
  SetProperty(action.mutable_platform(), "OSFamily", "linux");
  SetProperty(action.mutable_platform(), "mutates_inputs", "1");
  EXPECT_EQ(ParseAction(action.SerializeAsString(), kSha256).value().mutates_inputs, true);
  SetProperty(action.mutable_platform(), "mutates_inputs", "no");
  EXPECT_THAT(ParseAction(action.SerializeAsString(), kSha256).error().what(),
              HasSubstr("expected one value; got true and false"));
}

TEST(ActionTest, MutatesInputsThatIsNoFlag) {
  reapi::Action action = SomeAction();
  SetProperty(action.mutable_platform(), "mutates_inputs", "sure\n");
  const auto result = ParseAction(action.SerializeAsString(), kSha256);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), EINVAL);
  EXPECT_EQ(result.error().what(),
            "Action: platform property mutates_inputs: expected 1, true or yes, or 0, false or no; "
            "got 'sure\\n'");
}

TEST(ActionTest, MissingDigestsAreNamed) {
  reapi::Action action = SomeAction();
  action.clear_input_root_digest();
  EXPECT_THAT(ParseAction(action.SerializeAsString(), kSha256).error().what(),
              HasSubstr("input_root_digest: missing"));
  action = SomeAction();
  action.clear_command_digest();
  EXPECT_THAT(ParseAction(action.SerializeAsString(), kSha256).error().what(),
              HasSubstr("command_digest: missing"));
}

TEST(ActionTest, BadHashes) {
  for (const std::string& hash :
       {std::string(40, 'a'), std::string(64, 'A'), std::string(), std::string(65, 'a')}) {
    reapi::Action action = SomeAction();
    action.mutable_input_root_digest()->set_hash(hash);
    const auto result = ParseAction(action.SerializeAsString(), kSha256);
    ASSERT_FALSE(result) << hash;
    EXPECT_EQ(result.error().code(), EINVAL);
    EXPECT_THAT(result.error().what(), HasSubstr("input_root_digest: expected a hash of 64"));
  }
}

TEST(ActionTest, NegativeSize) {
  reapi::Action action = SomeAction();
  action.mutable_command_digest()->set_size_bytes(-1);
  EXPECT_THAT(ParseAction(action.SerializeAsString(), kSha256).error().what(),
              HasSubstr("command_digest: expected a size that is not negative; got -1"));
}

TEST(ActionTest, BytesThatAreNoAction) {
  const std::string whole = SomeAction().SerializeAsString();
  for (const std::string& blob : {std::string("\xff\xff\xff"), whole.substr(0, whole.size() - 1)}) {
    const auto result = ParseAction(blob, kSha256);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), EUCLEAN);
  }
  EXPECT_EQ(ParseCommand("\xff\xff\xff").error().code(), EUCLEAN);
}

TEST(CommandTest, Facts) {
  reapi::Command command;
  command.set_working_directory("src/app");
  SetProperty(command.mutable_platform(), "mutates_inputs", "true");
  const auto facts = ParseCommand(command.SerializeAsString()).value();
  EXPECT_EQ(facts.working_directory, "src/app");
  EXPECT_EQ(facts.mutates_inputs, true);
  EXPECT_EQ(ParseCommand("").value().working_directory, "");
}

TEST(CommandTest, WorkingDirectoryThatLeavesTheInputRoot) {
  for (const char* directory : {"/etc", "..", "a/../..", "a/./b", "a//b", "a\nb"}) {
    reapi::Command command;
    command.set_working_directory(directory);
    const auto result = ParseCommand(command.SerializeAsString());
    ASSERT_FALSE(result) << directory;
    EXPECT_EQ(result.error().code(), EINVAL);
    EXPECT_THAT(result.error().what(), testing::StartsWith("Command: working_directory: expected"));
  }
}

}  // namespace
}  // namespace actiondfs::oci
