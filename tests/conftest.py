import random

import pytest


def pytest_addoption(parser):
    parser.addoption("--overwrite", action="store_true", help="write the printed tables anew")


@pytest.fixture
def overwrite(request):
    return request.config.getoption("--overwrite")


@pytest.fixture(autouse=True)
def _seeded():
    random.seed(0)
