"""The zoo, trained once and shared by every test that needs real models."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "examples" / "zoo"))  # its scripts import one another as siblings
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")


@pytest.fixture(scope="session")
def zoo() -> Path:
    """Return the trained zoo: `MERGESEARCH_ZOO`, or the git-ignored `zoo/` at the repository's root."""
    import torch
    from train import build_zoo

    torch.set_num_threads(2)
    folder = Path(os.environ.get("MERGESEARCH_ZOO", REPOSITORY / "zoo"))
    build_zoo(folder)
    return folder
