// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/mount_session.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>

#include "hook/fuse/file_ops.h"
#include "hook/fuse/mount_device.h"
#include "hook/fuse/reply.h"
#include "hook/fuse/wire.h"

namespace actiondfs::fuse {
namespace {

constexpr std::chrono::seconds kInitTimeout(10);
constexpr std::chrono::milliseconds kWakeInterval(5);
constexpr unsigned kMinThreads = 2;
constexpr unsigned kMaxThreads = 4;

fuse_lowlevel_ops AllOps() {
  fuse_lowlevel_ops ops = {};
  ops.init = InitExchange::Negotiate;
  AddLookupOps(ops);
  AddDirectoryOps(ops);
  AddFileOps(ops);
  AddDataOps(ops);
  AddAttributeOps(ops);
  AddXattrOps(ops);
  AddCreateOps(ops);
  AddRemoveOps(ops);
  return ops;
}

}  // namespace

// libfuse's way to the device: what it does not know of INIT is put in here, on the wire.
struct MountSession::Io {
  // libfuse hands over its session's userdata, and that is the file system.
  static MountSession& Of(void* userdata) { return *static_cast<FileSystem*>(userdata)->owner; }

  // The kernel answers a request with EIO that it cannot copy to its reader, and a process that is
  // being killed gets no new pages. So those of all requests without much data are there before.
  static void Populate(void* buffer, size_t size) {
    constexpr size_t kSmall = size_t{64} << 10;
    thread_local const void* populated = nullptr;
    if (buffer == populated) {
      return;
    }
    populated = buffer;
    const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    char* begin = static_cast<char*>(buffer) - reinterpret_cast<uintptr_t>(buffer) % page;
    // Before Linux 5.14 they are not: nor does a mount survive there.
    (void)::madvise(begin, std::min(size, kSmall), MADV_POPULATE_WRITE);
  }

  static ssize_t Read(int fd, void* buffer, size_t size, void* userdata) {
    MountSession& self = Of(userdata);
    if (self.file_system_->kept) {
      Populate(buffer, size);
    }
    const ssize_t got = ::read(fd, buffer, size);
    (void)self.replies_.load(std::memory_order_acquire);
    if (got > 0) {
      self.init_.NoteRequest({static_cast<const char*>(buffer), static_cast<size_t>(got)},
                             *self.file_system_);
    }
    return got;
  }

  static ssize_t Write(int fd, iovec* parts, int count, void* userdata) {
    MountSession& self = Of(userdata);
    if (self.replaying_) {
      return Size(parts, count);
    }
    const bool is_init = self.init_.EditAnswer(parts, count, *self.file_system_);
    RequestJournal::NoteReply(parts, count);
    self.replies_.fetch_add(1, std::memory_order_release);
    const ssize_t written = ::writev(fd, parts, count);
    if (is_init) {
      self.initialised_.set_value();
    }
    return written;
  }

  static ssize_t Size(const iovec* parts, int count) {
    size_t size = 0;
    for (int i = 0; i < count; ++i) {
      size += parts[i].iov_len;
    }
    return static_cast<ssize_t>(size);
  }

  static ssize_t Splice(int in, off_t* in_offset, int out, off_t* out_offset, size_t size,
                        unsigned flags, void* userdata) {
    Of(userdata).replies_.fetch_add(1, std::memory_order_release);
    return ::splice(in, in_offset, out, out_offset, size, flags);
  }
};

bool MountSession::AnswerTmpfile(const fuse_buf& buffer) {
  fuse_in_header header = {};
  fuse_create_in request = {};
  if (buffer.size < sizeof(header) + sizeof(request)) {
    return false;
  }
  std::memcpy(&header, buffer.mem, sizeof(header));
  if (header.opcode != wire::kOpTmpfile) {
    return false;
  }
  std::memcpy(&request, static_cast<const char*>(buffer.mem) + sizeof(header), sizeof(request));
  const auto answer = [&](int error, const wire::CreateOut* out) {
    const size_t size = out != nullptr ? sizeof(*out) : 0;
    fuse_out_header reply = {static_cast<uint32_t>(sizeof(reply) + size), -error, header.unique};
    iovec parts[2] = {{&reply, sizeof(reply)}, {const_cast<wire::CreateOut*>(out), size}};
    const int count = out != nullptr ? 2 : 1;
    RequestJournal::NoteReply(parts, count);
    replies_.fetch_add(1, std::memory_order_release);
    return ::writev(device_, parts, count) >= 0;
  };
  const NewFile file = {
      {.mode = S_IFREG | (request.mode & 07777), .owner = {header.uid, header.gid}},
      static_cast<int>(request.flags)};
  int error = 0;
  try {
    error = CreateUnnamed(*file_system_, header.nodeid, file,
                          [&](const wire::CreateOut& out) { return answer(0, &out); });
  } catch (const std::bad_alloc&) {
    error = ENOMEM;
  }
  if (error != 0) {
    answer(error, nullptr);
  }
  return true;
}

bool MountSession::AnswerAgain(const RequestSlot& slot, const fuse_buf& buffer) const {
  fuse_in_header request = {};
  std::memcpy(&request, buffer.mem, sizeof(request));
  fuse_out_header done = {sizeof(done), 0, request.unique};
  char reply[RequestSlot::kMaxReply] = {};
  const std::string_view known = slot.Reply();
  if (known.size() >= sizeof(done)) {
    std::ranges::copy(known, reply);
    std::memcpy(&done, reply, sizeof(done));
    done.unique = request.unique;
  } else if (request.opcode != wire::kOpRelease) {
    return false;
  }
  // A release that was begun may have been counted: at worst the node stays as long as the mount.
  std::memcpy(reply, &done, sizeof(done));
  (void)!::write(device_, reply, done.len);  // it fails where nobody waits any more
  return true;
}

void MountSession::ProcessNew(const fuse_buf& buffer) {
  if (!AnswerTmpfile(buffer)) {
    fuse_session_process_buf(session_, &buffer);
  }
}

void MountSession::Process(const fuse_buf& buffer, RequestSlot* slot) {
  fuse_in_header header = {};
  if (slot == nullptr || buffer.size < sizeof(header)) {
    ProcessNew(buffer);
    return;
  }
  std::memcpy(&header, buffer.mem, sizeof(header));
  bool taken_over = false;
  RequestSlot& request = file_system_->kept->journal().Begin(*slot, header.unique, taken_over);
  if (!taken_over || !AnswerAgain(request, buffer)) {
    ProcessNew(buffer);
  }
  RequestJournal::End(request);
}

bool MountSession::ServeOne(fuse_buf& buffer, RequestSlot* slot) {
  const int size = fuse_session_receive_buf(session_, &buffer);
  if (fuse_session_exited(session_) != 0) {
    return false;  // ENODEV, that is: the mount is gone; or the server stops
  }
  if (size == -EINTR || size == -EAGAIN) {
    return true;
  }
  if (size <= 0) {
    return false;
  }
  Process(buffer, slot);
  try {
    file_system_->pruner.Work(session_, device_);
  } catch (const std::bad_alloc&) {
    file_system_->nodes.NoteRefusal();  // later, then
  }
  return true;
}

void MountSession::Serve() {
  RequestSlot* slot = file_system_->kept ? file_system_->kept->journal().Claim() : nullptr;
  fuse_buf buffer = {};
  while (ServeOne(buffer, slot)) {
  }
  std::free(buffer.mem);  // NOLINT(cppcoreguidelines-no-malloc): libfuse's own
  if (running_.fetch_sub(1) == 1) {
    on_end_();
  }
}

Result<std::unique_ptr<MountSession>> MountSession::Start(SessionOptions options,
                                                          cas::BlobStore store, UniqueFd stage,
                                                          tree::DirectoryCache& cache, Pool& pool,
                                                          std::function<void()> on_end) {
  std::unique_ptr<MountSession> session(new MountSession(std::move(on_end)));
  RETURN_IF_ERROR(
      session->Begin(std::move(options), std::move(store), std::move(stage), cache, pool));
  return session;
}

Status MountSession::Begin(SessionOptions options, cas::BlobStore store, UniqueFd stage,
                           tree::DirectoryCache& cache, Pool& pool) {
  ASSIGN_OR_RETURN(UniqueFd device, OpenFuseDevice());
  const bool read_only = !stage.valid();
  file_system_ =
      std::make_unique<FileSystem>(std::move(options.file_system), device.get(), std::move(store),
                                   std::move(stage), cache, pool, std::move(options.kept));
  file_system_->owner = this;
  RETURN_IF_ERROR(file_system_->Start());

  RETURN_IF_ERROR(OpenSession(std::move(device)));
  ASSIGN_OR_RETURN(mount_, MakeDetachedMount(device_, {read_only, options.selinux_context}));
  auto initialised = initialised_.get_future();
  RETURN_IF_ERROR(StartThreads());
  if (initialised.wait_for(kInitTimeout) != std::future_status::ready) {
    return MakeError(ETIMEDOUT, "wait for the kernel's FUSE INIT");
  }
  return {};
}

Result<std::unique_ptr<MountSession>> MountSession::Resume(SessionOptions options, UniqueFd device,
                                                           cas::BlobStore store, UniqueFd stage,
                                                           tree::DirectoryCache& cache, Pool& pool,
                                                           std::function<void()> on_end) {
  std::unique_ptr<MountSession> session(new MountSession(std::move(on_end)));
  RETURN_IF_ERROR(session->BeginAgain(std::move(options), std::move(device), std::move(store),
                                      std::move(stage), cache, pool));
  return session;
}

Status MountSession::BeginAgain(SessionOptions options, UniqueFd device, cas::BlobStore store,
                                UniqueFd stage, tree::DirectoryCache& cache, Pool& pool) {
  pollfd polled = {device.get(), POLLIN, 0};
  if (::poll(&polled, 1, 0) >= 0 && (polled.revents & POLLERR) != 0) {
    return MakeError(ENOTCONN, "the mount is gone");
  }
  file_system_ =
      std::make_unique<FileSystem>(std::move(options.file_system), device.get(), std::move(store),
                                   std::move(stage), cache, pool, std::move(options.kept));
  file_system_->owner = this;
  RETURN_IF_ERROR(file_system_->StartAgain());
  RETURN_IF_ERROR(OpenSession(std::move(device)));
  RETURN_IF_ERROR(ReplayInit());
  // Before anything is read: what a thread of this process had taken would be sent again, too, and
  // then be done by two at once.
  RETURN_IF_ERROR(AskAgain());
  return StartThreads();
}

Status MountSession::ReplayInit() {
  std::string init(file_system_->kept->init());
  if (!init_.Adopt(init)) {
    return MakeError(EPROTO, "a mount without INIT");
  }
  fuse_buf buffer = {};
  buffer.size = init.size();
  buffer.mem = init.data();
  replaying_ = true;
  fuse_session_process_buf(session_, &buffer);
  replaying_ = false;
  if (file_system_->kept->passthrough()) {
    file_system_->backing.Enable();
  }
  return {};
}

Status MountSession::AskAgain() const {
  const fuse_out_header notice = {sizeof(notice), wire::kNotifyResend, 0};
  if (::write(device_, &notice, sizeof(notice)) != sizeof(notice)) {
    return ErrnoError("ask the kernel for what was left unanswered");
  }
  return {};
}

KeptState* MountSession::kept() const {
  return init_.has_resend() ? file_system_->kept.get() : nullptr;
}

Status MountSession::OpenSession(UniqueFd device) {
  char name[] = "actiondfs";
  char* argv[] = {name, nullptr};
  fuse_args args = FUSE_ARGS_INIT(1, argv);
  const fuse_lowlevel_ops ops = AllOps();
  session_ = fuse_session_new(&args, &ops, sizeof(ops), file_system_.get());
  fuse_opt_free_args(&args);
  if (session_ == nullptr) {
    return MakeError(ENOMEM, "libfuse session");
  }
  file_system_->session = session_;
  static const fuse_custom_io kIo = {
      .writev = Io::Write, .read = Io::Read, .splice_receive = nullptr, .splice_send = Io::Splice};
  device_ = device.Release();  // libfuse closes it with the session
  if (const int error = fuse_session_custom_io(session_, &kIo, device_); error != 0) {
    return MakeError(-error, "libfuse custom I/O");
  }
  return {};
}

Status MountSession::StartThreads() {
  const unsigned count = std::clamp(std::thread::hardware_concurrency(), kMinThreads, kMaxThreads);
  threads_.reserve(count);
  for (unsigned i = 0; i < count; ++i) {
    ++running_;
    try {
      threads_.emplace_back([this] { Serve(); });
    } catch (const std::system_error& error) {
      --running_;
      return MakeError(error.code().value(), "start a thread for the mount");
    }
  }
  return {};
}

bool MountSession::cut_off() const {
  // The device is in error as soon as there is no connection any more, whoever reads from it.
  pollfd device = {device_, 0, 0};
  return ::poll(&device, 1, 0) == 1 && (device.revents & POLLERR) != 0;
}

UniqueFd MountSession::TakeMount() {
  return std::move(mount_);
}

MountSession::~MountSession() {
  mount_.Reset();
  if (running_ > 0) {
    // The threads sleep in read(2). Again and again, for a signal may come between the look at the
    // flag and the call.
    fuse_session_exit(session_);
    while (running_ > 0) {
      for (std::thread& thread : threads_) {
        ::pthread_kill(thread.native_handle(), SIGUSR2);
      }
      std::this_thread::sleep_for(kWakeInterval);
    }
  }
  for (std::thread& thread : threads_) {
    thread.join();
  }
  file_system_.reset();
  if (session_ != nullptr) {
    fuse_session_destroy(session_);
  }
}

}  // namespace actiondfs::fuse
