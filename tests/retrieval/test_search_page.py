"""The page's script, run by Node without a browser: what the best part of a hit does."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from retrieval.search_server import PAGE

HARNESS = Path(__file__).parents[1] / "support" / "page.js"


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_the_player_jumps_to_the_best_part_and_stops_at_its_end() -> None:
    hit = {"rank": 1, "similarity": 0.5, "name": "a b.wav", "here": True, "seconds": 80.0, "start": 60.0, "end": 70.0}
    hits = [hit, {**hit, "rank": 2, "name": "short.wav", "start": None, "end": None}]
    command = ["node", str(HARNESS), str(PAGE / "search.js"), json.dumps(hits)]
    seen = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
    assert seen["jump"] == "Best part: 1:00 – 1:10"
    assert seen["frame"] == {"left": "75%", "width": "12.5%"}
    assert seen["secondHasNone"]
    assert (seen["source"], seen["from"]) == ("audio?name=a%20b.wav", 60)
    assert (seen["pausedBefore"], seen["pausedAtEnd"]) == (False, True)
    assert not seen["pausedAfter"]  # what is played again continues
