"""Our cookies, those of the way here and those of services are told apart in every spelling that a browser can be made
to send; what counts as the session has one."""

from __future__ import annotations

import pytest

from gateway.http1.cookies import is_own_cookie, names_of, sorted_cookies, spared, values_of


@pytest.mark.parametrize(
    ("cookie", "kept"),
    [
        (b"a=1; b=2", b"a=1; b=2"),
        (b"a=1;;b=2 ", b"a=1;;b=2 "),
        (b"a=1;; __Host-stagedoor=x;", b"a=1"),
        (b"__Host-stagedoor", b""),
        (b"\xe9=1; BIGipServer~p=1.2.3; c=\xff", b"\xe9=1; c=\xff"),
        (b"xBIGipServer=1", b"xBIGipServer=1"),
        (b"a=BIGipServer", b"a=BIGipServer"),
        (b"__Host-stagedoor-to-AAAAAAAA=1; a=1; __HOST-STAGEDOOR-signin-B=2", b"a=1"),
        (b"=__Host-stagedoor=1; a=1", b"a=1"),
        (b"__Host-stagedoor2=1; x__Host-stagedoor=1", b"__Host-stagedoor2=1; x__Host-stagedoor=1"),
    ],
)
def test_cookies_of_ours_and_of_bigip_stop_and_others_pass(cookie: bytes, kept: bytes) -> None:
    assert sorted_cookies(cookie)[0] == kept


@pytest.mark.parametrize(
    ("set_cookie", "own"),
    [
        (b"__Host-stagedoor=x; Path=/", True),
        (b" __HOST-STAGEDOOR =x", True),
        (b"=__Host-stagedoor=x", True),
        (b"= =__Host-stagedoor=x", True),
        (b"__Host-stagedoor", True),
        (b"a=__Host-stagedoor", False),
        (b"__Host-stagedoor2=x", False),
        (b"__Host-stagedoor-to-AAAAAAAA=x", True),
        (b"__host-Stagedoor-signin-1=x; Path=/", True),
        (b"", False),
    ],
)
def test_a_cookie_by_our_name_is_known_in_every_spelling_browsers_accept(set_cookie: bytes, own: bool) -> None:
    assert is_own_cookie(set_cookie) is own


@pytest.mark.parametrize(
    ("cookie", "session"),
    [
        (b"__Host-stagedoor=1.k.abc", b"1.k.abc"),
        (b"a=1;__Host-stagedoor=1.k.abc ; b=2", b"1.k.abc"),
        (b"__Host-stagedoor=a=b", b"a=b"),
        (b"__Host-stagedoor=", b""),
        (b"__Host-stagedoor", b""),
        # what is not the one spelling that we set
        (b"__HOST-stagedoor=x", b""),
        (b"__host-stagedoor=x", b""),
        (b"__Host-stagedoor =x", b""),
        (b'"__Host-stagedoor"=x', b""),
        (b"=__Host-stagedoor=x", b""),
        (b"__Host-stagedoor-to-AAAAAAAA=x", b""),
        (b"x__Host-stagedoor=x", b""),
        (b"__Secure-stagedoor=x", b""),
        (b'a="__Host-stagedoor=x', b""),
        # two of them: none is taken
        (b"__Host-stagedoor=x; __Host-stagedoor=y", b""),
        (b"__Host-stagedoor=x; __Host-stagedoor=x", b""),
        # a browser was made to hold another spelling beside ours: ours counts
        (b"__HOST-STAGEDOOR=evil; __Host-stagedoor=x", b"x"),
    ],
)
def test_the_session_has_one_spelling(cookie: bytes, session: bytes) -> None:
    assert sorted_cookies(cookie)[2] == session


def test_ours_are_kept_as_they_came_and_found_by_their_exact_name() -> None:
    _, own, _ = sorted_cookies(b"__Host-stagedoor-to-A=1; b=2; __Host-stagedoor-to-B=3; __host-stagedoor-to-A=evil")
    assert values_of(own, b"__Host-stagedoor-to-A") == [b"1"]
    assert values_of(own, b"__Host-stagedoor-to-C") == []
    assert names_of(own, b"__Host-stagedoor-to-") == [b"__Host-stagedoor-to-A", b"__Host-stagedoor-to-B"]


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (b'"cookies"', b""),
        (b'"cache", "cookies","storage"', b'"cache", "storage"'),
        (b'\t"cookies"\t,"cache"', b'"cache"'),
        (b'"*"', b'"cache", "storage", "executionContexts", "clientHints"'),
        (b'"something", cookies, "cookies";x, \x0c"cookies"', b""),
    ],
)
def test_no_service_clears_the_cookies_of_its_neighbours(said: bytes, left: bytes) -> None:
    assert spared(said) == left
