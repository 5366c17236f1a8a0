"""How a mission is named where a program is started with one: by its file, or by a link that holds all of it.

A link is `parley:mission/??` and the packed mission with everything escaped that a URL cannot hold; after `/??` it is
read as the text behind a web page's address is (docs/channels.md). A web address without `/??` is where a mission may
be fetched from. Pure: nothing is opened here.
"""

from __future__ import annotations

import os
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

SCHEME = "parley"
SUFFIX = ".ice"
SEPARATOR = "/??"
MOST_LINK = 65_536
"""Characters; what an operating system hands to a program in one argument is not much more."""
MOST_ADDRESS = 2_048  # characters of a web address


def link_of(packed: str) -> str:
    """Give the link that holds a packed mission; with a web page before it the page is left out."""
    return f"{SCHEME}:mission{SEPARATOR}{quote(packed, safe='')}"


def names_mission(argument: str) -> bool:
    """Whether an argument of the program is a mission to open: a `.ice` file, its file: URL, or a link."""
    lowered = argument.lower()
    if lowered.startswith(f"{SCHEME}:") or (lowered.startswith(("http:", "https:")) and SEPARATOR in argument):
        return True
    return lowered.endswith(SUFFIX) and not lowered.startswith(("sip:", "sips:", "tel:"))


def is_link(text: str) -> bool:
    """Whether a text is a link to read rather than a file's path."""
    return text.lower().startswith((f"{SCHEME}:", "http:", "https:"))


def is_web_address(text: str) -> bool:
    """Whether a text is where a mission may be fetched from, rather than a link that holds one."""
    lowered = text.lower()
    return (
        lowered.startswith(("http://", "https://"))
        and SEPARATOR not in text
        and len(text) <= MOST_ADDRESS
        and not any(one.isspace() for one in text)
    )


def whole(argument: str) -> str:
    """Give an argument that means the same in another program: a path is made absolute, a link stays."""
    if is_link(argument):
        return argument[:MOST_LINK]
    return os.path.abspath(os.path.expanduser(path_of(argument)))


def path_of(argument: str) -> str:
    """Give the path that a `file:` URL names; anything else is one already."""
    if not argument.lower().startswith("file:"):
        return argument
    parts = urlsplit(argument)
    host = f"//{parts.netloc}" if parts.netloc not in ("", "localhost") else ""
    return url2pathname(host + parts.path)


def unescaped(text: str) -> str | None:
    """Give a link with its escapes undone, as browsers and desktops make them; None where there are none."""
    before, separator, packed = text.partition(SEPARATOR)
    if not separator or "%" not in packed:
        return None
    return before + separator + unquote(packed)
