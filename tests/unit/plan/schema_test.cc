// SPDX-License-Identifier: Apache-2.0
//
// config/ against the parser: the file that a package installs is valid, and the schema knows the
// keys and the words that the parser knows, no more and no fewer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "hook/base/text.h"
#include "hook/plan/config.h"

namespace actiondfs::plan {
namespace {

using nlohmann::json;

std::string ReadConfigFile(const std::string& name) {
  std::ifstream file(ACTIONDFS_CONFIG_DIR "/" + name);
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

json Schema() {
  return json::parse(ReadConfigFile("hook.schema.json"));
}

json Minimal() {
  return json::parse(R"({"cas":{"default":{"path":"/srv/cas"}},"stage_root":"/srv/stage"})");
}

// The keys that the parser takes in the object at `pointer`: it lists them when it meets another.
std::set<std::string> ParserKeys(const std::string& pointer) {
  json config = Minimal();
  config[json::json_pointer(pointer + "/no-such-key")] = 1;
  const auto result = ParseConfig(config.dump());
  EXPECT_FALSE(result);
  const std::string what = result ? "" : result.error().what();
  const std::string marker = "expected one of: ";
  const size_t at = what.find(marker);
  EXPECT_NE(at, std::string::npos) << what;
  std::set<std::string> keys;
  if (at != std::string::npos) {
    for (const std::string& key : Split(what.substr(at + marker.size()), ',')) {
      keys.insert(key.substr(key.find_first_not_of(' ')));
    }
  }
  return keys;
}

std::set<std::string> SchemaKeys(const json& object) {
  EXPECT_EQ(object.at("additionalProperties"), false);
  std::set<std::string> keys;
  for (const auto& [key, value] : object.at("properties").items()) {
    keys.insert(key);
  }
  return keys;
}

TEST(SchemaTest, DefaultConfigurationIsValid) {
  const auto config = ParseConfig(ReadConfigFile("hook.json"));
  ASSERT_TRUE(config) << config.error().ToString();
  EXPECT_TRUE(config->cas.contains("default"));
}

TEST(SchemaTest, SchemaAndParserKnowTheSameKeys) {
  const json schema = Schema();
  const json& properties = schema["properties"];
  EXPECT_EQ(ParserKeys(""), SchemaKeys(schema));
  EXPECT_EQ(ParserKeys("/cas/default"), SchemaKeys(properties["cas"]["additionalProperties"]));
  for (const std::string object : {"defaults", "allow", "records"}) {
    EXPECT_EQ(ParserKeys("/" + object), SchemaKeys(properties[object])) << object;
  }
}

// Sets the member to every word of the schema's list; the parser takes them all, and no other.
void ExpectWords(const json& words, const std::string& pointer, bool in_list) {
  ASSERT_TRUE(words.is_array());
  for (const json& word : words) {
    json config = Minimal();
    config[json::json_pointer(pointer)] = in_list ? json::array({word}) : word;
    const auto result = ParseConfig(config.dump());
    // A list that lacks the default is refused for that, and not for its words.
    EXPECT_TRUE(result || result.error().what().starts_with("defaults.")) << result.error().what();
  }
}

TEST(SchemaTest, ParserTakesTheWordsOfTheSchema) {
  const json schema = Schema();
  const json& properties = schema["properties"];
  const json& cas = properties["cas"]["additionalProperties"]["properties"];
  const json& modes = schema["$defs"]["mode"]["enum"];
  ExpectWords(cas["layout"]["enum"], "/cas/default/layout", false);
  ExpectWords(cas["digest_function"]["enum"], "/cas/default/digest_function", false);
  ExpectWords(modes, "/defaults/mode", false);
  ExpectWords(modes, "/allow/modes", true);
  ExpectWords(properties["defaults"]["properties"]["backend"]["enum"], "/defaults/backend", false);
  ExpectWords(properties["allow"]["properties"]["backends"]["items"]["enum"], "/allow/backends",
              true);
}

TEST(SchemaTest, DefaultsOfTheSchemaAreTheParsers) {
  const json schema = Schema();
  const json& properties = schema["properties"];
  const json& defaults = properties["defaults"]["properties"];
  const Config config = ParseConfig(Minimal().dump()).value();
  EXPECT_EQ(properties["state_root"]["default"], config.state_root);
  EXPECT_EQ(properties["serve_socket"]["default"], config.serve_socket);
  EXPECT_EQ(properties["keep_stage"]["default"], config.keep_stage);
  EXPECT_EQ(defaults["destination"]["default"], config.defaults.destination);
  EXPECT_EQ(defaults["mode"]["default"], oci::ToString(config.defaults.mode));
  EXPECT_EQ(defaults["backend"]["default"], oci::ToString(config.defaults.backend));
}

TEST(HooksTest, OneFileAStageWithItsOwnEnvironmentAndTimeout) {
  for (const std::string stage : {"prestart", "poststop"}) {
    const json hook = json::parse(ReadConfigFile("hooks.d/10-actiondfs-" + stage + ".json"));
    EXPECT_EQ(hook["version"], "1.0.0");
    EXPECT_EQ(hook["stages"], json::array({stage}));
    EXPECT_EQ(hook["hook"]["args"], json::array({"actiondfs-hook", stage}));
    EXPECT_FALSE(hook["hook"]["env"].empty());
    EXPECT_GT(hook["hook"]["timeout"], 0);
    EXPECT_EQ(hook["when"]["annotations"].begin().key(), "^dev\\.actiondfs\\.");
  }
}

}  // namespace
}  // namespace actiondfs::plan
