"""The exit codes of docs/exit-codes.md."""

from __future__ import annotations

from wcx.core.errors import CheckpointError, UsageError

DONE = 0
CONDITION_HOLDS = 1
DISAGREES = 1
UNWRITABLE = UsageError.exit_code
UNMATCHED = UsageError.exit_code
UNREADABLE = CheckpointError.exit_code
BUG = 70
HUNG_UP = 129
INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143
