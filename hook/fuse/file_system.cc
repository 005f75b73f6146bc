// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/file_system.h"

#include <mutex>
#include <shared_mutex>
#include <utility>

#include "hook/fuse/restore.h"

namespace actiondfs::fuse {
namespace {

// Files that were open for reading and writing may still be mapped so, and the kernel does not tell
// when such a mapping, passed through, changes their mtime.
constexpr double kMappedTimeout = 1;

}  // namespace

FileSystem::FileSystem(FileSystemOptions the_options, int device, cas::BlobStore store,
                       UniqueFd stage_dir, tree::DirectoryCache& cache, Pool& pool,
                       std::unique_ptr<KeptState> the_kept)
    : options(std::move(the_options)),
      kept(std::move(the_kept)),
      log("actiondfs: mount " + options.id),
      backing(device),
      budget(pool),
      nodes(Inputs::TopIno(), budget,
            [this](Node& node) {
              backing.Forget(node);
              if (stage) {
                stage->Forget(node);
              }
            }),
      inputs(options.inputs, std::move(store), cache, nodes, budget, stats, log),
      pruner(nodes, inputs, budget, options.prune),
      stage_fd_(std::move(stage_dir)) {
  if (kept) {
    nodes.Record(kept->nodes());
    backing.Record(kept->nodes());
    handles.SetLife(kept->life());
  }
}

Status FileSystem::LoadRoot() {
  stats.Add(Stat::mounts);
  if (!options.inputs.many_roots) {
    RETURN_IF_ERROR(inputs.LoadRoot());
  }
  if (stage_fd_.valid()) {
    stage =
        std::make_unique<StageTree>(std::move(stage_fd_), nodes, inputs, budget, stats, kept.get());
  }
  return {};
}

Status FileSystem::Start() {
  RETURN_IF_ERROR(LoadRoot());
  return stage ? stage->Start() : Status();
}

Status FileSystem::StartAgain() {
  RETURN_IF_ERROR(LoadRoot());
  inputs.SetRestoring(true);
  RETURN_IF_ERROR(Restore(*this));
  inputs.SetRestoring(false);
  return {};
}

Errno<struct stat> FileSystem::Attributes(Node& node) {
  if (!stage) {
    return inputs.Attributes(node);
  }
  if (node.staged) {
    const std::shared_lock lock(stage->names);
    return stage->StatusOf(node);
  }
  struct stat st = inputs.Attributes(node);
  if (!node.IsDirectory()) {
    return st;
  }
  const std::shared_lock lock(stage->names);
  const auto mirrored = stage->HasMirror(node);
  if (!mirrored) {
    return Fail(mirrored.error());
  }
  if (!*mirrored) {
    return st;
  }
  const auto mirror = stage->StatusOf(node);
  if (!mirror) {
    return Fail(mirror.error());
  }
  const bool changed =
      mirror->st_mtim.tv_sec != st.st_mtim.tv_sec || mirror->st_mtim.tv_nsec != st.st_mtim.tv_nsec;
  if (changed) {
    st.st_mtim = mirror->st_mtim;
    st.st_ctim = mirror->st_ctim;
  }
  return st;
}

double FileSystem::AttributeTimeout(const Node& node) {
  if (node.writers.load(std::memory_order_relaxed) > 0) {
    return 0;
  }
  return node.mapped_writable.load(std::memory_order_relaxed) ? kMappedTimeout : kForever;
}

}  // namespace actiondfs::fuse
