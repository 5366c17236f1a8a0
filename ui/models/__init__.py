"""Qt item models over the events of the engine."""
