"""An answer of an upstream that came whole in one read, without a parser.

Taken is only what the parser would take alike: status 200, framed by one length and uncoded. It is asked about everything else.
"""

from __future__ import annotations

import re

# A head that is nothing but lines of a name and a value (RFC 9112 §5).
_HEAD = re.compile(
    rb"HTTP/1\.1 200 [\t -~\x80-\xff]*+(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+)*+\r\n\r\n"
)
# What frames an answer: a length that can be read, or something else.
_FRAMED = re.compile(
    rb"\r\n(?:content-length:[\t ]*([0-9]{1,9})(?=\r\n)|content-length:|transfer-encoding:|content-encoding:"
    rb"|upgrade:|proxy-connection:|connection:(?![\t ]*keep-alive\r\n))",
    re.IGNORECASE,
)


def body(data: bytes, head_bytes_max: int, body_bytes_max: int) -> bytes | None:
    """The body of such an answer, where it is there to its last byte and no more; None: it is for the parser."""
    head = _HEAD.match(data)
    if head is None:
        return None
    begin = head.end()
    lengths = _FRAMED.findall(data, 0, begin)
    if len(lengths) != 1 or not lengths[0]:
        return None
    length = len(data) - begin
    if length != int(lengths[0]) or length > body_bytes_max or begin > head_bytes_max:
        return None
    return data[begin:]
