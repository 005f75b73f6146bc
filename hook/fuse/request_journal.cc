// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/request_journal.h"

#include <algorithm>
#include <cstring>

#include "hook/fuse/wire.h"

namespace actiondfs::fuse {
namespace {

thread_local RequestSlot* current = nullptr;
thread_local bool planned_before = false;

}  // namespace

void RequestSlot::Plan(uint64_t the_source, uint64_t the_victim) {
  source = the_source;
  victim = the_victim;
  planned.store(true, std::memory_order_release);
}

std::string_view RequestSlot::Reply() const {
  return {reply, std::min<size_t>(reply_size.load(std::memory_order_acquire), kMaxReply)};
}

RequestSlot* CurrentRequest() {
  return current;
}

bool PlannedBefore() {
  return current != nullptr && planned_before;
}

void PlanChange(uint64_t source, uint64_t victim) {
  if (current != nullptr) {
    current->Plan(source, victim);
  }
}

void PlanRename(uint32_t from, std::string_view name, uint32_t to, std::string_view new_name,
                bool exchange) {
  if (current == nullptr) {
    return;
  }
  PlannedRename& rename = current->rename;
  rename.to = to;
  rename.exchange = exchange;
  rename.name[name.copy(rename.name, sizeof(rename.name) - 1)] = '\0';
  rename.new_name[new_name.copy(rename.new_name, sizeof(rename.new_name) - 1)] = '\0';
  rename.from.store(from, std::memory_order_release);
}

void RequestJournal::TakeRenames(const std::function<void(const RequestSlot&)>& use) {
  for (RequestSlot* slot = slots_; slot < slots_ + kSlots; ++slot) {
    // One that was answered is long done, and its numbers may be others' by now.
    if (slot->unique.load(std::memory_order_acquire) != 0 && slot->planned.load() &&
        slot->rename.from.load() != 0) {
      use(*slot);
      slot->rename.from.store(0, std::memory_order_release);
    }
  }
}

void PlanMirror(uint32_t directory, const timespec& access, const timespec& change) {
  if (current != nullptr) {
    current->times[0] = access;
    current->times[1] = change;
    current->mirror.store(directory, std::memory_order_release);
  }
}

void RequestJournal::TakeMirrors(
    const std::function<void(uint32_t directory, const timespec (&times)[2])>& use) {
  for (RequestSlot* slot = slots_; slot < slots_ + kSlots; ++slot) {
    const uint32_t directory = slot->mirror.load(std::memory_order_acquire);
    // One that failed, and was answered: the directory may have changed since.
    if (slot->unique.load(std::memory_order_acquire) != 0 && directory != 0) {
      use(directory, slot->times);
      slot->mirror.store(0, std::memory_order_release);
    }
  }
}

RequestJournal::RequestJournal(RequestSlot* slots, uint32_t life) : slots_(slots), life_(life) {}

RequestSlot* RequestJournal::Claim() {
  const std::lock_guard lock(mutex_);
  // A free one; else that of the longest dead, whose request nobody sent again.
  RequestSlot* best = nullptr;
  for (RequestSlot* slot = slots_; slot < slots_ + kSlots; ++slot) {
    if (std::ranges::find(claimed_, slot) != claimed_.end()) {
      continue;
    }
    if (slot->unique.load(std::memory_order_acquire) == 0) {
      best = slot;
      break;
    }
    if (best == nullptr || slot->life.load() < best->life.load()) {
      best = slot;
    }
  }
  if (best != nullptr) {
    best->unique.store(0, std::memory_order_release);
    claimed_.push_back(best);
  }
  return best;
}

RequestSlot& RequestJournal::Begin(RequestSlot& own, uint64_t unique, bool& taken_over) {
  const uint64_t first = unique & ~wire::kUniqueResend;
  taken_over = false;
  if (first != unique) {
    for (RequestSlot* slot = slots_; slot < slots_ + kSlots; ++slot) {
      if (slot->unique.load(std::memory_order_acquire) == first && slot != &own) {
        current = slot;
        planned_before = slot->planned.load(std::memory_order_acquire);
        taken_over = true;
        return *slot;
      }
    }
  }
  own.planned.store(false, std::memory_order_relaxed);
  own.rename.from.store(0, std::memory_order_relaxed);
  own.mirror.store(0, std::memory_order_relaxed);
  own.reply_size.store(0, std::memory_order_relaxed);
  own.life.store(life_, std::memory_order_relaxed);
  own.unique.store(first, std::memory_order_release);
  current = &own;
  planned_before = false;
  return own;
}

void RequestJournal::End(RequestSlot& slot) {
  slot.unique.store(0, std::memory_order_release);
  current = nullptr;
}

void RequestJournal::NoteReply(const iovec* parts, int count) {
  if (current == nullptr || count < 1 || parts[0].iov_len < sizeof(fuse_out_header)) {
    return;
  }
  fuse_out_header header = {};
  std::memcpy(&header, parts[0].iov_base, sizeof(header));
  if ((header.unique & ~wire::kUniqueResend) != current->unique.load(std::memory_order_relaxed) ||
      header.len > RequestSlot::kMaxReply) {
    return;  // a notification, or data that can be read again
  }
  size_t size = 0;
  for (int i = 0; i < count; ++i) {
    std::memcpy(current->reply + size, parts[i].iov_base, parts[i].iov_len);
    size += parts[i].iov_len;
  }
  current->reply_size.store(static_cast<uint32_t>(size), std::memory_order_release);
}

}  // namespace actiondfs::fuse
