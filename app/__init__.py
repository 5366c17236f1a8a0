"""Parley's engine: signalling, paths, media and everything else that needs no window."""
