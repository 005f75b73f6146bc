// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/host_probe.h"

#include "hook/mount/fuse_client.h"

namespace actiondfs::mount {

plan::HostProbe ProbeHost(const std::string& serve_socket) {
  // This build has neither the kernel nor the hardlink backend: those stay false.
  plan::HostProbe probe;
  const auto answer = FuseClient(serve_socket).Probe();
  probe.fuse_server = answer.has_value();
  if (!answer) {
    probe.fuse_hint = answer.error().ToString();
  }
  return probe;
}

}  // namespace actiondfs::mount
