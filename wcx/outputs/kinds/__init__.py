"""Lists of what an installation has, as text for people."""
