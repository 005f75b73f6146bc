// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Each message is a loop over actiondfs_wire_next(), which knows the wire format and nothing else;
 * the switch of each loop knows the message. A node is decoded completely before it is checked,
 * because any of its fields may come again.
 */
#include "directory_proto.h"
#include "protobuf_wire.h"

#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif

/* Field numbers of REAPI's messages. */
enum {
	DIRECTORY_FILES = 1,
	DIRECTORY_DIRECTORIES = 2,
	DIRECTORY_SYMLINKS = 3,
	DIRECTORY_PROPERTIES = 5,

	NODE_NAME = 1, /* of all three kinds of node */
	FILE_DIGEST = 2,
	FILE_IS_EXECUTABLE = 4,
	FILE_PROPERTIES = 6,
	SUBDIRECTORY_DIGEST = 2,
	SYMLINK_TARGET = 2,
	SYMLINK_PROPERTIES = 4,

	DIGEST_HASH = 1,
	DIGEST_SIZE = 2,

	PROPERTIES_PROPERTY = 1,
	PROPERTIES_MTIME = 2,
	PROPERTIES_UNIX_MODE = 3,
	PROPERTY_NAME = 1,
	PROPERTY_VALUE = 2,
	TIMESTAMP_SECONDS = 1,
	TIMESTAMP_NANOS = 2,
	UINT32_VALUE = 1,
};

/* 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, the range of google.protobuf.Timestamp. */
#define MTIME_SECONDS_MIN (-62135596800LL)
#define MTIME_SECONDS_MAX 253402300799LL
#define NANOS_PER_SECOND  1000000000LL

static const char *const fault_names[] = {
#define FAULT_NAME(code, name) [ACTIONDFS_FAULT_##code] = name,
	ACTIONDFS_FAULTS(FAULT_NAME)
#undef FAULT_NAME
};

const char *actiondfs_fault_name(enum actiondfs_fault fault)
{
	if ((unsigned int)fault >= ACTIONDFS_FAULT_COUNT)
		return "unknown-fault";
	return fault_names[fault];
}

/* A node, or a part of one, as it is decoded and not yet checked. */
struct raw_digest {
	struct actiondfs_slice hash;
	uint64_t size;
	bool present;
};

struct raw_properties {
	uint64_t mtime_seconds;
	uint64_t mtime_nanos;
	uint32_t unix_mode;
	bool has_mtime;
	bool has_unix_mode;
};

struct raw_node {
	enum actiondfs_entry_kind kind;
	struct actiondfs_slice name;
	struct actiondfs_slice target;
	struct raw_digest digest;
	struct raw_properties properties;
	bool is_executable;
};

/* The messages, from the leaves up. `r` is the reader of the message around, `f` the field in it.
 */

static enum actiondfs_fault decode_digest(struct reader *r, const struct field *f,
					  struct raw_digest *digest)
{
	struct reader in = inside(r, f);
	enum actiondfs_fault fault = actiondfs_wire_expect(r, f, WIRE_BYTES);

	if (fault)
		return fault;
	digest->present = true;
	while (in.pos < in.end && !fault) {
		struct field field;

		fault = actiondfs_wire_next(&in, &field);
		if (fault)
			break;
		if (field.number == DIGEST_HASH)
			fault = actiondfs_wire_string(&in, &field, &digest->hash);
		else if (field.number == DIGEST_SIZE)
			fault = actiondfs_wire_number(&in, &field, &digest->size);
	}
	return leave(r, &in, fault);
}

/* google.protobuf.Timestamp */
static enum actiondfs_fault decode_mtime(struct reader *r, const struct field *f,
					 struct raw_properties *properties)
{
	struct reader in = inside(r, f);
	enum actiondfs_fault fault = actiondfs_wire_expect(r, f, WIRE_BYTES);

	if (fault)
		return fault;
	properties->has_mtime = true;
	while (in.pos < in.end && !fault) {
		struct field field;

		fault = actiondfs_wire_next(&in, &field);
		if (fault)
			break;
		if (field.number == TIMESTAMP_SECONDS)
			fault = actiondfs_wire_number(&in, &field, &properties->mtime_seconds);
		else if (field.number == TIMESTAMP_NANOS)
			fault = actiondfs_wire_number(&in, &field, &properties->mtime_nanos);
	}
	return leave(r, &in, fault);
}

/* google.protobuf.UInt32Value */
static enum actiondfs_fault decode_unix_mode(struct reader *r, const struct field *f,
					     struct raw_properties *properties)
{
	struct reader in = inside(r, f);
	enum actiondfs_fault fault = actiondfs_wire_expect(r, f, WIRE_BYTES);
	uint64_t value = properties->unix_mode;

	if (fault)
		return fault;
	properties->has_unix_mode = true;
	while (in.pos < in.end && !fault) {
		struct field field;

		fault = actiondfs_wire_next(&in, &field);
		if (!fault && field.number == UINT32_VALUE)
			fault = actiondfs_wire_number(&in, &field, &value);
	}
	properties->unix_mode = (uint32_t)value;
	return leave(r, &in, fault);
}

/* A NodeProperty must be well formed, and is forgotten. */
static enum actiondfs_fault check_property(struct reader *r, const struct field *f)
{
	struct reader in = inside(r, f);
	enum actiondfs_fault fault = actiondfs_wire_expect(r, f, WIRE_BYTES);

	if (fault)
		return fault;
	while (in.pos < in.end && !fault) {
		struct actiondfs_slice unused;
		struct field field;

		fault = actiondfs_wire_next(&in, &field);
		if (!fault && (field.number == PROPERTY_NAME || field.number == PROPERTY_VALUE))
			fault = actiondfs_wire_string(&in, &field, &unused);
	}
	return leave(r, &in, fault);
}

static enum actiondfs_fault decode_properties(struct reader *r, const struct field *f,
					      struct raw_properties *properties)
{
	struct reader in = inside(r, f);
	enum actiondfs_fault fault = actiondfs_wire_expect(r, f, WIRE_BYTES);

	if (fault)
		return fault;
	while (in.pos < in.end && !fault) {
		struct field field;

		fault = actiondfs_wire_next(&in, &field);
		if (fault)
			break;
		if (field.number == PROPERTIES_PROPERTY)
			fault = check_property(&in, &field);
		else if (field.number == PROPERTIES_MTIME)
			fault = decode_mtime(&in, &field, properties);
		else if (field.number == PROPERTIES_UNIX_MODE)
			fault = decode_unix_mode(&in, &field, properties);
	}
	return leave(r, &in, fault);
}

static enum actiondfs_fault decode_file_field(struct reader *r, const struct field *f,
					      struct raw_node *node)
{
	enum actiondfs_fault fault;
	uint64_t value = 0;

	switch (f->number) {
	case NODE_NAME:
		return actiondfs_wire_string(r, f, &node->name);
	case FILE_DIGEST:
		return decode_digest(r, f, &node->digest);
	case FILE_IS_EXECUTABLE:
		fault = actiondfs_wire_number(r, f, &value);
		node->is_executable = value != 0;
		return fault;
	case FILE_PROPERTIES:
		return decode_properties(r, f, &node->properties);
	default:
		return ACTIONDFS_FAULT_NONE;
	}
}

static enum actiondfs_fault decode_directory_field(struct reader *r, const struct field *f,
						   struct raw_node *node)
{
	switch (f->number) {
	case NODE_NAME:
		return actiondfs_wire_string(r, f, &node->name);
	case SUBDIRECTORY_DIGEST:
		return decode_digest(r, f, &node->digest);
	default:
		return ACTIONDFS_FAULT_NONE;
	}
}

static enum actiondfs_fault decode_symlink_field(struct reader *r, const struct field *f,
						 struct raw_node *node)
{
	switch (f->number) {
	case NODE_NAME:
		return actiondfs_wire_string(r, f, &node->name);
	case SYMLINK_TARGET:
		return actiondfs_wire_string(r, f, &node->target);
	case SYMLINK_PROPERTIES:
		return decode_properties(r, f, &node->properties);
	default:
		return ACTIONDFS_FAULT_NONE;
	}
}

/* `node->kind` says which message it is; the rest of it is filled in. */
static enum actiondfs_fault decode_node(struct reader *r, const struct field *f,
					struct raw_node *node)
{
	struct reader in = inside(r, f);
	enum actiondfs_fault fault = ACTIONDFS_FAULT_NONE;

	while (in.pos < in.end && !fault) {
		struct field field;

		fault = actiondfs_wire_next(&in, &field);
		if (fault)
			break;
		if (node->kind == ACTIONDFS_ENTRY_FILE)
			fault = decode_file_field(&in, &field, node);
		else if (node->kind == ACTIONDFS_ENTRY_DIRECTORY)
			fault = decode_directory_field(&in, &field, node);
		else
			fault = decode_symlink_field(&in, &field, node);
	}
	return leave(r, &in, fault);
}

/* What a decoded node must be. */

static bool contains(struct actiondfs_slice s, uint8_t byte)
{
	size_t i;

	for (i = 0; i < s.size; i++)
		if (s.data[i] == byte)
			return true;
	return false;
}

static enum actiondfs_fault check_name(struct actiondfs_slice name)
{
	if (name.size == 0)
		return ACTIONDFS_FAULT_NAME_EMPTY;
	if (name.size > ACTIONDFS_NAME_MAX)
		return ACTIONDFS_FAULT_NAME_TOO_LONG;
	if (name.size == 1 && name.data[0] == '.')
		return ACTIONDFS_FAULT_NAME_DOT;
	if (name.size == 2 && name.data[0] == '.' && name.data[1] == '.')
		return ACTIONDFS_FAULT_NAME_DOT_DOT;
	if (contains(name, '/'))
		return ACTIONDFS_FAULT_NAME_SLASH;
	if (contains(name, 0))
		return ACTIONDFS_FAULT_NAME_NUL;
	return ACTIONDFS_FAULT_NONE;
}

static enum actiondfs_fault check_target(struct actiondfs_slice target)
{
	if (target.size == 0)
		return ACTIONDFS_FAULT_TARGET_EMPTY;
	if (target.size > ACTIONDFS_TARGET_MAX)
		return ACTIONDFS_FAULT_TARGET_TOO_LONG;
	if (contains(target, 0))
		return ACTIONDFS_FAULT_TARGET_NUL;
	return ACTIONDFS_FAULT_NONE;
}

/* One more than the value of a lowercase hex digit; 0: it is none. */
static const uint8_t hex_values[256] = {
	['0'] = 1,  ['1'] = 2,	['2'] = 3,  ['3'] = 4,	['4'] = 5,  ['5'] = 6,
	['6'] = 7,  ['7'] = 8,	['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
	['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

static enum actiondfs_fault check_digest(const struct raw_digest *raw,
					 struct actiondfs_entry *entry)
{
	size_t i;

	if (!raw->present)
		return ACTIONDFS_FAULT_DIGEST_MISSING;
	if (raw->hash.size != 2 * sizeof(entry->hash))
		return ACTIONDFS_FAULT_HASH_MALFORMED;
	for (i = 0; i < sizeof(entry->hash); i++) {
		unsigned int high = hex_values[raw->hash.data[2 * i]];
		unsigned int low = hex_values[raw->hash.data[2 * i + 1]];

		if (!high || !low)
			return ACTIONDFS_FAULT_HASH_MALFORMED;
		entry->hash[i] = (uint8_t)((high - 1) << 4 | (low - 1));
	}
	entry->size = (int64_t)raw->size;
	if (entry->size < 0)
		return ACTIONDFS_FAULT_SIZE_NEGATIVE;
	return ACTIONDFS_FAULT_NONE;
}

static enum actiondfs_fault check_properties(const struct raw_properties *raw,
					     struct actiondfs_properties *properties)
{
	int64_t seconds = (int64_t)raw->mtime_seconds;
	int32_t nanos = (int32_t)raw->mtime_nanos; /* the field's type is int32 */

	if (seconds < MTIME_SECONDS_MIN || seconds > MTIME_SECONDS_MAX)
		return ACTIONDFS_FAULT_MTIME_SECONDS;
	if (nanos < 0 || nanos >= NANOS_PER_SECOND)
		return ACTIONDFS_FAULT_MTIME_NANOS;
	properties->has_mtime = raw->has_mtime;
	properties->mtime_seconds = seconds;
	properties->mtime_nanos = (uint32_t)nanos;
	properties->has_unix_mode = raw->has_unix_mode;
	properties->unix_mode = raw->unix_mode;
	return ACTIONDFS_FAULT_NONE;
}

static enum actiondfs_fault check_node(const struct raw_node *node, struct actiondfs_entry *entry)
{
	enum actiondfs_fault fault = check_name(node->name);

	if (fault)
		return fault;
	entry->kind = node->kind;
	entry->name = node->name;
	entry->target = node->target;
	entry->is_executable = node->is_executable;
	if (node->kind == ACTIONDFS_ENTRY_SYMLINK)
		fault = check_target(node->target);
	else
		fault = check_digest(&node->digest, entry);
	if (fault)
		return fault;
	return check_properties(&node->properties, &entry->properties);
}

/* Lists. */

static bool list_of_field(const struct field *f, enum actiondfs_entry_kind *kind)
{
	if (f->number < DIRECTORY_FILES || f->number > DIRECTORY_SYMLINKS)
		return false;
	*kind = (enum actiondfs_entry_kind)(f->number - DIRECTORY_FILES);
	return true;
}

static int compare(struct actiondfs_slice a, struct actiondfs_slice b)
{
	size_t shorter = a.size < b.size ? a.size : b.size;
	int order = shorter ? memcmp(a.data, b.data, shorter) : 0;

	if (order)
		return order;
	return a.size < b.size ? -1 : a.size > b.size;
}

/* The name in a node that decode_node() has accepted. */
static struct actiondfs_slice name_of_node(const struct reader *r, const struct field *f)
{
	struct reader in = inside(r, f);
	struct actiondfs_slice name = {NULL, 0};

	while (in.pos < in.end) {
		struct field field;

		if (actiondfs_wire_next(&in, &field))
			break;
		if (field.number == NODE_NAME && field.type == WIRE_BYTES) {
			name.data = in.blob + field.begin;
			name.size = field.end - field.begin;
		}
	}
	return name;
}

/* Walks over one list of an accepted message, past the elements of the other lists. */
struct cursor {
	struct reader reader;
	enum actiondfs_entry_kind kind;
	struct actiondfs_slice name;
	size_t offset;
	bool at_end;
};

static void advance(struct cursor *c)
{
	while (c->reader.pos < c->reader.end) {
		enum actiondfs_entry_kind kind;
		struct field field;

		if (actiondfs_wire_next(&c->reader, &field))
			break;
		if (list_of_field(&field, &kind) && kind == c->kind) {
			c->name = name_of_node(&c->reader, &field);
			c->offset = field.offset;
			return;
		}
	}
	c->at_end = true;
}

/* Of two lists, moves the one that is behind; true where both have the same name. */
static bool same_name_in(struct cursor *a, struct cursor *b)
{
	while (!a->at_end && !b->at_end) {
		int order = compare(a->name, b->name);

		if (order == 0)
			return true;
		advance(order < 0 ? a : b);
	}
	return false;
}

static struct cursor cursor_of(const uint8_t *blob, size_t size, enum actiondfs_entry_kind kind)
{
	struct cursor c = {.reader = {blob, 0, size, 0}, .kind = kind};

	advance(&c);
	return c;
}

/* Each list is in strict order, so that a name in two lists is found by merging them in pairs. */
static enum actiondfs_fault check_across(const uint8_t *blob, size_t size,
					 enum actiondfs_entry_kind first,
					 enum actiondfs_entry_kind second,
					 struct actiondfs_directory_result *result)
{
	struct cursor a, b;

	if (!result->counts[first] || !result->counts[second])
		return ACTIONDFS_FAULT_NONE;
	a = cursor_of(blob, size, first);
	b = cursor_of(blob, size, second);
	if (!same_name_in(&a, &b))
		return ACTIONDFS_FAULT_NONE;
	result->name = b.name;
	result->offset = b.offset;
	return ACTIONDFS_FAULT_NAME_DUPLICATE;
}

static enum actiondfs_fault check_order(struct actiondfs_slice last, struct actiondfs_slice name)
{
	int order = last.data ? compare(last, name) : -1;

	if (order == 0)
		return ACTIONDFS_FAULT_NAME_DUPLICATE;
	return order > 0 ? ACTIONDFS_FAULT_NAME_UNSORTED : ACTIONDFS_FAULT_NONE;
}

/* `r` is the Directory's reader, and `f` an element of one of its lists. */
static enum actiondfs_fault read_entry(struct reader *r, const struct field *f,
				       enum actiondfs_entry_kind kind,
				       struct actiondfs_entry *entry, struct actiondfs_slice *name)
{
	struct raw_node node = {.kind = kind};
	enum actiondfs_fault fault = actiondfs_wire_expect(r, f, WIRE_BYTES);

	if (fault)
		return fault;
	fault = decode_node(r, f, &node);
	*name = node.name;
	if (fault)
		return fault;
	fault = check_node(&node, entry);
	return fault ? fail(r, f->offset, fault) : ACTIONDFS_FAULT_NONE;
}

struct parse {
	struct reader reader;
	struct raw_properties properties;
	struct actiondfs_slice last[ACTIONDFS_ENTRY_KINDS];
	actiondfs_visit_fn visit;
	void *context;
};

static enum actiondfs_fault parse_entry(struct parse *p, const struct field *f,
					enum actiondfs_entry_kind kind,
					struct actiondfs_directory_result *result)
{
	struct actiondfs_slice name = {NULL, 0};
	struct actiondfs_entry entry = {0};
	enum actiondfs_fault fault;

	fault = read_entry(&p->reader, f, kind, &entry, &name);
	result->name = name;
	if (fault)
		return fault;
	fault = check_order(p->last[kind], name);
	if (!fault && p->visit && p->visit(p->context, &entry, (uint32_t)f->offset))
		fault = ACTIONDFS_FAULT_STOPPED;
	if (fault)
		return fail(&p->reader, f->offset, fault);
	p->last[kind] = name;
	result->counts[kind]++;
	return ACTIONDFS_FAULT_NONE;
}

static enum actiondfs_fault parse_fields(struct parse *p, struct actiondfs_directory_result *result)
{
	struct reader *r = &p->reader;
	enum actiondfs_fault fault = ACTIONDFS_FAULT_NONE;

	while (r->pos < r->end && !fault) {
		enum actiondfs_entry_kind kind;
		struct field field;

		result->name.data = NULL;
		result->name.size = 0;
		fault = actiondfs_wire_next(r, &field);
		if (fault)
			break;
		if (list_of_field(&field, &kind))
			fault = parse_entry(p, &field, kind, result);
		else if (field.number == DIRECTORY_PROPERTIES)
			fault = decode_properties(r, &field, &p->properties);
	}
	if (!fault) {
		result->name.data = NULL;
		result->name.size = 0;
		r->fault_offset = 0;
		fault = check_properties(&p->properties, &result->properties);
	}
	result->offset = fault ? r->fault_offset : 0;
	return fault;
}

enum actiondfs_fault actiondfs_directory_parse(const uint8_t *blob, size_t size,
					       actiondfs_visit_fn visit, void *context,
					       struct actiondfs_directory_result *result)
{
	struct parse p = {
		.reader = {blob, 0, size, 0},
		.visit = visit,
		.context = context,
	};
	enum actiondfs_fault fault;

	*result = (struct actiondfs_directory_result){0};
	if (size > ACTIONDFS_DIRECTORY_SIZE_MAX) {
		result->offset = ACTIONDFS_DIRECTORY_SIZE_MAX;
		result->fault = ACTIONDFS_FAULT_TOO_LARGE;
		return result->fault;
	}
	fault = parse_fields(&p, result);
	if (!fault)
		fault = check_across(blob, size, ACTIONDFS_ENTRY_FILE, ACTIONDFS_ENTRY_DIRECTORY,
				     result);
	if (!fault)
		fault = check_across(blob, size, ACTIONDFS_ENTRY_FILE, ACTIONDFS_ENTRY_SYMLINK,
				     result);
	if (!fault)
		fault = check_across(blob, size, ACTIONDFS_ENTRY_DIRECTORY, ACTIONDFS_ENTRY_SYMLINK,
				     result);
	result->fault = fault;
	return fault;
}

/* Reads the element at `offset` into `f`; false where there is none. */
static bool element_at(struct reader *r, uint32_t offset, struct field *f,
		       enum actiondfs_entry_kind *kind)
{
	if (offset >= r->end)
		return false;
	r->pos = offset;
	return !actiondfs_wire_next(r, f) && list_of_field(f, kind) && f->type == WIRE_BYTES;
}

enum actiondfs_fault actiondfs_directory_entry(const uint8_t *blob, size_t size, uint32_t offset,
					       struct actiondfs_entry *entry)
{
	struct reader r = {blob, 0, size, 0};
	enum actiondfs_entry_kind kind;
	struct actiondfs_slice name;
	struct field f;

	*entry = (struct actiondfs_entry){0};
	if (!element_at(&r, offset, &f, &kind))
		return ACTIONDFS_FAULT_TRUNCATED;
	return read_entry(&r, &f, kind, entry, &name);
}

void actiondfs_directory_names(const uint8_t *blob, size_t size, actiondfs_name_fn visit,
			       void *context)
{
	struct reader r = {blob, 0, size, 0};

	while (r.pos < r.end) {
		enum actiondfs_entry_kind kind;
		struct field f;

		if (actiondfs_wire_next(&r, &f))
			return;
		if (list_of_field(&f, &kind) && f.type == WIRE_BYTES)
			visit(context, kind, name_of_node(&r, &f), (uint32_t)f.offset);
	}
}

struct actiondfs_slice actiondfs_directory_name(const uint8_t *blob, size_t size, uint32_t offset)
{
	struct reader r = {blob, 0, size, 0};
	struct actiondfs_slice none = {NULL, 0};
	enum actiondfs_entry_kind kind;
	struct field f;

	if (!element_at(&r, offset, &f, &kind))
		return none;
	return name_of_node(&r, &f);
}
