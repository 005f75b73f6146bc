// SPDX-License-Identifier: Apache-2.0
#include "hook/apps/cli/tree_options.h"

#include <cerrno>
#include <memory>
#include <utility>

#include "hook/base/text.h"

namespace actiondfs::cli {
namespace {

constexpr size_t kCacheBytes = size_t{256} << 20;

}  // namespace

TreeReader::TreeReader(const TreeOptions& options, cas::BlobStore store)
    : options_(&options),
      store_(std::move(store)),
      cache_(std::make_unique<tree::DirectoryCache>(kCacheBytes)) {}

Result<TreeReader> TreeReader::Open(const TreeOptions& options) {
  ASSIGN_OR_RETURN(cas::BlobStore store, OpenCas(options.cas));
  return TreeReader(options, std::move(store));
}

Result<tree::Resolved> TreeReader::Resolve() {
  return tree::Resolve(*cache_, store_, options_->digest, options_->path);
}

Result<cas::Digest> TreeReader::ResolveDirectory() {
  ASSIGN_OR_RETURN(const tree::Resolved found, Resolve());
  if (found.entry.kind != tree::EntryKind::kDirectory) {
    return MakeError(ENOTDIR, Quoted(options_->path));
  }
  return found.entry.digest;
}

Result<std::shared_ptr<const tree::Directory>> TreeReader::Load(const cas::Digest& digest) {
  return cache_->Get(store_, digest);
}

}  // namespace actiondfs::cli
