// SPDX-License-Identifier: Apache-2.0
//
// Importing one regular file. A FileImporter holds a buffer and belongs to one thread.
#ifndef ACTIONDFS_HOOK_CAS_IMPORT_FILE_H_
#define ACTIONDFS_HOOK_CAS_IMPORT_FILE_H_

#include <sys/types.h>

#include <ctime>
#include <functional>
#include <memory>
#include <string>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"
#include "hook/cas/blob_store.h"
#include "hook/cas/digest.h"
#include "hook/cas/hasher.h"

namespace actiondfs::cas {

struct ImportedFile {
  Digest digest;
  mode_t mode = 0;
  struct timespec mtime = {};
  bool is_new = false;  // the store had no such blob
};

class FileImporter {
 public:
  // `store` must outlive it.
  explicit FileImporter(const BlobStore& store);

  // Reads dirfd/name (symlinks are not followed) and adds it to the store. EBUSY: the file changed
  // meanwhile; EOPNOTSUPP: it is not a regular file.
  Result<ImportedFile> Import(int dirfd, const std::string& name);
  // The same with a file that is open for reading, from its beginning.
  Result<ImportedFile> Import(int fd);

  // True where the last error was the store's, not the file's.
  bool store_failed() const { return store_failed_; }

 private:
  Result<bool> AddSmall(int fd, off_t size, Digest& digest);
  Result<bool> AddLarge(int fd, off_t size, Digest& digest);
  Result<Digest> HashAndCopy(int from, int to);
  Result<bool> AddToStore(const Digest& digest, const std::function<Status(int)>& fill);

  const BlobStore& store_;
  const std::unique_ptr<char[]> buffer_;
  Hasher hasher_;
  bool store_failed_ = false;
};

}  // namespace actiondfs::cas

#endif  // ACTIONDFS_HOOK_CAS_IMPORT_FILE_H_
