"""What a kernel compiles to, for a GPU that need not be there.

Triton brings its own assembler and disassembler, so registers, spills, shared memory and the mix
of machine instructions are known on any machine. What they take is not: that is measured.
"""

import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from ._launch import Launch

_TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
_POINTERS = {torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16"}
# integers that are multiples of it, and all pointers of torch, let loads be wide
_DIVISOR = 16
_WARP = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """One kernel in machine code.

    Attributes:
        capability: The GPU generation, such as 90.
        registers: Per thread.
        spilled_bytes: Per thread, of local memory, stack included.
        shared_bytes: Per program.
        instructions: How often each machine instruction occurs in the code.
        loop: The same for the longest loop body, whose time the kernel takes.
    """

    capability: int
    registers: int
    spilled_bytes: int
    shared_bytes: int
    instructions: Counter[str]
    loop: Counter[str]

    @property
    def matrix_instructions(self) -> int:
        """How many instructions run on the tensor cores."""
        return sum(n for name, n in self.instructions.items() if name in {"HGMMA", "HMMA"})


def compile_for(launch: Launch, capability: int) -> Compiled:
    """Compile a launch for a GPU generation, such as 90 for the H100, as its first run would."""
    # what Triton learns from arguments at run time: a one is a constant, a multiple of 16 is known
    ones = {name: 1 for name, value in launch.integers.items() if value == 1}
    constants = {**launch.constants, **ones}
    names = launch.kernel.arg_names
    signature = {name: _type_of(name, launch, constants) for name in names}
    attributes = {
        (position,): [["tt.divisibility", _DIVISOR]]
        for position, name in enumerate(names)
        if name in launch.pointers
        or (name not in constants and launch.integers[name] % _DIVISOR == 0)
    }
    source = ASTSource(launch.kernel, signature, constants, attributes)
    built = triton.compile(
        source,
        target=GPUTarget("cuda", capability, _WARP),
        options=launch.options,
    )
    return _read(built.asm["cubin"], capability, built.metadata.shared)


def _type_of(name: str, launch: Launch, constants: dict[str, Any]) -> str:
    if name in constants:
        return "constexpr"
    if name in launch.pointers:
        return _POINTERS[launch.pointers[name]]
    return "i32" if abs(launch.integers[name]) < 2**31 else "i64"


def _read(cubin: bytes, capability: int, shared_bytes: int) -> Compiled:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        usage = _run("cuobjdump", "-res-usage", str(path))
        code = _run("nvdisasm", "-c", str(path))
    numbers = {key: int(value) for key, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    instructions, loop = _count(code)
    return Compiled(
        capability=capability,
        registers=numbers["REG"],
        spilled_bytes=numbers["STACK"] + numbers["LOCAL"],
        shared_bytes=shared_bytes,
        instructions=instructions,
        loop=loop,
    )


def _run(tool: str, *arguments: str) -> str:
    return subprocess.run(
        [str(_TOOLS / tool), *arguments], capture_output=True, text=True, check=True
    ).stdout


def _count(code: str) -> tuple[Counter[str], Counter[str]]:
    """Count instructions of the whole code, and of the longest stretch that branches back."""
    names: list[str] = []
    labels: dict[str, int] = {}
    loops: list[tuple[int, int]] = []
    for line in code.splitlines():
        if label := re.match(r"(\.L_x_\d+):", line):
            labels[label[1]] = len(names)
        found = re.match(r"\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+ )?([A-Z][A-Z0-9_]*)(.*)", line)
        if not found:
            continue
        names.append(found[1])
        target = re.search(r"\.L_x_\d+", found[2])
        # a branch to itself ends the code
        if found[1] == "BRA" and target and labels.get(target[0], len(names)) < len(names) - 1:
            loops.append((labels[target[0]], len(names)))
    start, end = max(loops, key=lambda loop: loop[1] - loop[0], default=(0, 0))
    return Counter(n for n in names if n != "NOP"), Counter(names[start:end])
