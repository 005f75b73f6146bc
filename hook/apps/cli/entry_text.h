// SPDX-License-Identifier: Apache-2.0
//
// Entries of a tree as text and as JSON, for the commands that list them. Pure functions but for
// OwnProperties.
#ifndef ACTIONDFS_HOOK_APPS_CLI_ENTRY_TEXT_H_
#define ACTIONDFS_HOOK_APPS_CLI_ENTRY_TEXT_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "hook/cas/blob_store.h"
#include "hook/tree/directory.h"
#include "hook/tree/directory_cache.h"

namespace actiondfs::cli {

// Names and targets come from the tree's author: shown whole, but printable.
std::string ShownName(std::string_view name);

// "-r-xr-xr-x", as ls(1) has it.
std::string ModeText(const tree::Entry& entry);

// {"name", "type", "mode" (octal text), "mtime" (ISO 8601), and "size", "digest", "executable" or
// "target"}.
nlohmann::ordered_json EntryJson(const tree::Entry& entry);

// One document and a newline on stdout; bytes that are not UTF-8 become U+FFFD.
void PrintJson(const nlohmann::ordered_json& json);

// A directory's mode and mtime stand in its own message, not in its parent's: `entry` with these.
tree::Entry WithProperties(tree::Entry entry, const tree::Directory& directory);

}  // namespace actiondfs::cli

#endif  // ACTIONDFS_HOOK_APPS_CLI_ENTRY_TEXT_H_
