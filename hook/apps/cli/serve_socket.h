// SPDX-License-Identifier: Apache-2.0
//
// Where the FUSE server's socket is, and a server in a process of its own. Single-threaded: a fork
// must come before any thread.
#ifndef ACTIONDFS_HOOK_APPS_CLI_SERVE_SOCKET_H_
#define ACTIONDFS_HOOK_APPS_CLI_SERVE_SOCKET_H_

#include <string>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"

namespace CLI {
class App;
}

namespace actiondfs::cli {

// Declares --socket on `command`; without it ACTIONDFS_SOCKET, else the default (design 3.8).
void AddSocketOption(CLI::App& command, std::string& path);

// In a child of a fork: a session of its own, nothing of the terminal's.
Status BecomeDaemon();

// A server for the mounts of one command. It listens at `socket_path` until that file is removed,
// goes on as long as there are mounts, and stops when there are none.
class PrivateServer {
 public:
  static Result<PrivateServer> Start(bool passthrough);
  PrivateServer(PrivateServer&&) = default;
  PrivateServer& operator=(PrivateServer&&) = delete;
  // Takes the socket away. The server lives on with its mounts.
  ~PrivateServer();

  const std::string& socket_path() const { return socket_path_; }

 private:
  PrivateServer(std::string dir, UniqueFd lifeline);

  std::string dir_, socket_path_;
  UniqueFd lifeline_;  // a connection: as long as it is open, the server does not stop
};

}  // namespace actiondfs::cli

#endif  // ACTIONDFS_HOOK_APPS_CLI_SERVE_SOCKET_H_
