"""Small pieces of HTML, safe for any text a user's data may bring.

`document(title, parts)`, `escape(text)`, `table(caption, header, rows)`, `picture(png, caption)`.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence

from gannet.report.style import STYLE
from gannet.report.words import printable

NUMERIC = re.compile(r"([-+−–~<>≤≥±×%().,/:\d\s⁻⁰¹²³⁴⁵⁶⁷⁸⁹]|\bto\b|\bat least\b|\bof\b|(?<=\d)e(?=[-+\d])|↑|↓|\*)*")
"""A cell that reads as a number, an interval or nothing: set to the right."""
PNG_HEAD = b"\x89PNG\r\n\x1a\n"
SMALL = 200
"""Pixels below which a picture is enlarged, without smoothing."""


POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What the browser may load: nothing from outside the page, and no script."""


def document(title: str, parts: Sequence[str]) -> str:
    """A whole page of HTML parts (empty ones are left out), as text that is UTF-8 when written."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n<footer>Made by Gannet. This page holds everything it shows and asks the network for nothing.</footer>"
        "\n</main>\n</body>\n</html>\n"
    )


def escape(text: object) -> str:
    """Any text as HTML text or attribute value."""
    return html.escape(printable(text), quote=True)


def identity(text: str) -> str:
    """Text as an element's id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "part"


def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with a caption; it scrolls sideways by itself where the screen is narrow.

    Short rows are filled up; a column of numbers is set to the right; the first cell of a row is its heading.
    """
    width = max([len(header), *map(len, rows)])
    full = [[*map(str, row), *[""] * (width - len(row))] for row in rows]
    head = [*map(str, header), *[""] * (width - len(header))]
    right = [place > 0 and all(NUMERIC.fullmatch(row[place].strip()) for row in full) for place in range(width)]
    cells = "".join(
        f'<th scope="col"{_aligned(right[place])}>{escape(text)}</th>' if text else "<td></td>"
        for place, text in enumerate(head)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row">{escape(text)}</th>' if place == 0 else f"<td{_aligned(right[place])}>{escape(text)}</td>"
            for place, text in enumerate(row)
        )
        + "</tr>"
        for row in full
    )
    return (
        f'<div class="scroll" role="region" aria-label="{escape(caption)}" tabindex="0"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _aligned(right: bool) -> str:
    return ' class="number"' if right else ""


def picture(png: bytes, caption: str, *, wide: bool = False) -> str:
    """A PNG inside the page, with its caption; nothing but the caption when the bytes are no PNG.

    `wide`: it holds words, so a narrow screen scrolls it sideways and keeps it readable.
    """
    if not png.startswith(PNG_HEAD) or len(png) < 24:
        return f'<p class="note">A picture is missing here: {escape(caption)}</p>'
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    small = 0 < width < SMALL
    scale = -(-SMALL // width) if small else 1
    style = ' class="pixels"' if small else ' class="wide"' if wide else ""
    data = base64.b64encode(png).decode()
    figure = '<figure class="picture" tabindex="0">' if wide else '<figure class="picture">'
    return (
        f'{figure}<img src="data:image/png;base64,{data}" alt="{escape(caption)}" '
        f'width="{width * scale}" height="{height * scale}"{style}>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def bullets(lines: Sequence[str], kind: str = "") -> str:
    """A list; nothing for no lines."""
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<ul class="{kind}">{items}</ul>' if kind else f"<ul>{items}</ul>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"
