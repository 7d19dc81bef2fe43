"""Settings survive their frame form, and nothing but an intact frame of a known version is read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway import config

SETTINGS = config.Settings(
    listeners=(config.Listener("main", "127.0.0.1:8443", config.ListenerTls("a.pem", "a.key"), ("10.0.0.0/8",)),),
    issuers=(
        config.Issuer(
            "lab",
            "https://idp.example.com",
            ("api",),
            match=(config.MatchField("sub", "metadata.name"),),
            groups=config.Groups("groups", (config.MatchField("groups", "metadata.name"),)),
            workload_when={"sub": "{client}"},
        ),
    ),
    environments={
        "prod": config.Environment(
            "prod",
            (".example.com",),
            ("10.0.0.0/8",),
            {"component:default/a": config.ServiceSettings(connect_s=1.5, tls=config.UpstreamTls(ca="ca.pem"))},
        )
    },
    catalog=config.Catalog(files=("catalog",)),
    access_policy="access.yaml",
    state_folder="state",
    central_public=("GET /",),
)


def test_a_frame_gives_back_equal_settings() -> None:
    assert config.decode(config.encode(SETTINGS)) == SETTINGS


def test_equal_settings_have_equal_frames_whatever_the_order_of_their_mappings() -> None:
    first = replace(SETTINGS, environments={"a": SETTINGS.environments["prod"], "b": SETTINGS.environments["prod"]})
    second = replace(first, environments=dict(reversed([*first.environments.items()])))
    assert config.encode(first) == config.encode(second)


def test_a_frame_of_another_version_is_refused_by_its_number() -> None:
    frame = bytearray(config.encode(SETTINGS))
    frame[len(config.FRAME_MAGIC)] = 9
    with pytest.raises(config.FrameFault, match="version 9"):
        config.decode(bytes(frame))


@pytest.mark.parametrize("position", [0, 10, -1])
def test_a_changed_byte_is_noticed_before_anything_is_decoded(position: int) -> None:
    frame = bytearray(config.encode(SETTINGS))
    frame[position] ^= 1
    with pytest.raises(config.FrameFault):
        config.decode(bytes(frame))


@pytest.mark.parametrize("frame", [b"", b"SDcf", b"something else entirely, and long enough"])
def test_other_bytes_are_no_frame(frame: bytes) -> None:
    with pytest.raises(config.FrameFault):
        config.decode(frame)
