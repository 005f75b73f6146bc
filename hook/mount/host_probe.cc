// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/host_probe.h"

#include "hook/mount/mounter.h"

namespace actiondfs::mount {
namespace {

Status ProbeBackend(oci::Backend backend, const std::string& serve_socket) {
  ASSIGN_OR_RETURN(const auto mounter, MakeMounter(backend, serve_socket));
  return mounter->Probe();
}

}  // namespace

plan::HostProbe ProbeHost(const std::string& serve_socket,
                          const std::vector<oci::Backend>& candidates) {
  plan::HostProbe probe;
  for (const oci::Backend backend : candidates) {
    const Status works = ProbeBackend(backend, serve_socket);
    if (works) {
      probe.working.insert(backend);
      break;  // connecting to a server that is not needed may start it
    }
    probe.hints[backend] = works.error().ToString();
  }
  return probe;
}

}  // namespace actiondfs::mount
