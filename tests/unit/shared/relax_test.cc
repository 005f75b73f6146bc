// SPDX-License-Identifier: Apache-2.0
//
// A Directory of megabytes lets others run while it is parsed, whatever its fields look like.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernel/shared/directory_proto.h"
#include "tests/unit/shared/wire_writer.h"

extern "C" unsigned int relaxed;  // relaxing_wire.c

namespace actiondfs::testing {
namespace {

constexpr size_t kBlock = 0x10000;

unsigned int Relaxed(const std::string& blob) {
  actiondfs_directory_result result;
  relaxed = 0;
  actiondfs_directory_parse(reinterpret_cast<const uint8_t*>(blob.data()), blob.size(), nullptr,
                            nullptr, &result);
  EXPECT_STREQ(actiondfs_fault_name(result.fault), "none");
  return relaxed;
}

// Fields that nobody knows, of 32 bytes each.
std::string Unknown(size_t bytes) {
  const std::string field = WireWriter().Bytes(9, std::string(30, 'x')).str();
  std::string fields;
  while (fields.size() < bytes) fields += field;
  return fields;
}

TEST(RelaxTest, OnceABlockWhereverFieldsBegin) {
  for (const size_t shift : {size_t{0}, size_t{1}, size_t{12}, size_t{21}, size_t{31}}) {
    const std::string first = WireWriter().Bytes(9, std::string(shift, 'x')).str();
    EXPECT_GE(Relaxed(first + Unknown(64 * kBlock)), 64U) << shift;
  }
}

TEST(RelaxTest, OnceABlockInsideOneEntry) {
  const std::string inside = Node("name").str() + Unknown(64 * kBlock);
  EXPECT_GE(Relaxed(WireWriter().Bytes(kFiles, inside).str()), 64U);
}

TEST(RelaxTest, NotForSmallOnes) {
  EXPECT_EQ(Relaxed(WireWriter().Bytes(kFiles, Node("name")).str()), 0U);
}

}  // namespace
}  // namespace actiondfs::testing
