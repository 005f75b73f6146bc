// SPDX-License-Identifier: Apache-2.0
//
// Checking that every blob of a tree is in the store, whole, and what its digest says. Reentrant;
// one call uses several threads of its own.
#ifndef ACTIONDFS_HOOK_APPS_CLI_TREE_CHECK_H_
#define ACTIONDFS_HOOK_APPS_CLI_TREE_CHECK_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "hook/base/result.h"
#include "hook/cas/blob_store.h"
#include "hook/cas/digest.h"

namespace actiondfs::cli {

struct Fault {
  // "missing"; "short", "long": the file has another size; "wrong": another content; "malformed": a
  // Directory that the parser refuses; "unreadable": everything else.
  std::string kind;
  cas::Digest digest;
  std::string path;  // the first that was found; "" is the root
  std::string message;
};

struct TreeCheck {
  uint64_t blobs = 0;  // files and Directories, each digest once
  uint64_t directories = 0;
  uint64_t bytes = 0;
  std::vector<Fault> faults;  // in the order of their paths
};

// Everything is checked, whatever is found; but what is below a Directory that cannot be read
// remains unknown. `progress` is called from the calling thread a few times a second. Only what has
// to do with neither tree nor store, such as no threads, is an error.
Result<TreeCheck> CheckTree(const cas::BlobStore& store, const cas::Digest& root, int jobs,
                            const std::function<void(const TreeCheck&)>& progress);

}  // namespace actiondfs::cli

#endif  // ACTIONDFS_HOOK_APPS_CLI_TREE_CHECK_H_
