"""MessagePack encoding of every registered message type.

msgspec can't decode a union of array-encoded and map-encoded structs, so two decoders
share the work: the first byte of a MessagePack value says which of them it is.
"""

from __future__ import annotations

from typing import Any, Union

import msgspec

from runtime.errors import DecodeError
from runtime.message import Message, message_types

_encoder = msgspec.msgpack.Encoder()


class _Decoders:
    """The two union decoders, rebuilt when a new message type has been defined."""

    def __init__(self) -> None:
        self.known = 0
        self.arrays: msgspec.msgpack.Decoder[Any] | None = None
        self.maps: msgspec.msgpack.Decoder[Any] | None = None

    def refresh(self) -> None:
        types = message_types()
        if len(types) == self.known:
            return
        arrays = tuple(t for t in types.values() if t.__struct_config__.array_like)
        maps = tuple(t for t in types.values() if not t.__struct_config__.array_like)
        self.arrays = msgspec.msgpack.Decoder(Union[arrays]) if arrays else None  # noqa: UP007
        self.maps = msgspec.msgpack.Decoder(Union[maps]) if maps else None  # noqa: UP007
        self.known = len(types)


_decoders = _Decoders()


def encode(message: Message) -> bytes:
    """The MessagePack bytes of ``message``."""
    return _encoder.encode(message)


def decode(data: bytes | memoryview | msgspec.Raw) -> Message:
    """The message in ``data``.

    Raises:
        DecodeError: the bytes are no message of a known type; the text says what was found.
    """
    # A view of bytes is no faster to read than they are, and has to be made.
    view = data if type(data) is bytes else memoryview(data)
    first = view[0] if len(view) else -1
    for attempt in (0, 1):
        decoder = _decoders.arrays if first in (0xDC, 0xDD) or 0x90 <= first <= 0x9F else _decoders.maps
        try:
            if decoder is not None:
                message: Message = decoder.decode(view)
                return message
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if attempt:
                raise DecodeError(
                    f"expected a message of a known type, found {len(view)} bytes starting "
                    f"{bytes(view[:24])!r} ({error}); was it written by a newer version?"
                ) from error
        _decoders.refresh()
    raise DecodeError(f"expected a message, found {len(view)} bytes and no type to decode them as")
