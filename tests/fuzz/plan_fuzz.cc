// SPDX-License-Identifier: Apache-2.0
//
// What a runtime and a pod's author write, up to the plan: state JSON, config.json, annotations and
// the maps of a user namespace, on hosts and under configurations of several kinds. A plan keeps to
// what the operator allows, whatever it was made from; a refusal is one line.
//
// Input: a byte that chooses the host and the configuration, then four parts: state, config.json,
// lines of "key=value" (annotations in addition to the state's; what is before '=' gets our
// prefix), and an id map.
#include <algorithm>
#include <string>
#include <string_view>

#include "hook/base/text.h"
#include "hook/oci/annotations.h"
#include "hook/oci/bundle.h"
#include "hook/oci/state.h"
#include "hook/plan/config.h"
#include "hook/plan/mount_plan.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/input.h"

namespace actiondfs::fuzz {
namespace {

// What the first byte means.
constexpr unsigned kStrictOperator = 1, kHasKernel = 2, kHasFuse = 4, kActionMutates = 8;
constexpr unsigned kActionSaysSo = 16, kBlake3Action = 32;

const plan::Config& ConfigOf(unsigned choice) {
  static const plan::Config open = plan::ParseConfig(R"({
    "cas": {"default": {"path": "/srv/cas"},
            "b3": {"path": "/srv/b3", "digest_function": "blake3", "layout": "flat"}},
    "stage_root": "/srv/stage"})")
                                       .value();
  static const plan::Config strict = plan::ParseConfig(R"({
    "cas": {"default": {"path": "/srv/cas", "layout": "sharded"}},
    "stage_root": "/srv/stage", "state_root": "/run/state",
    "defaults": {"destination": "/workspace/default", "mode": "readonly", "backend": "fuse"},
    "allow": {"modes": ["strict", "readonly"], "backends": ["fuse"],
              "destinations": ["/workspace", "/home/build"]}})")
                                         .value();
  return (choice & kStrictOperator) != 0 ? strict : open;
}

plan::HostProbe HostOf(unsigned choice) {
  plan::HostProbe host;
  if ((choice & kHasKernel) != 0) {
    host.working.insert(oci::Backend::kKernel);
  }
  if ((choice & kHasFuse) != 0) {
    host.working.insert(oci::Backend::kFuse);
  }
  host.hints[oci::Backend::kKernel] = "no module";
  return host;
}

plan::ActionFacts FactsOf(unsigned choice) {
  plan::ActionFacts facts;
  facts.input_root.function =
      (choice & kBlake3Action) != 0 ? cas::HashFunction::kBlake3 : cas::HashFunction::kSha256;
  facts.input_root.size = 83;
  if ((choice & kActionSaysSo) != 0) {
    facts.mutates_inputs = (choice & kActionMutates) != 0;
  }
  facts.working_directory = "src";
  return facts;
}

void AddAnnotations(const std::string& lines, oci::ContainerState& state) {
  for (const std::string& line : Split(lines, '\n')) {
    const size_t equals = line.find('=');
    if (equals != std::string::npos) {
      state.annotations[std::string(oci::kAnnotationPrefix) + line.substr(0, equals)] =
          line.substr(equals + 1);
    }
  }
}

// The name of one directory, and nothing that leads out of the one above it.
bool IsOneName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= 255 &&
         name.find('/') == std::string_view::npos && IsPrintableLine(name, 255);
}

bool IsBelow(std::string_view path, std::string_view directory) {
  return path == directory || path.starts_with(std::string(directory) + "/");
}

void CheckDestination(const std::string& destination, const plan::Config& config) {
  MUST(IsNormalPath(destination));
  for (const char* forbidden : {"/proc", "/sys", "/dev"}) {
    MUST(!IsBelow(destination, forbidden));
  }
  MUST(!config.allow.destinations ||
       std::ranges::any_of(*config.allow.destinations, [&](const std::string& allowed) {
         return IsBelow(destination, allowed);
       }));
}

// Every path of the host is the operator's, but for the last component of two: the container's id.
void CheckHostPaths(const plan::MountPlan& plan, const plan::Config& config) {
  MUST(IsOneName(plan.container_id));
  const auto cas = config.cas.find(plan.cas_name);
  MUST(cas != config.cas.end());
  MUST(plan.cas.path == cas->second.path);
  MUST(plan.cas.layout == cas->second.layout);
  MUST(plan.state_dir == config.state_root + "/" + plan.container_id);
  MUST(plan.mode == oci::Mode::kReadonly
           ? plan.stage_dir.empty()
           : plan.stage_dir == config.stage_root + "/" + plan.container_id);
}

bool IsMapped(const std::vector<oci::IdMapping>& mappings, uint32_t inside, uint32_t outside) {
  return std::ranges::any_of(mappings, [&](const oci::IdMapping& mapping) {
    return uint64_t{inside} >= mapping.container_id &&
           uint64_t{inside} < uint64_t{mapping.container_id} + mapping.size &&
           uint64_t{outside} - mapping.host_id == uint64_t{inside} - mapping.container_id;
  });
}

void CheckOwner(const plan::MountPlan& plan, const oci::BundleSpec& spec,
                const std::vector<oci::IdMapping>& joined) {
  if (!spec.has_user_namespace || plan.map_ids) {
    MUST(plan.owner_uid == spec.uid && plan.owner_gid == spec.gid);
    return;
  }
  MUST(IsMapped(spec.joins_user_namespace ? joined : spec.uid_mappings, spec.uid, plan.owner_uid));
  MUST(IsMapped(spec.joins_user_namespace ? joined : spec.gid_mappings, spec.gid, plan.owner_gid));
}

void CheckChoices(const plan::MountPlan& plan, const oci::WorkspaceRequest& request,
                  const plan::Config& config, const plan::HostProbe& host) {
  const oci::Annotations& asked = request.annotations;
  MUST(host.working.contains(plan.backend));
  MUST(!config.allow.backends || config.allow.backends->contains(plan.backend));
  MUST(!config.allow.modes || config.allow.modes->contains(plan.mode));
  MUST(!asked.mode || *asked.mode == plan.mode);
  MUST(!asked.mutates_inputs || *asked.mutates_inputs == (plan.mode == oci::Mode::kOverlay));
  MUST(!asked.backend || *asked.backend == oci::Backend::kAuto || *asked.backend == plan.backend);
  MUST(plan.input_root.size >= 0);
  MUST(asked.action.has_value() != asked.input_root.has_value());
  MUST(plan.action == asked.action);
  MUST((asked.action ? asked.action : asked.input_root)->function == plan.cas.digest_function);
}

const char* Refuse(const Error& error, const char* stage) {
  CheckError(error);
  return stage;
}

// What is left of the way once there is a request.
const char* Plan(unsigned choice, oci::WorkspaceRequest& request, const oci::BundleSpec& spec,
                 const std::string& id_map) {
  std::vector<oci::IdMapping> joined;
  if (request.needs_id_maps) {
    auto parsed = oci::ParseIdMap(id_map);
    if (!parsed) {
      return Refuse(parsed.error(), "id-map");
    }
    joined = *std::move(parsed);
    if (auto applied = oci::ApplyIdMaps(request, joined, joined); !applied) {
      return Refuse(applied.error(), "id-map");
    }
  }
  const plan::Config& config = ConfigOf(choice);
  const plan::HostProbe host = HostOf(choice);
  std::optional<plan::ActionFacts> facts;
  if (request.annotations.action) {
    facts = FactsOf(choice);
  }
  const auto plan = plan::MakePlan(request, facts, config, host);
  if (!plan) {
    return Refuse(plan.error(), "plan");
  }
  CheckDestination(plan->destination, config);
  CheckHostPaths(*plan, config);
  CheckChoices(*plan, request, config, host);
  CheckOwner(*plan, spec, joined);
  MUST(IsPrintableLine(request.mount_label, 4096));
  return oci::ToString(plan->mode).data();
}

const char* Run(Input input) {
  const unsigned choice = input.Byte();
  const std::string state_json = input.Part();
  const std::string config_json = input.Part();
  const std::string annotations = input.Part();
  auto state = oci::ParseState(state_json);
  if (!state) {
    return Refuse(state.error(), "state");
  }
  AddAnnotations(annotations, *state);
  if (!oci::HasActiondfsAnnotation(*state)) {
    return "none";
  }
  const auto spec = oci::ParseBundleConfig(config_json);
  if (!spec) {
    return Refuse(spec.error(), "config");
  }
  auto request = oci::MakeRequest(*state, *spec);
  if (!request) {
    return Refuse(request.error(), "request");
  }
  MUST(request->pid > 0);
  MUST(request->rootfs.starts_with('/'));
  return Plan(choice, *request, *spec, input.Part());
}

}  // namespace

const char* Outcome(const uint8_t* data, size_t size) {
  return Run({data, size});
}

}  // namespace actiondfs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)actiondfs::fuzz::Outcome(data, size);
  return 0;
}
