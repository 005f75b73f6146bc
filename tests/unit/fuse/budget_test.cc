// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/budget.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

namespace actiondfs::fuse {
namespace {

constexpr Resource kNodes = Resource::kNodes;

class BudgetTest : public testing::Test {
 protected:
  static size_t TakeAll(Budget& budget) {
    size_t taken = 0;
    while (budget.Take(kNodes, 1)) {
      ++taken;
    }
    return taken;
  }

  Pool pool_{Limits{{{.share = 10, .pool = 1000}, {.share = 10, .pool = 1000}, {}}}};
  Budget greedy_{pool_};
};

TEST_F(BudgetTest, OneGreedyMountGetsHalf) {
  EXPECT_EQ(TakeAll(greedy_), 500U);
}

TEST_F(BudgetTest, WhoComesLaterFindsSomething) {
  TakeAll(greedy_);
  Budget second(pool_);
  EXPECT_EQ(TakeAll(second), 250U);
  Budget third(pool_);
  EXPECT_EQ(TakeAll(third), 125U);
}

TEST_F(BudgetTest, TheShareIsThereEvenWhereThePoolIsEmpty) {
  std::vector<std::unique_ptr<Budget>> others;
  for (int i = 0; i < 50; ++i) {
    others.push_back(std::make_unique<Budget>(pool_));
    TakeAll(*others.back());
  }
  Budget late(pool_);
  EXPECT_EQ(TakeAll(late), 10U);
}

TEST_F(BudgetTest, ResourcesDoNotMix) {
  TakeAll(greedy_);
  EXPECT_EQ(greedy_.Room(Resource::kBytes), 500U);
  EXPECT_EQ(greedy_.Room(Resource::kDescriptors), 0U);
}

TEST_F(BudgetTest, ManyAtOnceOrNone) {
  EXPECT_FALSE(greedy_.Take(kNodes, 501));
  EXPECT_EQ(greedy_.used(kNodes), 0U);
  EXPECT_TRUE(greedy_.Take(kNodes, 500));
}

TEST_F(BudgetTest, WhatAMountHadComesBackWithIt) {
  {
    Budget gone(pool_);
    TakeAll(gone);
  }
  EXPECT_EQ(pool_.used(kNodes), 0U);
  EXPECT_EQ(TakeAll(greedy_), 500U);
}

TEST_F(BudgetTest, AClaimIsGivenBackOnce) {
  {
    Claim first;
    ASSERT_TRUE(first.Take(greedy_, kNodes, 7));
    const Claim moved = std::move(first);
    EXPECT_EQ(greedy_.used(kNodes), 7U);
  }
  EXPECT_EQ(greedy_.used(kNodes), 0U);
}

TEST_F(BudgetTest, AClaimThatIsTakenAgainReplacesTheFirst) {
  Claim claim;
  ASSERT_TRUE(claim.Take(greedy_, kNodes, 400));
  ASSERT_TRUE(claim.Take(greedy_, kNodes, 450));
  EXPECT_EQ(greedy_.used(kNodes), 450U);
  EXPECT_FALSE(claim.Take(greedy_, kNodes, 501));
  EXPECT_EQ(greedy_.used(kNodes), 0U);
}

TEST_F(BudgetTest, AClaimThatGrowsKeepsWhatItHas) {
  Claim claim;
  EXPECT_FALSE(claim.TakeMore(1));  // of nothing
  ASSERT_TRUE(claim.Take(greedy_, kNodes, 400));
  ASSERT_TRUE(claim.TakeMore(50));
  EXPECT_FALSE(claim.TakeMore(51));
  EXPECT_EQ(greedy_.used(kNodes), 450U);
  claim.Add(greedy_, kNodes, 2000);  // more than there may be
  EXPECT_EQ(greedy_.used(kNodes), 2000U);
  claim.Release();
  EXPECT_EQ(greedy_.used(kNodes), 0U);
}

}  // namespace
}  // namespace actiondfs::fuse
