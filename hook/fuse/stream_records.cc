// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/stream_records.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>

namespace actiondfs::fuse {
namespace {

constexpr size_t kUnit = 64;
constexpr auto kUnits = static_cast<uint32_t>(StreamRecords::kArenaSize / kUnit);
// Freed memory is given back only where it is worth the call.
constexpr size_t kWorthGivingBack = size_t{64} << 10;

uint32_t FirstOf(uint64_t extent) {
  return static_cast<uint32_t>(extent >> 32);
}
uint32_t BytesOf(uint64_t extent) {
  return static_cast<uint32_t>(extent);
}
uint32_t UnitsOf(uint64_t extent) {
  return static_cast<uint32_t>((BytesOf(extent) + kUnit - 1) / kUnit);
}
bool IsInside(uint64_t extent) {
  return FirstOf(extent) < kUnits && UnitsOf(extent) <= kUnits - FirstOf(extent);
}

// One name: ino, type, length, the name itself.
constexpr size_t kEntryHeader = sizeof(uint64_t) + 2;

size_t SizeOf(const std::vector<stage::Listed>& names) {
  size_t size = 0;
  for (const stage::Listed& entry : names) {
    size += kEntryHeader + entry.name.size();
  }
  return size;
}

void Put(char* to, const std::vector<stage::Listed>& names) {
  for (const stage::Listed& entry : names) {
    std::memcpy(to, &entry.ino, sizeof(entry.ino));
    to[8] = static_cast<char>(entry.type);
    to[9] = static_cast<char>(entry.name.size());
    std::ranges::copy(entry.name, to + kEntryHeader);
    to += kEntryHeader + entry.name.size();
  }
}

std::vector<stage::Listed> Get(const char* from, size_t size) {
  std::vector<stage::Listed> names;
  while (size > kEntryHeader) {
    stage::Listed entry = {};
    std::memcpy(&entry.ino, from, sizeof(entry.ino));
    entry.type = static_cast<unsigned char>(from[8]);
    const size_t length = static_cast<unsigned char>(from[9]);
    if (kEntryHeader + length > size) {
      break;
    }
    entry.name.assign(from + kEntryHeader, length);
    names.push_back(std::move(entry));
    from += kEntryHeader + length;
    size -= kEntryHeader + length;
  }
  return names;
}

}  // namespace

StreamRecords::StreamRecords(StreamRecord* records, char* arena)
    : records_(records), arena_(arena) {
  free_[1] = kUnits - 1;  // the first unit is never used: no extent is 0
  for (StreamRecord* record = records_; record < records_ + kMaxStreams; ++record) {
    const uint64_t extent = record->extent.load(std::memory_order_acquire);
    if (record->fh.load(std::memory_order_acquire) == 0 || extent == 0) {
      continue;
    }
    // Cut out of the free piece that it is in.
    auto piece = free_.upper_bound(FirstOf(extent));
    if (!IsInside(extent) || piece == free_.begin() ||
        FirstOf(extent) + UnitsOf(extent) > std::prev(piece)->first + std::prev(piece)->second) {
      record->extent.store(0, std::memory_order_relaxed);
      continue;
    }
    --piece;
    const uint32_t end = piece->first + piece->second;
    const uint32_t first = FirstOf(extent);
    piece->second = first - piece->first;
    if (first + UnitsOf(extent) < end) {
      free_[first + UnitsOf(extent)] = end - first - UnitsOf(extent);
    }
    if (piece->second == 0) {
      free_.erase(piece);
    }
  }
}

StreamRecord* StreamRecords::Find(uint64_t fh) {
  for (StreamRecord* record = records_; record < records_ + kMaxStreams; ++record) {
    if (record->fh.load(std::memory_order_relaxed) == fh) {
      return record;
    }
  }
  return nullptr;
}

uint64_t StreamRecords::Allocate(size_t size) {
  const auto units = static_cast<uint32_t>((size + kUnit - 1) / kUnit);
  const auto piece = std::ranges::find_if(
      free_, [units](const auto& candidate) { return candidate.second >= units; });
  if (piece == free_.end()) {
    return 0;
  }
  const auto [first, length] = *piece;
  free_.erase(piece);
  if (length > units) {
    free_[first + units] = length - units;
  }
  return uint64_t{first} << 32 | size;
}

void StreamRecords::Release(uint64_t extent) {
  if (extent == 0) {
    return;
  }
  const uint32_t first = FirstOf(extent);
  uint32_t units = UnitsOf(extent);
  if (size_t{units} * kUnit >= kWorthGivingBack) {
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    const size_t begin = (size_t{first} * kUnit + page - 1) / page * page;
    const size_t end = size_t{first + units} * kUnit / page * page;
    (void)::madvise(arena_ + begin, end - begin, MADV_REMOVE);  // or it stays, for the next one
  }
  const auto next = free_.upper_bound(first);
  if (next != free_.end() && next->first == first + units) {
    units += next->second;
    free_.erase(next);
  }
  const auto after = free_.upper_bound(first);
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == first) {
      before->second += units;
      return;
    }
  }
  free_[first] = units;
}

void StreamRecords::Write(uint64_t fh, const std::vector<stage::Listed>& names) {
  const std::lock_guard lock(mutex_);
  StreamRecord* record = Find(fh);
  if (record == nullptr) {
    record = names.empty() ? nullptr : Find(0);
    if (record == nullptr) {
      return;
    }
    record->extent.store(0, std::memory_order_relaxed);
  }
  const size_t size = SizeOf(names);
  const uint64_t extent = size > 0 ? Allocate(size) : 0;
  if (extent != 0) {
    Put(arena_ + size_t{FirstOf(extent)} * kUnit, names);
  }
  Release(record->extent.exchange(extent, std::memory_order_release));
  record->fh.store(extent != 0 ? fh : 0, std::memory_order_release);
}

void StreamRecords::Free(uint64_t fh) {
  const std::lock_guard lock(mutex_);
  if (StreamRecord* record = Find(fh); record != nullptr) {
    record->fh.store(0, std::memory_order_release);
    Release(record->extent.exchange(0, std::memory_order_relaxed));
  }
}

std::vector<StreamRecords::Stream> StreamRecords::Read() const {
  std::vector<Stream> streams;
  for (const StreamRecord* record = records_; record < records_ + kMaxStreams; ++record) {
    const uint64_t fh = record->fh.load(std::memory_order_acquire);
    const uint64_t extent = record->extent.load(std::memory_order_acquire);
    if (fh != 0 && extent != 0) {
      streams.push_back({fh, Get(arena_ + size_t{FirstOf(extent)} * kUnit, BytesOf(extent))});
    }
  }
  return streams;
}

}  // namespace actiondfs::fuse
