// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/budget.h"

#include <algorithm>

namespace actiondfs::fuse {

Budget::~Budget() {
  for (size_t i = 0; i < kResources; ++i) {
    pool_.used_[i] -= used_[i];
  }
}

size_t Budget::Room(Resource resource) const {
  const Limit& limit = pool_.limit(resource);
  const size_t mine = used(resource);
  const size_t in_share = limit.share > mine ? limit.share - mine : 0;
  // Half, for each that is taken is one less that is left.
  const size_t taken = pool_.used(resource) + mine;
  const size_t in_pool = limit.pool > taken ? (limit.pool - taken) / 2 : 0;
  return std::max(in_share, in_pool);
}

bool Budget::Take(Resource resource, size_t count) {
  if (!HasRoom(resource, count)) {
    return false;
  }
  Add(resource, count);
  return true;
}

void Budget::Add(Resource resource, size_t count) {
  used_[Pool::Index(resource)] += count;
  pool_.used_[Pool::Index(resource)] += count;
}

void Budget::Give(Resource resource, size_t count) {
  used_[Pool::Index(resource)] -= count;
  pool_.used_[Pool::Index(resource)] -= count;
}

Claim& Claim::operator=(Claim&& other) noexcept {
  if (this != &other) {
    Release();
    budget_ = std::exchange(other.budget_, nullptr);
    resource_ = other.resource_;
    count_ = other.count_;
  }
  return *this;
}

bool Claim::Take(Budget& budget, Resource resource, size_t count) {
  Add(budget, resource, 0);
  return TakeMore(count);
}

bool Claim::TakeMore(size_t count) {
  if (budget_ == nullptr || !budget_->Take(resource_, count)) {
    return false;
  }
  count_ += count;
  return true;
}

void Claim::Add(Budget& budget, Resource resource, size_t count) {
  Release();
  budget.Add(resource, count);
  budget_ = &budget;
  resource_ = resource;
  count_ = count;
}

void Claim::Release() {
  if (budget_ != nullptr) {
    budget_->Give(resource_, count_);
    budget_ = nullptr;
  }
}

}  // namespace actiondfs::fuse
