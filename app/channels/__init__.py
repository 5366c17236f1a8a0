"""Group radio: missions, sealed packets, talkers, and the links that carry them. See docs/channels.md."""
