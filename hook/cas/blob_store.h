// SPDX-License-Identifier: Apache-2.0
//
// A content-addressed store on a local file system: opening and adding blobs by digest, below one
// directory that is held by descriptor. Symlinks are never followed below it. Thread-safe: all
// members are const, and the file system does the rest; any number of processes may add blobs at
// once.
#ifndef ACTIONDFS_HOOK_CAS_BLOB_STORE_H_
#define ACTIONDFS_HOOK_CAS_BLOB_STORE_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"
#include "hook/cas/digest.h"
#include "hook/cas/layout.h"

namespace actiondfs::cas {

// Below the CAS directory; holds blobs that are being written.
inline constexpr char kTemporaryDir[] = ".tmp-actiondfs";

class BlobStore {
 public:
  // Opens the directory `path`. Without `layout` it is found by looking (DetectLayout); an empty
  // directory is taken for sharded. ENOENT, ENOTDIR, EACCES: of the directory.
  static Result<BlobStore> Open(const std::string& path, std::optional<Layout> layout);
  // The same with a directory that is open already. `name` is for messages.
  static Result<BlobStore> Adopt(UniqueFd dir, std::string name, std::optional<Layout> layout);

  // The blob, with open(2) flags O_RDONLY or O_PATH (others may be or'ed in). Its size is checked.
  // The empty blob needs no file, since REAPI clients do not upload it: an anonymous file stands in
  // for it then. ENOENT: no such blob. EIO: not a regular file, or not of the digest's size.
  // Callers that stand between a container and a blob turn ENOENT into EIO (a compiler would go on
  // to the next include path).
  Result<UniqueFd> OpenBlob(const Digest& digest, int flags) const;
  // The whole blob, its hash checked. EFBIG: over `limit` bytes; EUCLEAN: another hash than the
  // digest's; EOPNOTSUPP: a digest function that this build cannot hash; else as OpenBlob.
  Result<std::string> ReadBlob(const Digest& digest, size_t limit) const;
  // True where a file of the digest's size is there.
  bool Contains(const Digest& digest) const;

  // Adding. A blob is written to a temporary name below kTemporaryDir, which is no blob's name in
  // any layout, and renamed when it is whole: who kills the writer leaves a temporary, never a
  // short blob. There is no fsync: what a power failure cuts short has the wrong size, so it is
  // refused when read and replaced when added again. Blobs are 0444; shard directories are made as
  // they are needed.
  //
  // Adds `data` under its SHA-256, unless it is there; returns the digest.
  Result<Digest> Put(std::string_view data) const;
  // Adds the blob that `fill` writes to the descriptor it is given; `fill` vouches for its hash.
  // False, and `fill` not called, where the blob is there already. EIO: what was written has not
  // the digest's size.
  Result<bool> Add(const Digest& digest, const std::function<Status(int fd)>& fill) const;
  // Removes the temporaries that nobody has written to for `age`.
  Status RemoveStaleTemporaries(std::chrono::seconds age) const;

  int dir_fd() const { return dir_.get(); }
  Layout layout() const { return layout_; }
  const std::string& name() const { return name_; }

 private:
  BlobStore(UniqueFd dir, std::string name, Layout layout);
  Result<UniqueFd> OpenFile(const Digest& digest, int flags) const;
  std::string Describe(const Digest& digest) const;

  UniqueFd dir_;
  std::string name_;
  Layout layout_;
};

}  // namespace actiondfs::cas

#endif  // ACTIONDFS_HOOK_CAS_BLOB_STORE_H_
