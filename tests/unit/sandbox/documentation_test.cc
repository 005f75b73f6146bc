// SPDX-License-Identifier: Apache-2.0
//
// docs/security.md says what hook/sandbox does.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "hook/sandbox/capabilities.h"
#include "hook/sandbox/profile.h"

namespace actiondfs::sandbox {
namespace {

using Row = std::map<std::string, std::string>;  // by column

std::vector<std::string> Cells(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream stream(line.substr(1));
  for (std::string cell; std::getline(stream, cell, '|');) {
    const size_t first = cell.find_first_not_of(' ');
    cells.push_back(first == std::string::npos
                        ? ""
                        : cell.substr(first, cell.find_last_not_of(' ') - first + 1));
  }
  return cells;
}

// The rows of the table whose first column is `key`, by what that column says.
std::map<std::string, Row> Table(const std::string& key) {
  std::ifstream file(ACTIONDFS_SECURITY_TABLES);
  std::map<std::string, Row> rows;
  std::vector<std::string> head;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with('|')) {
      head.clear();
    } else if (head.empty()) {
      head = Cells(line);
    } else if (head.front() == key && !line.starts_with("|-")) {
      const std::vector<std::string> cells = Cells(line);
      EXPECT_EQ(cells.size(), head.size()) << line;
      for (size_t i = 0; i < std::min(cells.size(), head.size()); ++i) {
        rows[cells.front()][head[i]] = cells[i];
      }
    }
  }
  return rows;
}

// What stands between backticks, with a '?' where a condition in parentheses follows.
std::multiset<std::string> CallsIn(const std::string& text) {
  std::multiset<std::string> calls;
  for (size_t at = text.find('`'); at != std::string::npos; at = text.find('`', at)) {
    const size_t end = text.find('`', at + 1);
    const std::string call = text.substr(at + 1, end - at - 1);
    at = end + 1;
    calls.insert(text.substr(at, 2) == " (" ? call + "?" : call);
  }
  return calls;
}

TEST(DocumentationTest, CapabilitiesAreThoseOfTheProfiles) {
  std::map<std::string, std::set<std::string>> expected;
  std::map<std::string, std::set<std::string>> documented;
  for (const Profile profile : kProfiles) {
    const std::string name(NameOf(profile));
    expected[name] = documented[name] = {};
    for (const int capability : CapabilitiesOf(profile)) {
      expected[name].insert(CapabilityName(capability));
    }
  }
  for (const auto& [capability, row] : Table("capability")) {
    EXPECT_FALSE(row.at("why").empty()) << capability;
    for (auto& [profile, names] : documented) {
      if (row.at(profile) == "x") {
        names.insert(capability);
      }
    }
  }
  EXPECT_EQ(documented, expected);
}

TEST(DocumentationTest, SystemCallsAreThoseOfTheProfiles) {
  const auto rows = Table("class");
  for (const Profile profile : kProfiles) {
    if (OtherwiseOf(profile) == Otherwise::kNothing) {
      continue;
    }
    const std::string name(NameOf(profile));
    std::set<std::string> classes;
    for (const CallClass& allowed : CallsOf(profile)) {
      const std::string class_name(allowed.name);
      classes.insert(class_name);
      ASSERT_TRUE(rows.contains(class_name)) << class_name;
      const Row& row = rows.at(class_name);
      EXPECT_EQ(row.at(name), "x") << class_name << " in " << name;
      EXPECT_FALSE(row.at("why").empty()) << class_name;
      std::multiset<std::string> calls;
      for (const CallRule& rule : allowed.rules) {
        calls.insert(std::string(rule.call) + (rule.argument < 0 ? "" : "?"));
      }
      EXPECT_EQ(CallsIn(row.at("calls")), calls) << class_name;
    }
    for (const auto& [class_name, row] : rows) {
      EXPECT_EQ(row.at(name) == "x", classes.contains(class_name)) << class_name << " in " << name;
    }
    EXPECT_EQ(rows.at("anything else").at(name),
              OtherwiseOf(profile) == Otherwise::kKill ? "killed" : "ENOSYS")
        << name;
  }
}

}  // namespace
}  // namespace actiondfs::sandbox
