// SPDX-License-Identifier: Apache-2.0
#include "hook/cas/blob_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <span>
#include <utility>

#include "hook/base/beneath.h"
#include "hook/base/dir_stream.h"
#include "hook/base/files.h"
#include "hook/base/text.h"
#include "hook/cas/hasher.h"

namespace actiondfs::cas {
namespace {

constexpr mode_t kBlobMode = 0444;
constexpr mode_t kDirMode = 0755;

// The directory `name` below `dirfd` as O_PATH, made where it is missing.
Result<UniqueFd> OpenOrMakeDir(int dirfd, const std::string& name) {
  auto dir = OpenAt2(dirfd, name, O_PATH | O_DIRECTORY, kResolveBeneath);
  if (dir || dir.error().code() != ENOENT) {
    return dir;
  }
  RETURN_IF_ERROR(MkdirAt(dirfd, name, kDirMode, /*exist_ok=*/true));
  return OpenAt2(dirfd, name, O_PATH | O_DIRECTORY, kResolveBeneath);
}

// Unlike that of any other writer on this file system, whatever pid namespace it lives in.
Result<std::string> UniqueName() {
  uint64_t random = 0;
  if (::getrandom(&random, sizeof(random), 0) != sizeof(random)) {
    return ErrnoError("getrandom");
  }
  return std::to_string(random);
}

// A file below kTemporaryDir that is removed with its owner, unless it was renamed.
class TemporaryFile {
 public:
  static Result<TemporaryFile> Create(int cas_dir) {
    ASSIGN_OR_RETURN(UniqueFd dir, OpenOrMakeDir(cas_dir, kTemporaryDir));
    ASSIGN_OR_RETURN(std::string name, UniqueName());
    ASSIGN_OR_RETURN(UniqueFd fd, OpenAt2(dir.get(), name, O_WRONLY | O_CREAT | O_EXCL,
                                          kResolveBeneath, kBlobMode));
    return TemporaryFile(std::move(dir), std::move(fd), std::move(name));
  }
  TemporaryFile(TemporaryFile&&) = default;
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile() {
    if (dir_.valid()) {
      ::unlinkat(dir_.get(), name_.c_str(), 0);
    }
  }

  int fd() const { return fd_.get(); }

  // Renames it to dir/name. A file of `size` bytes that is there already wins: false. Anything else
  // that is there is replaced, in one step.
  Result<bool> RenameTo(int dir, const std::string& name, int64_t size) {
    const unsigned flags = RENAME_NOREPLACE;
    if (::renameat2(dir_.get(), name_.c_str(), dir, name.c_str(), flags) == 0) {
      dir_.Reset();
      return true;
    }
    // EINVAL: a file system that cannot do it. A race then replaces a blob by an equal one, which
    // is harmless.
    if (errno != EEXIST && errno != EINVAL) {
      return ErrnoError("rename to " + Quoted(name));
    }
    if (const auto present = StatAt(dir, name);
        present && S_ISREG(present->st_mode) && present->st_size == size) {
      return false;
    }
    if (::renameat(dir_.get(), name_.c_str(), dir, name.c_str()) != 0) {
      return ErrnoError("rename to " + Quoted(name));
    }
    dir_.Reset();
    return true;
  }

 private:
  TemporaryFile(UniqueFd dir, UniqueFd fd, std::string name)
      : dir_(std::move(dir)), fd_(std::move(fd)), name_(std::move(name)) {}

  UniqueFd dir_;
  UniqueFd fd_;
  std::string name_;
};

// The file as the digest says: regular and of its size.
Status CheckFile(int fd, const Digest& digest) {
  ASSIGN_OR_RETURN(const struct stat st, StatFd(fd));
  if (!S_ISREG(st.st_mode)) {
    return MakeError(EIO, "not a regular file");
  }
  if (st.st_size != digest.size) {
    return MakeError(EIO, "the file has " + std::to_string(st.st_size) + " bytes, not " +
                              std::to_string(digest.size));
  }
  return {};
}

// Whole and with a blob's mode, whatever the umask was.
Status Seal(int fd, const Digest& digest) {
  RETURN_IF_ERROR(CheckFile(fd, digest));
  ASSIGN_OR_RETURN(const struct stat st, StatFd(fd));
  if ((st.st_mode & 07777) != kBlobMode && ::fchmod(fd, kBlobMode) != 0) {
    return ErrnoError("chmod");
  }
  return {};
}

Result<UniqueFd> AnonymousEmptyFile() {
  UniqueFd fd(::memfd_create("actiondfs-empty-blob", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SEAL;
  if (!fd.valid() || ::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) {
    return ErrnoError("memfd");
  }
  return fd;
}

}  // namespace

BlobStore::BlobStore(UniqueFd dir, std::string name, Layout layout)
    : dir_(std::move(dir)), name_(std::move(name)), layout_(layout) {}

Result<BlobStore> BlobStore::Open(const std::string& path, std::optional<Layout> layout) {
  auto dir = OpenAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  if (!dir) {
    return Wrap(std::move(dir).error(), "CAS");
  }
  return Adopt(std::move(*dir), path, layout);
}

Result<BlobStore> BlobStore::Adopt(UniqueFd dir, std::string name, std::optional<Layout> layout) {
  if (!layout) {
    const auto detected = DetectLayout(dir.get());
    if (!detected) {
      return Wrap(detected.error(), "CAS " + Quoted(name));
    }
    layout = detected->value_or(Layout::kSharded);
  }
  return BlobStore(std::move(dir), std::move(name), *layout);
}

std::string BlobStore::Describe(const Digest& digest) const {
  return "blob " + digest.ToString() + " in CAS " + Quoted(name_);
}

Result<UniqueFd> BlobStore::OpenFile(const Digest& digest, int flags) const {
  // O_NONBLOCK so that a FIFO in a blob's place is refused below instead of waited for.
  const bool path_only = (flags & O_PATH) != 0;
  const int open_flags = path_only ? flags : flags | O_NONBLOCK | O_NOCTTY;
  auto fd = OpenAt2(dir_.get(), BlobPath(layout_, digest), open_flags, kResolveBeneath);
  if (!fd) {
    const int code = fd.error().code();
    // A symlink, or something that is no directory, in the way: the store is damaged.
    const bool damaged = code == ELOOP || code == ENOTDIR || code == ENXIO || code == EXDEV;
    return MakeError(damaged ? EIO : code,
                     Describe(digest) + (damaged ? ": not a regular file" : ""));
  }
  if (auto status = CheckFile(fd->get(), digest); !status) {
    return Wrap(std::move(status).error(), Describe(digest));
  }
  if (!path_only && (flags & O_NONBLOCK) == 0 && ::fcntl(fd->get(), F_SETFL, flags) != 0) {
    return ErrnoError(Describe(digest));
  }
  return fd;
}

Result<UniqueFd> BlobStore::OpenBlob(const Digest& digest, int flags) const {
  auto fd = OpenFile(digest, flags);
  if (!fd && fd.error().code() == ENOENT && digest == EmptyDigest()) {
    return AnonymousEmptyFile();
  }
  return fd;
}

Result<std::string> BlobStore::ReadBlob(const Digest& digest, size_t limit) const {
  if (digest.function != HashFunction::kSha256) {
    return MakeError(EOPNOTSUPP, Describe(digest) + ": this build cannot hash " +
                                     std::string(ToString(digest.function)));
  }
  if (static_cast<uint64_t>(digest.size) > limit) {
    return MakeError(EFBIG, Describe(digest) + ": over " + std::to_string(limit) + " bytes");
  }
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenBlob(digest, O_RDONLY));
  auto data = ReadAll(fd.get(), limit);
  if (!data) {
    return Wrap(std::move(data).error(), Describe(digest));
  }
  if (const Digest actual = DigestOf(*data); actual != digest) {
    return MakeError(EUCLEAN, Describe(digest) + ": its content is " + actual.ToString());
  }
  return data;
}

bool BlobStore::Contains(const Digest& digest) const {
  return OpenFile(digest, O_PATH).has_value();
}

Result<Digest> BlobStore::Put(std::string_view data) const {
  const Digest digest = DigestOf(data);
  const auto added = Add(digest, [data](int fd) { return WriteAll(fd, data); });
  if (!added) {
    return std::unexpected(added.error());
  }
  return digest;
}

Result<bool> BlobStore::Add(const Digest& digest, const std::function<Status(int fd)>& fill) const {
  if (Contains(digest)) {
    return false;
  }
  auto add = [&]() -> Result<bool> {
    ASSIGN_OR_RETURN(TemporaryFile temporary, TemporaryFile::Create(dir_.get()));
    RETURN_IF_ERROR(fill(temporary.fd()));
    RETURN_IF_ERROR(Seal(temporary.fd(), digest));
    const std::string path = BlobPath(layout_, digest);
    const size_t slash = path.find('/');
    if (slash == std::string::npos) {
      return temporary.RenameTo(dir_.get(), path, digest.size);
    }
    ASSIGN_OR_RETURN(const UniqueFd shard, OpenOrMakeDir(dir_.get(), path.substr(0, slash)));
    return temporary.RenameTo(shard.get(), path.substr(slash + 1), digest.size);
  };
  auto added = add();
  if (!added) {
    return Wrap(std::move(added).error(), "add " + Describe(digest));
  }
  return added;
}

Status BlobStore::RemoveStaleTemporaries(std::chrono::seconds age) const {
  auto dir = OpenAt2(dir_.get(), kTemporaryDir, O_RDONLY | O_DIRECTORY, kResolveBeneath);
  if (!dir) {
    return dir.error().code() == ENOENT ? Status() : std::unexpected(std::move(dir).error());
  }
  const std::time_t oldest = std::time(nullptr) - age.count();
  ASSIGN_OR_RETURN(DirStream stream, DirStream::Adopt(std::move(*dir)));
  for (;;) {
    ASSIGN_OR_RETURN(const auto entry, stream.Next());
    if (!entry) {
      return {};
    }
    const auto st = StatAt(stream.fd(), entry->name);
    if (st && S_ISREG(st->st_mode) && st->st_mtime < oldest) {
      // Another import may sweep at the same time: what is gone is gone.
      (void)UnlinkAt(stream.fd(), entry->name);
    }
  }
}

}  // namespace actiondfs::cas
