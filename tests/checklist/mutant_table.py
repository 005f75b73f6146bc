# SPDX-License-Identifier: Apache-2.0
"""Each defence, how it is taken out, and the test that notices; for mutants.py."""

from dataclasses import dataclass

HOOK = ("actiondfs-hook", "actiondfs")
WITH_HOSTILE = (*HOOK, "hostile")


@dataclass(frozen=True)
class Edit:
    file: str
    old: str  # is in the file exactly once
    new: str


@dataclass(frozen=True)
class Mutant:
    name: str
    defence: str
    edits: tuple
    test: tuple  # a script below tests/ with its arguments, or a unit test's program and filter
    targets: tuple = HOOK


def script(name, *tests):
    return (f"checklist/{name}_test.py", *tests)


def edit(file, old, new):
    return (Edit(file, old, new),)


TARGET = "hook/mount/target.cc"
RESOLVE = "    RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;"
WORKSPACE = "hook/mount/workspace.cc"
CONTAINER = "hook/mount/container.cc"
PROCESS = "hook/sandbox/process.cc"
CAPABILITIES = "hook/sandbox/capabilities.cc"
FILTER = "hook/sandbox/filter.cc"
FUSE_MOUNT = "hook/fuse/mount_device.cc"
FUSE_FLAGS = "      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (options.read_only ? MOUNT_ATTR_RDONLY : 0U);"
OVERLAY = "hook/mount/overlay.cc"
OVERLAY_FLAGS = "context.Create(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)"
CONFIG_FILE = "hook/apps/common/config_file.cc"
ANNOTATIONS = "hook/oci/annotations.cc"
REQUEST = "hook/oci/request.cc"
ALLOW = "hook/plan/allow.cc"
SUMMARY = "hook/record/stage_summary.cc"
FILES = "hook/base/files.cc"

MUTANTS = (
    # The destination.
    Mutant("symlinks", "symlinks on the way to the destination are refused",
           edit(TARGET, RESOLVE, "    RESOLVE_IN_ROOT | RESOLVE_NO_XDEV;"),
           script("target", "TargetTest.test_symlinks_of_the_image")),
    Mutant("resolve", "the destination is looked up below its root, without links and mounts",
           edit(TARGET, RESOLVE, "    0;"), script("exchange")),
    Mutant("in-root", "'..' stays in the container's root",
           edit(TARGET, RESOLVE, "    RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;"),
           ("mount_test", "TargetTest.*"), ("mount_test",)),
    Mutant("mounted-over", "a destination on another mount is refused",
           edit(TARGET, RESOLVE, "    RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;"),
           script("target", "TargetTest.test_shared_volume_spreads_nothing_to_the_host")),
    Mutant("by-path", "the mount is attached at the descriptor that was checked, not at a path",
           edit(WORKSPACE, "AttachMount(copy, target.fd());",
                "AttachMount(copy, OpenAt(AT_FDCWD, rootfs + destination, O_PATH | O_DIRECTORY)"
                ".value_or(UniqueFd()).get());"),
           script("exchange")),
    Mutant("system-directories", "/proc, /sys and /dev are refused as destinations",
           edit(REQUEST, 'if (first == "proc" || first == "sys" || first == "dev") {', 'if (first == "?") {'),
           script("target", "TargetTest.test_destinations_that_are_the_systems")),
    Mutant("dot-dot", "destinations without '..' and '.'",
           edit(REQUEST, 'if (part.empty() || part == "." || part == "..") {', "if (part.empty()) {"),
           script("target", "TargetTest.test_destinations_that_are_the_systems")),
    # Whose container it is.
    Mutant("host-namespace", "a container in the host's mount namespace is refused",
           edit(CONTAINER, "  if (own == *its) {", "  if (own == 0) {"),
           script("identity", "IdentityTest.test_process_in_the_hosts_mount_namespace")),
    Mutant("start-time", "processes are told apart by their start time",
           edit("hook/mount/container.h", "bool operator==(const ProcessIdentity&) const = default;",
                "bool operator==(const ProcessIdentity& other) const { return pid == other.pid; }"),
           script("identity", "IdentityTest.test_number_that_is_used_again_keeps_no_workspace_alive")),
    Mutant("boot-id", "a lease of another boot is dead",
           edit("hook/apps/common/finish.cc", "if (boot_id != lease.boot_id) {", "if (boot_id.empty()) {"),
           script("identity", "IdentityTest.test_lease_of_another_boot_is_dead")),
    Mutant("pid-namespace", "who counts processes otherwise says nothing of those in a lease",
           edit("hook/apps/common/finish.cc", "if (own != lease.pid_namespace) {", "if (own == 0) {"),
           script("identity", "IdentityTest.test_gc_of_another_pid_namespace_touches_nothing")),
    Mutant("hidden", "what /proc does not show is not dead",
           edit(CONTAINER, "::kill(pid, 0) != 0 && errno == ESRCH", "true"),
           script("needs", "NeedsTest.test_gc_needs_sys_ptrace_to_see_who_lives")),
    Mutant("pidfd", "the namespace is entered by pidfd, and what is in /proc is checked against it",
           (Edit(CONTAINER, "::setns(pidfd_.get(), CLONE_NEWNS) != 0",
                 '::setns(OpenAt(AT_FDCWD, ProcPath(init_.pid, "ns/mnt"), O_RDONLY).value_or(UniqueFd()).get(), '
                 "CLONE_NEWNS) != 0"),
            Edit(CONTAINER, "  if (::poll(&poll_fd, 1, 0) != 0) {\n    return MakeError(ESRCH, \"container's init",
                 "  if (poll_fd.fd < 0) {\n    return MakeError(ESRCH, \"container's init")),
           script("identity", "IdentityTest.test_number_that_is_used_again_under_the_hook")),
    # What is inherited.
    Mutant("environment", "the environment is dropped",
           edit(PROCESS, "::clearenv() != 0", "::getenv(\"\") != nullptr"),
           ("sandbox_test", "ProcessTest.ForgetInheritanceClosesClearsAndMoves"), ("sandbox_test",)),
    Mutant("static", "the hook is linked statically",
           edit("hook/apps/hook/CMakeLists.txt", "target_link_options(actiondfs-hook PRIVATE -static-pie)",
                "message(STATUS \"linked dynamically\")"),
           script("quiet", "QuietTest.test_libraries_of_the_environment_are_not_loaded")),
    Mutant("descriptors", "inherited descriptors are closed",
           edit(PROCESS, "::close_range(STDERR_FILENO + 1, ~0U, 0) != 0", "::close_range(~0U, ~0U, 0) != 0"),
           script("quiet", "QuietTest.test_descriptors_and_directory_of_the_caller_are_given_up")),
    Mutant("working-directory", "the hook works in /",
           edit(PROCESS, '::chdir("/") != 0', '::chdir(".") != 0'),
           script("quiet", "QuietTest.test_descriptors_and_directory_of_the_caller_are_given_up")),
    # Text.
    Mutant("value-size", "annotations have at most 4096 bytes",
           edit(ANNOTATIONS, "value.size() > kMaxAnnotationValue", "value.size() > kMaxAnnotationValue * 1000"),
           script("annotations", "AnnotationsTest.test_values_have_a_limit")),
    Mutant("unknown-keys", "unknown keys are refused",
           edit(ANNOTATIONS, "  return BadAnnotation(Printable(name, 128),",
                "  if (!KnownKeys().empty()) {\n    return {};\n  }\n  return BadAnnotation(Printable(name, 128),"),
           script("annotations", "AnnotationsTest.test_settings_of_the_operator_are_unknown_keys")),
    Mutant("digest-form", "a digest is 64 lowercase hex digits and a decimal size",
           edit("hook/cas/digest.cc", "  const auto size = ParseDecimal(rest.substr(slash + 1));\n  if (!size) {",
                "  const auto size = std::optional(ParseDecimal(rest.substr(slash + 1)).value_or(0));\n  if (!size) {"),
           script("annotations", "AnnotationsTest.test_digests_are_digests")),
    Mutant("cas-name", "the name of a CAS is no path",
           edit(REQUEST, 'IsName(name, 64, "_.-")', 'IsName(name, 64, "_.-/")'),
           ("oci_test", "*"), ("oci_test",)),
    Mutant("container-id", "a container's id is one component of a path",
           edit(REQUEST, 'IsName(id, 255, "_.+-") || id == "." || id == ".."', 'IsName(id, 255, "_.+-/")'),
           script("annotations", "AnnotationsTest.test_ids_stay_in_their_directory")),
    Mutant("json-size", "state and config.json are bounded",
           (Edit("hook/apps/hook/main.cc", "kMaxState = size_t{16} << 20", "kMaxState = size_t{16} << 30"),
            Edit("hook/apps/hook/prestart.cc", "kMaxBundleConfig = size_t{16} << 20", "kMaxBundleConfig = size_t{16} << 30"),
            Edit("hook/base/json.cc", "text.size() > limits.bytes", "text.size() / 1024 > limits.bytes")),
           script("annotations", "AnnotationsTest.test_states_have_limits",
                  "AnnotationsTest.test_configurations_of_bundles_have_limits")),
    Mutant("json-depth", "JSON is bounded in depth",
           edit("hook/base/json.cc", "if (opens && depth >= limits.depth) {", "if (opens && depth >= limits.depth * 100'000) {"),
           script("annotations", "AnnotationsTest.test_states_have_limits")),
    Mutant("printable", "text of others is escaped",
           edit("hook/base/text.cc", "return control || point == '\\\\' ? 0 : length;", "return control && length > 1 ? 0 : length;"),
           script("annotations", "AnnotationsTest.test_terminals_are_safe")),
    # What the operator says.
    Mutant("allow-modes", "only modes that are allowed",
           edit(ALLOW, "!config.allow.modes ||", "config.stage_root != \"/\" || !config.allow.modes ||"),
           script("annotations", "AnnotationsTest.test_operator_says_what_is_allowed")),
    Mutant("allow-backends", "only backends that are allowed",
           edit(ALLOW, "!config.allow.backends ||", "config.stage_root != \"/\" || !config.allow.backends ||"),
           ("plan_test", "*"), ("plan_test",)),
    Mutant("allow-destinations", "only destinations that are allowed",
           edit(ALLOW, "!config.allow.destinations ||", "config.stage_root != \"/\" || !config.allow.destinations ||"),
           script("annotations", "AnnotationsTest.test_operator_says_what_is_allowed")),
    Mutant("allow-components", "below an allowed directory, not beside it",
           edit(ALLOW, "(path.size() == directory.size() || path[directory.size()] == '/')", "!path.empty()"),
           script("annotations", "AnnotationsTest.test_operator_says_what_is_allowed")),
    Mutant("allow-images", "annotations of an image are held to what is allowed",
           edit(ALLOW, "!config.allow.destinations ||", "config.stage_root != \"/\" || !config.allow.destinations ||"),
           script("image", "ImageTest.test_image_is_held_to_what_is_allowed")),
    Mutant("config-owner", "the configuration is root's",
           edit(CONFIG_FILE, "st.st_uid != 0 && st.st_uid != ::geteuid()", "st.st_uid != 0 && ::geteuid() != 0"),
           script("annotations", "AnnotationsTest.test_configuration_is_the_operators")),
    Mutant("config-writers", "nobody else may write the configuration",
           edit(CONFIG_FILE, "(st.st_mode & (S_IWGRP | S_IWOTH)) != 0", "(st.st_mode & S_IWOTH) != 0"),
           script("annotations", "AnnotationsTest.test_configuration_is_the_operators")),
    Mutant("config-link", "the configuration is no symlink",
           edit(CONFIG_FILE, "O_RDONLY | O_NOFOLLOW | O_NOCTTY", "O_RDONLY | O_NOCTTY"),
           script("annotations", "AnnotationsTest.test_configuration_is_the_operators")),
    Mutant("stage-root", "nobody else may write where the stages are",
           edit(WORKSPACE, "OpenOwnDirectory(parent)", "OpenAt(AT_FDCWD, parent, kOpenDir)"),
           script("annotations", "AnnotationsTest.test_directory_of_stages_is_the_operators")),
    # The mount.
    Mutant("locked", "flags are locked for a container with a user namespace of its own",
           edit(WORKSPACE, "user_namespace.valid() ? CloneMountLocked(pin.get())", "user_namespace.valid() ? CloneMount(pin.get())"),
           script("lock")),
    Mutant("fuse-nosuid", "nosuid",
           edit(FUSE_MOUNT, FUSE_FLAGS, FUSE_FLAGS.replace("MOUNT_ATTR_NOSUID | ", "")),
           script("hostile", "HostileTest.test_set_id_programs_have_no_effect"), WITH_HOSTILE),
    Mutant("overlay-nosuid", "nosuid in overlay mode",
           edit(OVERLAY, OVERLAY_FLAGS, "context.Create(MOUNT_ATTR_NODEV)"),
           script("hostile", "HostileTest.test_set_id_programs_have_no_effect"), WITH_HOSTILE),
    Mutant("fuse-nodev", "nodev",
           edit(FUSE_MOUNT, FUSE_FLAGS, FUSE_FLAGS.replace(" | MOUNT_ATTR_NODEV", "")), script("lock")),
    Mutant("overlay-nodev", "nodev in overlay mode",
           edit(OVERLAY, OVERLAY_FLAGS, "context.Create(MOUNT_ATTR_NOSUID)"),
           script("hostile", "HostileTest.test_device_below_an_overlay_does_not_work"), WITH_HOSTILE),
    Mutant("fuse-readonly", "mode readonly is a read-only mount",
           edit(FUSE_MOUNT, FUSE_FLAGS, FUSE_FLAGS.replace("options.read_only ? MOUNT_ATTR_RDONLY : 0U", "0U")), script("lock")),
    # The inputs.
    Mutant("inputs-open", "the server opens no input for writing, and has the store on a read-only mount",
           (Edit("hook/fuse/file_ops.cc", "  if (!node.staged && Writes(fi->flags)) {",
                 "  if (!node.staged && Writes(fi->flags) && fs.session == nullptr) {"),
            Edit(FUSE_MOUNT, "  if (!clone.valid() ||\n", "  if (dir.valid() || !clone.valid() ||\n")),
           script("hostile", "HostileTest.test_every_capability_of_the_host"), WITH_HOSTILE),
    Mutant("inputs-link", "the server makes no second name of an input",
           edit("hook/fuse/create_ops.cc", "  if (!node.staged) {\n    // A second name would be a second inode",
                "  if (!node.staged && fs.session == nullptr) {\n    // A second name would be a second inode"),
           script("hostile", "HostileTest.test_every_capability_of_the_host"), WITH_HOSTILE),
    Mutant("blob-links", "a symlink in the place of a blob is not followed",
           edit("hook/base/beneath.h", "    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;", "    0;"),
           ("cas_test", "*"), ("cas_test",)),
    Mutant("directory-digest", "a Directory is hashed before it enters the cache",
           edit("hook/cas/blob_store.cc", "actual != digest) {", "actual.size != digest.size) {"),
           ("tree_test", "*"), ("tree_test",)),
    # What is left.
    Mutant("summary-links", "counting outputs follows no links",
           (Edit(SUMMARY, "RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV", "0"),
            Edit(SUMMARY, "O_RDONLY | O_DIRECTORY | O_NOFOLLOW", "O_RDONLY | O_DIRECTORY"),
            Edit(SUMMARY, "StatAt(dirfd, name)", "StatAt(dirfd, name, 0)")),
           script("outputs")),
    Mutant("summary-mounts", "counting outputs enters no mounts",
           edit(SUMMARY, "RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV", "RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS"),
           script("outputs", "OutputsTest.test_mount_in_a_stage_is_not_entered")),
    Mutant("removal-links", "removing outputs follows no links",
           (Edit(FILES, "O_RDONLY | O_DIRECTORY | O_NOFOLLOW,\n                     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV",
                 "O_RDONLY | O_DIRECTORY, 0"),
            Edit(FILES, "    if (::unlinkat(dirfd, name.c_str(), 0) == 0 || errno == ENOENT) {",
                 "    if (struct stat st = {}; ::fstatat(dirfd, name.c_str(), &st, 0) == 0 && !S_ISDIR(st.st_mode) &&\n"
                 "        (::unlinkat(dirfd, name.c_str(), 0) == 0 || errno == ENOENT)) {\n"
                 "      return true;\n    }\n    errno = EISDIR;\n    if (name.empty()) {")),
           script("outputs", "OutputsTest.test_links_fifos_and_sockets_in_strict_mode")),
    Mutant("removal-mounts", "removing outputs enters no mounts",
           edit(FILES, "RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV", "RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS"),
           script("outputs", "OutputsTest.test_mount_in_a_stage_is_not_entered")),
    # Privileges.
    Mutant("no-new-privs", "nothing that is run gains privileges",
           edit(PROCESS, "  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {", "  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) < 0) {"),
           script("privileges", "PrivilegesTest.test_server_and_all_of_its_threads_hold_what_is_documented")),
    Mutant("capabilities", "capabilities that are not needed are given up",
           edit(CAPABILITIES, "  if (::cap_set_proc(kept.get()) != 0) {", "  if (::cap_set_proc(had.get()) != 0) {"),
           script("privileges", "PrivilegesTest.test_prestart_holds_what_is_documented_and_nothing_after_the_attach")),
    Mutant("bounding-set", "the bounding set is empty",
           edit(CAPABILITIES, "  RETURN_IF_ERROR(EmptyBoundingSet());\n", "  (void)EmptyBoundingSet;\n"),
           script("privileges", "PrivilegesTest.test_poststop_and_gc_hold_what_is_documented")),
    Mutant("filter", "system calls that are not needed are given up",
           edit(FILTER, '  return Check(::seccomp_load(filter.get()), "load");', "  return {};"),
           ("sandbox_test", "FilterTest.*"), ("sandbox_test",)),
)
