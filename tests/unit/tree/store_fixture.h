// SPDX-License-Identifier: Apache-2.0
//
// A CAS in a temporary directory, for tests of what reads Directories from a store.
#ifndef ACTIONDFS_TESTS_UNIT_TREE_STORE_FIXTURE_H_
#define ACTIONDFS_TESTS_UNIT_TREE_STORE_FIXTURE_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "hook/cas/blob_store.h"
#include "hook/cas/layout.h"
#include "tests/unit/shared/wire_writer.h"

namespace actiondfs::tree {

class StoreFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "actiondfs-tree-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
    auto store = cas::BlobStore::Open(path_, cas::Layout::kSharded);
    ASSERT_TRUE(store.has_value()) << store.error().ToString();
    store_.emplace(std::move(store).value());
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const cas::BlobStore& store() const { return *store_; }

  cas::Digest Put(std::string_view blob) {
    const auto digest = store_->Put(blob);
    EXPECT_TRUE(digest.has_value()) << digest.error().ToString();
    return digest.value_or(cas::Digest{});
  }
  // Puts other bytes where the blob of `digest` is.
  void Replace(const cas::Digest& digest, std::string_view bytes) {
    const std::filesystem::path file = path_ / cas::BlobPath(cas::Layout::kSharded, digest);
    std::filesystem::remove(file);
    std::ofstream(file, std::ios::binary) << bytes;
  }
  void Remove(const cas::Digest& digest) {
    std::filesystem::remove(path_ / cas::BlobPath(cas::Layout::kSharded, digest));
  }

 private:
  std::filesystem::path path_;
  std::optional<cas::BlobStore> store_;
};

// A node of a file or a directory with that digest.
inline testing::WireWriter NodeOf(std::string_view name, const cas::Digest& digest) {
  return testing::WireWriter()
      .Bytes(testing::kName, name)
      .Bytes(testing::kDigest,
             testing::DigestMessage(digest.HashHex(), static_cast<uint64_t>(digest.size)));
}

}  // namespace actiondfs::tree

#endif  // ACTIONDFS_TESTS_UNIT_TREE_STORE_FIXTURE_H_
