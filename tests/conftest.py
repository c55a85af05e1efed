import importlib.util
import os
import random
import sys

import pytest


def pytest_addoption(parser):
    parser.addoption("--overwrite", action="store_true", help="write the printed tables anew")


@pytest.fixture
def overwrite(request):
    return request.config.getoption("--overwrite")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """Keep what tests find out of the user's cache, and what is there out of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCALEPROF_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("SCALEPROF_STORE", "off")
        yield


@pytest.fixture(autouse=True, scope="session")
def _shared_servers():
    if importlib.util.find_spec("msgspec") is None:
        # kernels are tested where nothing else of scaleprof runs
        yield
        return
    from shared_servers import SharedServer, end_shared_servers

    from scaleprof.profiler import _crew

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_crew, "WorkerServer", SharedServer)
        yield
    end_shared_servers()


@pytest.fixture(autouse=True)
def _seeded():
    random.seed(0)


@pytest.fixture(autouse=True)
def _gpu_that_answers(request):
    """End a process whose GPU no longer answers; pytest-xdist goes on with the others in another.

    After a kernel that reads beyond its tensors, whatever a process asks of the GPU fails.
    """
    yield
    torch = sys.modules.get("torch")
    if request.node.get_closest_marker("gpu") is None or not torch.cuda.is_initialized():
        return
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        if "PYTEST_XDIST_WORKER" in os.environ:
            os._exit(1)
        raise
