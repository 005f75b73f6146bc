// SPDX-License-Identifier: Apache-2.0
//
// What is hashed must be what is written, whoever changes the file in between. A small file is read
// once, and hashed and written from memory. A large one is hashed first, and read again only where
// the store lacks it; the copy is hashed too, and dropped where it differs.
#include "hook/cas/import_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <functional>
#include <string_view>
#include <utility>

#include "hook/base/files.h"

namespace actiondfs::cas {
namespace {

constexpr size_t kSmall = size_t{1} << 20;
constexpr size_t kChunk = size_t{256}
                          << 10;  // stays in the processor's cache between read, hash and write
static_assert(kChunk <= kSmall);

std::unexpected<Error> Changed() {
  return MakeError(EBUSY, "the file changed while it was read");
}

Result<size_t> ReadSome(int fd, char* buffer, size_t size) {
  for (;;) {
    const ssize_t n = ::read(fd, buffer, size);
    if (n >= 0) {
      return static_cast<size_t>(n);
    }
    if (errno != EINTR) {
      return ErrnoError("read");
    }
  }
}

bool SameFile(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

}  // namespace

FileImporter::FileImporter(const BlobStore& store)
    : store_(store), buffer_(std::make_unique_for_overwrite<char[]>(kSmall + 1)) {}

Result<ImportedFile> FileImporter::Import(int dirfd, const std::string& name) {
  // O_NONBLOCK: should the name have become a FIFO since it was listed, nobody waits for its
  // writer.
  const int fd =
      ::openat(dirfd, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) {
    store_failed_ = false;
    return ErrnoError("open");
  }
  const UniqueFd owned(fd);
  return Import(owned.get());
}

Result<ImportedFile> FileImporter::Import(int fd) {
  store_failed_ = false;
  ASSIGN_OR_RETURN(const struct stat before, StatFd(fd));
  if (!S_ISREG(before.st_mode)) {
    return MakeError(EOPNOTSUPP, "not a regular file any more");
  }
  ImportedFile file;
  file.mode = before.st_mode;
  file.mtime = before.st_mtim;
  ASSIGN_OR_RETURN(file.is_new, static_cast<size_t>(before.st_size) <= kSmall
                                    ? AddSmall(fd, before.st_size, file.digest)
                                    : AddLarge(fd, before.st_size, file.digest));
  ASSIGN_OR_RETURN(const struct stat after, StatFd(fd));
  if (!SameFile(before, after)) {
    return Changed();
  }
  return file;
}

Result<bool> FileImporter::AddSmall(int fd, off_t size, Digest& digest) {
  size_t have = 0;
  for (;;) {
    ASSIGN_OR_RETURN(const size_t n, ReadSome(fd, buffer_.get() + have, kSmall + 1 - have));
    have += n;
    if (n == 0 || have > kSmall) {
      break;
    }
  }
  if (have != static_cast<size_t>(size)) {
    return Changed();
  }
  const std::string_view data(buffer_.get(), have);
  hasher_.Update(data);
  digest = hasher_.Finish();
  return AddToStore(digest, [data](int to) { return WriteAll(to, data); });
}

Result<bool> FileImporter::AddLarge(int fd, off_t size, Digest& digest) {
  ASSIGN_OR_RETURN(digest, HashAndCopy(fd, -1));
  if (digest.size != size) {
    return Changed();
  }
  bool changed = false;
  auto added = AddToStore(digest, [&](int to) -> Status {
    if (::lseek(fd, 0, SEEK_SET) < 0) {
      return ErrnoError("seek");
    }
    ASSIGN_OR_RETURN(const Digest copied, HashAndCopy(fd, to));
    changed = copied != digest;
    return changed ? Status(Changed()) : Status();
  });
  if (changed) {
    store_failed_ = false;
    return Changed();
  }
  return added;
}

// The digest of what is left in `from`; with `to` not negative, that is also written there.
Result<Digest> FileImporter::HashAndCopy(int from, int to) {
  (void)hasher_.Finish();  // what an earlier error left half done
  for (;;) {
    ASSIGN_OR_RETURN(const size_t n, ReadSome(from, buffer_.get(), kChunk));
    if (n == 0) {
      return hasher_.Finish();
    }
    const std::string_view data(buffer_.get(), n);
    hasher_.Update(data);
    if (to >= 0) {
      RETURN_IF_ERROR(WriteAll(to, data));
    }
  }
}

Result<bool> FileImporter::AddToStore(const Digest& digest,
                                      const std::function<Status(int)>& fill) {
  auto added = store_.Add(digest, fill);
  store_failed_ = !added;
  return added;
}

}  // namespace actiondfs::cas
