// SPDX-License-Identifier: Apache-2.0
//
// What the operations have in common towards libfuse: from a request to its file system and nodes,
// and the replies that libfuse 3.14 cannot make. Only *_ops.cc and mount_session.cc include it.
// Thread-safe.
#ifndef ACTIONDFS_HOOK_FUSE_REPLY_H_
#define ACTIONDFS_HOOK_FUSE_REPLY_H_

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <exception>
#include <new>
#include <utility>

#include "hook/fuse/backing.h"
#include "hook/fuse/file_system.h"
#include "hook/fuse/open_handle.h"
#include "hook/fuse/wire.h"

namespace actiondfs::fuse {

inline FileSystem& FileSystemOf(fuse_req_t req) {
  return *static_cast<FileSystem*>(fuse_req_userdata(req));
}

// An open file that is not passed through.
struct FileHandle : OpenHandle {
  FileHandle(OpenHandles& all, Claim the_claim, UniqueFd the_fd)
      : OpenHandle(all), claim(std::move(the_claim)), fd(std::move(the_fd)) {}
  const Claim claim;
  const UniqueFd fd;
};

// Replies with an error, or with 0 for success.
void ReplyErrno(fuse_req_t req, int code);
void ReplyStatus(fuse_req_t req, const Errno<void>& status);
// ENOENT that the kernel may remember for ever.
void ReplyNegative(fuse_req_t req);
// The node, which the caller has referenced once for the kernel: the reference goes where the reply
// cannot be sent.
void ReplyEntry(fuse_req_t req, FileSystem& fs, Node& node);
void ReplyEntry(fuse_req_t req, FileSystem& fs, Node& node, const struct stat& st);

// fuse_entry_param of a node that has one more reference.
fuse_entry_param EntryParam(const FileSystem& fs, const Node& node, const struct stat& st);
// The same on the wire.
fuse_entry_out EntryOut(const FileSystem& fs, const Node& node, const struct stat& st);
// `fh` is of a file that is not passed through.
wire::OpenOut OpenOutOf(const FileSystem& fs, const Backing::Grant& grant,
                        const FileHandle* handle);

// An operation as libfuse calls it: no exception gets into libfuse, and a request that there is not
// enough memory for fails by itself. (Nothing is allocated after a reply.)
template <auto kOperation>
struct Guarded;
template <typename... Args, void (*kOperation)(fuse_req_t, Args...)>
struct Guarded<kOperation> {
  static void Call(fuse_req_t req, Args... args) {
    try {
      kOperation(req, args...);
    } catch (const std::bad_alloc&) {
      ReplyErrno(req, ENOMEM);
    } catch (const std::exception&) {
      ReplyErrno(req, EIO);
    }
  }
};

// Each file of operations adds its own.
void AddLookupOps(fuse_lowlevel_ops& ops);
void AddDirectoryOps(fuse_lowlevel_ops& ops);
void AddFileOps(fuse_lowlevel_ops& ops);
void AddDataOps(fuse_lowlevel_ops& ops);
void AddAttributeOps(fuse_lowlevel_ops& ops);
void AddXattrOps(fuse_lowlevel_ops& ops);
void AddCreateOps(fuse_lowlevel_ops& ops);
void AddRemoveOps(fuse_lowlevel_ops& ops);

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_REPLY_H_
