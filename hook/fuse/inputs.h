// SPDX-License-Identifier: Apache-2.0
//
// The immutable half of a mount: from nodes to Directories, attributes and blobs of the CAS. Knows
// nothing of the stage. Thread-safe.
#ifndef ACTIONDFS_HOOK_FUSE_INPUTS_H_
#define ACTIONDFS_HOOK_FUSE_INPUTS_H_

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"
#include "hook/cas/blob_store.h"
#include "hook/cas/digest.h"
#include "hook/fuse/budget.h"
#include "hook/fuse/errno_result.h"
#include "hook/fuse/log.h"
#include "hook/fuse/node.h"
#include "hook/fuse/node_table.h"
#include "hook/fuse/stats.h"
#include "hook/tree/directory.h"
#include "hook/tree/directory_cache.h"

namespace actiondfs::fuse {

struct InputOptions {
  cas::Digest root;  // unused with many_roots
  uint32_t uid = 0, gid = 0;
  bool inodes_by_content = false;
  bool many_roots = false;
};

class Inputs {
 public:
  // All references outlive the object.
  Inputs(const InputOptions& options, cas::BlobStore store, tree::DirectoryCache& cache,
         NodeTable& nodes, Budget& budget, Stats& stats, Log& log);

  // The root's Directory is read now, so that a bad digest fails before the mount is made.
  Status LoadRoot();
  // While it is so, Directories are counted, and not refused: an earlier process held them. Before
  // the first request.
  void SetRestoring(bool restoring) { restoring_ = restoring; }

  // An input directory's own Directory, from the cache or the CAS. EIO: no such blob; EUCLEAN: it
  // is no such Directory. Both are logged. ENOMEM: the mount holds too much of them; ENFILE,
  // EMFILE. For the top of many roots: ENOENT.
  Errno<const tree::Directory*> DirectoryOf(Node& node);
  // The node's entry in its parent's Directory; for the root of a single tree one with an empty
  // name.
  tree::Entry EntryOf(const Node& node) const;
  // The name, by value: names in a Directory end without NUL.
  std::string NameOf(const Node& node) const;

  // The child, with one reference; nullptr: no such name. The errors are DirectoryOf's.
  Errno<Node*> Lookup(Node& directory, std::string_view name);
  Node& Child(Node& directory, uint32_t index, const tree::Entry& entry);
  uint64_t InoOf(const Node& directory, const tree::Entry& entry) const;

  // Attributes as design 3.4 has them; a directory's are its Directory's node_properties where that
  // can be read.
  struct stat Attributes(Node& node);
  // The same from an entry alone, for what is no directory.
  struct stat AttributesOf(uint64_t ino, const tree::Entry& entry) const;

  // The file's blob, with open(2) `flags`. EIO, and a line in the log, whatever is wrong with it.
  Errno<UniqueFd> OpenBlob(Node& node, int flags);

  // Names of roots that were looked up so far, by index; with many_roots.
  std::vector<std::string> RootNames() const;
  // What a name among them takes, of kBytes.
  static constexpr size_t kRootBytes = 256;

  const cas::BlobStore& store() const { return store_; }
  const InputOptions& options() const { return options_; }
  // What the top, which has no parent, has for a st_ino. The same in every mount.
  static uint64_t TopIno();

 private:
  // `what` names it in the log.
  Errno<std::shared_ptr<const tree::Directory>> Load(const cas::Digest& digest,
                                                     const std::function<std::string()>& what);
  Errno<Node*> LookupRoot(Node& top, std::string_view name);
  std::optional<cas::Digest> ParseRootName(std::string_view name) const;
  struct stat Common(uint64_t ino, uint32_t mode, tree::Timestamp mtime, uint64_t size) const;
  std::string PathOf(const Node& node) const;  // the end of it, where it is long

  const InputOptions options_;
  const cas::BlobStore store_;
  tree::DirectoryCache& cache_;
  NodeTable& nodes_;
  Budget& budget_;
  Stats& stats_;
  Log& log_;
  bool restoring_ = false;

  struct Root {
    std::string name;
    cas::Digest digest;
  };
  mutable std::mutex roots_mutex_;
  std::vector<std::unique_ptr<const Root>> roots_;          // roots_mutex_; only grows
  std::unordered_map<std::string, uint32_t> root_indexes_;  // roots_mutex_
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_INPUTS_H_
