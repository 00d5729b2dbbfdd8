"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Examples share the machine with other processes: a slow one is not a failure.
settings.register_profile("bloomery", deadline=None)
settings.load_profile("bloomery")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of texts and published vocabularies, too large and too variously licensed for the repository."""
    folder = Path(os.environ.get("BLOOMERY_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: set BLOOMERY_SHARED to the folder of shared texts and vocabularies")
    return folder
