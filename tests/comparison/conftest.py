"""The builders of checkpoint files, which stand beside the tests of the formats."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "formats"))
