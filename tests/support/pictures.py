"""`python -m tests.support.pictures`: photographs the lab's pages for the documents, into `docs/img/`.

A lab of its own is started for it, on other ports than usual; what is shown is what `make run` shows. The page of a
device is that of a node whose device has drifted (`device_scene`). Pictures are in the light scheme, and as narrow as
they can be read.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.chromium import chromium, profile
from tests.support.device_scene import DeviceScene, device_scene
from tests.support.running_lab import PROJECT, RunningLab, running_lab

if TYPE_CHECKING:
    from playwright.sync_api import Page, ViewportSize

FOLDER: Final = PROJECT / "docs" / "img"
LARGEST_BYTES: Final = 150_000
_SIZE: Final[ViewportSize] = {"width": 900, "height": 560}
# Who looks at what: file, person, host, path, what is there when it is ready, height.
PICTURES: Final = (
    ("portal.png", "jane", "localhost", "/portal", "What I can reach", 800),
    ("service.png", "jane", "localhost", "/portal/services/component:default/payments", "Who can reach it", 800),
    ("refused.png", "priya", "payments.localhost", "/payments", "No rule gives you access", 340),
)


# The unit as a real one is called, not where it was imitated.
_NEUTRAL: Final = """() => { for (const each of document.querySelectorAll("span"))
    for (const text of each.childNodes) if (text.nodeType === 3)
        text.data = text.data.replace(/https:.{2}127[.]0[.]0[.]1:[0-9]+/, "https://10.0.0.5"); }"""


def take(lab: RunningLab, folder: Path) -> list[Path]:
    taken = []
    with chromium() as browser:
        pages: dict[str, Page] = {}
        for name, who, host, path, words, height in PICTURES:
            page = pages.get(who) or profile(browser, viewport=_SIZE, color_scheme="light")
            if who not in pages:
                page.goto(f"https://localhost:{lab.port}/portal")
                page.locator(f"button[value={who}]").click()
                page.wait_for_url(f"https://localhost:{lab.port}/portal")
                pages[who] = page
            page.set_viewport_size({**_SIZE, "height": height})
            page.goto(f"https://{host}:{lab.port}{path}")
            page.get_by_text(words).first.wait_for()
            _as_usual(page, lab.port)
            page.screenshot(path=str(folder / name))
            taken.append(folder / name)
    return taken


def _as_usual(page: Page, port: int) -> None:
    """The port that `make run` takes."""
    page.evaluate(
        """port => { for (const each of document.querySelectorAll("a, span, p"))
            for (const text of each.childNodes)
                if (text.nodeType === 3) text.data = text.data.replaceAll(":" + port, ":8443"); }""", port,
    )  # fmt: skip


def take_device(scene: DeviceScene, folder: Path) -> Path:
    signed_in = {"Authorization": f"Bearer {scene.central.token('root')}"}
    with chromium() as browser:
        page = profile(browser, viewport=_SIZE, color_scheme="light", extra_http_headers=signed_in)
        page.set_viewport_size({**_SIZE, "height": 820})
        page.goto(f"http://localhost:{scene.central.node.port}/portal/devices/dc1/prod")
        page.get_by_text("Look twice at").wait_for()
        page.evaluate(_NEUTRAL)
        page.screenshot(path=str(folder / "device.png"))
    return folder / "device.png"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running_lab(Path(folder)) as lab:
        for file in take(lab, FOLDER):
            size = file.stat().st_size
            assert size < LARGEST_BYTES, f"{file.name} has {size:,} bytes"
            print(f"{file.relative_to(PROJECT)}  {size:,} bytes")
    with tempfile.TemporaryDirectory() as folder, device_scene(Path(folder)) as scene:
        file = take_device(scene, FOLDER)
        assert file.stat().st_size < LARGEST_BYTES, f"{file.name} has {file.stat().st_size:,} bytes"
        print(f"{file.relative_to(PROJECT)}  {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
