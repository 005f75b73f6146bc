// SPDX-License-Identifier: Apache-2.0
#include "hook/oci/annotations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <string>

namespace actiondfs::oci {
namespace {

using testing::HasSubstr;
using testing::Not;

using Map = std::map<std::string, std::string>;

const std::string& SomeDigest() {
  static const std::string digest = std::string(64, 'a') + "/42";
  return digest;
}

// What the message of a refusal must be, or have in it.
void ExpectRefused(const Map& annotations, const std::string& part) {
  const auto result = ParseAnnotations(annotations);
  ASSERT_FALSE(result) << part;
  EXPECT_EQ(result.error().code(), EINVAL);
  EXPECT_THAT(result.error().what(), HasSubstr(part));
  EXPECT_THAT(result.error().what(), Not(HasSubstr("\n")));
  EXPECT_THAT(result.error().what(), Not(HasSubstr("\x1b")));
  EXPECT_LT(result.error().what().size(), 1024U);
}

TEST(AnnotationsTest, AbsentOnesStayAbsent) {
  const auto parsed =
      ParseAnnotations({{"dev.actiondfs.input-root", SomeDigest()}, {"other", "x"}}).value();
  EXPECT_EQ(parsed.input_root->ToString(), SomeDigest());
  EXPECT_FALSE(parsed.action || parsed.destination || parsed.mode || parsed.mutates_inputs ||
               parsed.backend || parsed.cas);
}

TEST(AnnotationsTest, AllOfThem) {
  const auto parsed = ParseAnnotations({{"dev.actiondfs.action", "sha256:" + SomeDigest()},
                                        {"dev.actiondfs.destination", "/src"},
                                        {"dev.actiondfs.mode", "overlay"},
                                        {"dev.actiondfs.mutates-inputs", "yes"},
                                        {"dev.actiondfs.backend", "fuse"},
                                        {"dev.actiondfs.cas", "eu-west"}})
                          .value();
  EXPECT_EQ(parsed.action->ToString(), SomeDigest());
  EXPECT_EQ(parsed.destination, "/src");
  EXPECT_EQ(parsed.mode, Mode::kOverlay);
  EXPECT_EQ(parsed.mutates_inputs, true);
  EXPECT_EQ(parsed.backend, Backend::kFuse);
  EXPECT_EQ(parsed.cas, "eu-west");
}

TEST(AnnotationsTest, Blake3ByItsPrefix) {
  const auto parsed =
      ParseAnnotations({{"dev.actiondfs.input-root", "blake3:" + SomeDigest()}}).value();
  EXPECT_EQ(parsed.input_root->function, cas::HashFunction::kBlake3);
}

struct BadValue {
  const char* key;
  std::string value;
  const char* expected;
};

TEST(AnnotationsTest, BadValuesAreNamedAndShownSafely) {
  const std::string hash(64, 'a');
  const BadValue cases[] = {
      {"input-root", "", "expected a value; got ''"},
      {"input-root", hash, "expected a digest, <64 lowercase hex digits>/<size in bytes>"},
      {"input-root", hash + "/", "expected a digest"},
      {"input-root", hash + "/-1", "expected a digest"},
      {"input-root", hash + "/07", "expected a digest"},
      {"input-root", hash + "/9223372036854775808", "expected a digest"},
      {"input-root", std::string(64, 'A') + "/1", "expected a digest"},
      {"input-root", std::string(63, 'a') + "/1", "expected a digest"},
      {"input-root", std::string(64, 'g') + "/1", "expected a digest"},
      {"input-root", "sha1:" + hash + "/1", "expected a digest"},
      {"input-root", hash + "/1\n", "/1\\n'"},
      {"input-root", "../../etc/passwd", "got '../../etc/passwd'"},
      {"action", "evil\n\x1b]0;title\x07", "got 'evil\\n\\x1b]0;title\\x07'"},
      {"destination", "work", "expected an absolute path; got 'work'"},
      {"destination", "/", "expected a directory below '/'"},
      {"destination", "/proc/1/root", "expected a path outside of /proc"},
      {"destination", "/a/../../etc", "without empty, '.' or '..'"},
      {"destination", "/a\nb", "got '/a\\nb'"},
      {"mode", "rw", "expected one of strict, overlay, readonly; got 'rw'"},
      {"mutates-inputs", "maybe", "expected 1, true or yes, or 0, false or no; got 'maybe'"},
      {"backend", "nfs", "expected one of auto, kernel, fuse, hardlink; got 'nfs'"},
      {"cas", "../other", "expected 1 to 64 letters, digits, '_', '.' and '-'; got '../other'"},
  };
  for (const BadValue& c : cases) {
    const std::string key = std::string("dev.actiondfs.") + c.key;
    ExpectRefused({{key, c.value}}, c.expected);
    ExpectRefused({{key, c.value}}, "annotation " + key + ": ");
  }
}

TEST(AnnotationsTest, OursAreAtMostFourKibibytes) {
  ExpectRefused(
      {{"dev.actiondfs.destination", "/" + std::string(4096, 'a')}},
      "annotation dev.actiondfs.destination: expected at most 4096 bytes; got 4097: '/aaa");
}

TEST(AnnotationsTest, OfTenMegabytes) {
  const std::string huge(10'000'000, 'x');
  ExpectRefused({{"dev.actiondfs.input-root", huge}}, "expected at most 4096 bytes; got 10000000");
  ExpectRefused({{"dev.actiondfs." + huge, "1"}}, "unknown key");
  EXPECT_TRUE(ParseAnnotations({{"dev.actiondfs.input-root", SomeDigest()}, {"foreign", huge}}));
}

TEST(AnnotationsTest, UnknownKeyNamesKeyValueAndTheKnownOnes) {
  ExpectRefused(
      {{"dev.actiondfs.input-root", SomeDigest()}, {"dev.actiondfs.root", "evil-from-image"}},
      "annotation dev.actiondfs.root: unknown key (value 'evil-from-image'), expected "
      "dev.actiondfs.*, with one of input-root, action, destination, mode, "
      "mutates-inputs, backend, cas");
  ExpectRefused({{"dev.actiondfs.", "1"}}, "annotation dev.actiondfs.: unknown key");
  ExpectRefused({{"dev.actiondfs.mode\n\x1b[2J", "strict"}},
                "annotation dev.actiondfs.mode\\n\\x1b[2J: unknown key");
}

TEST(AnnotationsTest, NeitherInputRootNorAction) {
  ExpectRefused({{"dev.actiondfs.mode", "strict"}},
                "annotation dev.actiondfs.input-root: missing, expected a digest here or in "
                "dev.actiondfs.action");
}

TEST(AnnotationsTest, InputRootAndActionContradict) {
  ExpectRefused(
      {{"dev.actiondfs.input-root", SomeDigest()}, {"dev.actiondfs.action", SomeDigest()}},
      "expected one of them");
}

TEST(AnnotationsTest, ModeAndMutatesInputsContradict) {
  const Map contradictions[] = {
      {{"dev.actiondfs.mode", "strict"}, {"dev.actiondfs.mutates-inputs", "1"}},
      {{"dev.actiondfs.mode", "readonly"}, {"dev.actiondfs.mutates-inputs", "true"}},
      {{"dev.actiondfs.mode", "overlay"}, {"dev.actiondfs.mutates-inputs", "no"}},
  };
  for (Map annotations : contradictions) {
    annotations["dev.actiondfs.input-root"] = SomeDigest();
    ExpectRefused(annotations, "contradict each other");
    ExpectRefused(annotations, "dev.actiondfs.mode='" + annotations["dev.actiondfs.mode"] + "'");
  }
  EXPECT_TRUE(ParseAnnotations({{"dev.actiondfs.input-root", SomeDigest()},
                                {"dev.actiondfs.mode", "readonly"},
                                {"dev.actiondfs.mutates-inputs", "0"}}));
}

}  // namespace
}  // namespace actiondfs::oci
