// SPDX-License-Identifier: Apache-2.0
//
// What one process writes, the next one reads: both are in this one, on the same memory.
#include "hook/fuse/kept_state.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "hook/fuse/node_table.h"
#include "hook/fuse/open_handle.h"
#include "hook/fuse/wire.h"

namespace actiondfs::fuse {
namespace {

UniqueFd Copy(int fd) {
  return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

struct stat StatusOf(uint64_t ino, mode_t mode) {
  struct stat st = {};
  st.st_ino = ino;
  st.st_mode = mode;
  return st;
}

class KeptStateTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = KeptState::Create();
    ASSERT_TRUE(made) << made.error().ToString();
    state_ = std::move(*made);
  }

  // As a process that was started after this one's was killed: nothing of the old is ended.
  Result<std::unique_ptr<KeptState>> Next() {
    return KeptState::Adopt(Copy(state_->memory()), Copy(state_->descriptors().one()),
                            Copy(state_->descriptors().other()));
  }

  std::unique_ptr<KeptState> state_;
};

TEST_F(KeptStateTest, SmallThingsComeBack) {
  ASSERT_TRUE(state_->SetRequest("request"));
  state_->SetInit("init", true);
  const UniqueFd root(::open("/", O_PATH | O_CLOEXEC));
  ASSERT_TRUE(state_->NoteStage(root.get()));
  const auto next = Next();
  ASSERT_TRUE(next) << next.error().ToString();
  EXPECT_EQ((*next)->request(), "request");
  EXPECT_EQ((*next)->init(), "init");
  EXPECT_TRUE((*next)->passthrough());
  EXPECT_TRUE((*next)->IsStage(root.get()));
  EXPECT_FALSE((*next)->IsStage(state_->memory()));
  EXPECT_EQ((*next)->life(), state_->life() + 1);
}

TEST_F(KeptStateTest, AnotherVersionIsRefused) {
  const uint64_t wrong = 1;
  ASSERT_EQ(::pwrite(state_->memory(), &wrong, sizeof(wrong), 0), 8);
  EXPECT_EQ(Next().error().code(), EPROTO);
}

TEST_F(KeptStateTest, AnotherSizeIsRefused) {
  ASSERT_EQ(::ftruncate(state_->memory(), 4096), 0);
  EXPECT_EQ(Next().error().code(), EPROTO);
}

TEST_F(KeptStateTest, ARequestThatIsTooLong) {
  EXPECT_EQ(state_->SetRequest(std::string(1 << 20, 'x')).error().code(), E2BIG);
}

class Nodes {
 public:
  explicit Nodes(KeptState& state) { table.Record(state.nodes()); }
  Pool pool;
  Budget budget{pool};
  NodeTable table{7, budget, [](Node&) {}};
};

TEST_F(KeptStateTest, NodesComeBackByTheirIds) {
  Nodes old(*state_);
  Node& dir = old.table.GetInput(old.table.top(), 3, 100, S_IFDIR);
  const Node& file = old.table.GetInput(dir, 5, 101, S_IFREG);
  old.table.GetInput(dir, 5, 101, S_IFREG);
  Node& staged = old.table.GetStaged(dir, "name", StatusOf(9, S_IFREG));
  old.table.Move(staged, old.table.top(), "other name");
  const uint64_t dir_id = old.table.IdOf(dir);
  const uint64_t file_id = old.table.IdOf(file);
  const uint64_t staged_id = old.table.IdOf(staged);

  auto next = Next();
  ASSERT_TRUE(next);
  Nodes restored(**next);
  ASSERT_TRUE(restored.table.Restore());
  restored.table.DropUnused();
  EXPECT_EQ(restored.table.size(), 3U);
  Node& new_dir = restored.table.FromId(dir_id);
  Node& new_file = restored.table.FromId(file_id);
  Node& new_staged = restored.table.FromId(staged_id);
  EXPECT_EQ(new_dir.parent, &restored.table.top());
  EXPECT_EQ(new_file.parent, &new_dir);
  EXPECT_EQ(new_file.index, 5U);
  EXPECT_EQ(new_staged.parent, &restored.table.top());
  EXPECT_EQ(new_staged.place->name, "other name");
  EXPECT_EQ(restored.table.FindStaged(9), &new_staged);
  EXPECT_EQ(&restored.table.GetInput(new_dir, 5, 101, S_IFREG), &new_file);
  // Two references from before, one from now; then the directory has only its own.
  restored.table.Drop(new_file, 3);
  EXPECT_EQ(restored.table.size(), 2U);
  restored.table.Drop(new_dir, 1);
  EXPECT_EQ(restored.table.size(), 1U);
  EXPECT_EQ(restored.table.IdOf(new_staged), staged_id);
}

TEST_F(KeptStateTest, NodesThatWereForgottenDoNotComeBack) {
  Nodes old(*state_);
  Node& dir = old.table.GetInput(old.table.top(), 0, 100, S_IFDIR);
  Node& file = old.table.GetStaged(dir, "file", StatusOf(9, S_IFREG));
  const uint64_t id = old.table.IdOf(file);
  old.table.Drop(dir, 1);
  old.table.Drop(file, 1);
  const Node& other = old.table.GetStaged(old.table.top(), "other", StatusOf(10, S_IFREG));
  EXPECT_LE(old.table.IdOf(other), id);  // places are used again

  auto next = Next();
  Nodes restored(**next);
  ASSERT_TRUE(restored.table.Restore());
  EXPECT_EQ(restored.table.size(), 1U);
  EXPECT_EQ(restored.table.FindStaged(10)->place->name, "other");
}

TEST_F(KeptStateTest, WhatNothingRefersToGoes) {
  Nodes old(*state_);
  Node& dir = old.table.GetInput(old.table.top(), 0, 100, S_IFDIR);
  const Node& file = old.table.GetInput(dir, 0, 101, S_IFREG);
  // As if it were killed between counting and freeing.
  state_->nodes().Of(dir)->refs = 0;
  state_->nodes().Of(file)->refs = 0;
  auto next = Next();
  Nodes restored(**next);
  ASSERT_TRUE(restored.table.Restore());
  EXPECT_EQ(restored.table.size(), 2U);
  restored.table.DropUnused();
  EXPECT_EQ(restored.table.size(), 0U);
}

TEST_F(KeptStateTest, AParentThatIsNoneIsRefused) {
  Nodes old(*state_);
  const Node& file = old.table.GetInput(old.table.top(), 0, 100, S_IFREG);
  state_->nodes().Of(file)->place = uint64_t{file.id} << 32;  // a file as its own parent
  auto next = Next();
  Nodes restored(**next);
  EXPECT_EQ(restored.table.Restore().error().code(), EPROTO);
}

TEST_F(KeptStateTest, MoreThanThereIsRoomForIsNotTakenUpAgain) {
  Nodes old(*state_);
  Node& dir = old.table.GetInput(old.table.top(), 0, 100, S_IFDIR);
  dir.id = 0;  // as one that got no record
  const Node& file = old.table.GetInput(dir, 0, 101, S_IFREG);
  EXPECT_EQ(file.id, 0U);
  EXPECT_EQ(&old.table.FromId(old.table.IdOf(file)), &file);
  EXPECT_EQ(Next().error().code(), ECANCELED);
}

TEST_F(KeptStateTest, StreamsComeBack) {
  const std::vector<stage::Listed> one = {{"a", 1, 8}, {std::string(255, 'b'), 2, 4}};
  const std::vector<stage::Listed> many(10000, {"name", 3, 8});
  state_->streams().Write(10, one);
  state_->streams().Write(20, many);
  state_->streams().Write(30, one);
  state_->streams().Write(20, one);  // it was rewound
  state_->streams().Free(30);
  auto next = Next();
  (*next)->streams().Write(40, many);  // not over what is there
  auto streams = (*next)->streams().Read();
  ASSERT_EQ(streams.size(), 3U);
  for (const auto& stream : streams) {
    const auto& expected = stream.fh == 40 ? many : one;
    ASSERT_EQ(stream.names.size(), expected.size()) << stream.fh;
    EXPECT_EQ(stream.names.back().name, expected.back().name);
    EXPECT_EQ(stream.names.back().ino, expected.back().ino);
    EXPECT_EQ(stream.names.back().type, expected.back().type);
  }
}

TEST_F(KeptStateTest, RoomOfStreamsIsUsedAgain) {
  const std::vector<stage::Listed> big(400000, {std::string(200, 'x'), 3, 8});
  for (int i = 0; i < 20; ++i) {  // four would fill the arena
    state_->streams().Write(1, big);
    state_->streams().Free(1);
  }
  state_->streams().Write(2, big);
  ASSERT_EQ(state_->streams().Read().size(), 1U);
  EXPECT_EQ(state_->streams().Read()[0].names.size(), big.size());
}

ino_t InoOf(int fd) {
  struct stat st = {};
  EXPECT_EQ(::fstat(fd, &st), 0);
  return st.st_ino;
}

TEST_F(KeptStateTest, DescriptorsComeBackAndStay) {
  const UniqueFd one(::memfd_create("one", MFD_CLOEXEC));
  const UniqueFd two(::memfd_create("two", MFD_CLOEXEC));
  EXPECT_TRUE(state_->descriptors().Put(5, one.get()));
  EXPECT_TRUE(state_->descriptors().Put(6, one.get()));
  state_->descriptors().Drop(6);
  EXPECT_TRUE(state_->descriptors().Put(6, two.get()));  // another node with the same id
  for (int life = 0; life < 3; ++life) {
    auto next = Next();
    ASSERT_TRUE(next);
    const auto taken = (*next)->descriptors().Take();
    ASSERT_EQ(taken.size(), 2U);
    EXPECT_EQ(InoOf(taken.at(5).get()), InoOf(one.get()));
    EXPECT_EQ(InoOf(taken.at(6).get()), InoOf(two.get()));
  }
}

TEST_F(KeptStateTest, DescriptorsAreBounded) {
  const UniqueFd file(::memfd_create("file", MFD_CLOEXEC));
  DescriptorKeep& keep = state_->descriptors();
  for (uint32_t id = 1; id <= DescriptorKeep::kMax; ++id) {
    ASSERT_TRUE(keep.Put(id, file.get())) << id;
  }
  EXPECT_FALSE(keep.Put(1000, file.get()));
  for (uint32_t round = 0; round < 1000; ++round) {  // what is dropped makes room
    keep.Drop(1 + round % DescriptorKeep::kMax);
    ASSERT_TRUE(keep.Put(1 + round % DescriptorKeep::kMax, file.get())) << round;
  }
}

TEST_F(KeptStateTest, WhatIsDroppedIsLetGoAtOnce) {
  const UniqueFd file(::memfd_create("file", MFD_CLOEXEC));
  int ends[2] = {-1, -1};
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  DescriptorKeep& keep = state_->descriptors();
  ASSERT_TRUE(keep.Put(5, writer.get()) && keep.Put(6, file.get()));
  writer.Reset();
  char byte = 0;
  ASSERT_EQ(::read(reader.get(), &byte, 1), -1);  // it is open in the queue
  keep.Drop(5);
  EXPECT_EQ(::read(reader.get(), &byte, 1), 0);
  auto next = Next();
  EXPECT_EQ((*next)->descriptors().Take().size(), 1U);
}

// A reply as libfuse sends it.
class Reply {
 public:
  explicit Reply(uint64_t unique, std::string body) : body_(std::move(body)) {
    header_ = {static_cast<uint32_t>(sizeof(header_) + body_.size()), 0, unique};
    parts_[0] = {&header_, sizeof(header_)};
    parts_[1] = {body_.data(), body_.size()};
  }
  void Note() const { RequestJournal::NoteReply(parts_, 2); }

 private:
  std::string body_;
  fuse_out_header header_ = {};
  iovec parts_[2] = {};
};

class JournalTest : public KeptStateTest {
 protected:
  RequestSlot& Begin(KeptState& state, uint64_t unique) {
    return state.journal().Begin(*state.journal().Claim(), unique, taken_over_);
  }
  void TearDown() override {
    // No test after this one is of this thread's request.
    RequestSlot none = {};
    RequestJournal::End(none);
  }
  bool taken_over_ = false;
};

TEST_F(JournalTest, AnAnswerThatWasGivenIsKnown) {
  Begin(*state_, 42);
  EXPECT_FALSE(taken_over_);
  Reply(41, "somebody else's").Note();
  Reply(42, "body").Note();
  auto next = Next();
  const RequestSlot& slot = Begin(**next, 42 | wire::kUniqueResend);
  EXPECT_TRUE(taken_over_);
  EXPECT_EQ(slot.Reply().substr(sizeof(fuse_out_header)), "body");
}

TEST_F(JournalTest, AChangeThatWasPlannedIsKnown) {
  Begin(*state_, 42);
  EXPECT_FALSE(PlannedBefore());
  PlanChange(7, 8);
  EXPECT_FALSE(PlannedBefore());
  for (int life = 0; life < 3; ++life) {  // killed again and again before it is answered
    auto next = Next();
    Begin(**next, 42 | wire::kUniqueResend);
    EXPECT_TRUE(taken_over_ && PlannedBefore());
    EXPECT_EQ(CurrentRequest()->source, 7U);
    EXPECT_EQ(CurrentRequest()->victim, 8U);
    EXPECT_TRUE(CurrentRequest()->Reply().empty());
  }
}

TEST_F(JournalTest, APlannedRenameIsTakenOnce) {
  Begin(*state_, 42);
  PlanRename(7, "old", NodeRecords::kTop, std::string(255, 'n'), true);
  auto next = Next();
  int taken = 0;
  const auto count = [&](const RequestSlot& slot) {
    ++taken;
    EXPECT_EQ(slot.rename.name, std::string("old"));
    EXPECT_EQ(slot.rename.new_name, std::string(255, 'n'));
    EXPECT_TRUE(slot.rename.exchange && slot.source == 1 && slot.victim == 2);
  };
  (*next)->journal().TakeRenames(count);
  EXPECT_EQ(taken, 0);  // the change itself was not planned yet
  PlanChange(1, 2);
  (*next)->journal().TakeRenames(count);
  (*next)->journal().TakeRenames(count);
  EXPECT_EQ(taken, 1);
}

TEST_F(JournalTest, ARenameThatWasAnsweredIsNotTaken) {
  RequestSlot& slot = Begin(*state_, 42);
  PlanRename(7, "old", NodeRecords::kTop, "new", false);
  PlanChange(1, 2);
  RequestJournal::End(slot);
  auto next = Next();
  (*next)->journal().TakeRenames([](const RequestSlot&) { FAIL(); });
}

TEST_F(JournalTest, AMirrorIsTakenOnce) {
  Begin(*state_, 42);
  PlanMirror(9, {1, 2}, {3, 4});
  auto next = Next();
  int taken = 0;
  for (int i = 0; i < 2; ++i) {
    (*next)->journal().TakeMirrors([&](uint32_t directory, const timespec(&times)[2]) {
      ++taken;
      EXPECT_TRUE(directory == 9 && times[0].tv_nsec == 2 && times[1].tv_sec == 3);
    });
  }
  EXPECT_EQ(taken, 1);
}

TEST_F(JournalTest, AMirrorThatFailedIsNotTaken) {
  RequestSlot& slot = Begin(*state_, 42);
  PlanMirror(9, {1, 2}, {3, 4});
  RequestJournal::End(slot);
  for (int i = 0; i < 2; ++i) {
    auto next = Next();
    (*next)->journal().TakeMirrors([](uint32_t, const timespec(&)[2]) { FAIL(); });
    // Nor when the thread has gone on to another request.
    bool taken_over = false;
    state_->journal().Begin(slot, 43, taken_over);
  }
}

TEST_F(JournalTest, WhatWasAnsweredIsForgotten) {
  RequestSlot& slot = Begin(*state_, 42);
  PlanChange(0, 0);
  RequestJournal::End(slot);
  auto next = Next();
  Begin(**next, 42 | wire::kUniqueResend);
  EXPECT_FALSE(taken_over_ || PlannedBefore());
}

TEST_F(JournalTest, BigAnswersAreNotKept) {
  Begin(*state_, 42);
  Reply(42, std::string(4096, 'x')).Note();
  EXPECT_TRUE(CurrentRequest()->Reply().empty());
}

TEST_F(JournalTest, ThreadsNeverRunOutOfSlots) {
  for (int life = 0; life < 100; ++life) {
    auto next = Next();
    Begin(**next, static_cast<uint64_t>(life) + 1);
    Begin(**next, static_cast<uint64_t>(life) + 1000);
  }
}

struct Handle : OpenHandle {
  using OpenHandle::OpenHandle;
};

TEST(OpenHandlesTest, NumbersOfAnEarlierProcess) {
  OpenHandles handles;
  handles.SetLife(3);
  auto own = std::make_unique<Handle>(handles);
  const uint64_t number = handles.NumberOf(own.get());
  EXPECT_EQ(handles.Find<Handle>(number), own.get());
  EXPECT_EQ(handles.NumberOf(nullptr), 0U);
  EXPECT_EQ(handles.Find<Handle>(0), nullptr);

  const uint64_t old = (number & ((uint64_t{1} << 48) - 1)) | uint64_t{2} << 48;
  EXPECT_EQ(handles.Find<Handle>(old), nullptr);
  auto adopted = std::make_unique<Handle>(handles);
  const Handle* first = adopted.get();
  EXPECT_EQ(&handles.Adopt(old, std::move(adopted)), first);
  EXPECT_EQ(&handles.Adopt(old, std::make_unique<Handle>(handles)), first);
  EXPECT_EQ(handles.Take(old).get(), first);
  EXPECT_EQ(handles.Take(old), nullptr);
}

}  // namespace
}  // namespace actiondfs::fuse
