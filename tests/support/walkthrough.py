"""Pages whose commands are run and whose shown answers are compared: what a reader would type, in the page's order.

A block marked `sh` is run to its end. One marked `sh terminal-N` goes on in a terminal of its own. The block marked
`text` behind either is what it shows; `text terminal-N` is what that terminal shows next. In what is shown `…` stands for
anything, white space for none or any, and an HTTP answer needs not show all of its headers. A request whose answer is
not shown must succeed.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"^```(sh|text)(?: (terminal-\d+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_OF_MAKE = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
_PROBLEM = "urn:daicho:problem"
_WIDTH = "110"
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page: a command, or what is shown."""

    line: int
    is_command: bool
    terminal: str | None
    text: str


_END = Block(0, is_command=True, terminal=None, text="")
"""Behind the last block."""


def blocks(page: str) -> list[Block]:
    """Give the page's commands and what it shows of their output, in order."""
    return [
        Block(page.count("\n", 0, match.start()) + 1, match[1] == "sh", match[2], match[3])
        for match in _BLOCK.finditer(page)
    ]


def matches(shown: str, output: str) -> bool:
    """Tell whether an output is what is shown."""
    if not shown.startswith("HTTP/"):
        return _pattern(shown).fullmatch(_squeezed(output)) is not None
    shown_head, _, shown_body = shown.partition("\n\n")
    head, _, body = output.partition("\n\n")
    return set(shown_head.splitlines()) <= set(head.splitlines()) and matches(shown_body, body)


def _pattern(shown: str) -> re.Pattern[str]:
    return re.compile(".*?".join(re.escape(_squeezed(part)) for part in shown.split("…")), re.DOTALL)


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


@dataclass(slots=True)
class Terminal:
    """A command that goes on until the walk ends; `seen` is how much of its output has been compared."""

    process: asyncio.subprocess.Process
    output: str = ""
    seen: int = 0

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.output += line.decode()

    async def has_shown(self, shown: str) -> bool:
        assert self.process.returncode is None, self.output
        found = _pattern(shown).search(_squeezed(self.output), self.seen)
        if found:
            self.seen = found.end()
        return found is not None

    async def interrupt(self) -> None:
        """End it, and all that it started, as Ctrl-C does."""
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGINT)
        await self.process.wait()


@dataclass(slots=True)
class Walk:
    """A reader, at work: an environment, what stands for what on the page, and terminals."""

    environment: Mapping[str, str]
    instead: Mapping[str, str]
    terminals: dict[str, Terminal] = field(default_factory=dict)
    readers: list[asyncio.Task[None]] = field(default_factory=list)

    async def through(self, page: str) -> list[str]:
        """Do what the page says, from top to bottom; give the outputs of what ran to its end."""
        for said, meant in self.instead.items():
            page = page.replace(said, meant)
        outputs: list[str] = []
        for block, following in pairwise([*blocks(page), _END]):
            if block.is_command and block.terminal:
                await self._start(block.terminal, block.text)
            elif block.is_command:
                outputs.append(await self._run(block))
                is_shown = not following.is_command and following.terminal is None
                assert is_shown or _PROBLEM not in outputs[-1], f"line {block.line}: {outputs[-1]}"
            elif block.terminal:
                await self._await_shown(block, self.terminals[block.terminal])
            else:
                assert matches(block.text, outputs[-1]), (
                    f"line {block.line}: shown\n{block.text}\nit was\n{outputs[-1]}"
                )
        return outputs

    async def _await_shown(self, block: Block, terminal: Terminal) -> None:
        try:
            await wait_until(
                lambda: terminal.has_shown(block.text), f"line {block.line}: shown\n{block.text}", _SECONDS
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\nit was\n{terminal.output}") from None

    async def _run(self, block: Block) -> str:
        process = await self._shell(block.text, stderr=asyncio.subprocess.PIPE)
        async with asyncio.timeout(_SECONDS):
            output, errors = await process.communicate()
        assert process.returncode == 0, f"line {block.line}: {block.text}{output.decode()}{errors.decode()}"
        return output.decode().replace("\r", "")

    async def _start(self, name: str, command: str) -> None:
        terminal = Terminal(await self._shell(command, stderr=asyncio.subprocess.STDOUT))
        self.terminals[name] = terminal
        self.readers.append(asyncio.create_task(terminal.read()))

    async def _shell(self, command: str, stderr: int) -> asyncio.subprocess.Process:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        inherited = {name: value for name, value in os.environ.items() if name not in _OF_MAKE}
        return await asyncio.create_subprocess_exec(
            "bash", "-e", "-c", command, cwd=ROOT, start_new_session=True, stdout=asyncio.subprocess.PIPE, stderr=stderr,
            env={**inherited, "PATH": path, "COLUMNS": _WIDTH, **self.environment},
        )  # fmt: skip


@asynccontextmanager
async def walking(environment: Mapping[str, str], instead: Mapping[str, str]) -> AsyncIterator[Walk]:
    """Give a reader; in the end, Ctrl-C in every terminal, the last one first."""
    walk = Walk(environment, instead)
    try:
        yield walk
    finally:
        for terminal in reversed(walk.terminals.values()):
            await terminal.interrupt()
        await asyncio.gather(*walk.readers)
