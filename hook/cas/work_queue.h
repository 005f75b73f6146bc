// SPDX-License-Identifier: Apache-2.0
//
// Work of two kinds for a few threads: leaves (files), which are taken first, and branches
// (directories), the newest of which is taken next. So a tree is gone through depth first, and a
// branch is opened only when no leaf waits: what is in memory and open at a time is bounded by the
// tree's breadth along one path, not by its size. Thread-safe.
#ifndef ACTIONDFS_HOOK_CAS_WORK_QUEUE_H_
#define ACTIONDFS_HOOK_CAS_WORK_QUEUE_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace actiondfs::cas {

// What a task is given: the number of the thread that runs it, counted from 0.
using Task = std::function<void(int thread)>;

class WorkQueue {
 public:
  void AddLeaf(Task task) { Add(leaves_, std::move(task)); }
  void AddBranch(Task task) { Add(branches_, std::move(task)); }

  // For each thread: runs tasks, and those that they add, until none is left and none runs.
  void Run(int thread) {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return HasTask() || running_ == 0; });
      if (!HasTask()) {
        return;
      }
      Task task = Take();
      ++running_;
      lock.unlock();
      task(thread);
      task = nullptr;  // what it holds goes before the others are told
      lock.lock();
      --running_;
      if (running_ == 0 && !HasTask()) {
        changed_.notify_all();
      }
    }
  }

  // For a thread that does no work: true where all is done, false after `timeout`.
  bool WaitUntilDone(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [&] { return !HasTask() && running_ == 0; });
  }

 private:
  bool HasTask() const { return !leaves_.empty() || !branches_.empty(); }

  void Add(std::vector<Task>& tasks, Task task) {
    const std::lock_guard lock(mutex_);
    tasks.push_back(std::move(task));
    changed_.notify_one();
  }

  Task Take() {
    std::vector<Task>& tasks = leaves_.empty() ? branches_ : leaves_;
    Task task = std::move(tasks.back());
    tasks.pop_back();
    return task;
  }

  std::mutex mutex_;
  std::condition_variable changed_;  // a task was added, or the last one ended
  std::vector<Task> leaves_;
  std::vector<Task> branches_;
  int running_ = 0;
};

}  // namespace actiondfs::cas

#endif  // ACTIONDFS_HOOK_CAS_WORK_QUEUE_H_
