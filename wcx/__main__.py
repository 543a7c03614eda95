"""Run the command line by `python -m wcx`."""

from __future__ import annotations

from wcx.cli import main

if __name__ == "__main__":
    main()
