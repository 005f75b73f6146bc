// SPDX-License-Identifier: Apache-2.0
//
// The kernel's side of a FUSE session, without a kernel: it sends requests to a FileSystem through
// libfuse, and checks the replies. What the kernel guarantees is kept: messages have the length of
// their opcode's structures and names end; node ids and handles are those that it was given, and
// are given back as often; what takes a directory gets one. Everything else is the fuzzer's: names,
// flags, modes, offsets, sizes, callers, the order of requests, and replies that nobody takes any
// more. Belongs to one thread.
#ifndef ACTIONDFS_TESTS_FUZZ_FUSE_PEER_H_
#define ACTIONDFS_TESTS_FUZZ_FUSE_PEER_H_

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hook/fuse/file_system.h"
#include "tests/fuzz/fuse_reply.h"
#include "tests/fuzz/fuse_request.h"
#include "tests/fuzz/input.h"

struct fuse_session;

namespace actiondfs::fuzz {

class FusePeer {
 public:
  // The file system has been started. INIT is answered here.
  explicit FusePeer(std::unique_ptr<fuse::FileSystem> file_system);
  // Closes and forgets all, and checks that nothing stays behind.
  ~FusePeer();
  FusePeer(const FusePeer&) = delete;
  FusePeer& operator=(const FusePeer&) = delete;

  // One request, made of the input's next bytes. Returns the errno of its reply.
  int Play(Input& input);
  // Looks a name of the top up: the errno, or 0.
  int LookupTop(const std::string& name);

 private:
  struct Known {
    uint64_t id = 0;
    uint64_t lookups = 0;
    mode_t type = 0;
    uint32_t opens = 0;
  };
  struct Handle {
    uint64_t node = 0, fh = 0;
    uint32_t flags = 0;
    bool directory = false;
  };

  static ssize_t Writev(int fd, iovec* parts, int count, void* userdata);
  static ssize_t Splice(int in, off_t* in_offset, int out, off_t* out_offset, size_t size,
                        unsigned flags, void* userdata);
  static ssize_t Read(int fd, void* buffer, size_t size, void* userdata);
  ssize_t Take(std::string reply);

  Known& Pick(uint8_t number, bool directory);
  Known& Find(uint64_t id);
  // A handle of that kind, or nullptr.
  Handle* PickHandle(uint8_t number, bool directory);
  // False: the request makes no sense now (nothing to release, say).
  bool Fill(Request& request);
  bool FillForget(Request& request);
  bool FillHandle(Request& request);
  int Send(const Request& request);
  int SendTmpfile(const Request& request);
  void Learn(const Request& request, const Reply& reply);
  void LearnEntry(const fuse_entry_out& entry);
  void LearnHandle(const Request& request, const fuse_open_out& open, uint64_t node);
  void Unlearn(const Request& request);
  void Forget(uint64_t id, uint64_t count);

  std::unique_ptr<fuse::FileSystem> fs_;
  fuse_session* session_ = nullptr;
  uint64_t unique_ = 2;  // the kernel's are even
  bool refuse_replies_ = false;
  std::vector<std::string> replies_;
  std::vector<Known> nodes_;  // the top first
  std::vector<Handle> handles_;
};

}  // namespace actiondfs::fuzz

#endif  // ACTIONDFS_TESTS_FUZZ_FUSE_PEER_H_
