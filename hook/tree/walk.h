// SPDX-License-Identifier: Apache-2.0
//
// Finding one path in a tree, and walking over a whole tree, Directory by Directory, each loaded
// when its turn comes. Paths are relative to the root, components separated by "/", "" is the root;
// they are bytes of the tree's author: Printable before they are shown. Thread-safe: no state but
// the arguments'.
#ifndef ACTIONDFS_HOOK_TREE_WALK_H_
#define ACTIONDFS_HOOK_TREE_WALK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hook/base/result.h"
#include "hook/cas/blob_store.h"
#include "hook/tree/directory.h"
#include "hook/tree/directory_cache.h"

namespace actiondfs::tree {

// PATH_MAX: a deeper tree has paths that no system call takes.
inline constexpr size_t kMaxDepth = 2048;

// What Resolve found.
struct Resolved {
  Entry entry;                              // for the root: a directory without a name
  std::shared_ptr<const Directory> parent;  // owns what `entry` borrows; null for the root
};

// Leading, trailing and repeated slashes, and ".", are skipped; ".." is ENOENT, as no entry has
// that name, and so is what does not exist. ENOTDIR: a component on the way is a file or a symlink
// (symlinks are not followed). Otherwise the errors of DirectoryCache::Get, with the Directory's
// path before them.
Result<Resolved> Resolve(DirectoryCache& cache, const cas::BlobStore& store,
                         const cas::Digest& root, std::string_view path);

enum class Visit : uint8_t {
  kContinue,
  kSkip,  // does not go into this directory; for other entries as kContinue
  kStop,  // ends the walk, with success
};

struct Visitor {
  // Each entry but the root; a directory comes before what is in it, and the entries of one
  // Directory come in the order of their names' bytes, whatever their kind. The entry is valid
  // during the call.
  std::function<Result<Visit>(const std::string& path, const Entry& entry)> entry;
  // After everything below a directory that was entered, the root too. May be empty.
  std::function<Status(const std::string& path)> leave;
  // A Directory that could not be loaded: return the error to end the walk with it, or success to
  // go on without what is below. Empty: the walk ends. `leave` is not called for it.
  std::function<Status(const std::string& path, const cas::Digest& digest, Error error)> failure;
};

// Iterative, and once for each path: a Directory that is in the tree twice is walked twice. Memory:
// one Directory for each level. ELOOP: over kMaxDepth levels. Otherwise the visitor's errors, and
// those of DirectoryCache::Get with the Directory's path before them.
Status Walk(DirectoryCache& cache, const cas::BlobStore& store, const cas::Digest& root,
            const Visitor& visitor);

// All entries of a Directory, by index, in the order of their names' bytes.
std::vector<size_t> OrderByName(const Directory& directory);

}  // namespace actiondfs::tree

#endif  // ACTIONDFS_HOOK_TREE_WALK_H_
