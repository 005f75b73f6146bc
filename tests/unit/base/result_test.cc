// SPDX-License-Identifier: Apache-2.0
#include "hook/base/result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace actiondfs {
namespace {

Status Fails() {
  return MakeError(ENOSPC, "write 'x'");
}

Result<int> PassesOn() {
  RETURN_IF_ERROR(Fails());
  return 1;
}

Result<int> Adds(const Result<int>& a, const Result<int>& b) {
  ASSIGN_OR_RETURN(const int x, a);
  ASSIGN_OR_RETURN(const int y, b);
  return x + y;
}

TEST(ResultTest, ErrorKeepsErrnoThroughContext) {
  const Error error = Error(ENOENT, "open 'a'").Wrap("read CAS");
  EXPECT_EQ(error.code(), ENOENT);
  EXPECT_EQ(error.ToString(), "read CAS: open 'a': No such file or directory");
}

TEST(ResultTest, MacrosReturnTheFirstError) {
  EXPECT_EQ(PassesOn().error().code(), ENOSPC);
  EXPECT_EQ(Adds(1, 2).value(), 3);
  EXPECT_EQ(Adds(1, MakeError(EIO, "b")).error().code(), EIO);
}

}  // namespace
}  // namespace actiondfs
