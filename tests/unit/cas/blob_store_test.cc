// SPDX-License-Identifier: Apache-2.0
#include "hook/cas/blob_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "hook/base/files.h"
#include "hook/cas/hasher.h"

namespace actiondfs::cas {
namespace {

using testing::HasSubstr;

class BlobStoreTest : public testing::TestWithParam<Layout> {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "/blob_store_test.XXXXXX";
    ASSERT_NE(::mkdtemp(path_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  BlobStore Store(Layout layout = Layout::kSharded) const {
    return BlobStore::Open(path_, layout).value();
  }
  std::filesystem::path FileOf(const Digest& digest, Layout layout = Layout::kSharded) const {
    return path_ + "/" + BlobPath(layout, digest);
  }
  void Overwrite(const Digest& digest, const std::string& data) const {
    std::filesystem::remove(FileOf(digest));
    std::filesystem::create_directories(FileOf(digest).parent_path());
    std::ofstream(FileOf(digest)) << data;
  }
  std::ptrdiff_t Temporaries() const {
    const std::string dir = path_ + "/" + kTemporaryDir;
    return std::filesystem::exists(dir)
               ? std::distance(std::filesystem::directory_iterator(dir), {})
               : 0;
  }

  std::string path_;
};

TEST_P(BlobStoreTest, GivesBackWhatWasPut) {
  const BlobStore store = Store(GetParam());
  const Digest digest = store.Put("hello").value();
  EXPECT_EQ(digest, DigestOf("hello"));
  EXPECT_TRUE(store.Contains(digest));
  EXPECT_EQ(store.ReadBlob(digest, 5).value(), "hello");
  EXPECT_EQ(std::filesystem::status(FileOf(digest, GetParam())).permissions(),
            std::filesystem::perms{0444});
  EXPECT_EQ(Temporaries(), 0);
  EXPECT_EQ(BlobStore::Open(path_, std::nullopt).value().layout(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Layouts, BlobStoreTest,
                         testing::Values(Layout::kSharded, Layout::kFlat, Layout::kShardedSuffix,
                                         Layout::kHashDashSize),
                         [](const auto& test) {
                           std::string name(ToString(test.param));
                           std::erase(name, '-');
                           return name;
                         });

TEST_F(BlobStoreTest, ModeDoesNotDependOnTheUmask) {
  const mode_t old = ::umask(0077);
  const Digest digest = Store().Put("hello").value();
  ::umask(old);
  EXPECT_EQ(std::filesystem::status(FileOf(digest)).permissions(), std::filesystem::perms{0444});
}

TEST_F(BlobStoreTest, EmptyDirectoryIsTakenForSharded) {
  EXPECT_EQ(BlobStore::Open(path_, std::nullopt).value().layout(), Layout::kSharded);
}

TEST_F(BlobStoreTest, DirectoryThatIsNotThereIsNamed) {
  const auto store = BlobStore::Open(path_ + "/nowhere", std::nullopt);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code(), ENOENT);
  EXPECT_THAT(store.error().what(), HasSubstr("nowhere"));
  std::ofstream(path_ + "/file");
  EXPECT_EQ(BlobStore::Open(path_ + "/file", std::nullopt).error().code(), ENOTDIR);
}

TEST_F(BlobStoreTest, MissingBlobIsENOENT) {
  const auto blob = Store().OpenBlob(DigestOf("hello"), O_RDONLY);
  ASSERT_FALSE(blob);
  EXPECT_EQ(blob.error().code(), ENOENT);
  EXPECT_THAT(blob.error().what(), HasSubstr(DigestOf("hello").ToString()));
}

TEST_F(BlobStoreTest, EmptyBlobNeedsNoFile) {
  const BlobStore store = Store();
  EXPECT_EQ(store.ReadBlob(EmptyDigest(), 0).value(), "");
  const UniqueFd fd = store.OpenBlob(EmptyDigest(), O_RDONLY).value();
  EXPECT_EQ(::write(fd.get(), "x", 1), -1);
  EXPECT_FALSE(store.Contains(EmptyDigest())) << "there is no file, so an import writes one";
}

TEST_F(BlobStoreTest, FileOfAnotherSizeIsEIOAndNamesBothSizes) {
  const Digest digest = DigestOf("hello");
  Overwrite(digest, "hell");
  const auto blob = Store().OpenBlob(digest, O_RDONLY);
  ASSERT_FALSE(blob);
  EXPECT_EQ(blob.error().code(), EIO);
  EXPECT_THAT(blob.error().what(), HasSubstr(digest.ToString()));
  EXPECT_THAT(blob.error().what(), HasSubstr("4 bytes, not 5"));
  EXPECT_EQ(Store().OpenBlob(digest, O_PATH).error().code(), EIO);
  EXPECT_FALSE(Store().Contains(digest));
}

TEST_F(BlobStoreTest, FileOfAnotherContentIsEUCLEAN) {
  const Digest digest = DigestOf("hello");
  Overwrite(digest, "jello");
  const auto blob = Store().ReadBlob(digest, 100);
  ASSERT_FALSE(blob);
  EXPECT_EQ(blob.error().code(), EUCLEAN);
  EXPECT_THAT(blob.error().what(), HasSubstr(DigestOf("jello").ToString()));
}

TEST_F(BlobStoreTest, BlobOverTheLimitIsEFBIG) {
  const Digest digest = Store().Put("hello").value();
  EXPECT_EQ(Store().ReadBlob(digest, 4).error().code(), EFBIG);
}

TEST_F(BlobStoreTest, SymlinkInABlobsPlaceIsNotFollowed) {
  const Digest digest = DigestOf("hello");
  std::ofstream(path_ + "/real") << "hello";
  std::filesystem::create_directories(FileOf(digest).parent_path());
  std::filesystem::create_symlink("../real", FileOf(digest));
  EXPECT_EQ(Store().OpenBlob(digest, O_RDONLY).error().code(), EIO);
  EXPECT_EQ(Store().OpenBlob(digest, O_PATH).error().code(), EIO);
}

TEST_F(BlobStoreTest, SymlinkInAShardsPlaceIsNotFollowed) {
  const Digest digest = Store().Put("hello").value();
  const auto shard = FileOf(digest).parent_path();
  std::filesystem::rename(shard, path_ + "/elsewhere");
  std::filesystem::create_directory_symlink(path_ + "/elsewhere", shard);
  EXPECT_EQ(Store().OpenBlob(digest, O_RDONLY).error().code(), EIO);
  std::filesystem::remove(path_ + "/elsewhere/" + digest.HashHex());
  EXPECT_EQ(Store().Put("hello").error().code(), ELOOP) << "nor written through";
}

TEST_F(BlobStoreTest, FifoAndDirectoryInABlobsPlaceAreRefusedWithoutWaiting) {
  const Digest digest = DigestOf("");
  std::filesystem::create_directories(FileOf(digest).parent_path());
  ASSERT_EQ(::mkfifo(FileOf(digest).c_str(), 0600), 0);
  EXPECT_EQ(Store().OpenBlob(digest, O_RDONLY).error().code(), EIO);
  std::filesystem::remove(FileOf(digest));
  std::filesystem::create_directory(FileOf(digest));
  EXPECT_EQ(Store().OpenBlob(digest, O_RDONLY).error().code(), EIO);
}

TEST_F(BlobStoreTest, OpenBlobGivesABlockingDescriptor) {
  const Digest digest = Store().Put("hello").value();
  const UniqueFd fd = Store().OpenBlob(digest, O_RDONLY).value();
  EXPECT_EQ(::fcntl(fd.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(BlobStoreTest, Blake3IsFoundButNotHashed) {
  Digest digest = DigestOf("hello");
  digest.function = HashFunction::kBlake3;
  Overwrite(digest, "hello");
  EXPECT_TRUE(Store().OpenBlob(digest, O_RDONLY));
  EXPECT_EQ(Store().ReadBlob(digest, 100).error().code(), EOPNOTSUPP);
}

TEST_F(BlobStoreTest, PresentBlobIsNotWrittenAgain) {
  const Digest digest = Store().Put("hello").value();
  const auto fill = [](int) -> Status { return MakeError(EIO, "must not be called"); };
  EXPECT_FALSE(Store().Add(digest, fill).value());
}

TEST_F(BlobStoreTest, ShortBlobIsReplaced) {
  const Digest digest = DigestOf("hello");
  Overwrite(digest, "hell");
  EXPECT_TRUE(Store().Put("hello"));
  EXPECT_EQ(Store().ReadBlob(digest, 100).value(), "hello");
}

TEST_F(BlobStoreTest, FailedFillLeavesNothing) {
  const Digest digest = DigestOf("hello");
  const auto fill = [](int fd) -> Status {
    RETURN_IF_ERROR(WriteAll(fd, "hel"));
    return MakeError(ENOSPC, "write");
  };
  EXPECT_EQ(Store().Add(digest, fill).error().code(), ENOSPC);
  EXPECT_FALSE(Store().Contains(digest));
  EXPECT_EQ(Temporaries(), 0);
}

TEST_F(BlobStoreTest, FillOfTheWrongSizeIsRefused) {
  const Digest digest = DigestOf("hello");
  const auto fill = [](int fd) { return WriteAll(fd, "hel"); };
  EXPECT_EQ(Store().Add(digest, fill).error().code(), EIO);
  EXPECT_FALSE(Store().Contains(digest));
}

// While a blob is being written, nothing under its name is seen.
TEST_F(BlobStoreTest, BlobAppearsWhenItIsWhole) {
  const BlobStore store = Store();
  const Digest digest = DigestOf("hello");
  const auto fill = [&](int fd) -> Status {
    RETURN_IF_ERROR(WriteAll(fd, "hello"));
    EXPECT_FALSE(std::filesystem::exists(FileOf(digest)));
    EXPECT_EQ(Temporaries(), 1);
    return {};
  };
  EXPECT_TRUE(store.Add(digest, fill).value());
  EXPECT_TRUE(std::filesystem::exists(FileOf(digest)));
}

// The other writer finishes first: its file stays, since mounts may hold it.
TEST_F(BlobStoreTest, FirstOfTwoWritersWins) {
  const BlobStore store = Store();
  const Digest digest = DigestOf("hello");
  struct stat first = {};
  const auto fill = [&](int fd) -> Status {
    RETURN_IF_ERROR(store.Put("hello"));
    first = StatAt(AT_FDCWD, FileOf(digest)).value();
    return WriteAll(fd, "hello");
  };
  EXPECT_FALSE(store.Add(digest, fill).value());
  EXPECT_EQ(StatAt(AT_FDCWD, FileOf(digest)).value().st_ino, first.st_ino);
  EXPECT_EQ(Temporaries(), 0);
}

TEST_F(BlobStoreTest, ManyThreadsPutTheSameBlobs) {
  const BlobStore store = Store();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
          EXPECT_TRUE(store.Put(std::to_string(i)));
        }
      });
    }
  }
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(store.ReadBlob(DigestOf(std::to_string(i)), 10).value(), std::to_string(i));
  }
  EXPECT_EQ(Temporaries(), 0);
}

TEST_F(BlobStoreTest, OnlyStaleTemporariesAreRemoved) {
  const BlobStore store = Store();
  EXPECT_TRUE(store.RemoveStaleTemporaries(std::chrono::hours(24))) << "nothing there yet";
  ASSERT_TRUE(store.Put("x"));
  const std::string dir = path_ + "/" + kTemporaryDir;
  std::ofstream(dir + "/fresh");
  std::ofstream(dir + "/stale");
  std::filesystem::last_write_time(
      dir + "/stale", std::filesystem::file_time_type::clock::now() - std::chrono::hours(25));
  EXPECT_TRUE(store.RemoveStaleTemporaries(std::chrono::hours(24)));
  EXPECT_TRUE(std::filesystem::exists(dir + "/fresh"));
  EXPECT_FALSE(std::filesystem::exists(dir + "/stale"));
}

}  // namespace
}  // namespace actiondfs::cas
