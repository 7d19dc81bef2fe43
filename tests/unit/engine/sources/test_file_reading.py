"""One file, once: what it depends on is noted, and whether a symbolic link led to any of it. What is read out of it is
for `test_files.py`.
"""

from __future__ import annotations

from pathlib import Path

from gateway.engine.sources.file_reading import FileRead, FileReader, inside, stamp_of
from tests.support.catalogs import PREFIX, api, openapi, service, write


def read(file: Path, root: Path) -> FileRead:
    return FileReader(str(file), root, PREFIX).read()


def test_the_stamps_are_those_of_the_file_and_of_all_it_includes(tmp_path: Path) -> None:
    (tmp_path / "api.yaml").write_text(str(openapi("GET /x")))
    apis = api("a", {"$text": "./api.yaml"}), api("b", {"$text": "gone.yaml"})
    file = write(tmp_path, "all.yaml", service("a"), *apis)
    found = read(file, tmp_path)
    assert set(found.stamps) == {str(tmp_path / name) for name in ("all.yaml", "api.yaml", "gone.yaml")}
    assert found.stamps[str(tmp_path / "gone.yaml")] is None
    assert stamp_of(str(file)) == found.stamps[str(file)]
    assert not found.is_linked


def test_a_link_below_the_folder_is_noticed_and_one_above_is_none(tmp_path: Path) -> None:
    (tmp_path / "real/data").mkdir(parents=True)
    write(tmp_path, "real/data/all.yaml", service("a"))
    (tmp_path / "real/all.yaml").symlink_to("data/all.yaml")
    (tmp_path / "linked").symlink_to("real")
    assert read(tmp_path / "real/all.yaml", tmp_path / "real").is_linked
    assert not read(tmp_path / "linked/data/all.yaml", tmp_path / "linked").is_linked


def test_nothing_leads_out_of_the_folder(tmp_path: Path) -> None:
    file = str(tmp_path / "catalog/all.yaml")
    assert inside("./more.yaml", file, tmp_path / "catalog") == (str(tmp_path / "catalog/more.yaml"), "")
    for target in ("../secret", "/etc/passwd", "https://example.com/x", "//x", "a\0b"):
        path, why = inside(target, file, tmp_path / "catalog")
        assert (path, bool(why)) == ("", True)
