"""Sound and picture: devices, codecs, RTP sessions, jitter buffers, recording."""
