"""The parts that float over a call: the bar with name, time and facts, the centre with the state in words, one's own
picture."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QBoxLayout, QHBoxLayout, QVBoxLayout, QWidget

from app.events import CallInfo, CallState
from ui import words
from ui.plain_tips import plain_tip
from ui.widgets.avatar import Avatar
from ui.widgets.basics import button, label
from ui.widgets.fact_chips import FactChips
from ui.widgets.video_view import VideoView

_LEAST_OWN_WIDTH = 124  # room for the words in it
_ONE_ROW_FROM = 800  # under this width the facts stand below the name


class CallBar(QWidget):
    """Name, time or state, and the three facts, at the upper edge."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("callBar")
        self._box = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._box.setContentsMargins(16, 10, 16, 6)
        self._box.setSpacing(8)
        title = QWidget()
        title.setObjectName("callTitle")  # has a ground of its own: no picture makes it unreadable
        row = QHBoxLayout(title)
        row.setContentsMargins(10, 2, 10, 2)
        row.setSpacing(12)
        self.name = label("", "callName", "callName")
        self.time = label("", "callState", "callTime")
        row.addWidget(self.name)
        row.addWidget(self.time)
        self._box.addWidget(title, 0, Qt.AlignmentFlag.AlignLeft)
        self._box.addStretch(1)
        self.chips = FactChips()
        self._box.addWidget(self.chips, 0, Qt.AlignmentFlag.AlignLeft)

    def show_call(self, name: str, call: CallInfo) -> None:
        self.name.setText(self.name.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, 260))
        self.name.setToolTip(plain_tip(words.shown_address(call.remote_uri)))
        self.name.setAccessibleName(f"Call with {name}")
        self.chips.setVisible(call.state is not CallState.ENDED)

    def show_time(self, call: CallInfo, seconds: float | None) -> None:
        """Show how long the call has lasted, and what it is doing unless it simply goes on."""
        talking = call.state is CallState.CONNECTED and not call.held
        if call.state is CallState.INTERRUPTED and seconds is not None:
            self.time.setText(f"{words.clock(seconds)} · Interrupted")  # the note below says more
            return
        if seconds is not None and call.state is not CallState.ENDED:
            said = words.clock(seconds)
            self.time.setText(said if talking else f"{said} · {words.state_words(call)}")
        elif call.state is CallState.ENDED:
            self.time.setText("Ended")
        else:
            self.time.setText(words.state_words(call))

    def place(self, width: int) -> int:
        """Take the upper edge of a stage of this width; give where the bar ends."""
        wide = width >= _ONE_ROW_FROM
        self.chips.fit(width - 32)
        self._box.setDirection(QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom)
        self.setGeometry(0, 0, width, self._box.sizeHint().height())
        return self.height()


class CallCentre(QWidget):
    """Who it is and what is going on, in the middle, while there is no picture; and how it ended."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("callCentre")
        box = QVBoxLayout(self)
        box.setSpacing(10)
        middle = Qt.AlignmentFlag.AlignHCenter
        self.avatar = Avatar(112)
        self.name = label("", "callBig", "callCentreName", wrap=True)
        self.state = label("", "callSentence", "callStateWords", wrap=True)
        for part in (self.name, self.state):
            part.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.again = button("Call again", "callAgain", lambda: None, look="onStage")
        self.why = button("What happened", "callWhy", lambda: None, look="onStage")
        self.resume = button("Go on with this call", "callResume", lambda: None, look="onStage")
        self.close_button = button("Close", "callClose", lambda: None, look="onStage")
        self._row = QWidget()
        self._buttons = QBoxLayout(QBoxLayout.Direction.LeftToRight, self._row)
        row = self._buttons
        for button_ in (self.resume, self.again, self.why, self.close_button):
            row.addWidget(button_)
        box.addStretch(1)
        box.addWidget(self.avatar, 0, middle)
        box.addSpacing(8)
        box.addWidget(self.name)
        box.addWidget(self.state)
        box.addSpacing(8)
        box.addWidget(self._row, 0, middle)
        box.addStretch(1)

    def show_call(self, name: str, call: CallInfo, *, has_picture: bool) -> None:
        over = call.state is CallState.ENDED
        self.avatar.show_name(name)
        self.name.setText(name)
        said = words.state_words(call)
        if call.state is CallState.CONNECTED and not call.has_video:
            said = "On hold" if call.held else "Voice only"
        self.state.setText(said)
        self.state.setAccessibleName(said)
        held = call.held and not over
        self._row.setVisible(over or held)
        self.resume.setVisible(held)
        for part in (self.again, self.why, self.close_button):
            part.setVisible(over)
        self.setVisible(held or not has_picture)

    def place(self, width: int, top: int, bottom: int) -> None:
        wide = min(width - 32, 560)
        shown = [part for part in (self.resume, self.again, self.why, self.close_button) if part.isVisibleTo(self)]
        stacked = sum(part.sizeHint().width() + 12 for part in shown) + 24 > wide
        self._buttons.setDirection(QBoxLayout.Direction.TopToBottom if stacked else QBoxLayout.Direction.LeftToRight)
        self.setGeometry((width - wide) // 2, top, wide, max(0, bottom - top))


class OwnPicture(QWidget):
    """One's own picture, small, mirrored where that is wanted, with words for what others do not get of it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("ownPictureFrame")
        self.view = VideoView("ownPicture", "Your own picture", mirrored=True, fill=True, radius=14)
        self.view.setParent(self)
        self.words = label("You", name="ownWords")
        self.words.setParent(self)
        self.words.setProperty("look", "floating")

    def show_call(self, call: CallInfo) -> None:
        over = call.state in (CallState.ENDED, CallState.ENDING)
        talking = call.state in (CallState.CONNECTED, CallState.INTERRUPTED)
        lacks = ["muted"] if call.muted else []
        if call.has_video and not call.sending_video and talking:
            lacks.append("camera off")
        if not call.sending_video:
            self.view.forget()
        self.view.show_mirrored(call.mirrors_own)
        self.words.setText(" · ".join(["What you share" if call.sharing else "You", *lacks]))
        self.words.adjustSize()
        with_picture = self.view.picture is not None
        self.view.setVisible(with_picture)
        self.setVisible(not over and (with_picture or bool(lacks)))

    def place(self, width: int, bottom: int) -> None:
        """Take the lower right of a stage of this width, above the buttons."""
        if self.view.isVisibleTo(self):
            wide, high = self._size(max(140, min(208, width // 4)))
        else:
            wide, high = self.words.width(), self.words.height()
        self.setGeometry(width - wide - 16, bottom - high - 8, wide, high)
        self.view.setGeometry(0, 0, wide, high)
        left = 8 if self.view.isVisibleTo(self) else 0
        self.words.move(left, high - self.words.height() - (8 if self.view.isVisibleTo(self) else 0))

    def _size(self, most: int) -> tuple[int, int]:
        """Take the shape of the picture, so that one sees all that others get of it; `most` is the greatest width."""
        picture = self.view.picture
        across, down = (picture.width, picture.height) if picture is not None else (16, 9)
        high = min(most * 3 // 4, max(most // 4, round(most * down / across)))
        return max(_LEAST_OWN_WIDTH, min(most, round(high * across / down))), high
