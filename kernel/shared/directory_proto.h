/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The parser of REAPI Directory messages (build.bazel.remote.execution.v2.Directory): the only one,
 * for the kernel module, user space and the fuzzers. It reads untrusted bytes, allocates nothing
 * and does not recurse; time is linear in the size of the message. No state outside of the
 * arguments: any number of threads may parse at once.
 *
 * What protobuf allows and a Directory does not forbid is accepted, and means what protobuf says:
 * unknown fields are skipped; the last of several values of a scalar counts; submessages that are
 * given twice are merged; the three lists may be interleaved (each list alone must be in order);
 * numbers of 32 bits take the low half of a longer varint; a varint may be longer than it needs to
 * be (values: 10 bytes, tags and lengths: 5).
 *
 * Stricter than protobuf: groups, bits that do not fit their varint, and a known field with another
 * wire type are refused.
 */
#ifndef ACTIONDFS_KERNEL_SHARED_DIRECTORY_PROTO_H_
#define ACTIONDFS_KERNEL_SHARED_DIRECTORY_PROTO_H_

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#endif

#include "../uapi/actiondfs.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * X(CODE, "name"): each kind of refusal. Callers map all of them to EUCLEAN, but for STOPPED, which
 * is the visitor's own doing.
 */
#define ACTIONDFS_FAULTS(X)                                                                        \
	X(NONE, "none")                                                                            \
	X(STOPPED, "stopped-by-visitor")                                                           \
	X(TOO_LARGE, "directory-over-64-MiB")                                                      \
	/* wire format */                                                                          \
	X(TRUNCATED, "truncated-field")                                                            \
	X(VARINT_OVERLONG, "overlong-varint")                                                      \
	X(LENGTH_PAST_END, "length-past-end")                                                      \
	X(FIELD_NUMBER_ZERO, "field-number-zero")                                                  \
	X(GROUP, "group")                                                                          \
	X(WIRE_TYPE_UNKNOWN, "unknown-wire-type")                                                  \
	X(WIRE_TYPE_MISMATCH, "wrong-wire-type")                                                   \
	X(NOT_UTF8, "string-not-utf8")                                                             \
	/* names */                                                                                \
	X(NAME_EMPTY, "empty-name")                                                                \
	X(NAME_DOT, "dot-name")                                                                    \
	X(NAME_DOT_DOT, "dot-dot-name")                                                            \
	X(NAME_SLASH, "slash-in-name")                                                             \
	X(NAME_NUL, "nul-in-name")                                                                 \
	X(NAME_TOO_LONG, "name-over-255-bytes")                                                    \
	X(NAME_DUPLICATE, "duplicate-name")                                                        \
	X(NAME_UNSORTED, "unsorted-names")                                                         \
	/* the rest of an entry */                                                                 \
	X(DIGEST_MISSING, "missing-digest")                                                        \
	X(HASH_MALFORMED, "malformed-hash")                                                        \
	X(SIZE_NEGATIVE, "negative-size")                                                          \
	X(TARGET_EMPTY, "empty-target")                                                            \
	X(TARGET_NUL, "nul-in-target")                                                             \
	X(TARGET_TOO_LONG, "target-over-4095-bytes")                                               \
	X(MTIME_SECONDS, "mtime-seconds-out-of-range")                                             \
	X(MTIME_NANOS, "mtime-nanos-out-of-range")

enum actiondfs_fault {
#define ACTIONDFS_FAULT_ENUM(code, name) ACTIONDFS_FAULT_##code,
	ACTIONDFS_FAULTS(ACTIONDFS_FAULT_ENUM)
#undef ACTIONDFS_FAULT_ENUM
		ACTIONDFS_FAULT_COUNT
};

/* The name from the list above; never NULL. */
const char *actiondfs_fault_name(enum actiondfs_fault fault);

/* Bytes that belong to the caller's blob; not terminated. */
struct actiondfs_slice {
	const uint8_t *data;
	size_t size;
};

/* In the order of the message's lists. */
enum actiondfs_entry_kind {
	ACTIONDFS_ENTRY_FILE,
	ACTIONDFS_ENTRY_DIRECTORY,
	ACTIONDFS_ENTRY_SYMLINK,
	ACTIONDFS_ENTRY_KINDS
};

/* What is known of NodeProperties. unix_mode is as it was given: mask it before use. */
struct actiondfs_properties {
	int64_t mtime_seconds; /* since 1970; years 1 to 9999 */
	uint32_t mtime_nanos;  /* below 1,000,000,000 */
	uint32_t unix_mode;
	bool has_mtime;
	bool has_unix_mode;
};

struct actiondfs_entry {
	enum actiondfs_entry_kind kind;
	struct actiondfs_slice name;
	struct actiondfs_slice target;	   /* symlinks */
	uint8_t hash[ACTIONDFS_HASH_SIZE]; /* files and directories */
	int64_t size;			   /* files and directories: of the blob, bytes */
	bool is_executable;		   /* files */
	struct actiondfs_properties properties;
};

struct actiondfs_directory_result {
	enum actiondfs_fault fault;
	size_t offset;		     /* where in the blob; of the entry or of the field */
	struct actiondfs_slice name; /* of the entry; empty where it is not known */
	/* Complete where fault is NONE. */
	uint32_t counts[ACTIONDFS_ENTRY_KINDS];
	struct actiondfs_properties properties; /* of the Directory itself */
};

/*
 * Called for each entry in the order of the bytes. `offset` leads actiondfs_directory_entry() back
 * to it. Anything but 0 stops the parser (ACTIONDFS_FAULT_STOPPED).
 */
typedef int (*actiondfs_visit_fn)(void *context, const struct actiondfs_entry *entry,
				  uint32_t offset);

/*
 * Parses and checks a whole message. `visit` may be NULL. It sees each entry after the entry's own
 * checks, but before the message as a whole is known to be good: what it gathered counts only if
 * ACTIONDFS_FAULT_NONE is returned. `result` is filled always; result->fault is returned.
 */
enum actiondfs_fault actiondfs_directory_parse(const uint8_t *blob, size_t size,
					       actiondfs_visit_fn visit, void *context,
					       struct actiondfs_directory_result *result);

/*
 * One entry of a blob that was accepted, by an offset that its visitor was given. Returns
 * ACTIONDFS_FAULT_NONE for such offsets; with others it is safe and may fail.
 */
enum actiondfs_fault actiondfs_directory_entry(const uint8_t *blob, size_t size, uint32_t offset,
					       struct actiondfs_entry *entry);

typedef void (*actiondfs_name_fn)(void *context, enum actiondfs_entry_kind kind,
				  struct actiondfs_slice name, uint32_t offset);

/*
 * All entries of a blob that was accepted, in the order of the bytes, but of each only what it is
 * called and where it is: some times cheaper than to parse it again. With other blobs it is safe,
 * and what is visited means nothing.
 */
void actiondfs_directory_names(const uint8_t *blob, size_t size, actiondfs_name_fn visit,
			       void *context);

/* The name of one alone, cheaper; an empty slice where actiondfs_directory_entry() would fail. */
struct actiondfs_slice actiondfs_directory_name(const uint8_t *blob, size_t size, uint32_t offset);

#ifdef __cplusplus
}
#endif

#endif /* ACTIONDFS_KERNEL_SHARED_DIRECTORY_PROTO_H_ */
