// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuse_request.h"

#include <algorithm>
#include <array>

namespace actiondfs::fuzz {
namespace {

constexpr uint32_t kUnknown = 999;  // an opcode that is none

// The order is what the first byte of a request means: new ones go to the end, or the corpus
// changes its meaning.
constexpr std::array kShapes = {
    Shape{FUSE_LOOKUP, 0, Tail::kName, true},
    Shape{FUSE_FORGET, sizeof(fuse_forget_in)},
    Shape{FUSE_GETATTR, sizeof(fuse_getattr_in)},
    Shape{FUSE_SETATTR, sizeof(fuse_setattr_in), Tail::kNone, false, false, true},
    Shape{FUSE_READLINK},
    Shape{FUSE_SYMLINK, 0, Tail::kTwoNames, true, false, true},
    Shape{FUSE_MKNOD, sizeof(fuse_mknod_in), Tail::kName, true, false, true},
    Shape{FUSE_MKDIR, sizeof(fuse_mkdir_in), Tail::kName, true, false, true},
    Shape{FUSE_UNLINK, 0, Tail::kName, true, false, true},
    Shape{FUSE_RMDIR, 0, Tail::kName, true, false, true},
    Shape{FUSE_RENAME, sizeof(fuse_rename_in), Tail::kTwoNames, true, false, true},
    Shape{FUSE_LINK, sizeof(fuse_link_in), Tail::kName, true, false, true},
    Shape{FUSE_OPEN, sizeof(fuse_open_in)},
    Shape{FUSE_READ, sizeof(fuse_read_in), Tail::kNone, false, true},
    Shape{FUSE_WRITE, sizeof(fuse_write_in), Tail::kData, false, true, true},
    Shape{FUSE_STATFS},
    Shape{FUSE_RELEASE, sizeof(fuse_release_in), Tail::kNone, false, true},
    Shape{FUSE_FSYNC, sizeof(fuse_fsync_in), Tail::kNone, false, true},
    Shape{FUSE_SETXATTR, FUSE_COMPAT_SETXATTR_IN_SIZE, Tail::kNameAndData, false, false, true},
    Shape{FUSE_GETXATTR, sizeof(fuse_getxattr_in), Tail::kName},
    Shape{FUSE_LISTXATTR, sizeof(fuse_getxattr_in)},
    Shape{FUSE_REMOVEXATTR, 0, Tail::kName, false, false, true},
    Shape{FUSE_FLUSH, sizeof(fuse_flush_in), Tail::kNone, false, true},
    Shape{FUSE_OPENDIR, sizeof(fuse_open_in), Tail::kNone, true},
    Shape{FUSE_READDIR, sizeof(fuse_read_in), Tail::kNone, true, true},
    Shape{FUSE_RELEASEDIR, sizeof(fuse_release_in), Tail::kNone, true, true},
    Shape{FUSE_FSYNCDIR, sizeof(fuse_fsync_in), Tail::kNone, true, true},
    Shape{FUSE_ACCESS, sizeof(fuse_access_in)},
    Shape{FUSE_CREATE, sizeof(fuse_create_in), Tail::kName, true, false, true},
    Shape{FUSE_BATCH_FORGET, sizeof(fuse_batch_forget_in)},
    Shape{FUSE_FALLOCATE, sizeof(fuse_fallocate_in), Tail::kNone, false, true, true},
    Shape{FUSE_READDIRPLUS, sizeof(fuse_read_in), Tail::kNone, true, true},
    Shape{FUSE_RENAME2, sizeof(fuse_rename2_in), Tail::kTwoNames, true, false, true},
    Shape{FUSE_LSEEK, sizeof(fuse_lseek_in), Tail::kNone, false, true},
    Shape{FUSE_COPY_FILE_RANGE, sizeof(fuse_copy_file_range_in), Tail::kNone, false, true, true},
    Shape{FUSE_TMPFILE, sizeof(fuse_create_in), Tail::kName, true, false, true},
    Shape{kUnknown, 8},
};

// Callers: root, a user, and ids that mean something else.
constexpr std::array<uint32_t, 4> kIds = {0, 1000, 65534, 0xffffffff};

// Bits of a request's fourth byte.
constexpr unsigned kUidShift = 0, kGidShift = 2, kUnheard = 0x80;

}  // namespace

const Shape& ShapeOf(uint32_t opcode) {
  const auto* found = std::ranges::find(kShapes, opcode, &Shape::opcode);
  MUST(found != kShapes.end());
  return *found;
}

std::string Request::Bytes() const {
  fuse_in_header header = {};
  header.len = static_cast<uint32_t>(sizeof(header) + fixed.size() + tail.size());
  header.opcode = shape->opcode;
  header.unique = unique;
  header.nodeid = node;
  header.uid = uid;
  header.gid = gid;
  header.pid = 1;
  return std::string(reinterpret_cast<const char*>(&header), sizeof(header)) + fixed + tail;
}

Request TakeRequest(Input& input) {
  Request request;
  request.shape = &kShapes[input.Byte() % kShapes.size()];
  request.node_choice = input.Byte();
  request.other_choice = input.Byte();
  const unsigned options = input.Byte();
  request.uid = kIds[options >> kUidShift & 3];
  request.gid = kIds[options >> kGidShift & 3];
  request.unheard = (options & kUnheard) != 0;
  request.fixed = input.Bytes(request.shape->fixed);
  request.fixed.resize(request.shape->fixed);
  const Tail tail = request.shape->tail;
  if (tail == Tail::kName || tail == Tail::kTwoNames || tail == Tail::kNameAndData) {
    request.tail += input.Part('\0') + '\0';
  }
  if (tail == Tail::kTwoNames) {
    request.tail += input.Part('\0') + '\0';
  }
  if (tail == Tail::kData || tail == Tail::kNameAndData) {
    const std::string data = input.Bytes(input.Short());
    request.data_size = data.size();
    request.tail += data;
  }
  return request;
}

}  // namespace actiondfs::fuzz
