// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#include "protobuf_wire.h"

/* 64 MiB of fields take a while; in the kernel others want to run, too. */
#ifdef __KERNEL__
#include <linux/sched.h>
#include <linux/string.h>
#define RELAX() cond_resched()
#else
#include <string.h>
#ifndef RELAX
#define RELAX() ((void)0)
#endif
#endif

/* Bytes between two chances for others to run. */
#define RELAX_BYTES 0x10000

#define VARINT_BYTES_MAX   10
#define VARINT32_BYTES_MAX 5

static enum actiondfs_fault read_varint(struct reader *r, unsigned int bytes_max, uint64_t *value)
{
	size_t start = r->pos;
	unsigned int i;

	*value = 0;
	for (i = 0; i < bytes_max; i++) {
		uint8_t byte;

		if (r->pos == r->end)
			return fail(r, start, ACTIONDFS_FAULT_TRUNCATED);
		byte = r->blob[r->pos++];
		/* The tenth byte has room for one bit only. */
		if (i == VARINT_BYTES_MAX - 1 && byte > 1)
			break;
		*value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte < 0x80)
			return ACTIONDFS_FAULT_NONE;
	}
	return fail(r, start, ACTIONDFS_FAULT_VARINT_OVERLONG);
}

static enum actiondfs_fault read_varint32(struct reader *r, uint32_t *value)
{
	size_t start = r->pos;
	uint64_t wide;
	enum actiondfs_fault fault = read_varint(r, VARINT32_BYTES_MAX, &wide);

	if (fault)
		return fault;
	if (wide >> 32)
		return fail(r, start, ACTIONDFS_FAULT_VARINT_OVERLONG);
	*value = (uint32_t)wide;
	return ACTIONDFS_FAULT_NONE;
}

static enum actiondfs_fault skip(struct reader *r, const struct field *f, size_t bytes,
				 enum actiondfs_fault too_short)
{
	if (bytes > r->end - r->pos)
		return fail(r, f->offset, too_short);
	r->pos += bytes;
	return ACTIONDFS_FAULT_NONE;
}

static enum actiondfs_fault read_bytes(struct reader *r, struct field *f)
{
	uint32_t length;
	enum actiondfs_fault fault = read_varint32(r, &length);

	if (fault)
		return fault;
	f->begin = r->pos;
	fault = skip(r, f, length, ACTIONDFS_FAULT_LENGTH_PAST_END);
	f->end = r->pos;
	return fault;
}

static enum actiondfs_fault read_field(struct reader *r, struct field *f)
{
	uint32_t tag;
	enum actiondfs_fault fault;

	f->offset = r->pos;
	f->value = 0;
	f->begin = 0;
	f->end = 0;
	fault = read_varint32(r, &tag);
	if (fault)
		return fault;
	f->number = tag >> 3;
	f->type = (enum wire_type)(tag & 7);
	if (f->number == 0)
		return fail(r, f->offset, ACTIONDFS_FAULT_FIELD_NUMBER_ZERO);

	switch (f->type) {
	case WIRE_VARINT:
		return read_varint(r, VARINT_BYTES_MAX, &f->value);
	case WIRE_FIXED64:
		return skip(r, f, 8, ACTIONDFS_FAULT_TRUNCATED);
	case WIRE_BYTES:
		return read_bytes(r, f);
	case WIRE_FIXED32:
		return skip(r, f, 4, ACTIONDFS_FAULT_TRUNCATED);
	case WIRE_GROUP_START:
	case WIRE_GROUP_END:
		return fail(r, f->offset, ACTIONDFS_FAULT_GROUP);
	}
	return fail(r, f->offset, ACTIONDFS_FAULT_WIRE_TYPE_UNKNOWN);
}

enum actiondfs_fault actiondfs_wire_next(struct reader *r, struct field *f)
{
	enum actiondfs_fault fault = read_field(r, f);

	/* Wherever fields begin: those of a message leave nothing out between them. */
	if (f->offset / RELAX_BYTES != r->pos / RELAX_BYTES)
		RELAX();
	return fault;
}

enum actiondfs_fault actiondfs_wire_expect(struct reader *r, const struct field *f,
					   enum wire_type type)
{
	if (f->type != type)
		return fail(r, f->offset, ACTIONDFS_FAULT_WIRE_TYPE_MISMATCH);
	return ACTIONDFS_FAULT_NONE;
}

static bool is_continuation(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

/*
 * The length of the UTF-8 sequence at the start of s[0..left), or 0: overlong forms, surrogates and
 * what is beyond U+10FFFF do not count.
 */
static size_t utf8_sequence(const uint8_t *s, size_t left)
{
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2)
		return 0;
	if (s[0] < 0xe0)
		return left >= 2 && is_continuation(s[1]) ? 2 : 0;
	if (s[0] < 0xf0) {
		uint8_t low = s[0] == 0xe0 ? 0xa0 : 0x80;
		uint8_t high = s[0] == 0xed ? 0x9f : 0xbf;

		return left >= 3 && s[1] >= low && s[1] <= high && is_continuation(s[2]) ? 3 : 0;
	}
	if (s[0] < 0xf5 && left >= 4) {
		uint8_t low = s[0] == 0xf0 ? 0x90 : 0x80;
		uint8_t high = s[0] == 0xf4 ? 0x8f : 0xbf;

		return s[1] >= low && s[1] <= high && is_continuation(s[2]) && is_continuation(s[3])
			       ? 4
			       : 0;
	}
	return 0;
}

/* The length of a beginning that is ASCII, in whole words: all of a hash, and most of a name. */
static size_t ascii_words(struct actiondfs_slice s)
{
	uint64_t word;
	size_t i;

	for (i = 0; s.size - i >= sizeof(word); i += sizeof(word)) {
		/* NOLINTNEXTLINE(*UnsafeBufferHandling): a word's bytes into a word */
		memcpy(&word, s.data + i, sizeof(word));
		if (word & 0x8080808080808080ULL)
			break;
	}
	return i;
}

static bool is_utf8(struct actiondfs_slice s)
{
	size_t i = ascii_words(s);

	while (i < s.size) {
		size_t length = utf8_sequence(s.data + i, s.size - i);

		if (!length)
			return false;
		i += length;
	}
	return true;
}

enum actiondfs_fault actiondfs_wire_string(struct reader *r, const struct field *f,
					   struct actiondfs_slice *s)
{
	enum actiondfs_fault fault = actiondfs_wire_expect(r, f, WIRE_BYTES);

	if (fault)
		return fault;
	s->data = r->blob + f->begin;
	s->size = f->end - f->begin;
	if (!is_utf8(*s))
		return fail(r, f->offset, ACTIONDFS_FAULT_NOT_UTF8);
	return ACTIONDFS_FAULT_NONE;
}

enum actiondfs_fault actiondfs_wire_number(struct reader *r, const struct field *f, uint64_t *value)
{
	enum actiondfs_fault fault = actiondfs_wire_expect(r, f, WIRE_VARINT);

	if (!fault)
		*value = f->value;
	return fault;
}
