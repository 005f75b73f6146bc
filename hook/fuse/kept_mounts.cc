// SPDX-License-Identifier: Apache-2.0
//
// Server's mounts in the service manager's store: there while they live, and taken up again by the
// process after one that was killed.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <map>
#include <utility>

#include "actiondfs/serve.pb.h"
#include "hook/base/files.h"
#include "hook/base/text.h"
#include "hook/cas/layout.h"
#include "hook/fuse/log.h"
#include "hook/fuse/mount_session.h"
#include "hook/fuse/mounted.h"
#include "hook/fuse/server.h"

namespace actiondfs::fuse {
namespace {

constexpr std::string_view kPrefix = "mount-";

// What was stored of one mount. All come under one name, in an order that the manager chooses.
struct Parts {
  UniqueFd device, memory, one, other;
  std::vector<UniqueFd> directories;
};

Result<Parts> Sort(std::vector<UniqueFd> fds) {
  Parts parts;
  for (UniqueFd& fd : fds) {
    ASSIGN_OR_RETURN(const struct stat st, StatFd(fd.get()));
    switch (st.st_mode & S_IFMT) {
      case S_IFCHR:
        parts.device = std::move(fd);
        break;
      case S_IFREG:
        parts.memory = std::move(fd);
        break;
      case S_IFSOCK:
        (parts.one.valid() ? parts.other : parts.one) = std::move(fd);
        break;
      case S_IFDIR:
        parts.directories.push_back(std::move(fd));
        break;
      default:
        break;
    }
  }
  if (!parts.device.valid() || !parts.memory.valid() || !parts.other.valid()) {
    return MakeError(EPROTO, "a part of what was stored is missing");
  }
  return parts;
}

}  // namespace

void Server::Keep(Mounted& mounted) {
  KeptState* kept = mounted.session->kept();
  if (kept == nullptr) {
    return;
  }
  const FileSystem& fs = mounted.session->file_system();
  std::vector<int> fds = {mounted.session->device(), kept->memory(), kept->descriptors().one(),
                          kept->descriptors().other(), fs.inputs.store().dir_fd()};
  if (fs.strict()) {
    fds.push_back(fs.stage->root_fd());
  }
  const std::string name = std::string(kPrefix) + std::to_string(++last_stored_);
  if (const auto stored = options_.fd_store.Store(name, fds); stored) {
    mounted.stored = name;
  } else {
    Log("actiondfs")
        .Write("mount " + mounted.id + " ends with this process: " + stored.error().ToString());
  }
}

void Server::Unkeep(const Mounted& mounted) {
  if (!mounted.stored.empty()) {
    // Where the manager does not listen, it will find that nothing is behind them.
    (void)options_.fd_store.Remove(mounted.stored);
  }
}

Result<std::unique_ptr<Server::Mounted>> Server::ResumeOne(std::vector<UniqueFd> fds) {
  ASSIGN_OR_RETURN(Parts parts, Sort(std::move(fds)));
  ASSIGN_OR_RETURN(auto kept, KeptState::Adopt(std::move(parts.memory), std::move(parts.one),
                                               std::move(parts.other)));
  MountRequest request;
  if (!request.ParseFromString(std::string(kept->request()))) {
    return MakeError(EPROTO, "what a mount was asked for with");
  }
  UniqueFd cas_dir, stage;
  for (UniqueFd& directory : parts.directories) {
    (kept->IsStage(directory.get()) ? stage : cas_dir) = std::move(directory);
  }
  if (!cas_dir.valid() || stage.valid() != request.has_stage()) {
    return MakeError(EPROTO, "a directory of a mount is missing");
  }
  ASSIGN_OR_RETURN(const cas::Layout layout, cas::ParseLayout(request.layout()));
  ASSIGN_OR_RETURN(const cas::Digest root, RootOf(request));
  ASSIGN_OR_RETURN(cas::BlobStore store,
                   cas::BlobStore::Adopt(std::move(cas_dir), request.cas_name(), layout));
  SessionOptions options = OptionsOf(request, root, options_);
  const int64_t since = kept->since();
  options.kept = std::move(kept);
  ASSIGN_OR_RETURN(auto session, MountSession::Resume(std::move(options), std::move(parts.device),
                                                      std::move(store), std::move(stage), cache_,
                                                      pool_, Ender()));
  auto mounted = std::make_unique<Mounted>(std::move(session), request, root, since);
  return mounted;
}

void Server::Resume() {
  std::map<std::string, std::vector<UniqueFd>> by_name;
  for (PassedFd& passed : std::exchange(options_.stored, {})) {
    by_name[passed.name].push_back(std::move(passed.fd));
  }
  Log log("actiondfs");
  for (auto& [name, fds] : by_name) {
    const auto number = name.starts_with(kPrefix)
                            ? ParseDecimal(std::string_view(name).substr(kPrefix.size()))
                            : std::nullopt;
    if (!number) {
      continue;  // of nothing here
    }
    last_stored_ = std::max(last_stored_, static_cast<uint64_t>(*number));
    auto mounted = ResumeOne(std::move(fds));
    if (mounted) {
      (*mounted)->stored = name;
      const std::string id = (*mounted)->id;
      mounts_[id] = std::move(*mounted);
      continue;
    }
    // Whoever uses it gets ENOTCONN now, instead of waiting.
    (void)options_.fd_store.Remove(name);
    if (mounted.error().code() != ENOTCONN) {
      log.Write("a mount could not be taken up again: " + mounted.error().ToString());
    }
  }
}

}  // namespace actiondfs::fuse
