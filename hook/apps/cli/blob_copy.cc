// SPDX-License-Identifier: Apache-2.0
#include "hook/apps/cli/blob_copy.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>

#include "hook/base/files.h"
#include "hook/cas/hasher.h"

namespace actiondfs::cli {
namespace {

constexpr size_t kChunk = size_t{256} << 10;

}  // namespace

Status CopyBlob(const cas::BlobStore& store, const cas::Digest& digest, int to) {
  const std::string name = "blob " + digest.ToString();
  if (digest.function != cas::HashFunction::kSha256) {
    return MakeError(EOPNOTSUPP, name + ": this build cannot hash " +
                                     std::string(cas::ToString(digest.function)));
  }
  ASSIGN_OR_RETURN(const UniqueFd from, store.OpenBlob(digest, O_RDONLY));
  const auto buffer = std::make_unique_for_overwrite<char[]>(kChunk);
  cas::Hasher hasher;
  for (;;) {
    const ssize_t n = ::read(from.get(), buffer.get(), kChunk);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return ErrnoError("read " + name);
    }
    if (n == 0) {
      break;
    }
    const std::string_view data(buffer.get(), static_cast<size_t>(n));
    hasher.Update(data);
    if (to >= 0) {
      RETURN_IF_ERROR(WriteAll(to, data));
    }
  }
  if (const cas::Digest actual = hasher.Finish(); actual != digest) {
    return MakeError(EUCLEAN, name + ": its content is " + actual.ToString());
  }
  return {};
}

}  // namespace actiondfs::cli
