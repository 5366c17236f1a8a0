"""What went wrong, in words, and what to do about it."""
