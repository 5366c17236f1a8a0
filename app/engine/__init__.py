"""The one seam: owns the engine thread, offers commands, publishes events."""
