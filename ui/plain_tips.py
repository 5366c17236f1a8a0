"""Tips that hold what strangers wrote: shown as it is written, since Qt takes a tip that looks like HTML for HTML.

Such a tip could load pictures from where its author wants: a share of the network, to which Windows logs in unasked.
"""

from __future__ import annotations

from PySide6.QtGui import Qt


def plain_tip(text: str) -> str:
    """Give a tip that is shown as this text, whatever is in it."""
    return Qt.convertFromPlainText(text) if Qt.mightBeRichText(text) else text
