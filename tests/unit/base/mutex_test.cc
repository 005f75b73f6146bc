// SPDX-License-Identifier: Apache-2.0
#include "hook/base/mutex.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace actiondfs {
namespace {

TEST(MutexTest, LockExcludesOtherThreads) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 10000;
  Mutex mutex;
  int sum = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < kRounds; ++i) {
          const MutexLock lock(mutex);
          ++sum;
        }
      });
    }
  }
  EXPECT_EQ(sum, kThreads * kRounds);
}

}  // namespace
}  // namespace actiondfs
