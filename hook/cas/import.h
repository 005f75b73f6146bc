// SPDX-License-Identifier: Apache-2.0
//
// Importing a directory tree into a store: each file becomes a blob, each directory a canonical
// REAPI Directory. Reentrant; one call uses several threads of its own.
#ifndef ACTIONDFS_HOOK_CAS_IMPORT_H_
#define ACTIONDFS_HOOK_CAS_IMPORT_H_

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "hook/base/result.h"
#include "hook/cas/blob_store.h"
#include "hook/cas/digest.h"

namespace actiondfs::cas {

// The largest Directory message that readers take (design 3.4).
inline constexpr size_t kMaxDirectoryBytes = size_t{64} << 20;

struct ImportCounts {
  uint64_t files = 0;
  uint64_t directories = 0;  // the root too
  uint64_t symlinks = 0;
  uint64_t bytes = 0;      // of all files, the same content counted each time
  uint64_t new_blobs = 0;  // that were not in the store: files and Directories
  uint64_t new_bytes = 0;
};

struct ImportProgress {
  double fraction = 0;  // 0 to 1, an estimate that never falls
  ImportCounts counts;
};

struct ImportOptions {
  int jobs = 0;                  // threads; 0: as many as processors
  bool node_properties = false;  // unix_mode (permissions only) and mtime of everything
  // Called from the calling thread a few times a second, and at the end. May be empty.
  std::function<void(const ImportProgress&)> progress;
};

struct ImportResult {
  Digest root;
  ImportCounts counts;
};

// What stood in the way: at most kMaxImportErrors, each with the path below the directory. After so
// many, or after an error of the store, the import ends at once; else it goes on, to find all of
// them.
inline constexpr size_t kMaxImportErrors = 20;
struct ImportFailure {
  std::vector<Error> errors;
};

// Symlinks are taken as they are, never followed; mount points below `dir` are imported like
// directories. A file is executable if its owner may execute it. Errors, each for one path: what is
// neither file, directory nor symlink (EOPNOTSUPP), what may not be read (EACCES), a name or target
// that is not UTF-8 (EILSEQ), a file that changes while it is read (EBUSY), the store itself within
// the tree (ELOOP). Each blob appears in the store when it is whole, the root's Directory last.
std::expected<ImportResult, ImportFailure> ImportTree(const std::string& dir,
                                                      const BlobStore& store,
                                                      const ImportOptions& options);

}  // namespace actiondfs::cas

#endif  // ACTIONDFS_HOOK_CAS_IMPORT_H_
