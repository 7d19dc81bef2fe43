"""The one form of a date that senders write (RFC 9110, 5.6.7: IMF-fixdate)."""

from __future__ import annotations

from gateway.http1.dates import date_line


def test_a_date_is_the_whole_line_of_its_second() -> None:
    assert date_line(784887151) == b"Date: Tue, 15 Nov 1994 08:12:31 GMT\r\n"
    assert date_line(0) == b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
