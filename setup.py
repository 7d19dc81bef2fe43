"""Compiles the files that every request runs through, with mypyc, to C extensions beside them.

The same Python either way: where a C compiler or Python's headers are missing, or COMPILED=no is set, the files run
interpreted and do the same at about twice the CPU. Which files they are stands in `pyproject.toml`
(`tool.stagedoor.compiled`), and why in `docs/decisions/0007-compiled-hot-path.md`.

    python setup.py build_ext --inplace      what `make` does, whenever one of them has changed
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

from setuptools import setup

HERE = Path(__file__).parent
FILES: list[str] = tomllib.loads((HERE / "pyproject.toml").read_text())["tool"]["stagedoor"]["compiled"]
# Types are checked by `make check`. A build may stand in an environment without the libraries' stubs, where their
# types are Any; and what a file of another kind holds is no reason not to build these.
MYPY = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent", "--python-version=3.11"]

# Nobody outside calls these functions by name: hidden, they are called directly and inlined (3 % of a request).
HIDDEN = ["-fvisibility=hidden"] if os.name == "posix" else []


def obstacle() -> str:
    """Why nothing can be compiled here; "" if it can."""
    if os.environ.get("COMPILED") == "no":
        return "COMPILED=no"
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None and shutil.which("cc") is None:
        return f"there is no C compiler (`{compiler}`; Debian: apt-get install gcc)"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "Python's headers are missing (Debian: apt-get install python3-dev)"
    return ""


def extensions() -> list[Any]:
    why = obstacle()
    if why:
        print(f"stagedoor: the door will run interpreted: {why}", file=sys.stderr)
        return []
    from mypyc.build import mypycify  # only where it is needed: `egg_info` and the like compile nothing

    found: list[Any] = mypycify([*MYPY, *FILES], group_name="gateway.compiled", opt_level="3", debug_level="0")
    for extension in found:
        extension.extra_compile_args += HIDDEN
    return found


builds = {"build", "build_ext", "bdist_wheel", "install"} & set(sys.argv[1:])
setup(ext_modules=extensions() if builds else [])
