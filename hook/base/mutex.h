// SPDX-License-Identifier: Apache-2.0
//
// std::mutex with the attributes of clang's thread-safety analysis (-Wthread-safety): name the
// mutex of a member by ACTIONDFS_GUARDED_BY, and clang refuses code that uses the member without
// it. Other compilers see plain mutexes.
#ifndef ACTIONDFS_HOOK_BASE_MUTEX_H_
#define ACTIONDFS_HOOK_BASE_MUTEX_H_

#include <mutex>

#ifdef __clang__
#define ACTIONDFS_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define ACTIONDFS_THREAD_ATTRIBUTE(x)
#endif

#define ACTIONDFS_GUARDED_BY(mutex) ACTIONDFS_THREAD_ATTRIBUTE(guarded_by(mutex))
#define ACTIONDFS_REQUIRES(...) ACTIONDFS_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define ACTIONDFS_EXCLUDES(...) ACTIONDFS_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))

namespace actiondfs {

class ACTIONDFS_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 public:
  void Lock() ACTIONDFS_THREAD_ATTRIBUTE(acquire_capability()) { mutex_.lock(); }
  void Unlock() ACTIONDFS_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

// Holds the mutex from its construction to the end of its scope.
class ACTIONDFS_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACTIONDFS_THREAD_ATTRIBUTE(acquire_capability(mutex))
      : mutex_(mutex) {
    mutex_.Lock();
  }
  ~MutexLock() ACTIONDFS_THREAD_ATTRIBUTE(release_capability()) { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace actiondfs

#endif  // ACTIONDFS_HOOK_BASE_MUTEX_H_
