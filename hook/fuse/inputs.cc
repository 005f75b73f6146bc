// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/inputs.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cstring>
#include <new>
#include <utility>

#include "hook/base/files.h"
#include "hook/base/text.h"
#include "hook/cas/layout.h"

namespace actiondfs::fuse {
namespace {

// Input inode numbers have bit 62 set and bit 63 clear: the stage's own numbers stay below.
constexpr uint64_t kInputBit = uint64_t{1} << 62;

constexpr uint32_t kDirectorySize = 4096;

// Of a path in the log; one more name and "..." may come before.
constexpr size_t kShownPath = 700;

// Not cryptographic: who builds a tree with colliding numbers confuses only their own build.
uint64_t HashBytes(uint64_t seed, std::string_view bytes) {
  constexpr uint64_t kMultiplier = 0x9ddfea08eb382d69;
  uint64_t hash = (seed ^ bytes.size()) * kMultiplier;
  while (!bytes.empty()) {
    uint64_t word = 0;
    const size_t step = bytes.size() < sizeof(word) ? bytes.size() : sizeof(word);
    std::memcpy(&word, bytes.data(), step);
    bytes.remove_prefix(step);
    hash = (hash ^ word) * kMultiplier;
    hash ^= hash >> 47;
  }
  hash *= kMultiplier;
  return hash ^ (hash >> 32);
}

uint64_t InputNumber(uint64_t hash) {
  return kInputBit | (hash & (kInputBit - 1));
}

// The server's own need, and no fault of the blob's.
bool IsShortage(int code) {
  return code == EMFILE || code == ENFILE || code == ENOMEM;
}

mode_t TypeOf(tree::EntryKind kind) {
  switch (kind) {
    case tree::EntryKind::kDirectory:
      return S_IFDIR;
    case tree::EntryKind::kSymlink:
      return S_IFLNK;
    case tree::EntryKind::kFile:
      break;
  }
  return S_IFREG;
}

}  // namespace

Inputs::Inputs(const InputOptions& options, cas::BlobStore store, tree::DirectoryCache& cache,
               NodeTable& nodes, Budget& budget, Stats& stats, Log& log)
    : options_(options),
      store_(std::move(store)),
      cache_(cache),
      nodes_(nodes),
      budget_(budget),
      stats_(stats),
      log_(log) {}

uint64_t Inputs::TopIno() {
  return InputNumber(HashBytes(0, ""));
}

Status Inputs::LoadRoot() {
  ASSIGN_OR_RETURN(auto directory, cache_.Get(store_, options_.root));
  stats_.Add(Stat::dir_loads);
  stats_.Add(Stat::root_dir_parses);
  nodes_.SetDirectory(nodes_.top(), std::move(directory));
  return {};
}

Errno<std::shared_ptr<const tree::Directory>> Inputs::Load(
    const cas::Digest& digest, const std::function<std::string()>& what) try {
  auto directory = cache_.Get(store_, digest);
  if (!directory) {
    log_.Write(fmt::format("{}: {}", what(), directory.error().ToString()));
    const int code = directory.error().code();
    return Fail(code == EUCLEAN || IsShortage(code) ? code : EIO);
  }
  if (!restoring_ && !budget_.HasRoom(Resource::kBytes, (*directory)->MemoryUse())) {
    log_.Write(fmt::format("{}: Directory {}: this mount holds {} of Directories and open handles",
                           what(), digest.ToString(), HumanBytes(budget_.used(Resource::kBytes))));
    nodes_.NoteRefusal();
    return Fail(ENOMEM);
  }
  return std::move(*directory);
} catch (const std::bad_alloc&) {
  return Fail(ENOMEM);
}

Errno<const tree::Directory*> Inputs::DirectoryOf(Node& node) {
  if (const auto* loaded = node.directory->loaded.load(std::memory_order_acquire)) {
    return loaded;
  }
  if (options_.many_roots && node.parent == nullptr) {
    return Fail(ENOENT);
  }
  stats_.Add(Stat::cached_dir_requests);
  auto directory =
      Load(EntryOf(node).digest, [&] { return "input " + Quoted(PathOf(node), 1000); });
  if (!directory) {
    return Fail(directory.error());
  }
  stats_.Add(Stat::dir_loads);
  return &nodes_.SetDirectory(node, std::move(*directory));
}

tree::Entry Inputs::EntryOf(const Node& node) const {
  if (node.parent == nullptr || (options_.many_roots && node.parent->parent == nullptr)) {
    tree::Entry entry;
    entry.kind = tree::EntryKind::kDirectory;
    if (node.parent == nullptr) {
      entry.digest = options_.root;
      return entry;
    }
    const std::lock_guard lock(roots_mutex_);
    const Root& root = *roots_[node.index];
    entry.name = root.name;
    entry.digest = root.digest;
    return entry;
  }
  // Whoever made the node had the parent's Directory loaded, and it stays as long as the parent,
  // which the child holds.
  return node.parent->directory->loaded.load(std::memory_order_acquire)->at(node.index);
}

std::string Inputs::NameOf(const Node& node) const {
  return std::string(EntryOf(node).name);
}

std::string Inputs::PathOf(const Node& node) const {
  // A tree may be as deep as it has Directories, and this is for a line in the log.
  std::string path;
  const Node* n = &node;
  for (; n->parent != nullptr && path.size() < kShownPath; n = n->parent) {
    path.insert(0, "/" + NameOf(*n));
  }
  if (n->parent != nullptr) {
    path.insert(0, "...");
  }
  return path.empty() ? "/" : path;
}

uint64_t Inputs::InoOf(const Node& directory, const tree::Entry& entry) const {
  if (options_.inodes_by_content && entry.kind == tree::EntryKind::kFile) {
    uint64_t start = 0;
    std::memcpy(&start, entry.digest.hash.data(), sizeof(start));
    return InputNumber(start);
  }
  return InputNumber(HashBytes(directory.ino, entry.name));
}

Node& Inputs::Child(Node& directory, uint32_t index, const tree::Entry& entry) {
  return nodes_.GetInput(directory, index, InoOf(directory, entry), TypeOf(entry.kind));
}

Errno<Node*> Inputs::Lookup(Node& directory, std::string_view name) {
  if (options_.many_roots && directory.parent == nullptr) {
    return LookupRoot(directory, name);
  }
  auto loaded = DirectoryOf(directory);
  if (!loaded) {
    return Fail(loaded.error());
  }
  const std::optional<size_t> index = (*loaded)->Find(name);
  if (!index) {
    return nullptr;
  }
  return &Child(directory, static_cast<uint32_t>(*index), (*loaded)->at(*index));
}

std::optional<cas::Digest> Inputs::ParseRootName(std::string_view name) const {
  constexpr size_t kHexSize = cas::kHashSize * 2;
  cas::Digest digest;
  if (name.size() < kHexSize || !FromHex(name.substr(0, kHexSize), digest.hash)) {
    return std::nullopt;
  }
  if (name.size() > kHexSize) {
    const auto size =
        name[kHexSize] == '-' ? ParseDecimal(name.substr(kHexSize + 1)) : std::nullopt;
    if (!size) {
      return std::nullopt;
    }
    digest.size = *size;
    return digest;
  }
  if (store_.layout() == cas::Layout::kHashDashSize) {
    return std::nullopt;  // without the size there is no way to the blob
  }
  const auto st = StatAt(store_.dir_fd(), cas::BlobPath(store_.layout(), digest));
  if (!st || !S_ISREG(st->st_mode)) {
    return std::nullopt;
  }
  digest.size = st->st_size;
  return digest;
}

Errno<Node*> Inputs::LookupRoot(Node& top, std::string_view name) {
  const auto digest = ParseRootName(name);
  if (!digest || !store_.Contains(*digest)) {
    return nullptr;
  }
  // Only what is a Directory becomes a root: nothing is kept for names that were tried in vain.
  auto directory = Load(*digest, [&] { return "root " + Quoted(name); });
  if (!directory) {
    return Fail(directory.error());
  }
  uint32_t index = 0;
  {
    const std::lock_guard lock(roots_mutex_);
    // Kept as long as the mount: a container may look up each Directory that the CAS has.
    if (!root_indexes_.contains(std::string(name)) && !budget_.Take(Resource::kBytes, kRootBytes)) {
      return Fail(ENOMEM);
    }
    const auto [position, added] =
        root_indexes_.try_emplace(std::string(name), static_cast<uint32_t>(roots_.size()));
    if (added) {
      roots_.push_back(std::make_unique<const Root>(Root{std::string(name), *digest}));
      stats_.Add(Stat::root_dir_parses);
    }
    index = position->second;
  }
  tree::Entry entry;
  entry.kind = tree::EntryKind::kDirectory;
  entry.name = name;
  Node& node = Child(top, index, entry);
  nodes_.SetDirectory(node, std::move(*directory));
  return &node;
}

std::vector<std::string> Inputs::RootNames() const {
  const std::lock_guard lock(roots_mutex_);
  std::vector<std::string> names;
  names.reserve(roots_.size());
  for (const auto& root : roots_) {
    names.push_back(root->name);
  }
  return names;
}

struct stat Inputs::Common(uint64_t ino, uint32_t mode, tree::Timestamp mtime,
                           uint64_t size) const {
  struct stat st = {};
  st.st_ino = ino;
  st.st_mode = mode;
  st.st_nlink = 1;
  st.st_uid = options_.uid;
  st.st_gid = options_.gid;
  st.st_size = static_cast<off_t>(size);
  st.st_blocks = static_cast<blkcnt_t>((size + 511) / 512);
  st.st_blksize = 4096;
  st.st_mtim.tv_sec = mtime.seconds;
  st.st_mtim.tv_nsec = mtime.nanoseconds;
  st.st_atim = st.st_mtim;
  st.st_ctim = st.st_mtim;
  return st;
}

struct stat Inputs::AttributesOf(uint64_t ino, const tree::Entry& entry) const {
  const uint64_t size = entry.kind == tree::EntryKind::kSymlink
                            ? entry.symlink_target.size()
                            : static_cast<uint64_t>(entry.digest.size);
  return Common(ino, TypeOf(entry.kind) | entry.Permissions(), entry.Mtime(), size);
}

struct stat Inputs::Attributes(Node& node) {
  if (!node.IsDirectory()) {
    return AttributesOf(node.ino, EntryOf(node));
  }
  // A Directory that cannot be read is told by whoever goes into it; its name is there all the
  // same.
  uint32_t permissions = 0755;
  tree::Timestamp mtime = tree::kDefaultMtime;
  if (const auto loaded = DirectoryOf(node)) {
    permissions = (*loaded)->unix_mode().value_or(permissions) & 0777;
    mtime = (*loaded)->mtime().value_or(mtime);
  }
  return Common(node.ino, S_IFDIR | permissions, mtime, kDirectorySize);
}

Errno<UniqueFd> Inputs::OpenBlob(Node& node, int flags) {
  stats_.Add(Stat::blob_open_attempts);
  const cas::Digest digest = EntryOf(node).digest;
  auto blob = store_.OpenBlob(digest, flags);
  if (blob) {
    return std::move(*blob);
  }
  const int code = blob.error().code();
  log_.Write(fmt::format("input {}: blob {}: {}", Quoted(PathOf(node), 1000), digest.ToString(),
                         blob.error().ToString()));
  return Fail(IsShortage(code) ? code : EIO);
}

}  // namespace actiondfs::fuse
