// SPDX-License-Identifier: Apache-2.0
//
// Reading a whole blob, piece by piece, with its hash checked at the end. Thread-safe.
#ifndef ACTIONDFS_HOOK_APPS_CLI_BLOB_COPY_H_
#define ACTIONDFS_HOOK_APPS_CLI_BLOB_COPY_H_

#include "hook/base/result.h"
#include "hook/cas/blob_store.h"
#include "hook/cas/digest.h"

namespace actiondfs::cli {

// Copies the blob to `to`; with `to` negative, reads and hashes it only. EUCLEAN: what was read
// (and written) has another digest; EOPNOTSUPP: a digest function that this build cannot hash; else
// as BlobStore::OpenBlob, and what reading and writing give.
Status CopyBlob(const cas::BlobStore& store, const cas::Digest& digest, int to);

}  // namespace actiondfs::cli

#endif  // ACTIONDFS_HOOK_APPS_CLI_BLOB_COPY_H_
