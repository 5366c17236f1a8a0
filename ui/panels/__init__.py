"""The large areas of the window: people, call, history, settings, diagnostics."""
