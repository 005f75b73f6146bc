// SPDX-License-Identifier: Apache-2.0
//
// The FUSE server (proto/actiondfs/serve.proto): answers requests on Unix sockets and keeps the
// mounts that it made. Run is single-threaded; the mounts have threads of their own. One Server a
// process: it sets the umask and SIGUSR2.
#ifndef ACTIONDFS_HOOK_FUSE_SERVER_H_
#define ACTIONDFS_HOOK_FUSE_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hook/base/result.h"
#include "hook/base/socket.h"
#include "hook/base/unique_fd.h"
#include "hook/fuse/budget.h"
#include "hook/fuse/fd_store.h"
#include "hook/tree/directory_cache.h"

namespace actiondfs {
class MountRequest;
class Reply;
class Request;
}  // namespace actiondfs

namespace actiondfs::fuse {

struct ServerOptions {
  UniqueFd listener;    // a listening SOCK_SEQPACKET socket; may be invalid
  UniqueFd connection;  // a client that is connected already; may be invalid
  UniqueFd stop;        // readable: Run returns; may be invalid
  bool passthrough = true;
  bool exit_when_idle = false;  // Run returns when there is no mount and no client any more
  std::string version;
  size_t cache_bytes = size_t{256} << 20;  // of parsed Directories
  // The descriptors' pool is set by the server.
  Limits limits = kDefaultLimits;
  bool prune = true;             // false: as on kernels before 6.18
  FdStore fd_store;              // of a service manager; may keep nothing
  std::vector<PassedFd> stored;  // what an earlier process had stored there
};

class Server {
 public:
  explicit Server(ServerOptions options);
  ~Server();  // cuts off the mounts that are left, and no process resumes them
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Serves until it is told to stop.
  Status Run();

 private:
  struct Mounted;
  struct Answer;
  Status Prepare();
  void Accept();
  // False: the client is done with.
  bool Serve(int client);
  Answer Handle(const Request& request, std::vector<UniqueFd> fds);
  Answer HandleMount(const MountRequest& request, std::vector<UniqueFd> fds);
  Answer HandleStats(const std::string& id);
  Answer HandleList(const std::string& after) const;
  Status FreeId(const std::string& id);
  Result<UniqueFd> Mount(const MountRequest& request, std::vector<UniqueFd> fds, bool& passthrough);
  // What a mount does when it ends.
  std::function<void()> Ender() const;
  void Reap();
  // Mounts of an earlier process, in the descriptors that it stored.
  void Resume();
  Result<std::unique_ptr<Mounted>> ResumeOne(std::vector<UniqueFd> fds);
  // From now on `mounted` can be resumed, if the service manager takes it.
  void Keep(Mounted& mounted);
  void Unkeep(const Mounted& mounted);

  ServerOptions options_;
  UniqueFd ended_;  // eventfd: some mount has ended
  tree::DirectoryCache cache_;
  size_t most_mounts_;
  Pool pool_;
  std::map<std::string, std::unique_ptr<Mounted>> mounts_;
  std::vector<std::unique_ptr<Mounted>> ending_;  // unmounted, and their id is another's
  std::vector<UniqueFd> clients_;
  uint64_t last_stored_ = 0;    // numbers name what is stored
  bool accept_paused_ = false;  // descriptors were short
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_SERVER_H_
