import pytest

from vitalbridge.hl7 import MalformedMessage
from vitalbridge.hl7.frame import Body, find_body

MESSAGE = b"MSH|^~\\&|A\rPID|1\r"
TEXT = MESSAGE.decode()


def test_a_bare_message_is_not_copied() -> None:
    assert find_body(MESSAGE).content is MESSAGE


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"\x0b", b"\x1c\r"),
        (b"\x0b", b"\x1c"),
        (b"\r\n \t", b""),
        (b"", b"\x00\x00\x00"),
        (b"\x00\x00", b"\r\n\x00\x1c\r\x00"),
    ],
)
def test_what_is_around_a_message(before: bytes, after: bytes) -> None:
    body = find_body(before + MESSAGE + after)
    assert body.content.removesuffix(b"\r") == MESSAGE.removesuffix(b"\r")
    assert body.before == before
    assert body.before + body.content + body.after == before + MESSAGE + after
    assert not body.marked


def test_a_utf8_byte_order_mark() -> None:
    assert find_body(b"\xef\xbb\xbf" + MESSAGE) == Body(MESSAGE, b"\xef\xbb\xbf", b"", "", True)
    assert find_body(b"\n\xef\xbb\xbf" + MESSAGE).marked


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_wide_encodings(codec: str, mark: str) -> None:
    body = find_body((mark + TEXT).encode(codec))
    assert body == Body(MESSAGE, mark.encode(codec), b"", codec, False)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00",
        b"MS",
        b"msh|^~\\&|",
        b"PID|1\rMSH|^~\\&|",
        b"BHS|^~\\&|A\r",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00",
        "MSH".encode("utf-16-le") + b"|",
        "MSH|".encode("utf-16-le") + b"\x00\xd8",
    ],
)
def test_what_is_no_message(raw: bytes) -> None:
    with pytest.raises(MalformedMessage, match="Invalid HL7 message format") as caught:
        find_body(raw)
    assert caught.value.fault.location == ""
