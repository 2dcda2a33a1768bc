"""Messages to bytes and back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import codec
from runtime.errors import DecodeError
from runtime.message import Message, message_types


class CodecPoint(Message, array_like=True):
    x: int
    y: int = 7


class CodecNote(Message):
    text: str
    tags: tuple[str, ...] = ()


def test_both_shapes_of_message_come_back() -> None:
    for message in (CodecPoint(1, 2), CodecNote("hello", ("a", "b")), CodecNote("")):
        assert codec.decode(codec.encode(message)) == message
        assert codec.decode(memoryview(codec.encode(message))) == message
        assert codec.decode(msgspec.Raw(codec.encode(message))) == message


@settings(max_examples=60, deadline=None)
@given(st.text(), st.lists(st.text(), max_size=4), st.integers(-(2**63), 2**63 - 1))
def test_whatever_a_message_holds_comes_back(text: str, tags: list[str], number: int) -> None:
    for message in (CodecNote(text, tuple(tags)), CodecPoint(number)):
        assert codec.decode(codec.encode(message)) == message


def test_a_type_that_is_defined_later_is_known_at_once() -> None:
    codec.decode(codec.encode(CodecPoint(1)))

    class CodecLatecomer(Message):
        value: int

    assert codec.decode(codec.encode(CodecLatecomer(3))) == CodecLatecomer(3)
    assert message_types()["CodecLatecomer"] is CodecLatecomer


def test_a_field_that_is_missing_takes_its_default_and_one_too_many_is_ignored() -> None:
    old = msgspec.msgpack.encode({"$type": "CodecNote", "text": "old"})
    new = msgspec.msgpack.encode({"$type": "CodecNote", "text": "new", "tags": [], "invented": 1})
    assert codec.decode(old) == CodecNote("old")
    assert codec.decode(new) == CodecNote("new")
    assert codec.decode(msgspec.msgpack.encode(["CodecPoint", 1])) == CodecPoint(1)
    assert codec.decode(msgspec.msgpack.encode(["CodecPoint", 1, 2, 3])) == CodecPoint(1, 2)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"garbage",
        msgspec.msgpack.encode({"$type": "Nobody"}),
        msgspec.msgpack.encode({"text": "no tag"}),
        msgspec.msgpack.encode(["Nobody", 1]),
        msgspec.msgpack.encode(["CodecPoint", "not a number"]),
        msgspec.msgpack.encode(5),
        codec.encode(CodecNote("torn"))[:-2],
        codec.encode(CodecPoint(1)) + b"\x00",
    ],
)
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError, match="expected a message"):
        codec.decode(data)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_do_worse_than_a_decode_error(data: bytes) -> None:
    try:
        assert isinstance(codec.decode(data), Message)
    except DecodeError:
        return


def test_two_types_of_one_name_are_refused() -> None:
    namespace: dict[str, Any] = {"__module__": "elsewhere", "__annotations__": {}}
    make: Any = type(Message)
    with pytest.raises(TypeError, match="two message types are called 'CodecNote'"):
        make("CodecNote", (Message,), namespace)
