// SPDX-License-Identifier: Apache-2.0
#include "hook/tree/directory_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <barrier>
#include <cerrno>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/tree/store_fixture.h"

namespace actiondfs::tree {
namespace {

using ::testing::HasSubstr;
using testing::kFiles;
using testing::Node;
using testing::WireWriter;

constexpr size_t kRoomForAll = size_t{1} << 30;

class DirectoryCacheTest : public StoreFixture {
 protected:
  // A Directory of one file, another for each `name`, and of the same size for names of one length.
  cas::Digest PutDirectory(const std::string& name) {
    return Put(WireWriter().Bytes(kFiles, Node(name)).str());
  }
  std::shared_ptr<const Directory> Get(DirectoryCache& cache, const cas::Digest& digest) {
    auto directory = cache.Get(store(), digest);
    EXPECT_TRUE(directory.has_value()) << directory.error().ToString();
    return directory.value_or(nullptr);
  }
  // What one such Directory costs a cache.
  size_t Cost() {
    DirectoryCache cache(kRoomForAll);
    Get(cache, PutDirectory("one"));
    return cache.counters().bytes;
  }
};

TEST_F(DirectoryCacheTest, SecondGetIsTheSameObjectWithoutReading) {
  DirectoryCache cache(kRoomForAll);
  const cas::Digest digest = PutDirectory("one");
  const auto first = Get(cache, digest);
  Remove(digest);
  EXPECT_EQ(Get(cache, digest), first);

  const DirectoryCache::Counters counters = cache.counters();
  EXPECT_EQ(counters.requests, 2U);
  EXPECT_EQ(counters.hits, 1U);
  EXPECT_EQ(counters.misses, 1U);
  EXPECT_EQ(counters.blobs_read, 1U);
  EXPECT_EQ(counters.blob_bytes_read, static_cast<uint64_t>(digest.size));
  EXPECT_EQ(counters.entries, 1U);
  EXPECT_GE(counters.bytes, first->MemoryUse());
}

TEST_F(DirectoryCacheTest, MissingBlobIsEioAndNamesTheDigest) {
  DirectoryCache cache(kRoomForAll);
  const cas::Digest digest = PutDirectory("one");
  Remove(digest);
  const auto directory = cache.Get(store(), digest);
  ASSERT_FALSE(directory.has_value());
  EXPECT_EQ(directory.error().code(), EIO);
  EXPECT_THAT(directory.error().what(), HasSubstr(digest.ToString()));
  EXPECT_EQ(cache.counters().entries, 0U);
}

TEST_F(DirectoryCacheTest, ShortBlobIsEio) {
  DirectoryCache cache(kRoomForAll);
  const cas::Digest digest = PutDirectory("one");
  Replace(digest, "short");
  const auto directory = cache.Get(store(), digest);
  ASSERT_FALSE(directory.has_value());
  EXPECT_EQ(directory.error().code(), EIO);
}

TEST_F(DirectoryCacheTest, BlobOfAnotherHashIsEucleanAndNotCached) {
  DirectoryCache cache(kRoomForAll);
  const cas::Digest digest = PutDirectory("one");
  // A Directory that would parse, of the same size.
  Replace(digest, WireWriter().Bytes(kFiles, Node("two")).str());
  const auto directory = cache.Get(store(), digest);
  ASSERT_FALSE(directory.has_value());
  EXPECT_EQ(directory.error().code(), EUCLEAN);
  EXPECT_THAT(directory.error().what(), HasSubstr(digest.ToString()));
  EXPECT_EQ(cache.counters().entries, 0U);
}

TEST_F(DirectoryCacheTest, BlobThatDoesNotParseIsEucleanAndNamesTheDigest) {
  DirectoryCache cache(kRoomForAll);
  const cas::Digest digest = Put("this is no Directory");
  const auto directory = cache.Get(store(), digest);
  ASSERT_FALSE(directory.has_value());
  EXPECT_EQ(directory.error().code(), EUCLEAN);
  EXPECT_THAT(directory.error().what(), HasSubstr(digest.ToString()));
  EXPECT_EQ(cache.counters().entries, 0U);
}

TEST_F(DirectoryCacheTest, DigestOver64MiBIsEucleanWithoutReading) {
  DirectoryCache cache(kRoomForAll);
  cas::Digest digest = PutDirectory("one");
  digest.size = (int64_t{64} << 20) + 1;
  const auto directory = cache.Get(store(), digest);
  ASSERT_FALSE(directory.has_value());
  EXPECT_EQ(directory.error().code(), EUCLEAN);
}

TEST_F(DirectoryCacheTest, FailureIsNotRemembered) {
  DirectoryCache cache(kRoomForAll);
  const cas::Digest digest = PutDirectory("one");
  Remove(digest);
  EXPECT_FALSE(cache.Get(store(), digest).has_value());
  EXPECT_EQ(PutDirectory("one"), digest);
  EXPECT_NE(Get(cache, digest), nullptr);
}

TEST_F(DirectoryCacheTest, LeastRecentlyUsedGoesFirst) {
  DirectoryCache cache(2 * Cost());
  const cas::Digest one = PutDirectory("one");
  const cas::Digest two = PutDirectory("two");
  Get(cache, one);
  Get(cache, two);
  Get(cache, one);
  Get(cache, PutDirectory("six"));  // evicts two
  EXPECT_EQ(cache.counters().evictions, 1U);
  EXPECT_EQ(cache.counters().entries, 2U);

  Get(cache, one);
  EXPECT_EQ(cache.counters().misses, 3U);
  Get(cache, two);
  EXPECT_EQ(cache.counters().misses, 4U);
}

TEST_F(DirectoryCacheTest, NeverHoldsMoreThanItsBytes) {
  const size_t limit = 10 * Cost();
  DirectoryCache cache(limit);
  for (int i = 100; i < 200; ++i) {
    Get(cache, PutDirectory(std::to_string(i)));
    EXPECT_LE(cache.counters().bytes, limit);
  }
  EXPECT_EQ(cache.counters().entries, 10U);
  EXPECT_EQ(cache.counters().evictions, 90U);
}

TEST_F(DirectoryCacheTest, EvictedDirectoryLivesWhileItIsHeld) {
  DirectoryCache cache(Cost());
  const auto held = Get(cache, PutDirectory("one"));
  Get(cache, PutDirectory("two"));
  EXPECT_EQ(cache.counters().evictions, 1U);
  EXPECT_EQ(held->at(0).name, "one");
}

TEST_F(DirectoryCacheTest, DirectoryLargerThanTheCacheIsServedAndEvictsNothing) {
  DirectoryCache cache(2 * Cost());
  const cas::Digest small = PutDirectory("one");
  Get(cache, small);
  WireWriter large;
  for (int i = 1000; i < 2000; ++i) large.Bytes(kFiles, Node(std::to_string(i)));
  EXPECT_EQ(Get(cache, Put(large.str()))->size(), 1000U);
  EXPECT_EQ(cache.counters().entries, 1U);
  EXPECT_EQ(cache.counters().evictions, 0U);
}

TEST_F(DirectoryCacheTest, ThreadsShareOneEntryForEachDigest) {
  constexpr int kThreads = 8;
  constexpr int kDigests = 20;
  std::vector<cas::Digest> digests;
  for (int i = 0; i < kDigests; ++i) digests.push_back(PutDirectory(std::to_string(100 + i)));
  DirectoryCache cache(kRoomForAll);
  std::vector<std::vector<std::shared_ptr<const Directory>>> seen(kThreads);
  std::barrier start(kThreads);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (const cas::Digest& digest : digests) {
          start.arrive_and_wait();
          seen[t].push_back(cache.Get(store(), digest).value_or(nullptr));
        }
      });
    }
  }
  for (int t = 0; t < kThreads; ++t) EXPECT_EQ(seen[t], seen[0]);

  const DirectoryCache::Counters counters = cache.counters();
  EXPECT_EQ(counters.requests, uint64_t{kThreads} * kDigests);
  EXPECT_EQ(counters.hits + counters.misses, counters.requests);
  EXPECT_EQ(counters.misses, counters.races + kDigests);
  EXPECT_EQ(counters.entries, uint64_t{kDigests});
}

TEST_F(DirectoryCacheTest, ThreadsThatEvictEachOthersEntriesGetTheRightOnes) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 50;
  const size_t limit = 3 * Cost();
  std::vector<cas::Digest> digests;
  for (int i = 0; i < 8; ++i) digests.push_back(PutDirectory(std::to_string(100 + i)));
  DirectoryCache cache(limit);
  std::vector<int> wrong(kThreads, 0);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int round = 0; round < kRounds; ++round) {
          const size_t i = static_cast<size_t>(round + t) % digests.size();
          const auto directory = cache.Get(store(), digests[i]);
          if (!directory.has_value() || (*directory)->at(0).name != std::to_string(100 + i)) {
            ++wrong[t];
          }
        }
      });
    }
  }
  EXPECT_EQ(wrong, std::vector<int>(kThreads, 0));
  EXPECT_LE(cache.counters().bytes, limit);
  EXPECT_EQ(cache.counters().entries, 3U);
}

}  // namespace
}  // namespace actiondfs::tree
