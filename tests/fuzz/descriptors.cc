// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/descriptors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "tests/fuzz/check.h"

namespace actiondfs::fuzz {
namespace {

constexpr int kKinds = 6;

int OpenKind(uint8_t kind, int directory) {
  switch (kind % kKinds) {
    case 0:
      return ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    case 1:
      return ::openat(directory, ".", O_PATH | O_CLOEXEC);
    case 2:
      return ::memfd_create("fuzz", MFD_CLOEXEC);
    case 3:
      return ::open("/dev/null", O_RDWR | O_CLOEXEC);
    case 4: {
      int ends[2] = {-1, -1};
      MUST(::pipe2(ends, O_CLOEXEC) == 0);
      (void)::close(ends[1]);
      return ends[0];
    }
    default:
      return ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  }
}

}  // namespace

UniqueFd MakeDescriptor(uint8_t kind, int directory) {
  UniqueFd fd(OpenKind(kind, directory));
  MUST(fd.valid());
  return fd;
}

bool SendPacket(int socket, std::string_view data, const std::vector<UniqueFd>& descriptors) {
  if (data.empty()) {
    return false;  // it would look like the end
  }
  MUST(descriptors.size() <= kMostDescriptors);
  std::string bytes(data);
  iovec part = {bytes.data(), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostDescriptors)] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors.size());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * descriptors.size());
    for (size_t i = 0; i < descriptors.size(); ++i) {
      const int fd = descriptors[i].get();
      std::memcpy(CMSG_DATA(header) + i * sizeof(fd), &fd, sizeof(fd));
    }
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) >= 0;
}

}  // namespace actiondfs::fuzz
