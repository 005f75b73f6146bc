// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/fuse_client.h"

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "actiondfs/serve.pb.h"
#include "hook/base/socket.h"
#include "hook/base/text.h"

namespace actiondfs::mount {
namespace {

// Far over what the server needs, and under the time that runtimes give a hook.
constexpr std::chrono::seconds kTimeout(10);
constexpr size_t kMaxReply = size_t{1} << 20;
constexpr int kLargestErrno = 4095;

struct Answer {
  Reply reply;
  std::vector<UniqueFd> fds;
};

std::unexpected<Error> Improper() {
  return MakeError(EPROTO, "the FUSE server gave no proper answer");
}

bool IsErrnoOrNone(int code) {
  return code >= 0 && code <= kLargestErrno;
}

// It is printed as it is, and becomes the name of a metric.
bool IsCounterName(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

Result<UniqueFd> Connect(const std::string& path) {
  auto socket = ConnectUnix(path, kTimeout);
  if (!socket && (socket.error().code() == ENOENT || socket.error().code() == ECONNREFUSED)) {
    return Wrap(
        std::move(socket).error(),
        "the FUSE server does not run (start it: systemctl start actiondfs-serve.socket, or: "
        "actiondfs serve --socket " +
            Printable(path) + ")");
  }
  return socket;
}

// Empty data: the server has gone without an answer.
Result<Message> AskOnce(const std::string& path, const Request& request,
                        const std::vector<int>& fds) {
  ASSIGN_OR_RETURN(const UniqueFd socket, Connect(path));
  RETURN_IF_ERROR(SendMessage(socket.get(), request.SerializeAsString(), fds));
  return ReceiveMessage(socket.get(), kMaxReply, kTimeout);
}

bool HasGone(const Result<Message>& message) {
  return message ? message->data.empty()
                 : message.error().code() == ECONNRESET || message.error().code() == EPIPE;
}

// An answer of that kind; the server's error is the error.
Result<Answer> Ask(const std::string& path, const Request& request, Reply::KindCase kind,
                   const std::vector<int>& fds = {}) {
  auto asked = AskOnce(path, request, fds);
  if (HasGone(asked)) {
    // It was killed. Where a service manager starts it again, the socket is there all the time; and
    // a mount that was made but not handed over has ended with it.
    asked = AskOnce(path, request, fds);
  }
  ASSIGN_OR_RETURN(Message message, std::move(asked));
  Answer answer;
  if (message.data.empty()) {
    return MakeError(ECONNRESET, "the FUSE server ended before it answered");
  }
  if (!answer.reply.ParseFromString(message.data) || !IsErrnoOrNone(answer.reply.error())) {
    return Improper();
  }
  if (answer.reply.error() != 0) {
    return MakeError(answer.reply.error(),
                     "FUSE server: " + Printable(answer.reply.message(), 1000));
  }
  if (answer.reply.kind_case() != kind) {
    return Improper();
  }
  answer.fds = std::move(message.fds);
  return answer;
}

}  // namespace

Status FuseClient::Probe() const {
  // Connecting is enough, and a third of the time of asking: it is part of every container's start.
  RETURN_IF_ERROR(Connect(socket_path_));
  return {};
}

Result<DetachedMount> FuseClient::Mount(const TreeRequest& tree, const cas::BlobStore& store,
                                        int stage_fd) const {
  Request request;
  MountRequest& mount = *request.mutable_mount();
  mount.set_id(tree.id);
  mount.set_cas_name(tree.cas_name);
  mount.set_layout(std::string(cas::ToString(store.layout())));
  mount.set_root_hash(tree.root.hash.data(), tree.root.hash.size());
  mount.set_root_size(tree.root.size);
  mount.set_has_stage(stage_fd >= 0);
  mount.set_uid(tree.uid);
  mount.set_gid(tree.gid);
  mount.set_inodes_by_content(tree.inodes_by_content);
  mount.set_no_passthrough(tree.no_passthrough);
  mount.set_many_roots(tree.many_roots);
  mount.set_list_roots(tree.list_roots);
  mount.set_selinux_context(tree.selinux_context);
  std::vector<int> fds = {store.dir_fd()};
  if (stage_fd >= 0) {
    fds.push_back(stage_fd);
  }
  ASSIGN_OR_RETURN(Answer answer, Ask(socket_path_, request, Reply::kMount, fds));
  if (answer.fds.size() != 1) {
    return MakeError(EPROTO, "the FUSE server answered without a mount");
  }
  return DetachedMount(std::move(answer.fds[0]));
}

Result<Statistics> FuseClient::Stats(const std::string& id) const {
  Request request;
  request.mutable_stats()->set_id(id);
  ASSIGN_OR_RETURN(const Answer answer, Ask(socket_path_, request, Reply::kStats));
  Statistics stats;
  for (const Counter& counter : answer.reply.stats().counters()) {
    if (!IsCounterName(counter.name())) {
      return Improper();
    }
    stats.counters.emplace_back(counter.name(), counter.value());
  }
  stats.stage_error = answer.reply.stats().stage_error();
  if (!IsErrnoOrNone(stats.stage_error)) {
    return Improper();
  }
  return stats;
}

Result<std::vector<TreeMount>> FuseClient::List() const {
  std::vector<TreeMount> mounts;
  bool more = true;
  while (more) {
    ASSIGN_OR_RETURN(more, ListMore(mounts));
  }
  return mounts;
}

// False: that was all.
Result<bool> FuseClient::ListMore(std::vector<TreeMount>& mounts) const {
  Request request;
  std::string last = mounts.empty() ? "" : mounts.back().id;
  request.mutable_list()->set_after(last);
  ASSIGN_OR_RETURN(const Answer answer, Ask(socket_path_, request, Reply::kList));
  for (const MountInfo& info : answer.reply.list().mounts()) {
    if (Printable(info.id()) != info.id() || Printable(info.root()) != info.root() ||
        info.id() <= last) {
      return Improper();
    }
    last = info.id();
    mounts.push_back({.id = info.id(),
                      .point = "",
                      .root = info.root(),
                      .cas_name = info.cas_name(),
                      .strict = info.strict(),
                      .passthrough = info.passthrough(),
                      .since_unix_seconds = info.since_unix_seconds()});
  }
  if (answer.reply.list().more() && answer.reply.list().mounts().empty()) {
    return Improper();
  }
  return answer.reply.list().more();
}

}  // namespace actiondfs::mount
