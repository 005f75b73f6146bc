// SPDX-License-Identifier: Apache-2.0
//
// One live mount: its device, libfuse's session on it and the threads that serve it, which no other
// mount shares. It ends by itself when the last reference to the mount goes.
#ifndef ACTIONDFS_HOOK_FUSE_MOUNT_SESSION_H_
#define ACTIONDFS_HOOK_FUSE_MOUNT_SESSION_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"
#include "hook/fuse/file_system.h"
#include "hook/fuse/init_exchange.h"
#include "hook/tree/directory_cache.h"

struct fuse_buf;
struct fuse_session;
struct iovec;

namespace actiondfs::fuse {

struct SessionOptions {
  FileSystemOptions file_system;
  std::string selinux_context;
  std::unique_ptr<KeptState> kept;  // null: the mount ends with this process
};

class MountSession {
 public:
  // Loads the root, makes the mount and serves it. `stage` may be invalid: read-only. `on_end` is
  // called once, by one of the session's own threads, after its last request: then (from another
  // thread) the session may be destroyed.
  static Result<std::unique_ptr<MountSession>> Start(SessionOptions options, cas::BlobStore store,
                                                     UniqueFd stage, tree::DirectoryCache& cache,
                                                     Pool& pool, std::function<void()> on_end);
  // Serves a mount that an earlier process made; `options.kept` is what that left. Fails with
  // ENOTCONN where the mount is gone.
  static Result<std::unique_ptr<MountSession>> Resume(SessionOptions options, UniqueFd device,
                                                      cas::BlobStore store, UniqueFd stage,
                                                      tree::DirectoryCache& cache, Pool& pool,
                                                      std::function<void()> on_end);
  // Cuts the mount off if it still lives: whoever uses it gets ENOTCONN. Uses SIGUSR2 to wake the
  // threads.
  ~MountSession();
  MountSession(const MountSession&) = delete;
  MountSession& operator=(const MountSession&) = delete;

  // The detached mount, once; for the caller to attach.
  UniqueFd TakeMount();
  bool ended() const { return running_ == 0; }
  // Unmounted, or cut off: it is about to end, if it has not ended.
  bool cut_off() const;
  // What a later process needs to resume it, besides the directories: borrowed. Null where this
  // kernel could not send it again what was left unanswered (before Linux 6.9).
  KeptState* kept() const;
  int device() const { return device_; }
  bool passthrough() const { return file_system_->backing.enabled(); }
  FileSystem& file_system() { return *file_system_; }

 private:
  struct Io;
  explicit MountSession(std::function<void()> on_end) : on_end_(std::move(on_end)) {}
  Status Begin(SessionOptions options, cas::BlobStore store, UniqueFd stage,
               tree::DirectoryCache& cache, Pool& pool);
  Status BeginAgain(SessionOptions options, UniqueFd device, cas::BlobStore store, UniqueFd stage,
                    tree::DirectoryCache& cache, Pool& pool);
  // Has libfuse go through the INIT of an earlier process.
  Status ReplayInit();
  Status AskAgain() const;
  Status OpenSession(UniqueFd device);
  Status StartThreads();
  void Serve();
  // False: no more will come. `slot` may be null.
  bool ServeOne(fuse_buf& buffer, RequestSlot* slot);
  void Process(const fuse_buf& buffer, RequestSlot* slot);
  void ProcessNew(const fuse_buf& buffer);
  // True where the request of an earlier process needs no more than its answer.
  bool AnswerAgain(const RequestSlot& slot, const fuse_buf& buffer) const;
  // True where the request was a TMPFILE.
  bool AnswerTmpfile(const fuse_buf& buffer);

  const std::function<void()> on_end_;
  int device_ = -1;  // libfuse's session owns it
  std::unique_ptr<FileSystem> file_system_;
  fuse_session* session_ = nullptr;
  UniqueFd mount_;
  InitExchange init_;
  std::promise<void> initialised_;  // INIT was answered
  bool replaying_ = false;          // before there is a thread
  // The kernel orders a reply before the requests that follow from it, on whichever thread they
  // come; counting replies says so in the language's own terms.
  std::atomic<uint64_t> replies_ = 0;
  std::atomic<int> running_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_MOUNT_SESSION_H_
