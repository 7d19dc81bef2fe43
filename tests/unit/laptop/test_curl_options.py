"""What is passed on to curl: known options alone, one address, nothing by which a token could get elsewhere."""

from __future__ import annotations

import shutil
import subprocess

import click
import pytest

from gateway.laptop.curl_options import FLAGS, SHORT, VALUES, read_options

URL = "https://a.example/"


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        (["-sS", URL], ["--silent", "--show-error"]),
        ([URL, "-X", "POST", "-d", "a=b"], ["--request", "POST", "--data", "a=b"]),
        (["-XPOST", "-d@-", URL], ["--request", "POST", "--data", "@-"]),
        (["-sXPOST", URL], ["--silent", "--request", "POST"]),
        (["-H", "Accept: text/html", URL], ["--header", "Accept: text/html"]),
        (["-d", "-k", URL], ["--data", "-k"]),  # a value, whatever it looks like
        (["-d", "https://evil.example/", URL], ["--data", "https://evil.example/"]),
        (["-o", "-", URL], ["--output", "-"]),
    ],
)
def test_known_options_pass_in_one_spelling(words: list[str], passed: list[str]) -> None:
    asked = read_options(tuple(words))
    assert (asked.url, asked.words) == (URL, passed)


@pytest.mark.parametrize(
    "words",
    [
        ["-k"], ["--insecure"], ["-sk"], ["--insec"], ["-K", "file"], ["-Kfile"], ["--config", "-"],
        ["--location-trusted"], ["--location-trus"], ["--next"], ["-:"], ["--url", URL], ["--url=https://evil.example"],
        ["https://evil.example/"], ["-u", "a:b"], ["--oauth2-bearer", "x"], ["--trace", "-"], ["--trace-ascii", "-"],
        ["--libcurl", "x"], ["-D", "-"], ["--proxy-insecure"], ["-n"], ["--netrc"], ["--anything-new"], ["--"], ["-q"],
        ["-H", "Authorization: x"], ["-H", "authorization : x"], ["-HHost: evil.example"], ["-HAuthorization;"], ["-d"],
    ],
)  # fmt: skip
def test_what_could_take_the_token_elsewhere_does_not(words: list[str]) -> None:
    with pytest.raises(click.UsageError):
        read_options((URL, *words))


def test_one_address_is_needed() -> None:
    with pytest.raises(click.UsageError, match="which address"):
        read_options(("-s",))


def test_our_own_options_are_not_curls() -> None:
    asked = read_options(("--ca", "x.pem", "--at", "door.example.com", URL))
    assert (asked.ca, asked.at, asked.words) == ("x.pem", "door.example.com", [])
    assert read_options(("--cacert", "x.pem", URL)).ca == "x.pem"


def test_every_short_option_has_its_long_name() -> None:
    assert set(SHORT.values()) <= FLAGS | VALUES
    assert not FLAGS & VALUES


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_itself_takes_values_where_we_think_so() -> None:
    """Were it otherwise, a value could be an address to curl, or the address a value."""
    listed = subprocess.run(["curl", "--help", "all"], capture_output=True, text=True, check=True).stdout.splitlines()
    with_value = {}
    for line in listed:
        words = line.split()
        name = next((word for word in words[:2] if word.startswith("--")), "")
        after = words[words.index(name) + 1] if name and words.index(name) + 1 < len(words) else ""
        with_value[name[2:]] = after.startswith(("<", "["))
    for name in sorted((FLAGS | VALUES) & set(with_value)):
        assert with_value[name] is (name in VALUES), name
    both = [line.split() for line in listed if line.lstrip()[:2] not in ("", "--") and ", --" in line]
    letters = {words[0][1]: words[1][2:] for words in both}
    assert letters["k"] == "insecure"
    assert {letter: letters[letter] for letter in SHORT if letter in letters} == {
        letter: SHORT[letter] for letter in SHORT if letter in letters
    }


@pytest.mark.parametrize(
    ("words", "reads"),
    [
        (["-d", "@-"], True), (["--data-binary", "@-"], True), (["--data-urlencode", "x@-"], True),
        (["-F", "file=@-"], True), (["-F", "file=@-;type=text/plain"], True), (["-F", "x=<-"], True),
        (["-T", "-"], True), (["-T", "."], True), (["--json", "@-"], True), (["-H", "@-"], True),
        (["-d", "a=b"], False), (["-d", "@file"], False), (["-T", "file"], False), (["-F", "file=@a-b"], False),
    ],
)  # fmt: skip
def test_what_comes_on_stdin_is_sent_once(words: list[str], reads: bool) -> None:
    """Such a call is not made a second time after a stronger sign-in; neither is one whose answer goes into a pipe."""
    asked = read_options(("https://a.test/", *words))
    assert asked.reads_stdin is reads
    assert not asked.can_be_made_again  # stdout is no terminal here
    assert read_options(("https://a.test/", "-o", "file", *words)).can_be_made_again is not reads
    assert not read_options(("https://a.test/", "-o", "-", *words)).can_be_made_again
