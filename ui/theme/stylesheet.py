"""One stylesheet for the whole window, built from the tokens; knows no widget by class name but Qt's own.

Widgets choose their look with the dynamic property `look` ("primary", "quiet", "call", "hangup", …) and their text
with `tone` ("muted", "title", "section", "good", "warn", "bad").
"""

from __future__ import annotations

from ui.theme.tokens import CALL_MUTED, CALL_TEXT, RADIUS, Tokens


def build(t: Tokens) -> str:
    """Give the stylesheet for one set of colours."""
    return "\n".join((_base(t), _fields(t), _buttons(t), _call(t), _surfaces(t), _menus(t), _tables(t), _rail(t)))


def _base(t: Tokens) -> str:
    return f"""
QWidget {{ color: {t.text}; font-size: 14px; }}
QMainWindow, QDialog {{ background: {t.background}; }}
QLabel {{ background: transparent; }}
QLabel[tone="muted"] {{ color: {t.muted}; font-size: 13px; }}
QLabel[tone="small"] {{ color: {t.muted}; font-size: 12px; }}
QLabel[tone="title"] {{ font-size: 20px; font-weight: 600; }}
QLabel[tone="heading"] {{ font-size: 15px; font-weight: 600; }}
QLabel[tone="section"] {{ color: {t.muted}; font-size: 11px; font-weight: 600; }}
QLabel[tone="good"] {{ color: {t.good}; }}
QLabel[tone="warn"] {{ color: {t.warn}; }}
QLabel[tone="bad"] {{ color: {t.bad}; }}
QLabel[tone="value"] {{ font-size: 13px; }}
QLabel[tone="figure"] {{ font-size: 17px; font-weight: 600; }}
QToolTip {{ background: {t.text}; color: {t.background}; border: none; padding: 6px 8px; font-size: 12px; }}
QScrollArea, QAbstractScrollArea {{ background: transparent; border: none; }}
QScrollBar:vertical {{ background: transparent; width: 10px; margin: 2px; }}
QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 2px; }}
QScrollBar::handle {{ background: {t.line_strong}; border-radius: 3px; min-height: 28px; min-width: 28px; }}
QScrollBar::handle:hover {{ background: {t.muted}; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
"""


def _fields(t: Tokens) -> str:
    field = "QLineEdit, QComboBox, QPlainTextEdit, QSpinBox"
    wrong = field.replace(",", '[wrong="true"],') + '[wrong="true"]'
    focus = "QLineEdit:focus, QComboBox:focus, QPlainTextEdit:focus, QSpinBox:focus"
    return f"""
{field} {{ background: {t.background}; border: 1px solid {t.line_strong}; border-radius: 10px; padding: 7px 10px;
    selection-background-color: {t.accent}; selection-color: {t.accent_text};
    placeholder-text-color: {t.muted}; }}
{focus} {{ border: 2px solid {t.accent}; padding: 6px 9px; }}
{field.replace(",", ":disabled,")}:disabled {{ color: {t.muted}; background: {t.card}; }}
QLineEdit#searchField {{ padding-left: 2px; }}
QLineEdit#searchField:focus {{ padding-left: 1px; }}
{wrong} {{ border: 2px solid {t.bad}; padding: 6px 9px; }}
QComboBox::drop-down {{ border: none; width: 28px; }}
QComboBox::down-arrow {{ width: 0; height: 0; }}
QSpinBox::up-button, QSpinBox::down-button {{ border: none; background: transparent; width: 28px; }}
QSpinBox::up-arrow, QSpinBox::down-arrow {{ width: 0; height: 0; }}
QComboBox QAbstractItemView {{ background: {t.background}; border: 1px solid {t.line_strong}; padding: 4px;
    selection-background-color: {t.accent_soft}; selection-color: {t.text}; outline: none; }}
QCheckBox {{ spacing: 10px; padding: 4px; border: 2px solid transparent; border-radius: 8px; }}
QCheckBox:focus {{ border-color: {t.accent}; }}
QSlider {{ border: 2px solid transparent; border-radius: 8px; padding: 2px; }}
QSlider:focus {{ border-color: {t.accent}; }}
QSlider::groove:horizontal {{ height: 6px; background: {t.line_strong}; border-radius: 3px; }}
QSlider::sub-page:horizontal {{ background: {t.accent}; border-radius: 3px; }}
QSlider::handle:horizontal {{ width: 18px; height: 18px; margin: -6px 0; border-radius: 9px; background: {t.accent}; }}
"""


def _buttons(t: Tokens) -> str:
    return f"""
QPushButton {{ background: {t.card}; border: 2px solid transparent; border-radius: 10px; padding: 7px 14px;
    outline: none; }}
QPushButton:hover {{ background: {t.card_hover}; }}
QPushButton:pressed {{ background: {t.line_strong}; }}
QPushButton:focus {{ border-color: {t.accent}; }}
QPushButton:disabled {{ color: {t.muted}; }}
QPushButton[look="primary"] {{ background: {t.accent}; color: {t.accent_text}; font-weight: 600; }}
QPushButton[look="primary"]:hover {{ background: {t.accent}; border-color: {t.text}; }}
QPushButton[look="primary"]:focus {{ border-color: {t.text}; }}
QPushButton[look="primary"]:disabled {{ background: {t.card}; color: {t.muted}; }}
QPushButton[look="answer"] {{ background: {t.answer}; color: #ffffff; font-weight: 600; }}
QPushButton[look="answer"]:hover {{ background: {t.answer_hover}; }}
QPushButton[look="answer"]:focus {{ border-color: {t.text}; }}
QPushButton[look="quiet"] {{ background: transparent; padding: 5px 8px; }}
QPushButton[look="quiet"]:hover {{ background: {t.card_hover}; }}
QPushButton[look="link"] {{ background: transparent; color: {t.accent}; padding: 4px 6px; text-align: left; }}
QPushButton[look="link"]:disabled {{ color: {t.muted}; }}
QToolButton {{ background: transparent; border: 2px solid transparent; border-radius: 10px; padding: 5px; }}
QToolButton:hover {{ background: {t.card_hover}; }}
QToolButton:focus {{ border-color: {t.accent}; }}
"""


def _call(t: Tokens) -> str:
    floating = "rgba(24, 30, 38, 0.72)"
    return f"""
QWidget#callBar QLabel, QWidget#callCentre QLabel {{ color: {CALL_TEXT}; }}
QWidget#callTitle {{ background: {floating}; border-radius: 8px; }}
QLabel[tone="callName"] {{ font-size: 18px; font-weight: 600; color: {CALL_TEXT}; }}
QLabel[tone="callState"] {{ font-size: 15px; color: {CALL_MUTED}; }}
QLabel[tone="callBig"] {{ font-size: 26px; font-weight: 600; color: {CALL_TEXT}; }}
QLabel[tone="callSentence"] {{ font-size: 15px; color: {CALL_MUTED}; }}
QLabel[look="poorer"] {{ background: #4a3710; color: #ffe2ab; border-radius: 10px; padding: 7px 12px;
    font-size: 13px; }}
QLabel[look="floating"] {{ background: {floating}; color: {CALL_TEXT}; border-radius: 8px; padding: 3px 8px;
    font-size: 12px; }}
QToolButton[look="chip"] {{ background: {floating}; color: {CALL_TEXT}; border: 2px solid transparent;
    border-radius: 14px; padding: 3px 4px 3px 4px; font-size: 12px; }}
QToolButton[look="chip"]:hover {{ background: rgba(60, 70, 84, 0.95); }}
QToolButton[look="chip"]:focus {{ border-color: #ffffff; }}
QToolButton[look="call"] {{ background: rgba(52, 60, 70, 0.88); border: 2px solid transparent; border-radius: 16px; }}
QToolButton[look="call"]::menu-indicator {{ image: none; width: 0; }}
QToolButton[look="call"]:hover {{ background: rgba(82, 92, 104, 0.95); }}
QToolButton[look="call"]:focus {{ border-color: #ffffff; }}
QToolButton[look="call"]:checked {{ background: #ffffff; }}
QToolButton[look="call"]:checked:focus {{ border-color: {t.accent}; }}
QToolButton[look="hangup"] {{ background: {t.hang_up}; color: #ffffff; border: 2px solid transparent;
    border-radius: 16px; font-weight: 600; padding: 0 14px; }}
QToolButton[look="hangup"]:hover {{ background: {t.hang_up_hover}; }}
QToolButton[look="hangup"]:focus {{ border-color: #ffffff; }}
QPushButton[look="onStage"] {{ background: rgba(62, 71, 83, 0.95); color: #ffffff; }}
QPushButton[look="onStage"]:hover {{ background: rgba(88, 99, 113, 1); }}
QPushButton[look="onStage"]:focus {{ border-color: #ffffff; }}
QFrame[look="sharingMark"] {{ background: #14532f; border-radius: 10px; }}
QFrame[look="recordingMark"] {{ background: #6b1a1f; border-radius: 10px; }}
QFrame[look="sharingMark"] QLabel, QFrame[look="recordingMark"] QLabel {{ color: #ffffff; font-size: 13px; }}
QLabel#recordingMarkSign {{ color: #ff8a8d; }}
QLabel#sharingMarkSign {{ color: #6fe3ad; }}
QPushButton[look="onMark"] {{ background: rgba(255, 255, 255, 0.16); color: #ffffff; padding: 3px 12px; }}
QPushButton[look="onMark"]:hover {{ background: rgba(255, 255, 255, 0.28); }}
QPushButton[look="onMark"]:focus {{ border-color: #ffffff; }}
QFrame#volumeCard {{ background: rgba(24, 30, 38, 0.95); border-radius: 12px; }}
QFrame#volumeCard QLabel {{ color: {CALL_TEXT}; }}
QFrame#keypad {{ background: rgba(24, 30, 38, 0.95); border-radius: 16px; }}
QPushButton[look="key"] {{ background: rgba(82, 92, 104, 0.75); border: 2px solid transparent; border-radius: 12px;
    padding: 0; }}
QLabel[tone="key"] {{ color: {CALL_TEXT}; font-size: 18px; font-weight: 600; }}
QLabel[tone="keyLetters"] {{ color: {CALL_MUTED}; font-size: 10px; }}
QPushButton[look="key"]:hover {{ background: rgba(102, 112, 126, 0.95); }}
QPushButton[look="key"]:pressed {{ background: rgba(140, 150, 164, 1.0); }}
QPushButton[look="key"]:focus {{ border-color: #ffffff; }}
"""


def _surfaces(t: Tokens) -> str:
    tones = "\n".join(
        f'QFrame[look="{name}"] {{ background: {soft}; border: 1px solid {line}; border-radius: {RADIUS}px; }}'
        for name, soft, line in (
            ("goodCard", t.good_soft, t.good_line),
            ("warnCard", t.warn_soft, t.warn_line),
            ("badCard", t.bad_soft, t.bad_line),
            ("plainCard", t.card, t.card),
        )
    )
    return f"""
QWidget#listColumn, QWidget#pane, QWidget#rail {{ background: {t.background}; }}
QWidget#listColumn {{ border-right: 1px solid {t.line}; }}
QWidget#rail {{ border-right: 1px solid {t.line}; }}
QWidget#pane {{ border-left: 1px solid {t.line}; }}
QWidget#stage, QWidget#idlePage, QWidget#settingsPage, QWidget#settingsForm, QDialog#deviceDialog,
QWidget#channelsInside, QWidget#noMission {{ background: {t.stage}; }}
QWidget#emergencyBanner {{ background: {t.background}; }}
QFrame[look="channelCard"] {{ background: {t.background}; border: 2px solid {t.line}; border-radius: 16px; }}
QFrame[look="channelCard"][mark="receiving"] {{ border-color: {t.good}; }}
QFrame[look="channelCard"][mark="sending"], QFrame[look="channelCard"][mark="urgent"] {{ border-color: {t.bad}; }}
QFrame[look="channelCard"][mark="limited"] {{ border-color: {t.warn_line}; }}
QFrame[look="channelCard"][compact="yes"] {{ border-radius: {RADIUS}px; }}
QLabel[tone="heading"][compact="yes"] {{ font-size: 14px; }}
QFrame[look="channelCard"][compact="yes"][chosen="yes"] {{ background: {t.accent_soft}; }}
QToolButton[compact="yes"] {{ padding: 2px; }}
QToolButton[look="mode"] {{ color: {t.muted}; font-size: 12px; padding: 4px 6px; }}
QToolButton[look="mode"]::menu-indicator {{ image: none; width: 0; }}
QPlainTextEdit#textsView {{ background: {t.card}; border-color: {t.card}; font-size: 13px; }}
QPlainTextEdit#textsView:focus {{ border-color: {t.accent}; }}
QLabel[look="limits"] {{ background: {t.warn_soft}; color: {t.warn}; border: 1px solid {t.warn_line};
    border-radius: {RADIUS}px; padding: 8px 12px; font-size: 13px; }}
QFrame[look="tile"] {{ background: {t.card}; border-radius: {RADIUS}px; }}
QFrame[look="sheet"] {{ background: {t.background}; border: 1px solid {t.line}; border-radius: 16px; }}
QFrame[look="toast"] {{ background: {t.text}; border: 1px solid {t.muted}; border-radius: {RADIUS}px; }}
QFrame[look="toast"] QLabel {{ color: {t.background}; }}
QPushButton[look="onToast"] {{ background: transparent; color: {t.background}; border-color: {t.muted};
    padding: 4px 10px; }}
QPushButton[look="onToast"]:hover, QPushButton[look="onToast"]:focus {{ border-color: {t.background}; }}
QFrame[look="toast"] QToolButton:hover {{ background: {t.muted}; }}
QFrame[look="drawer"] {{ background: {t.background}; border: 2px solid {t.line_strong}; border-radius: 16px; }}
QFrame[look="line"] {{ background: {t.line}; max-height: 1px; border: none; }}
{tones}
"""


def _menus(t: Tokens) -> str:
    return f"""
QMenu {{ background: {t.background}; border: 1px solid {t.line_strong}; padding: 4px; }}
QMenu::item {{ padding: 7px 22px 7px 12px; border-radius: 6px; }}
QMenu::item:selected {{ background: {t.accent_soft}; color: {t.text}; }}
QMenu::item:disabled {{ color: {t.muted}; }}
QMenu::separator {{ height: 1px; background: {t.line}; margin: 4px 8px; }}
QMenu::icon {{ padding-left: 8px; }}
"""


def _tables(t: Tokens) -> str:
    return f"""
QListView, QTableView {{ background: transparent; border: none; outline: none; }}
QListWidget#shareList {{ background: {t.card}; border: 2px solid transparent; border-radius: {RADIUS}px;
    padding: 6px; }}
QListWidget#shareList:focus {{ border-color: {t.line_strong}; }}
QListWidget#shareList::item {{ border: 2px solid transparent; border-radius: 10px; padding: 4px; color: {t.text}; }}
QListWidget#shareList::item:selected {{ background: {t.accent_soft}; border-color: {t.accent}; }}
QListWidget#missionChannels {{ border: 1px solid {t.line}; border-radius: 10px; padding: 6px; }}
QListWidget#missionChannels:focus {{ border-color: {t.accent}; }}
QListWidget#missionChannels::item {{ border-radius: 8px; padding: 4px 6px; color: {t.text}; }}
QListWidget#missionChannels::item:selected {{ background: {t.accent_soft}; }}
QTableView {{ font-size: 12px; gridline-color: transparent; alternate-background-color: transparent; }}
QTableView:focus, QListView#ladder:focus, QListView#momentList:focus {{ border: 1px solid {t.accent};
    border-radius: 6px; }}
QHeaderView {{ background: transparent; }}
QHeaderView::section {{ background: transparent; color: {t.muted}; border: none; border-bottom: 1px solid {t.line};
    padding: 5px 4px; font-size: 12px; font-weight: 400; }}
QTabBar {{ background: transparent; }}
QTabBar::tab {{ background: transparent; color: {t.muted}; padding: 12px 9px 10px 9px; margin-right: 2px;
    border: none; border-bottom: 3px solid transparent; font-size: 14px; }}
QTabBar::tab:selected {{ color: {t.text}; font-weight: 600; border-bottom-color: {t.accent}; }}
QTabBar::tab:hover {{ color: {t.text}; }}
QTabBar::tab:focus {{ color: {t.accent}; }}
QTabWidget::tab-bar {{ left: 6px; }}
QTabWidget::pane {{ border: none; border-top: 1px solid {t.line}; }}
QPlainTextEdit#messageText {{ background: {t.card}; border-color: {t.card}; font-size: 12px; }}
QPlainTextEdit#messageText:focus {{ border-color: {t.accent}; }}
"""


def _rail(t: Tokens) -> str:
    return f"""
QToolButton[look="rail"] {{ color: {t.muted}; font-size: 11px; border-radius: 12px; padding: 6px 2px; }}
QToolButton[look="rail"]:hover {{ background: {t.card}; color: {t.text}; }}
QToolButton[look="rail"]:checked {{ background: {t.accent_soft}; color: {t.accent}; }}
QLabel#railBadge {{ background: {t.accent}; color: {t.accent_text}; border-radius: 8px; font-size: 10px;
    font-weight: 600; padding: 0 4px; }}
QToolButton[look="rail"]:focus {{ border-color: {t.accent}; }}
QPushButton#accountButton {{ background: transparent; border-radius: 0; border: 2px solid transparent;
    border-top: 1px solid {t.line}; padding: 12px 14px; text-align: left; font-size: 13px; color: {t.muted}; }}
QPushButton#accountButton:hover {{ background: {t.card}; }}
QPushButton#accountButton:focus {{ border: 2px solid {t.accent}; }}
"""
