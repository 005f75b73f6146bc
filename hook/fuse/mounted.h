// SPDX-License-Identifier: Apache-2.0
//
// What Server knows of each of its mounts, and how a request describes one. For the files of Server
// alone.
#ifndef ACTIONDFS_HOOK_FUSE_MOUNTED_H_
#define ACTIONDFS_HOOK_FUSE_MOUNTED_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "actiondfs/serve.pb.h"
#include "hook/base/result.h"
#include "hook/cas/digest.h"
#include "hook/fuse/mount_session.h"
#include "hook/fuse/server.h"

namespace actiondfs::fuse {

// EINVAL: it has none.
Result<cas::Digest> RootOf(const MountRequest& request);
SessionOptions OptionsOf(const MountRequest& request, const cas::Digest& root,
                         const ServerOptions& server);

struct Server::Mounted {
  Mounted(std::unique_ptr<MountSession> the_session, const MountRequest& request,
          const cas::Digest& digest, int64_t when)
      : session(std::move(the_session)),
        id(request.id()),
        root(request.many_roots() ? "roots" : digest.ToString()),
        cas_name(request.cas_name()),
        since(when) {}

  std::unique_ptr<MountSession> session;
  std::string id, root, cas_name;
  int64_t since = 0;
  std::string stored;  // the name in the service manager's store; empty: is not there
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_MOUNTED_H_
