"""Code that stands in the documents, so that tests run what people copy."""

from __future__ import annotations

import re
from pathlib import Path


def code_in(document: Path, language: str) -> list[str]:
    """The fenced blocks of a language, in their order."""
    text = document.read_text(encoding="utf-8")
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
