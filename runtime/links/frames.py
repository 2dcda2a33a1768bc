"""What travels on a link: five frames, MessagePack arrays behind a four-byte length."""

from __future__ import annotations

from typing import Union

import msgspec

from runtime.errors import LinkError

VERSION = 1
BATCH_BYTES = 60 * 1024
"""Item bytes a batch may hold; a single larger item travels alone."""
MAX_FRAME = 16 * 1024 * 1024
MAX_BODY = MAX_FRAME - 64 * 1024
ITEM_OVERHEAD = 16
_PREFIX = 4


class Item(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One message in transit: logical names, the encoded message, how it may be conflated."""

    to: str
    sender: str
    body: bytes
    key: str = ""
    delivery: int = 0


class Hello(msgspec.Struct, array_like=True, frozen=True, tag=1):
    """Opens a link; ``bases`` are the sequence numbers by lane that are settled on our side."""

    host: str
    epoch: int
    cells: tuple[str, ...]
    version: int = VERSION
    bases: dict[int, int] = {}


class Welcome(msgspec.Struct, array_like=True, frozen=True, tag=2):
    """Accepts a Hello; ``cursors`` are the sequence numbers handled so far, by lane."""

    host: str
    epoch: int
    cells: tuple[str, ...]
    cursors: dict[int, int]


class Batch(msgspec.Struct, array_like=True, frozen=True, tag=3):
    """Items of one lane with consecutive sequence numbers from ``first_seq`` on."""

    lane: int
    first_seq: int
    items: list[Item]


class Ack(msgspec.Struct, array_like=True, frozen=True, tag=4):
    """Everything in ``lane`` up to and including ``seq`` has been handled."""

    lane: int
    seq: int


class Refused(msgspec.Struct, array_like=True, frozen=True, tag=5):
    """The link is not accepted; ``epoch`` is the newer one that fences the sender, if any."""

    reason: str
    epoch: int


class Origin(msgspec.Struct, array_like=True, frozen=True, tag=6):
    """Who speaks, at the head of each call after the Hello on a link without a connection."""

    host: str
    epoch: int


Frame = Hello | Welcome | Batch | Ack | Refused | Origin

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(
    Union[Hello, Welcome, Batch, Ack, Refused, Origin]  # noqa: UP007
)


def item_size(item: Item) -> int:
    """About how many bytes ``item`` takes on the wire (exact for ASCII names)."""
    return len(item.body) + len(item.to) + len(item.sender) + len(item.key) + ITEM_OVERHEAD


def encode(frame: Frame) -> bytes:
    """The frame's bytes, length first.

    Raises:
        LinkError: it is larger than any receiver accepts.
    """
    data = _encoder.encode(frame)
    if len(data) > MAX_FRAME:
        raise LinkError(f"expected a frame of at most {MAX_FRAME} bytes, found {len(data)}; send less in one message")
    return len(data).to_bytes(_PREFIX, "big") + data


class FrameReader:
    """Cuts a byte stream into frames, however the stream was split."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames completed by ``data``.

        Raises:
            LinkError: this is no frame; the stream can't be read any further.
        """
        if not self._rest:
            frames, used = _cut(data)
            if used < len(data):
                self._rest += data[used:]
            return frames
        self._rest += data
        frames, used = _cut(self._rest)
        del self._rest[:used]
        return frames

    @property
    def waiting(self) -> int:
        """Bytes of an unfinished frame."""
        return len(self._rest)


def decode(data: bytes) -> list[Frame]:
    """All frames in ``data``, which must end with one.

    Raises:
        LinkError: ``data`` is empty, cut short or no sequence of frames.
    """
    frames, used = _cut(data)
    if used != len(data) or not frames:
        raise LinkError(
            f"expected whole frames, found {len(data) - used} bytes left over after {len(frames)} frames: "
            f"{bytes(data[used : used + 24])!r}; the sender speaks another protocol or was cut off"
        )
    return frames


def _cut(data: bytes | bytearray) -> tuple[list[Frame], int]:
    frames: list[Frame] = []
    start, end = 0, len(data)
    with memoryview(data) as view:
        while end - start >= _PREFIX:
            size = int.from_bytes(view[start : start + _PREFIX], "big")
            if not 0 < size <= MAX_FRAME:
                raise LinkError(
                    f"expected a frame length of 1 to {MAX_FRAME} bytes, found {size} "
                    f"(bytes {bytes(view[start : start + 24])!r}); the sender speaks another protocol"
                )
            stop = start + _PREFIX + size
            if stop > end:
                break
            frames.append(_decode_one(view[start + _PREFIX : stop]))
            start = stop
    return frames, start


def _decode_one(view: memoryview) -> Frame:
    try:
        return _decoder.decode(view)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LinkError(
            f"expected a link frame of version {VERSION}, found {len(view)} bytes starting {bytes(view[:24])!r} "
            f"({error}); run the same release on both sides"
        ) from error
    finally:
        view.release()
