// SPDX-License-Identifier: Apache-2.0
//
// What has to be read from the CAS before a workspace can be planned or made. Thread-safe.
#ifndef ACTIONDFS_HOOK_APPS_COMMON_CAS_FACTS_H_
#define ACTIONDFS_HOOK_APPS_COMMON_CAS_FACTS_H_

#include "hook/base/result.h"
#include "hook/cas/blob_store.h"
#include "hook/cas/digest.h"
#include "hook/plan/mount_plan.h"

namespace actiondfs::apps {

// Reads an Action and its Command. ENOENT: one of them is not in the CAS; EUCLEAN, EINVAL: as
// oci/action.h.
Result<plan::ActionFacts> ReadActionFacts(const cas::BlobStore& store, const cas::Digest& action);

// Whether the plan's input root is a Directory in the CAS, and the Action's working directory a
// directory in it. ENOENT: not in the CAS, or no such working directory; EUCLEAN, EIO: as
// tree::LoadDirectory.
Status CheckInputRoot(const cas::BlobStore& store, const plan::MountPlan& plan);

}  // namespace actiondfs::apps

#endif  // ACTIONDFS_HOOK_APPS_COMMON_CAS_FACTS_H_
