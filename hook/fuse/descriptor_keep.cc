// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/descriptor_keep.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>
#include <set>
#include <vector>

#include "hook/base/socket.h"

namespace actiondfs::fuse {
namespace {

// Enough for kMax and more, where the host allows no more than the usual.
constexpr int kQueueSize = 212992;
constexpr size_t kMaxDead = 32;

bool HasInput(int socket) {
  pollfd polled = {socket, POLLIN, 0};
  return ::poll(&polled, 1, 0) > 0 && (polled.revents & POLLIN) != 0;
}

}  // namespace

// EAGAIN: the queue is empty.
Result<DescriptorKeep::Entry> DescriptorKeep::Receive(int socket, int flags, UniqueFd& fd) {
  ASSIGN_OR_RETURN(Message message, ReceiveMessageNow(socket, sizeof(Entry), flags));
  Entry entry = {};
  if (message.data.size() != sizeof(entry) || message.fds.size() > 1) {
    return MakeError(EPROTO, "what was kept");
  }
  std::memcpy(&entry, message.data.data(), sizeof(entry));
  if (!message.fds.empty()) {
    fd = std::move(message.fds.front());
  }
  return entry;
}

Status DescriptorKeep::Send(int socket, const Entry& entry, int fd) {
  return SendMessage(socket, {reinterpret_cast<const char*>(&entry), sizeof(entry)},
                     fd >= 0 ? std::vector<int>{fd} : std::vector<int>());
}

Result<std::unique_ptr<DescriptorKeep>> DescriptorKeep::Make() {
  int pair[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
    return ErrnoError("socketpair");
  }
  std::unique_ptr<DescriptorKeep> keep(new DescriptorKeep(UniqueFd(pair[0]), UniqueFd(pair[1])));
  if (::setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &kQueueSize, sizeof(kQueueSize)) != 0) {
    return ErrnoError("SO_SNDBUF");
  }
  return keep;
}

Result<std::unique_ptr<DescriptorKeep>> DescriptorKeep::Adopt(UniqueFd one, UniqueFd other) {
  if (HasInput(one.get())) {
    std::swap(one, other);
  }
  return std::unique_ptr<DescriptorKeep>(new DescriptorKeep(std::move(one), std::move(other)));
}

Status DescriptorKeep::Turn(const std::function<bool(const Entry&, UniqueFd&)>& keep) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const Entry mark = {0, 0, static_cast<uint64_t>(now.count())};
  RETURN_IF_ERROR(Send(one_.get(), mark, -1));
  queued_ = 0;
  for (;;) {
    UniqueFd fd;
    ASSIGN_OR_RETURN(const Entry entry, Receive(other_.get(), MSG_PEEK, fd));
    if (entry.id != 0 && fd.valid()) {
      const int number = fd.get();
      // `keep` may take the descriptor: it is open all the same.
      if (keep(entry, fd)) {
        RETURN_IF_ERROR(Send(one_.get(), entry, number));
        ++queued_;
      }
    }
    UniqueFd same;
    RETURN_IF_ERROR(Receive(other_.get(), 0, same));
    if (entry.id == 0 && entry.serial == mark.serial) {
      return {};
    }
  }
}

void DescriptorKeep::Sweep() noexcept try {
  std::set<uint32_t> seen;
  (void)Turn([&](const Entry& entry, UniqueFd&) {
    const auto found = live_.find(entry.id);
    return found != live_.end() && found->second == entry.serial && seen.insert(entry.id).second;
  });
} catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): the next time, then
}

bool DescriptorKeep::Put(uint32_t id, int fd) {
  const std::lock_guard lock(mutex_);
  if (live_.contains(id)) {
    return true;
  }
  if (queued_ >= live_.size() + kMaxDead) {
    Sweep();
  }
  if (live_.size() >= kMax || !Send(one_.get(), {id, 0, serial_ + 1}, fd)) {
    return false;
  }
  live_[id] = ++serial_;
  ++queued_;
  return true;
}

void DescriptorKeep::Drop(uint32_t id) {
  const std::lock_guard lock(mutex_);
  if (live_.erase(id) > 0) {
    Sweep();
  }
}

std::map<uint32_t, UniqueFd> DescriptorKeep::Take() {
  const std::lock_guard lock(mutex_);
  std::map<uint32_t, UniqueFd> taken;
  (void)Turn([&](const Entry& entry, UniqueFd& fd) {
    uint64_t& newest = live_[entry.id];
    if (entry.serial <= newest) {
      return false;
    }
    newest = entry.serial;
    serial_ = std::max(serial_, newest);
    taken[entry.id] = std::move(fd);
    return true;
  });
  return taken;
}

}  // namespace actiondfs::fuse
