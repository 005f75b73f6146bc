// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuse_peer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "hook/fuse/file_ops.h"
#include "hook/fuse/reply.h"

namespace actiondfs::fuzz {
namespace {

// The kernel's offer, but for passthrough, which wants a kernel.
constexpr uint32_t kOffer = 0x73fffffb;
constexpr uint32_t kMinor = 38;

// libfuse calls back with the file system; of the peers there is one at a time.
FusePeer* current = nullptr;

fuse_lowlevel_ops AllOps() {
  fuse_lowlevel_ops ops = {};
  fuse::AddLookupOps(ops);
  fuse::AddDirectoryOps(ops);
  fuse::AddFileOps(ops);
  fuse::AddDataOps(ops);
  fuse::AddAttributeOps(ops);
  fuse::AddXattrOps(ops);
  fuse::AddCreateOps(ops);
  fuse::AddRemoveOps(ops);
  return ops;
}

fuse_session* NewSession(fuse::FileSystem* file_system) {
  char name[] = "fuzz";
  char* argv[] = {name, nullptr};
  fuse_args args = FUSE_ARGS_INIT(1, argv);
  const fuse_lowlevel_ops ops = AllOps();
  fuse_session* session = fuse_session_new(&args, &ops, sizeof(ops), file_system);
  fuse_opt_free_args(&args);
  MUST(session != nullptr);
  return session;
}

bool WritesTo(uint32_t flags) {
  return (flags & O_ACCMODE) != O_RDONLY;
}

}  // namespace

FusePeer::FusePeer(std::unique_ptr<fuse::FileSystem> file_system)
    : fs_(std::move(file_system)), nodes_({{FUSE_ROOT_ID, 1, S_IFDIR, 0}}) {
  MUST(std::exchange(current, this) == nullptr);
  session_ = NewSession(fs_.get());
  fs_->session = session_;
  static const fuse_custom_io kIo = {
      .writev = Writev, .read = Read, .splice_receive = nullptr, .splice_send = Splice};
  const int device = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  MUST(fuse_session_custom_io(session_, &kIo, device) == 0);  // it closes the descriptor

  static const Shape kInit = {FUSE_INIT, sizeof(fuse_init_in)};
  Request init;
  init.shape = &kInit;
  init.unique = unique_;
  fuse_init_in in = {};
  in.major = FUSE_KERNEL_VERSION;
  in.minor = kMinor;
  in.max_readahead = 131072;
  in.flags = kOffer;
  init.Set(in);
  std::string bytes = init.Bytes();
  const fuse_buf buffer = {
      .size = bytes.size(), .flags = {}, .mem = bytes.data(), .fd = -1, .pos = 0};
  fuse_session_process_buf(session_, &buffer);
  MUST(replies_.size() == 1);
}

FusePeer::~FusePeer() {
  while (!handles_.empty()) {
    Request release;
    release.shape = &ShapeOf(handles_[0].directory ? FUSE_RELEASEDIR : FUSE_RELEASE);
    release.fixed.resize(release.shape->fixed);
    MUST(FillHandle(release));
    MUST(Send(release) == 0);
  }
  while (nodes_.size() > 1) {
    Request forget;
    forget.shape = &ShapeOf(FUSE_FORGET);
    forget.node = nodes_.back().id;
    forget.Set(fuse_forget_in{nodes_.back().lookups});
    Send(forget);
  }
  MUST(fs_->nodes.size() == 0);
  fs_.reset();
  fuse_session_destroy(session_);
  current = nullptr;
}

ssize_t FusePeer::Read(int /*fd*/, void* /*buffer*/, size_t /*size*/, void* /*userdata*/) {
  return -1;  // requests are handed over, not read
}

ssize_t FusePeer::Writev(int /*fd*/, iovec* parts, int count, void* /*userdata*/) {
  std::string bytes;
  for (int i = 0; i < count; ++i) {
    bytes.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  }
  return current->Take(std::move(bytes));
}

ssize_t FusePeer::Splice(int in, off_t* /*in_offset*/, int /*out*/, off_t* /*out_offset*/,
                         size_t size, unsigned /*flags*/, void* /*userdata*/) {
  std::string bytes(size, '\0');
  for (size_t got = 0; got < size;) {
    const ssize_t step = ::read(in, bytes.data() + got, size - got);
    MUST(step > 0);
    got += static_cast<size_t>(step);
  }
  return current->Take(std::move(bytes));
}

ssize_t FusePeer::Take(std::string reply) {
  if (refuse_replies_ && !IsNotification(reply)) {
    errno = ENOENT;  // who asked is gone
    return -1;
  }
  const auto size = static_cast<ssize_t>(reply.size());
  if (!IsNotification(reply)) {
    replies_.push_back(std::move(reply));
  }
  return size;
}

FusePeer::Known& FusePeer::Pick(uint8_t number, bool directory) {
  const auto fits = [&](const Known& node) { return !directory || S_ISDIR(node.type); };
  auto left = static_cast<int64_t>(number % std::ranges::count_if(nodes_, fits));
  return *std::ranges::find_if(nodes_,
                               [&](const Known& node) { return fits(node) && left-- == 0; });
}

FusePeer::Known& FusePeer::Find(uint64_t id) {
  const auto found = std::ranges::find(nodes_, id, &Known::id);
  MUST(found != nodes_.end());
  return *found;
}

FusePeer::Handle* FusePeer::PickHandle(uint8_t number, bool directory) {
  const auto fits = [&](const Handle& handle) { return handle.directory == directory; };
  const auto count = std::ranges::count_if(handles_, fits);
  if (count == 0) {
    return nullptr;
  }
  auto left = static_cast<int64_t>(number % count);
  return &*std::ranges::find_if(handles_,
                                [&](const Handle& handle) { return fits(handle) && left-- == 0; });
}

bool FusePeer::FillForget(Request& request) {
  const Known& node = Find(request.node);
  if (node.id == FUSE_ROOT_ID || node.opens > 0) {
    return false;  // the kernel keeps what is open
  }
  request.Set(fuse_forget_in{1 + request.Get<fuse_forget_in>().nlookup % node.lookups});
  return true;
}

bool FusePeer::FillHandle(Request& request) {
  const uint32_t opcode = request.shape->opcode;
  const bool release = opcode == FUSE_RELEASE || opcode == FUSE_RELEASEDIR;
  const bool none = (request.other_choice & 0x80) != 0;
  const Handle* handle = PickHandle(request.other_choice, request.shape->directory);
  if (handle == nullptr || (none && !release)) {
    request.fixed.replace(0, sizeof(uint64_t), sizeof(uint64_t), '\0');
    return !release;
  }
  request.node = handle->node;
  request.fixed.replace(0, sizeof(uint64_t), reinterpret_cast<const char*>(&handle->fh),
                        sizeof(handle->fh));
  if (release) {
    auto in = request.Get<fuse_release_in>();
    in.flags = handle->flags;
    request.Set(in);
  }
  return true;
}

bool FusePeer::Fill(Request& request) {
  request.node = Pick(request.node_choice, request.shape->directory).id;
  if (request.shape->handle && !FillHandle(request)) {
    return false;
  }
  switch (request.shape->opcode) {
    case FUSE_FORGET:
      return FillForget(request);
    case FUSE_BATCH_FORGET: {
      const Known& node = Find(request.node);
      if (node.id == FUSE_ROOT_ID || node.opens > 0) {
        return false;
      }
      const fuse_forget_one one = {node.id, node.lookups};
      request.Set(fuse_batch_forget_in{1, 0});
      request.tail.assign(reinterpret_cast<const char*>(&one), sizeof(one));
      return true;
    }
    case FUSE_RENAME:
      request.Set(fuse_rename_in{Pick(request.other_choice, true).id});
      return true;
    case FUSE_RENAME2: {
      auto in = request.Get<fuse_rename2_in>();
      in.newdir = Pick(request.other_choice, true).id;
      request.Set(in);
      return true;
    }
    case FUSE_LINK:
      request.Set(fuse_link_in{Pick(request.other_choice, false).id});
      return true;
    case FUSE_WRITE: {
      auto in = request.Get<fuse_write_in>();
      in.size = static_cast<uint32_t>(request.data_size);
      request.Set(in);
      return true;
    }
    case FUSE_SETXATTR: {
      const uint32_t in[2] = {static_cast<uint32_t>(request.data_size),
                              static_cast<uint32_t>(static_cast<unsigned char>(request.fixed[4]))};
      request.fixed.assign(reinterpret_cast<const char*>(in), sizeof(in));
      return true;
    }
    case FUSE_COPY_FILE_RANGE: {
      auto in = request.Get<fuse_copy_file_range_in>();
      const Handle* out = PickHandle(static_cast<uint8_t>(in.fh_out), false);
      in.nodeid_out = out != nullptr ? out->node : Pick(request.node_choice, false).id;
      in.fh_out = out != nullptr ? out->fh : 0;
      request.Set(in);
      return true;
    }
    default:
      return true;
  }
}

int FusePeer::SendTmpfile(const Request& request) {
  // As MountSession::AnswerTmpfile does: libfuse does not know it.
  const auto in = request.Get<fuse_create_in>();
  const fuse::NewFile file = {
      {.mode = S_IFREG | (in.mode & 07777), .owner = {request.uid, request.gid}},
      static_cast<int>(in.flags)};
  return fuse::CreateUnnamed(*fs_, request.node, file, [&](const fuse::wire::CreateOut& out) {
    fuse_out_header header = {sizeof(header) + sizeof(out), 0, request.unique};
    iovec parts[2] = {{&header, sizeof(header)},
                      {const_cast<fuse::wire::CreateOut*>(&out), sizeof(out)}};
    return Writev(-1, parts, 2, nullptr) >= 0;
  });
}

int FusePeer::Send(const Request& numberless) {
  Request request = numberless;
  request.unique = unique_ += 2;
  replies_.clear();
  refuse_replies_ = request.unheard;
  const uint32_t opcode = request.shape->opcode;
  const bool silent = opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET;
  int error = 0;
  if (opcode == FUSE_TMPFILE) {
    error = SendTmpfile(request);
  } else {
    std::string bytes = request.Bytes();
    const fuse_buf buffer = {
        .size = bytes.size(), .flags = {}, .mem = bytes.data(), .fd = -1, .pos = 0};
    fuse_session_process_buf(session_, &buffer);
  }
  refuse_replies_ = false;
  MUST(replies_.size() == (silent || request.unheard || error != 0 ? 0 : 1));
  if (replies_.empty()) {
    Unlearn(request);
    return error;
  }
  const Reply reply = ParseReply(request, replies_[0]);
  MUST(fs_->strict() || !request.shape->changes || reply.error != 0);
  if (reply.error == 0) {
    Learn(request, reply);
  }
  Unlearn(request);
  return reply.error;
}

int FusePeer::Play(Input& input) {
  Request request = TakeRequest(input);
  return Fill(request) ? Send(request) : 0;
}

int FusePeer::LookupTop(const std::string& name) {
  Request request;
  request.shape = &ShapeOf(FUSE_LOOKUP);
  request.node = FUSE_ROOT_ID;
  request.tail = name + '\0';
  return Send(request);
}

void FusePeer::LearnEntry(const fuse_entry_out& entry) {
  if (entry.nodeid == 0) {
    return;  // says that there is nothing
  }
  const mode_t type = entry.attr.mode & S_IFMT;
  const auto found = std::ranges::find(nodes_, entry.nodeid, &Known::id);
  if (found == nodes_.end()) {
    nodes_.push_back({entry.nodeid, 1, type, 0});
    return;
  }
  MUST(found->type == type);  // the kernel takes anything else for an I/O error
  ++found->lookups;
}

void FusePeer::LearnHandle(const Request& request, const fuse_open_out& open, uint64_t node) {
  const bool directory = request.shape->opcode == FUSE_OPENDIR;
  const uint32_t flags =
      request.shape->opcode == FUSE_CREATE || request.shape->opcode == FUSE_TMPFILE
          ? request.Get<fuse_create_in>().flags
          : request.Get<fuse_open_in>().flags;
  MUST(!WritesTo(flags) || directory || fs_->strict());
  ++Find(node).opens;
  handles_.push_back({node, open.fh, flags, directory});
}

void FusePeer::Learn(const Request& request, const Reply& reply) {
  const uint32_t opcode = request.shape->opcode;
  if (HasEntry(opcode)) {
    const auto entry = reply.Get<fuse_entry_out>();
    LearnEntry(entry);
    if (opcode == FUSE_CREATE || opcode == FUSE_TMPFILE) {
      LearnHandle(request, reply.Get<fuse_open_out>(sizeof(entry)), entry.nodeid);
    }
  } else if (opcode == FUSE_OPEN || opcode == FUSE_OPENDIR) {
    LearnHandle(request, reply.Get<fuse_open_out>(), request.node);
  } else if (opcode == FUSE_READDIRPLUS) {
    for (const fuse_entry_out& entry : EntriesOf(reply)) {
      LearnEntry(entry);
    }
  }
}

void FusePeer::Forget(uint64_t id, uint64_t count) {
  Known& node = Find(id);
  node.lookups -= count;
  if (node.lookups == 0) {
    std::erase_if(nodes_, [&](const Known& known) { return known.id == id; });
  }
}

// What the request gives back; the server has no say in that.
void FusePeer::Unlearn(const Request& request) {
  switch (request.shape->opcode) {
    case FUSE_FORGET:
      return Forget(request.node, request.Get<fuse_forget_in>().nlookup);
    case FUSE_BATCH_FORGET:
      return Forget(request.node, Find(request.node).lookups);
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR: {
      const auto fh = request.Get<fuse_release_in>().fh;
      const bool directory = request.shape->opcode == FUSE_RELEASEDIR;
      const auto handle = std::ranges::find_if(handles_, [&](const Handle& open) {
        return open.node == request.node && open.fh == fh && open.directory == directory;
      });
      MUST(handle != handles_.end());
      --Find(request.node).opens;
      handles_.erase(handle);
      return;
    }
    default:
      return;
  }
}

}  // namespace actiondfs::fuzz
