// SPDX-License-Identifier: Apache-2.0
//
// The hook's last line: to stderr, which runc and podman show, and to the system's log, since crun
// throws a hook's stderr away. Single-threaded.
#ifndef ACTIONDFS_HOOK_APPS_HOOK_LOG_H_
#define ACTIONDFS_HOOK_APPS_HOOK_LOG_H_

#include <string>

namespace actiondfs::hook {

// Connects to the system's log, where there is one. For before the hook gives up making sockets;
// Log does it else.
void OpenLog();
void Log(const std::string& line);

}  // namespace actiondfs::hook

#endif  // ACTIONDFS_HOOK_APPS_HOOK_LOG_H_
