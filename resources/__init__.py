"""Icons, sounds and translations, read through importlib.resources in a checkout and in a bundle."""
