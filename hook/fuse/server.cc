// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <new>
#include <optional>
#include <utility>

#include "actiondfs/serve.pb.h"
#include "hook/base/text.h"
#include "hook/cas/layout.h"
#include "hook/fuse/file_ops.h"
#include "hook/fuse/mount_device.h"
#include "hook/fuse/mount_session.h"
#include "hook/fuse/mounted.h"

namespace actiondfs::fuse {
namespace {

constexpr size_t kMaxRequest = size_t{64} << 10;
constexpr size_t kMaxIdLength = 256;
// At most 700 bytes each, and a packet has to fit in net.core.wmem_default.
constexpr int kMostListed = 32;
constexpr int kAcceptPause = 100;  // milliseconds
// Hooks and commands, each for one question.
constexpr size_t kMaxClients = 64;

bool IsPrintableId(const std::string& id) {
  return !id.empty() && id.size() <= kMaxIdLength && Printable(id, kMaxIdLength) == id;
}

Status CheckMount(const MountRequest& request, size_t fd_count) {
  if (!IsPrintableId(request.id())) {
    return MakeError(EINVAL, "id " + Quoted(request.id()) + ": expected 1 to 256 printable bytes");
  }
  if (request.many_roots() && request.has_stage()) {
    return MakeError(EINVAL, "a mount of many roots has no stage");
  }
  if (fd_count != (request.has_stage() ? 2U : 1U)) {
    return MakeError(EINVAL,
                     "expected the CAS directory, and the stage directory of a strict mount");
  }
  return {};
}

// How many descriptors there may be.
size_t RaiseDescriptorLimit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return 0;
  }
  const rlim_t soft = std::exchange(limit.rlim_cur, limit.rlim_max);
  // Without it there is less room for open files, and that is all.
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : soft;
}

// Half of the descriptors are for what containers keep open, the others for the mounts themselves:
// the share of each, its cached directories, and what its threads open for a moment.
Limits WithDescriptors(Limits limits, size_t descriptors) {
  limits[static_cast<size_t>(Resource::kDescriptors)].pool = descriptors / 2;
  return limits;
}

// `stored`: a service manager holds descriptors of each.
size_t MostMounts(size_t descriptors, bool stored) {
  constexpr size_t kDescriptorsEach = 256;
  constexpr size_t kStoredEach = 6;
  const size_t most = stored ? FdStore::kMost / kStoredEach : 4096;
  return std::clamp(descriptors / 2 / kDescriptorsEach, size_t{16}, most);
}

void OnWake(int /*signal*/) {}

}  // namespace

Result<cas::Digest> RootOf(const MountRequest& request) {
  cas::Digest digest;
  if (request.many_roots()) {
    return digest;
  }
  if (request.root_hash().size() != digest.hash.size() || request.root_size() < 0) {
    return MakeError(EINVAL, "root: expected a hash of 32 bytes and a size");
  }
  std::copy(request.root_hash().begin(), request.root_hash().end(), digest.hash.begin());
  digest.size = request.root_size();
  return digest;
}

SessionOptions OptionsOf(const MountRequest& request, const cas::Digest& root,
                         const ServerOptions& server) {
  SessionOptions options;
  options.file_system.id = request.id();
  options.file_system.inputs = {.root = root,
                                .uid = request.uid(),
                                .gid = request.gid(),
                                .inodes_by_content = request.inodes_by_content(),
                                .many_roots = request.many_roots()};
  options.file_system.list_roots = request.list_roots();
  options.file_system.passthrough = server.passthrough && !request.no_passthrough();
  options.file_system.prune = server.prune;
  options.selinux_context = request.selinux_context();
  return options;
}

struct Server::Answer {
  Reply reply;
  UniqueFd fd;

  static Answer Failure(const Error& error) {
    Answer answer;
    answer.reply.set_error(error.code());
    answer.reply.set_message(Printable(error.ToString(), 2000));
    return answer;
  }
};

Server::Server(ServerOptions options)
    : options_(std::move(options)),
      cache_(options_.cache_bytes),
      most_mounts_(MostMounts(RaiseDescriptorLimit(), options_.fd_store.available())),
      pool_(WithDescriptors(options_.limits, RaiseDescriptorLimit())) {
  if (options_.connection.valid()) {
    clients_.push_back(std::move(options_.connection));
  }
}

Server::~Server() {
  for (const auto& [id, mounted] : mounts_) {
    Unkeep(*mounted);
  }
  for (const auto& mounted : ending_) {
    Unkeep(*mounted);
  }
}

Status Server::Prepare() {
  ended_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!ended_.valid()) {
    return ErrnoError("eventfd");
  }
  ::umask(0);  // modes are the container's: its kernel has applied its umask
  struct sigaction action = {};
  action.sa_handler = OnWake;  // and no SA_RESTART
  if (::sigaction(SIGUSR2, &action, nullptr) != 0) {
    return ErrnoError("sigaction");
  }
  return {};
}

Status Server::Run() {
  RETURN_IF_ERROR(Prepare());
  Resume();
  RETURN_IF_ERROR(options_.fd_store.Ready());
  while (!options_.exit_when_idle || !mounts_.empty() || !clients_.empty()) {
    // Negative descriptors are skipped by poll(2).
    std::vector<pollfd> polled = {{ended_.get(), POLLIN, 0},
                                  {options_.stop.get(), POLLIN, 0},
                                  {accept_paused_ ? -1 : options_.listener.get(), POLLIN, 0}};
    const size_t first_client = polled.size();
    for (const UniqueFd& client : clients_) {
      polled.push_back({client.get(), POLLIN, 0});
    }
    const int timeout = std::exchange(accept_paused_, false) ? kAcceptPause : -1;
    if (::poll(polled.data(), polled.size(), timeout) < 0) {
      if (errno == EINTR) {
        continue;
      }
      return ErrnoError("poll");
    }
    if (polled[1].revents != 0) {
      return {};
    }
    if (polled[0].revents != 0) {
      Reap();
    }
    for (size_t i = clients_.size(); i-- > 0;) {
      if (polled[first_client + i].revents != 0 && !Serve(clients_[i].get())) {
        clients_.erase(clients_.begin() + static_cast<ptrdiff_t>(i));
      }
    }
    if (polled[2].revents != 0) {
      Accept();
    }
  }
  return {};
}

void Server::Accept() {
  UniqueFd client(::accept4(options_.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client.valid()) {
    // The client is gone; or descriptors are short: then it stays in the queue, and is not looked
    // at again at once.
    accept_paused_ = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
    return;
  }
  const auto peer = GetPeerCredentials(client.get());
  if (!peer || (peer->uid != 0 && peer->uid != ::geteuid())) {
    return;
  }
  // Who does not read its answer shall not hold up the others.
  const timeval patience = {5, 0};
  if (::setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0) {
    if (clients_.size() >= kMaxClients) {
      clients_.erase(clients_.begin());  // the one that came first has had the most time
    }
    clients_.push_back(std::move(client));
  }
}

bool Server::Serve(int client) {
  auto message = ReceiveMessage(client, kMaxRequest, std::chrono::milliseconds(0));
  if (!message || message->data.empty()) {
    return false;
  }
  Request request;
  const Answer answer = request.ParseFromString(message->data)
                            ? Handle(request, std::move(message->fds))
                            : Answer::Failure(Error(EPROTO, "malformed request"));
  std::vector<int> fds;
  if (answer.fd.valid()) {
    fds.push_back(answer.fd.get());
  }
  return SendMessage(client, answer.reply.SerializeAsString(), fds).has_value();
}

Server::Answer Server::Handle(const Request& request, std::vector<UniqueFd> fds) try {
  Reap();  // so that the id of a mount that has just ended is free
  switch (request.kind_case()) {
    case Request::kMount:
      return HandleMount(request.mount(), std::move(fds));
    case Request::kStats:
      return HandleStats(request.stats().id());
    case Request::kList:
      return HandleList(request.list().after());
    case Request::kPing: {
      Answer answer;
      answer.reply.mutable_ping()->set_pid(::getpid());
      answer.reply.mutable_ping()->set_version(options_.version);
      return answer;
    }
    case Request::KIND_NOT_SET:
      break;
  }
  return Answer::Failure(Error(EOPNOTSUPP, "a request that this server does not know"));
} catch (const std::bad_alloc&) {
  return Answer::Failure(Error(ENOMEM, "the server is out of memory"));
}

Server::Answer Server::HandleMount(const MountRequest& request, std::vector<UniqueFd> fds) {
  bool passthrough = false;
  auto mount = Mount(request, std::move(fds), passthrough);
  if (!mount) {
    return Answer::Failure(mount.error());
  }
  Answer answer;
  answer.reply.mutable_mount()->set_passthrough(passthrough);
  answer.fd = std::move(*mount);
  return answer;
}

// A mount that was unmounted ends in its threads' own time. Who made it does not wait for that to
// make the next one of that name: a container that is started again.
Status Server::FreeId(const std::string& id) {
  const auto found = mounts_.find(id);
  if (found == mounts_.end()) {
    return {};
  }
  if (!found->second->session->cut_off()) {
    return MakeError(EEXIST, "mount " + Quoted(id) + " is there already");
  }
  ending_.push_back(std::move(found->second));
  mounts_.erase(found);
  return {};
}

Result<UniqueFd> Server::Mount(const MountRequest& request, std::vector<UniqueFd> fds,
                               bool& passthrough) {
  RETURN_IF_ERROR(CheckMount(request, fds.size()));
  RETURN_IF_ERROR(FreeId(request.id()));
  if (mounts_.size() + ending_.size() >= most_mounts_) {
    return MakeError(ENFILE, "the server has " + std::to_string(most_mounts_) +
                                 " mounts, as many as its limits of descriptors allow");
  }
  ASSIGN_OR_RETURN(const cas::Layout layout, cas::ParseLayout(request.layout()));
  ASSIGN_OR_RETURN(const cas::Digest root, RootOf(request));
  ASSIGN_OR_RETURN(UniqueFd cas_dir, ReadOnlyView(std::move(fds[0])));
  ASSIGN_OR_RETURN(cas::BlobStore store,
                   cas::BlobStore::Adopt(std::move(cas_dir), request.cas_name(), layout));
  SessionOptions options = OptionsOf(request, root, options_);
  UniqueFd stage = request.has_stage() ? std::move(fds[1]) : UniqueFd();
  // Names of many roots are not recorded.
  if (options_.fd_store.available() && !request.many_roots()) {
    ASSIGN_OR_RETURN(options.kept, KeptState::Create());
    RETURN_IF_ERROR(options.kept->SetRequest(request.SerializeAsString()));
    if (stage.valid()) {
      RETURN_IF_ERROR(options.kept->NoteStage(stage.get()));
    }
  }
  ASSIGN_OR_RETURN(auto session, MountSession::Start(std::move(options), std::move(store),
                                                     std::move(stage), cache_, pool_, Ender()));
  passthrough = session->passthrough();
  UniqueFd mount = session->TakeMount();
  auto mounted = std::make_unique<Mounted>(std::move(session), request, root, ::time(nullptr));
  Keep(*mounted);
  mounts_[request.id()] = std::move(mounted);
  return mount;
}

std::function<void()> Server::Ender() const {
  return [ended = ended_.get()] {
    const uint64_t one = 1;
    // It fails only when the counter is full, and then the loop is awake.
    (void)!::write(ended, &one, sizeof(one));
  };
}

Server::Answer Server::HandleStats(const std::string& id) {
  const auto found = mounts_.find(id);
  if (found == mounts_.end()) {
    return Answer::Failure(Error(ENOENT, "no mount " + Quoted(id)));
  }
  FileSystem& fs = found->second->session->file_system();
  if (fs.strict()) {
    NoteFullStage(fs);
  }
  Answer answer;
  StatsReply& reply = *answer.reply.mutable_stats();
  for (size_t i = 0; i < kStatCount; ++i) {
    Counter& counter = *reply.add_counters();
    counter.set_name(kStatNames[i]);
    counter.set_value(fs.stats.Get(static_cast<Stat>(i)));
  }
  reply.set_stage_error(fs.stats.stage_error());
  for (size_t i = 0; i < kResources; ++i) {
    Counter& held = *reply.add_held();
    held.set_name(kResourceNames[i]);
    held.set_value(fs.budget.used(static_cast<Resource>(i)));
  }
  return answer;
}

Server::Answer Server::HandleList(const std::string& after) const {
  Answer answer;
  ListReply& reply = *answer.reply.mutable_list();
  for (auto next = mounts_.upper_bound(after); next != mounts_.end(); ++next) {
    if (reply.mounts_size() == kMostListed) {
      reply.set_more(true);
      break;
    }
    const auto& [id, mounted] = *next;
    MountInfo& info = *reply.add_mounts();
    info.set_id(id);
    info.set_root(mounted->root);
    info.set_cas_name(Printable(mounted->cas_name));
    info.set_strict(mounted->session->file_system().strict());
    info.set_passthrough(mounted->session->passthrough());
    info.set_since_unix_seconds(mounted->since);
  }
  return answer;
}

void Server::Reap() {
  uint64_t count = 0;
  // Nothing to read: then nothing has ended since the last time.
  if (::read(ended_.get(), &count, sizeof(count)) != sizeof(count)) {
    return;
  }
  const auto forget_ended = [this](const std::unique_ptr<Mounted>& mounted) {
    const bool ended = mounted->session->ended();
    if (ended) {
      Unkeep(*mounted);
    }
    return ended;
  };
  std::erase_if(mounts_, [&](const auto& entry) { return forget_ended(entry.second); });
  std::erase_if(ending_, forget_ended);
}

}  // namespace actiondfs::fuse
