// SPDX-License-Identifier: Apache-2.0
#include "hook/cas/import.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "hook/base/files.h"
#include "hook/cas/hasher.h"
#include "hook/cas/import_file.h"

namespace actiondfs::cas {
namespace {

using testing::HasSubstr;

class ImportTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "/import_test.XXXXXX";
    ASSERT_NE(::mkdtemp(path_.data()), nullptr);
    src_ = path_ + "/src";
    std::filesystem::create_directory(src_);
    std::filesystem::create_directory(path_ + "/cas");
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  BlobStore Store() const { return BlobStore::Open(path_ + "/cas", Layout::kSharded).value(); }
  void Write(const std::string& name, const std::string& data) const {
    std::filesystem::create_directories(std::filesystem::path(src_ + "/" + name).parent_path());
    std::ofstream(src_ + "/" + name) << data;
  }
  UniqueFd OpenSource(const std::string& name) const {
    return OpenAt(AT_FDCWD, src_ + "/" + name, O_RDONLY).value();
  }

  std::string path_;
  std::string src_;
};

TEST_F(ImportTest, EmptyDirectoryIsTheEmptyMessage) {
  const auto result = ImportTree(src_, Store(), {});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->root, EmptyDigest());
  EXPECT_TRUE(Store().Contains(EmptyDigest())) << "the kernel looks for a file";
}

// The bytes by hand, from the field numbers of REAPI: what any client writes for this tree.
TEST_F(ImportTest, MessageIsCanonical) {
  Write("b", "");
  Write("a", "");
  std::filesystem::create_symlink("a", src_ + "/l");
  const std::string empty_digest = "\x0a\x40" + EmptyDigest().HashHex();
  const auto file = [&](const std::string& name) {
    return "\x0a\x47\x0a\x01" + name + "\x12\x42" + empty_digest;
  };
  const std::string expected = file("a") + file("b") + "\x1a\x06\x0a\x01l\x12\x01" + "a";
  const auto result = ImportTree(src_, Store(), {});
  ASSERT_TRUE(result);
  EXPECT_EQ(Store().ReadBlob(result->root, 1000).value(), expected);
}

TEST_F(ImportTest, DigestDoesNotDependOnThreadsAndCountsAreRight) {
  for (int i = 0; i < 300; ++i) {
    Write("d" + std::to_string(i % 7) + "/f" + std::to_string(i), std::to_string(i % 100));
  }
  const auto first = ImportTree(src_, Store(), {.jobs = 1, .progress = {}});
  const auto second = ImportTree(src_, Store(), {.jobs = 8, .progress = {}});
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->root, second->root);
  EXPECT_EQ(second->counts.files, 300U);
  EXPECT_EQ(second->counts.directories, 8U);
  EXPECT_EQ(second->counts.bytes, first->counts.bytes);
  EXPECT_EQ(first->counts.new_blobs, 100U + 8U);
  EXPECT_EQ(second->counts.new_blobs, 0U);
}

TEST_F(ImportTest, ProgressEndsAtOne) {
  for (int i = 0; i < 100; ++i) {
    Write("d" + std::to_string(i % 7) + "/f" + std::to_string(i), "x");
  }
  std::filesystem::create_directories(src_ + "/empty/nested");
  double last = 0;
  const auto progress = [&](const ImportProgress& now) {
    EXPECT_GE(now.fraction, last);
    last = now.fraction;
  };
  ASSERT_TRUE(ImportTree(src_, Store(), {.progress = progress}));
  EXPECT_NEAR(last, 1.0, 1e-6);
}

TEST_F(ImportTest, OneBadEntryMeansNoDirectoryIsWritten) {
  Write("good", "x");
  ASSERT_EQ(::mkfifo((src_ + "/pipe").c_str(), 0600), 0);
  const auto result = ImportTree(src_, Store(), {});
  ASSERT_FALSE(result);
  ASSERT_EQ(result.error().errors.size(), 1U);
  EXPECT_EQ(result.error().errors[0].code(), EOPNOTSUPP);
  EXPECT_THAT(result.error().errors[0].what(), HasSubstr(src_ + "/pipe"));
}

TEST_F(ImportTest, FullStoreEndsTheImportWithOneError) {
  for (int i = 0; i < 100; ++i) {
    Write(std::to_string(i), std::to_string(i));
  }
  // A file where the temporaries' directory should be: nothing can be added.
  std::ofstream(path_ + "/cas/" + kTemporaryDir);
  const auto result = ImportTree(src_, Store(), {.jobs = 1, .progress = {}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().errors.size(), 1U);
}

// What is read is not what was announced, as when a file is cut short meanwhile.
TEST_F(ImportTest, FileThatShrinksIsEBUSY) {
  for (const size_t size : {size_t{10}, size_t{3} << 20}) {
    Write("f", std::string(size, 'x'));
    const UniqueFd fd = OpenSource("f");
    ASSERT_EQ(::lseek(fd.get(), 1, SEEK_SET), 1);
    const BlobStore store = Store();
    FileImporter importer(store);
    const auto file = importer.Import(fd.get());
    ASSERT_FALSE(file) << size;
    EXPECT_EQ(file.error().code(), EBUSY);
    EXPECT_FALSE(importer.store_failed());
    EXPECT_FALSE(store.Contains(DigestOf(std::string(size, 'x'))));
  }
}

TEST_F(ImportTest, FileThatHasMoreThanItsSizeIsEBUSY) {
  const BlobStore store = Store();
  FileImporter importer(store);
  EXPECT_EQ(importer.Import(AT_FDCWD, "/proc/self/status").error().code(), EBUSY);
}

TEST_F(ImportTest, ImporterIsGoodAfterAnError) {
  const BlobStore store = Store();
  FileImporter importer(store);
  Write("f", std::string(size_t{2} << 20, 'x'));
  const UniqueFd fd = OpenSource("f");
  ASSERT_EQ(::lseek(fd.get(), 1, SEEK_SET), 1);
  ASSERT_FALSE(importer.Import(fd.get()));
  Write("g", "good");
  EXPECT_EQ(importer.Import(AT_FDCWD, src_ + "/g").value().digest, DigestOf("good"));
}

TEST_F(ImportTest, SymlinkInAFilesPlaceIsNotFollowed) {
  Write("f", "x");
  std::filesystem::create_symlink("f", src_ + "/l");
  const BlobStore store = Store();
  FileImporter importer(store);
  EXPECT_EQ(importer.Import(AT_FDCWD, src_ + "/l").error().code(), ELOOP);
}

}  // namespace
}  // namespace actiondfs::cas
