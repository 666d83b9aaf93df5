"""The device that tests of the engine run on: `pytest --device cuda tests/engine`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

TWIN = Path(__file__).with_name("engine") / "twin" / "twin.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device",
        default="cpu",
        help="where tests of the engine place their tensors; twin: two devices that are made of the CPU",
    )


def pytest_configure(config: pytest.Config) -> None:
    name = config.getoption("--device")
    if name == "cpu":
        return
    from mergesearch.engine.devices.devices import resolve_device
    from mergesearch.errors import InputError

    if name.partition(":")[0] == "twin":
        _load_twin()
    try:
        resolve_device(name)
    except InputError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> Any:
    """The torch.device that the option names."""
    from mergesearch.engine.devices.devices import resolve_device

    return resolve_device(request.config.getoption("--device"))


def _load_twin() -> None:
    specification = importlib.util.spec_from_file_location("twin", TWIN)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    module.register()
