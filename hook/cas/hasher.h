// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 by libcrypto. One Hasher belongs to one thread.
#ifndef ACTIONDFS_HOOK_CAS_HASHER_H_
#define ACTIONDFS_HOOK_CAS_HASHER_H_

#include <cstddef>
#include <memory>
#include <string_view>

#include "hook/cas/digest.h"

namespace actiondfs::cas {

class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void Update(std::string_view data);
  // The digest of all that was given; the Hasher starts anew.
  Digest Finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

Digest DigestOf(std::string_view data);

}  // namespace actiondfs::cas

#endif  // ACTIONDFS_HOOK_CAS_HASHER_H_
