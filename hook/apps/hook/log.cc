// SPDX-License-Identifier: Apache-2.0
//
// Not syslog(3): that one makes sockets and reads the time zone whenever it likes.
#include "hook/apps/hook/log.h"

#include <sys/socket.h>
#include <sys/syslog.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <optional>

#include "hook/base/unique_fd.h"

namespace actiondfs::hook {
namespace {

constexpr sockaddr_un kLog = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};

// Engaged once it was tried.
std::optional<UniqueFd> log_socket;

}  // namespace

void OpenLog() {
  if (log_socket) {
    return;
  }
  log_socket.emplace(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (::connect(log_socket->get(), reinterpret_cast<const sockaddr*>(&kLog), sizeof(kLog)) != 0) {
    log_socket->Reset();
  }
}

void Log(const std::string& line) {
  (void)std::fprintf(stderr, "actiondfs-hook: %s\n", line.c_str());
  OpenLog();
  if (log_socket->valid()) {
    const std::string entry = "<" + std::to_string(LOG_DAEMON | LOG_ERR) + ">actiondfs-hook[" +
                              std::to_string(::getpid()) + "]: " + line;
    // Nothing can be done about a failure, and a log that is stuck must not hold up a container.
    (void)::send(log_socket->get(), entry.data(), entry.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

}  // namespace actiondfs::hook
