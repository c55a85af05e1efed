"""Jobs that tests run in workers: one for every way in which foreign code can behave."""

import os
import signal
import sys
import time
from pathlib import Path

from scaleprof.errors import ModelError
from scaleprof.records import Record


class Request(Record, frozen=True, kw_only=True):
    number: int = 1
    text: str = ""


class Reply(Record, frozen=True, kw_only=True):
    number: int
    pid: int
    text: str = ""


def double(request: Request) -> Reply:
    return Reply(number=2 * request.number, pid=os.getpid(), text=request.text)


def noisy(request: Request) -> Reply:
    print("printed by a model")
    print("warned by a model", file=sys.stderr)
    os.write(1, b"written past python")
    return double(request)


def reads_input(request: Request) -> Reply:
    return Reply(number=len(sys.stdin.read()), pid=os.getpid())


def raises(request: Request) -> Reply:
    raise ValueError("the first line\nthe second line")


def raises_ours(request: Request) -> Reply:
    raise ModelError("there is no such model", hint="use another")


def exits(request: Request) -> Reply:
    sys.exit(request.number)


def exits_hard(request: Request) -> Reply:
    os._exit(request.number)


def hangs(request: Request) -> Reply:
    time.sleep(600)
    return double(request)


def hangs_with_children(request: Request) -> Reply:
    if os.fork() == 0:
        time.sleep(600)
    Path(request.text).write_text(str(os.getpgid(0)))
    time.sleep(600)
    return double(request)


def crashes(request: Request) -> Reply:
    os.kill(os.getpid(), signal.SIGSEGV)
    return double(request)


def eats_memory(request: Request) -> Reply:
    hoard = []
    while True:
        hoard.append(bytearray(os.urandom(1 << 20)) * 16)


def runs_out_of_memory(request: Request) -> Reply:
    raise MemoryError


def raises_in_torch(request: Request) -> Reply:
    raise RuntimeError(request.text)


def uses_the_gpu(request: Request) -> Reply:
    import torch

    return Reply(number=int(torch.arange(4, device="cuda").sum()), pid=os.getpid())


def fills_the_gpu(request: Request) -> Reply:
    import torch

    torch.empty(2**48, device="cuda")
    return double(request)


def breaks_the_gpu(request: Request) -> Reply:
    import torch

    numbers = torch.arange(4, device="cuda")
    # an index out of bounds: no kernel runs in this process any more
    return Reply(number=int(numbers[numbers + 4].sum()), pid=os.getpid())


def leaves_state(request: Request) -> Reply:
    os.environ["SCALEPROF_TEST_STATE"] = str(request.number)
    return double(request)


def reads_state(request: Request) -> Reply:
    return Reply(number=0, pid=os.getpid(), text=os.environ.get("SCALEPROF_TEST_STATE", "clean"))


def reads_offline(request: Request) -> Reply:
    return Reply(number=0, pid=os.getpid(), text=os.environ["HF_HUB_OFFLINE"])


def leaves_a_child(request: Request) -> Reply:
    child = os.fork()
    if child == 0:
        time.sleep(600)
    return Reply(number=0, pid=os.getpid(), text=str(child))
