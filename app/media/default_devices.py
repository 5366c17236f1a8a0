"""The devices that a session uses unless it is given others: what the settings name.

Modules are imported when something of theirs is opened: sound and camera libraries cost start-up time and need not be
there at all for a call from files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.frames import FrameMailbox
from app.settings import MediaSettings

if TYPE_CHECKING:
    from app.media.ports import AudioSink, AudioSource, Preview, VideoSink, VideoSource


class SettingsDevices:
    """Opens microphone, speaker, camera, files or stand-ins; their problems are read from themselves."""

    def audio_source(self, settings: MediaSettings) -> AudioSource:
        from app.media.sources import open_audio_source

        return open_audio_source(settings)[0]

    def audio_sink(self, settings: MediaSettings) -> AudioSink:
        from app.media.sinks import open_audio_sink

        return open_audio_sink(settings)[0]

    def video_source(self, settings: MediaSettings) -> VideoSource:
        from app.media.sources import open_video_source

        return open_video_source(settings)[0]

    def video_sink(self, settings: MediaSettings, mailbox: FrameMailbox) -> VideoSink:
        from app.media.sinks import open_video_sink

        return open_video_sink(settings, mailbox)[0]

    def preview(self, mailbox: FrameMailbox) -> Preview:
        from app.media.sinks import MailboxSink

        return MailboxSink(mailbox)
