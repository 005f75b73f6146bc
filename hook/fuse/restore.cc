// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/restore.h"

#include <cerrno>
#include <map>
#include <utility>
#include <vector>

namespace actiondfs::fuse {
namespace {

// An input's entry is in its parent's Directory, so that has to be there. From the top down: a
// Directory is found through its own parent's.
Status LoadParent(FileSystem& fs, Node& node) {
  // No recursion: a tree may be as deep as it has Directories.
  std::vector<Node*> below = {&node};
  for (bool loaded = false; !loaded;) {
    Node& parent = *below.back()->parent;
    if (parent.staged || !parent.IsDirectory()) {
      return MakeError(EPROTO, "an input that is in no input directory");
    }
    loaded = parent.directory->loaded.load(std::memory_order_acquire) != nullptr;
    if (!loaded) {
      below.push_back(&parent);
    }
  }
  for (auto it = below.rbegin(); it != below.rend(); ++it) {
    const auto loaded = fs.inputs.DirectoryOf(*(*it)->parent);
    if (!loaded) {
      return MakeError(loaded.error(), "read a Directory that was in use");
    }
    if ((*it)->index >= (*loaded)->size()) {
      return MakeError(EPROTO, "an input that its Directory does not have");
    }
  }
  return {};
}

void RestoreStaged(FileSystem& fs, Node& node, std::map<uint32_t, UniqueFd>& kept) {
  node.may_be_suid = true;  // it is looked up when that matters
  node.mapped_writable = true;
  const NodeRecord& record = *fs.kept->nodes().Of(node);
  node.writers = record.writers.load(std::memory_order_relaxed);
  UniqueFd held;
  // One that has its name still, or again, needs no descriptor.
  const auto found =
      record.removed.load(std::memory_order_acquire) ? kept.find(node.id) : kept.end();
  if (found != kept.end()) {
    const auto st = stage::Status({found->second.get(), ""});
    if (st && st->st_ino == node.ino) {
      held = std::move(found->second);
    }
  }
  fs.stage->Restore(node, std::move(held));
}

}  // namespace

Status Restore(FileSystem& fs) {
  NodeRecords& records = fs.kept->nodes();
  RETURN_IF_ERROR(fs.nodes.Restore());
  for (uint32_t id = NodeRecords::kFirst; id < records.end(); ++id) {
    if (Node* node = records.At(id); node != nullptr) {
      fs.backing.Restore(*node);
      if (!node->staged) {
        RETURN_IF_ERROR(LoadParent(fs, *node));
      } else if (!fs.strict()) {
        return MakeError(EPROTO, "something staged in a mount without a stage");
      }
    }
  }
  const auto directory = [&](uint32_t id) -> Node* {
    Node* node = id == NodeRecords::kTop ? &fs.nodes.top()
                 : id < records.end()    ? records.At(id)
                                         : nullptr;
    return node != nullptr && node->IsDirectory() ? node : nullptr;
  };
  fs.kept->journal().TakeRenames([&](const RequestSlot& planned) {
    Node* from = directory(planned.rename.from.load());
    Node* to = directory(planned.rename.to);
    if (from != nullptr && to != nullptr && fs.strict()) {
      fs.stage->FinishRename(*from, *to, planned);
    }
  });
  std::map<uint32_t, UniqueFd> kept = fs.kept->descriptors().Take();
  for (uint32_t id = NodeRecords::kFirst; id < records.end(); ++id) {
    if (Node* node = records.At(id); node != nullptr && node->staged) {
      RestoreStaged(fs, *node, kept);
    }
  }
  for (const auto& [id, unused] : kept) {
    if (unused.valid()) {
      fs.kept->descriptors().Drop(id);
    }
  }
  fs.kept->journal().TakeMirrors([&](uint32_t id, const timespec(&times)[2]) {
    Node* node = directory(id);
    if (node != nullptr && node->directory && fs.strict()) {
      fs.stage->FinishMirror(*node, times);
    }
  });
  fs.nodes.DropUnused();
  RestoreStreams(fs);
  return {};
}

}  // namespace actiondfs::fuse
