// SPDX-License-Identifier: Apache-2.0
//
// What the commands that read a tree have in common: DIGEST, [PATH], the store, and the Directories
// read so far. Single-threaded.
#ifndef ACTIONDFS_HOOK_APPS_CLI_TREE_OPTIONS_H_
#define ACTIONDFS_HOOK_APPS_CLI_TREE_OPTIONS_H_

#include <cstddef>
#include <string>

#include "hook/apps/cli/cas_option.h"
#include "hook/base/result.h"
#include "hook/cas/blob_store.h"
#include "hook/cas/digest.h"
#include "hook/tree/directory_cache.h"
#include "hook/tree/walk.h"

namespace actiondfs::cli {

struct TreeOptions {
  cas::Digest digest;
  std::string path;
  CasOption cas;
};

// One command's view of a tree.
class TreeReader {
 public:
  static Result<TreeReader> Open(const TreeOptions& options);

  // PATH in the tree.
  Result<tree::Resolved> Resolve();
  // The same, which must be a directory (ENOTDIR): its digest.
  Result<cas::Digest> ResolveDirectory();
  Result<std::shared_ptr<const tree::Directory>> Load(const cas::Digest& digest);

  const cas::BlobStore& store() const { return store_; }
  tree::DirectoryCache& cache() { return *cache_; }

 private:
  TreeReader(const TreeOptions& options, cas::BlobStore store);

  const TreeOptions* options_;
  cas::BlobStore store_;
  std::unique_ptr<tree::DirectoryCache> cache_;
};

}  // namespace actiondfs::cli

#endif  // ACTIONDFS_HOOK_APPS_CLI_TREE_OPTIONS_H_
