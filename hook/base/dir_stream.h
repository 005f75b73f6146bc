// SPDX-License-Identifier: Apache-2.0
//
// Reading a directory entry by entry, "." and ".." left out. Owns its descriptor. One thread at a
// time.
#ifndef ACTIONDFS_HOOK_BASE_DIR_STREAM_H_
#define ACTIONDFS_HOOK_BASE_DIR_STREAM_H_

#include <dirent.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"

namespace actiondfs {

struct DirEntry {
  std::string name;
  uint8_t type = DT_UNKNOWN;  // DT_*; DT_UNKNOWN where the file system does not say
};

class DirStream {
 public:
  // Takes a directory that is open for reading (not O_PATH); its position is used. ENOTDIR.
  static Result<DirStream> Adopt(UniqueFd dir);
  // The next entry; nullopt at the end.
  Result<std::optional<DirEntry>> Next();
  int fd() const;

 private:
  struct Close {
    void operator()(DIR* dir) const;
  };
  explicit DirStream(DIR* dir) : dir_(dir) {}

  std::unique_ptr<DIR, Close> dir_;
};

}  // namespace actiondfs

#endif  // ACTIONDFS_HOOK_BASE_DIR_STREAM_H_
