/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Protobuf's wire format, field by field, for the parser of this directory alone. Nothing here
 * knows a message. No state outside of the arguments.
 */
#ifndef ACTIONDFS_KERNEL_SHARED_PROTOBUF_WIRE_H_
#define ACTIONDFS_KERNEL_SHARED_PROTOBUF_WIRE_H_

#include "directory_proto.h"

enum wire_type {
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_BYTES = 2,
	WIRE_GROUP_START = 3,
	WIRE_GROUP_END = 4,
	WIRE_FIXED32 = 5,
};

/* A message, or a part of one: blob[pos..end) is still to be read. */
struct reader {
	const uint8_t *blob;
	size_t pos;
	size_t end;
	size_t fault_offset; /* where the last fault was */
};

struct field {
	uint32_t number;
	enum wire_type type;
	size_t offset;	/* of the tag */
	uint64_t value; /* of a varint */
	size_t begin;	/* of bytes */
	size_t end;
};

/* The part of `r` that is the payload of `f`, a field of WIRE_BYTES. */
static inline struct reader inside(const struct reader *r, const struct field *f)
{
	struct reader inner = {r->blob, f->begin, f->end, 0};

	return inner;
}

/* Notes where a fault is, and returns it. */
static inline enum actiondfs_fault fail(struct reader *r, size_t offset, enum actiondfs_fault fault)
{
	r->fault_offset = offset;
	return fault;
}

/* Hands the place of a fault on to the message around it. */
static inline enum actiondfs_fault leave(struct reader *r, const struct reader *inner,
					 enum actiondfs_fault fault)
{
	r->fault_offset = inner->fault_offset;
	return fault;
}

/* Reads one field; the caller has seen that the reader is not at its end. */
enum actiondfs_fault actiondfs_wire_next(struct reader *r, struct field *f);

/* ACTIONDFS_FAULT_WIRE_TYPE_MISMATCH unless `f` is of `type`. */
enum actiondfs_fault actiondfs_wire_expect(struct reader *r, const struct field *f,
					   enum wire_type type);

/* A string is stored even if it is refused, so that the refusal can show it. */
enum actiondfs_fault actiondfs_wire_string(struct reader *r, const struct field *f,
					   struct actiondfs_slice *s);

/* `value` keeps what it has where the field is refused. */
enum actiondfs_fault actiondfs_wire_number(struct reader *r, const struct field *f,
					   uint64_t *value);

#endif /* ACTIONDFS_KERNEL_SHARED_PROTOBUF_WIRE_H_ */
