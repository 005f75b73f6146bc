// SPDX-License-Identifier: Apache-2.0
#include "hook/apps/cli/serve_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "hook/base/files.h"
#include "hook/base/socket.h"
#include "hook/fuse/server.h"
#include "hook/plan/config.h"
#include "hook/sandbox/process.h"

namespace actiondfs::cli {

void AddSocketOption(CLI::App& command, std::string& path) {
  path = plan::kDefaultSocket;
  command.add_option("--socket", path, "The FUSE server's socket")
      ->envname("ACTIONDFS_SOCKET")
      ->type_name("PATH")
      ->capture_default_str();
}

Status BecomeDaemon() {
  ASSIGN_OR_RETURN(const UniqueFd null, OpenAt(AT_FDCWD, "/dev/null", O_RDWR));
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::dup2(null.get(), standard) < 0) {
      return ErrnoError("dup2");
    }
  }
  if (::setsid() < 0 || ::chdir("/") != 0) {
    return ErrnoError("leave the terminal");
  }
  return {};
}

PrivateServer::PrivateServer(std::string dir, UniqueFd lifeline)
    : dir_(std::move(dir)), socket_path_(dir_ + "/sock"), lifeline_(std::move(lifeline)) {}

PrivateServer::~PrivateServer() {
  if (!dir_.empty()) {
    (void)UnlinkAt(AT_FDCWD, socket_path_);
    (void)UnlinkAt(AT_FDCWD, dir_, AT_REMOVEDIR);
  }
}

Result<PrivateServer> PrivateServer::Start(bool passthrough) {
  char dir[] = "/tmp/actiondfs-mount-XXXXXX";
  if (::mkdtemp(dir) == nullptr) {
    return ErrnoError("make a directory for a socket");
  }
  int pair[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return ErrnoError("socketpair");
  }
  UniqueFd theirs(pair[0]);
  PrivateServer server(dir, UniqueFd(pair[1]));
  ASSIGN_OR_RETURN(UniqueFd listener, ListenUnix(server.socket_path_, 4));
  const pid_t child = ::fork();
  if (child < 0) {
    return ErrnoError("fork");
  }
  if (child > 0) {
    return server;
  }
  // The child never returns: what the caller has open or registered is not its own.
  server.lifeline_.Reset();
  bool good = BecomeDaemon().has_value() && sandbox::Confine(sandbox::Profile::kServe).has_value();
  if (good) {
    fuse::ServerOptions options;
    options.listener = std::move(listener);
    options.connection = std::move(theirs);
    options.passthrough = passthrough;
    options.exit_when_idle = true;
    options.version = ACTIONDFS_VERSION;
    good = fuse::Server(std::move(options)).Run().has_value();
  }
  ::_exit(good ? 0 : 1);
}

}  // namespace actiondfs::cli
