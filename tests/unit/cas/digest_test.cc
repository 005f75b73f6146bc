// SPDX-License-Identifier: Apache-2.0
#include "hook/cas/digest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "hook/cas/hasher.h"

namespace actiondfs::cas {
namespace {

using testing::HasSubstr;

const std::string kHex(64, 'a');

TEST(DigestTest, ReadsWhatItWrites) {
  const Digest digest = ParseDigest(kHex + "/12345").value();
  EXPECT_EQ(digest.size, 12345);
  EXPECT_EQ(digest.HashHex(), kHex);
  EXPECT_EQ(digest.ToString(), kHex + "/12345");
  EXPECT_EQ(ParseDigest(digest.ToString()).value(), digest);
}

TEST(DigestTest, KnowsBothFunctionsByPrefix) {
  EXPECT_EQ(ParseDigest(kHex + "/1").value().function, HashFunction::kSha256);
  EXPECT_EQ(ParseDigest("sha256:" + kHex + "/1").value().function, HashFunction::kSha256);
  EXPECT_EQ(ParseDigest("blake3:" + kHex + "/1").value().function, HashFunction::kBlake3);
}

TEST(DigestTest, TakesTheLargestSize) {
  EXPECT_EQ(ParseDigest(kHex + "/9223372036854775807").value().size, INT64_MAX);
}

struct Malformed {
  std::string name;
  std::string text;
  std::string fault;
};

class MalformedDigestTest : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedDigestTest, IsRefusedAndSaysWhy) {
  const auto digest = ParseDigest(GetParam().text);
  ASSERT_FALSE(digest);
  EXPECT_EQ(digest.error().code(), EINVAL);
  EXPECT_THAT(digest.error().what(), HasSubstr(GetParam().fault));
  EXPECT_EQ(digest.error().what().find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    DigestTest, MalformedDigestTest,
    testing::Values(Malformed{"Empty", "", "no '/'"}, Malformed{"NoSize", kHex, "no '/'"},
                    Malformed{"EmptySize", kHex + "/", "size"},
                    Malformed{"NegativeSize", kHex + "/-1", "size"},
                    Malformed{"SignedSize", kHex + "/+1", "size"},
                    Malformed{"SizeWithLeadingZero", kHex + "/01", "size"},
                    Malformed{"SizeOver63Bits", kHex + "/9223372036854775808", "size"},
                    Malformed{"SizeWithTail", kHex + "/1/", "size"},
                    Malformed{"SizeWithNewline", kHex + "/1\n", "size"},
                    Malformed{"LeadingSpace", " " + kHex + "/1", "65 characters"},
                    Malformed{"ShortHash", kHex.substr(1) + "/1", "63 characters"},
                    Malformed{"LongHash", kHex + "a/1", "65 characters"},
                    Malformed{"UppercaseHash", std::string(64, 'A') + "/1", "lowercase"},
                    Malformed{"HashWithOtherLetter", kHex.substr(1) + "g/1", "lowercase"},
                    Malformed{"UnknownFunction", "md5:" + kHex + "/1", "sha256 or blake3"},
                    Malformed{"UppercaseFunction", "SHA256:" + kHex + "/1", "sha256 or blake3"},
                    Malformed{"EmptyFunction", ":" + kHex + "/1", "sha256 or blake3"},
                    Malformed{"TwoFunctions", "sha256:sha256:" + kHex + "/1", "characters"}),
    [](const auto& test) { return test.param.name; });

// Vectors of FIPS 180-4.
TEST(HasherTest, GivesTheStandardsVectors) {
  EXPECT_EQ(DigestOf("abc").ToString(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad/3");
  EXPECT_EQ(DigestOf(std::string(1000000, 'a')).HashHex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_EQ(DigestOf(""), EmptyDigest());
}

TEST(HasherTest, StartsAnewAfterFinish) {
  Hasher hasher;
  hasher.Update("ab");
  hasher.Update("c");
  EXPECT_EQ(hasher.Finish(), DigestOf("abc"));
  EXPECT_EQ(hasher.Finish(), EmptyDigest());
}

}  // namespace
}  // namespace actiondfs::cas
