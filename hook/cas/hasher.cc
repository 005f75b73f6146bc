// SPDX-License-Identifier: Apache-2.0
//
// The low-level SHA256_* functions, which OpenSSL 3 deprecates in favour of EVP. EVP fetches its
// algorithm from a provider and reads openssl.cnf on the way, which costs the hook's start more
// than everything else that it does; and a statically linked hook must not let a configuration file
// load code.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "hook/cas/hasher.h"

#include <openssl/sha.h>

#include <utility>

namespace actiondfs::cas {

static_assert(kHashSize == SHA256_DIGEST_LENGTH);

struct Hasher::Context {
  SHA256_CTX sha;
  int64_t size;

  // The SHA256_* functions cannot fail on a valid context: what they return says nothing.
  void Reset() {
    SHA256_Init(&sha);
    size = 0;
  }
};

Hasher::Hasher() : context_(std::make_unique<Context>()) {
  context_->Reset();
}

Hasher::~Hasher() = default;

void Hasher::Update(std::string_view data) {
  SHA256_Update(&context_->sha, data.data(), data.size());
  context_->size += static_cast<int64_t>(data.size());
}

Digest Hasher::Finish() {
  Digest digest;
  SHA256_Final(digest.hash.data(), &context_->sha);
  digest.size = context_->size;
  context_->Reset();
  return digest;
}

Digest DigestOf(std::string_view data) {
  Hasher hasher;
  hasher.Update(data);
  return hasher.Finish();
}

}  // namespace actiondfs::cas
