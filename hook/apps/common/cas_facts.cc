// SPDX-License-Identifier: Apache-2.0
#include "hook/apps/common/cas_facts.h"

#include <cerrno>
#include <string>
#include <utility>

#include "hook/base/text.h"
#include "hook/oci/action.h"
#include "hook/tree/directory_cache.h"
#include "hook/tree/walk.h"

namespace actiondfs::apps {
namespace {

// One Directory a level of the working directory, at most.
constexpr size_t kCacheBytes = size_t{64} << 20;

Result<std::string> ReadMessage(const cas::BlobStore& store, const cas::Digest& digest,
                                const char* what) {
  auto blob = store.ReadBlob(digest, oci::kMaxActionSize);
  if (!blob) {
    // Not ENOENT: that a blob is missing is a fault of the CAS.
    const int code = blob.error().code() == ENOENT ? EIO : blob.error().code();
    return MakeError(code, std::string(what) + ": " + blob.error().what());
  }
  return blob;
}

}  // namespace

Result<plan::ActionFacts> ReadActionFacts(const cas::BlobStore& store, const cas::Digest& action) {
  ASSIGN_OR_RETURN(const std::string action_blob, ReadMessage(store, action, "Action"));
  auto digests = oci::ParseAction(action_blob, action.function);
  if (!digests) {
    return Wrap(std::move(digests).error(), "Action " + action.ToString());
  }
  ASSIGN_OR_RETURN(const std::string command_blob, ReadMessage(store, digests->command, "Command"));
  auto command = oci::ParseCommand(command_blob);
  if (!command) {
    return Wrap(std::move(command).error(), "Command " + digests->command.ToString());
  }
  plan::ActionFacts facts;
  facts.input_root = digests->input_root;
  facts.mutates_inputs =
      digests->mutates_inputs ? digests->mutates_inputs : command->mutates_inputs;
  facts.working_directory = std::move(command->working_directory);
  return facts;
}

Status CheckInputRoot(const cas::BlobStore& store, const plan::MountPlan& plan) {
  if (plan.working_directory.empty()) {
    auto root = tree::LoadDirectory(store, plan.input_root);
    return root ? Status() : Wrap(std::move(root).error(), "input root");
  }
  tree::DirectoryCache cache(kCacheBytes);
  const auto found = tree::Resolve(cache, store, plan.input_root, plan.working_directory);
  if (!found) {
    return Wrap(found.error(), "working directory " + Quoted(plan.working_directory) +
                                   " of the Action, in input root " + plan.input_root.ToString());
  }
  if (found->entry.kind != tree::EntryKind::kDirectory) {
    return MakeError(ENOTDIR,
                     "working directory " + Quoted(plan.working_directory) + " of the Action");
  }
  return {};
}

}  // namespace actiondfs::apps
