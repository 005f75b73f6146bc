# SPDX-License-Identifier: Apache-2.0
"""Protocol buffers' wire format, piece by piece, so that a test can also write it wrong. Written from the format's
description; shares nothing with actiondfs or protobuf."""

NUMBER, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number, wire_type):
    return varint(number << 3 | wire_type)


def num(number, value):
    """A varint field."""
    return tag(number, NUMBER) + varint(value)


def msg(number, payload):
    """A length-delimited field: bytes, text, or a message."""
    payload = payload.encode() if isinstance(payload, str) else payload
    return tag(number, BYTES) + varint(len(payload)) + payload


def fields(data):
    """The fields of a message: [(number, integer or bytes)]. Only varints and what has a length."""
    position, found = 0, []

    def take():
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(data):
        key = take()
        value = take()
        if key & 7 == BYTES:
            value, position = data[position:position + value], position + value
        found.append((key >> 3, value))
    return found
