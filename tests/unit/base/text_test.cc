// SPDX-License-Identifier: Apache-2.0
#include "hook/base/text.h"

#include <gtest/gtest.h>

#include <array>

namespace actiondfs {
namespace {

TEST(TextTest, PrintableEscapesWhatATerminalWouldObey) {
  EXPECT_EQ(Printable("a\nb\x1b[31m\x7f"), "a\\nb\\x1b[31m\\x7f");
  EXPECT_EQ(Printable("back\\slash"), "back\\\\slash");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "31m"),
            "\\xc2\\x9b31m");  // CSI as a C1 control
  EXPECT_EQ(Printable("\xe2\x80\xae"
                      "gpj"),
            "\\xe2\\x80\\xaegpj");  // right-to-left override
}

TEST(TextTest, PrintableKeepsUtf8AndEscapesWhatIsNot) {
  EXPECT_EQ(Printable("größe 日本 🙂"), "größe 日本 🙂");
  EXPECT_EQ(Printable("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(Printable("\xc0\xaf"), "\\xc0\\xaf");  // overlong
}

TEST(TextTest, PrintableIsBounded) {
  EXPECT_EQ(Printable(std::string(10'000'000, 'x'), 8), "xxxxxxxx...");
}

TEST(TextTest, ParseDecimalIsStrict) {
  EXPECT_EQ(ParseDecimal("0"), 0);
  EXPECT_EQ(ParseDecimal("9223372036854775807"), INT64_MAX);
  for (const char* bad : {"", "-1", "+1", " 1", "1 ", "01", "0x1", "9223372036854775808", "1e3"}) {
    EXPECT_EQ(ParseDecimal(bad), std::nullopt) << bad;
  }
}

TEST(TextTest, HexIsLowercaseAndOfTheRightLength) {
  std::array<uint8_t, 2> bytes = {};
  EXPECT_TRUE(FromHex("0aff", bytes));
  EXPECT_EQ(ToHex(bytes), "0aff");
  for (const char* bad : {"0AFF", "0af", "0afff", "0afg", ""}) {
    EXPECT_FALSE(FromHex(bad, bytes)) << bad;
  }
}

TEST(TextTest, IsUtf8KnowsMalformedSequences) {
  for (const char* good :
       {"", "plain", "\n\\", "gr\xc3\xbc\xc3\x9f", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
    EXPECT_TRUE(IsUtf8(good)) << Printable(good);
  }
  for (const char* bad : {"\xff", "\x80", "a\xc3", "\xc3(", "\xc0\xaf", "\xe0\x80\xaf",
                          "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_FALSE(IsUtf8(bad)) << Printable(bad);
  }
}

TEST(TextTest, HumanBytes) {
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
}

}  // namespace
}  // namespace actiondfs
