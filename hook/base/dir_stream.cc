// SPDX-License-Identifier: Apache-2.0
#include "hook/base/dir_stream.h"

#include <cerrno>
#include <string_view>

namespace actiondfs {

Result<DirStream> DirStream::Adopt(UniqueFd dir) {
  DIR* stream = ::fdopendir(dir.get());
  if (stream == nullptr) {
    return ErrnoError("read directory");
  }
  (void)dir.Release();  // the stream owns it now
  return DirStream(stream);
}

Result<std::optional<DirEntry>> DirStream::Next() {
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(dir_.get());  // NOLINT(concurrency-mt-unsafe): own stream
    if (entry == nullptr) {
      if (errno != 0) {
        return ErrnoError("read directory");
      }
      return std::nullopt;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") {
      return DirEntry{std::string(name), entry->d_type};
    }
  }
}

int DirStream::fd() const {
  return ::dirfd(dir_.get());
}

void DirStream::Close::operator()(DIR* dir) const {
  const int saved = errno;
  ::closedir(dir);
  errno = saved;
}

}  // namespace actiondfs
