"""The command line: every command runs on the same seam as the window."""
