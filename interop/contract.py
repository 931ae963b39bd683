"""The columns as the README lists them, which a Go test holds against the code."""

import pathlib
import re
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Column:
    name: str
    kind: str  # timestamp, string, double, int64, boolean, decimal(18,9)
    doc: str
    id: int  # Parquet field id

    @property
    def required(self):
        return self.name in ("event_time", "bucket_end")

    @property
    def additive(self):
        """Is in the books: its sum is exact, in 10^-6 (tokens) or 10^-9 (money)."""
        return self.kind in ("double", "int64", "decimal(18,9)") and self.name not in NOT_ADDED


NOT_ADDED = {"duration_ms", "time_to_first_token_ms", "source_line", "source_row", "quantity"}

NOT_IN_REPORTS = set(
    """transport_id cache_hit status error_code session_id input_video_tokens input_tool_tokens
    accepted_prediction_tokens rejected_prediction_tokens image_quality cost_usd price_id duration_ms
    time_to_first_token_ms""".split()
)


def _tables():
    readme = (ROOT / "README.md").read_text()
    heads = readme.split("| column | type | meaning |\n| --- | --- | --- |\n")[1:]
    lists = [re.findall(r"^\| `(\w+)` \| (\S+) \| (.*) \|$", h.split("\n\n")[0], re.M) for h in heads]
    assert len(lists) == 2, "the README has a list of columns for usage, and one of what reports has besides"
    columns = [Column(*row, id) for id, row in enumerate(lists[0] + lists[1], 1)]
    usage = columns[: len(lists[0])]
    return {"usage": usage, "reports": [c for c in columns if c.name not in NOT_IN_REPORTS]}


TABLES = _tables()
