// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuse_reply.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <set>

namespace actiondfs::fuzz {
namespace {

constexpr int kMostErrno = 511;  // the kernel refuses replies with larger ones
constexpr size_t kMostName = 255;
constexpr size_t kMostTarget = 4096;

bool IsKind(mode_t mode) {
  return S_ISDIR(mode) || S_ISREG(mode) || S_ISLNK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode);
}

void CheckAttributes(const fuse_attr& attributes) {
  MUST(IsKind(attributes.mode));
  MUST(attributes.size <= INT64_MAX);
  MUST(attributes.mtimensec < 1000000000);
}

void CheckEntry(const Reply& reply) {
  const auto entry = reply.Get<fuse_entry_out>();
  MUST(entry.generation == 0);
  if (entry.nodeid != 0) {
    CheckAttributes(entry.attr);
  }
}

size_t RequestedSize(const Request& request) {
  switch (request.shape->opcode) {
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR:
      return request.Get<fuse_getxattr_in>().size;
    case FUSE_WRITE:
      return request.data_size;
    default:
      return request.Get<fuse_read_in>().size;
  }
}

void CheckXattr(const Request& request, const Reply& reply) {
  if (RequestedSize(request) == 0) {
    MUST(reply.data.size() == sizeof(fuse_getxattr_out));
  } else {
    MUST(reply.data.size() <= RequestedSize(request));
  }
}

// The names of a stream's part: whole, each once.
void CheckNames(const Request& request, const Reply& reply) {
  MUST(reply.data.size() <= RequestedSize(request));
  const size_t before =
      request.shape->opcode == FUSE_READDIRPLUS ? offsetof(fuse_direntplus, dirent) : 0;
  std::set<std::string> names;
  for (size_t at = 0; at < reply.data.size();) {
    const auto entry = reply.Get<fuse_dirent>(at + before);
    const size_t end = at + before + FUSE_NAME_OFFSET + entry.namelen;
    MUST(entry.namelen > 0 && entry.namelen <= kMostName && end <= reply.data.size());
    const std::string name = reply.data.substr(end - entry.namelen, entry.namelen);
    MUST(name.find('/') == std::string::npos && name.find('\0') == std::string::npos);
    MUST(names.insert(name).second);
    at += FUSE_DIRENT_ALIGN(before + FUSE_NAME_OFFSET + entry.namelen);
  }
}

void CheckWritten(const Request& request, const Reply& reply) {
  MUST(reply.data.size() == sizeof(fuse_write_out));
  const size_t asked = request.shape->opcode == FUSE_WRITE
                           ? request.data_size
                           : request.Get<fuse_copy_file_range_in>().len;
  MUST(reply.Get<fuse_write_out>().size <= asked);
}

void CheckSuccess(const Request& request, const Reply& reply) {
  const size_t size = reply.data.size();
  switch (request.shape->opcode) {
    case FUSE_LOOKUP:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_SYMLINK:
    case FUSE_LINK:
      MUST(size == sizeof(fuse_entry_out));
      return CheckEntry(reply);
    case FUSE_CREATE:
    case FUSE_TMPFILE:
      MUST(size == sizeof(fuse_entry_out) + sizeof(fuse_open_out));
      return CheckEntry(reply);
    case FUSE_GETATTR:
    case FUSE_SETATTR:
      MUST(size == sizeof(fuse_attr_out));
      return CheckAttributes(reply.Get<fuse_attr_out>().attr);
    case FUSE_READLINK:
      MUST(size <= kMostTarget && reply.data.find('\0') == std::string::npos);
      return;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
      MUST(size == sizeof(fuse_open_out));
      return;
    case FUSE_READ:
      MUST(size <= RequestedSize(request));
      return;
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
      return CheckNames(request, reply);
    case FUSE_WRITE:
    case FUSE_COPY_FILE_RANGE:
      return CheckWritten(request, reply);
    case FUSE_STATFS:
      MUST(size == sizeof(fuse_statfs_out));
      return;
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR:
      return CheckXattr(request, reply);
    case FUSE_LSEEK:
      MUST(size == sizeof(fuse_lseek_out));
      return;
    default:
      MUST(size == 0);
  }
}

}  // namespace

Reply ParseReply(const Request& request, std::string_view bytes) {
  fuse_out_header header = {};
  MUST(bytes.size() >= sizeof(header));
  std::memcpy(&header, bytes.data(), sizeof(header));
  MUST(header.len == bytes.size());
  MUST(header.unique == request.unique);
  MUST(header.error <= 0 && header.error >= -kMostErrno);
  const Reply reply = {-header.error, std::string(bytes.substr(sizeof(header)))};
  if (reply.error != 0) {
    MUST(reply.data.empty());
  } else {
    CheckSuccess(request, reply);
  }
  return reply;
}

bool IsNotification(std::string_view bytes) {
  fuse_out_header header = {};
  MUST(bytes.size() >= sizeof(header));
  std::memcpy(&header, bytes.data(), sizeof(header));
  return header.unique == 0 && header.error > 0;
}

bool HasEntry(uint32_t opcode) {
  constexpr std::array<uint32_t, 7> kOpcodes = {FUSE_LOOKUP, FUSE_MKNOD,  FUSE_MKDIR,  FUSE_SYMLINK,
                                                FUSE_LINK,   FUSE_CREATE, FUSE_TMPFILE};
  return std::ranges::find(kOpcodes, opcode) != kOpcodes.end();
}

std::vector<fuse_entry_out> EntriesOf(const Reply& reply) {
  std::vector<fuse_entry_out> entries;
  for (size_t at = 0; at < reply.data.size();) {
    const auto plus = reply.Get<fuse_direntplus>(at);
    if (plus.entry_out.nodeid != 0) {
      CheckAttributes(plus.entry_out.attr);
      entries.push_back(plus.entry_out);
    }
    at += FUSE_DIRENTPLUS_SIZE(&plus);
  }
  return entries;
}

}  // namespace actiondfs::fuzz
