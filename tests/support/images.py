"""The Dockerfile without a container engine: its own commands, in folders that stand for the stages' file systems."""

import asyncio
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).parents[2]
_ACCOUNT = "useradd "
"""The one command that is not run: it makes an account on the machine."""


@dataclass(slots=True)
class Image:
    """What a Dockerfile makes under `folder`: its environment, its command, and how it is asked for its health."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    command: Sequence[str] = ()
    health: Sequence[str] = ()
    user: str = "root"
    working: str = "/"

    def there(self, text: str) -> str:
        """Write paths of the image as those under the folder."""
        return re.sub(r"(?<![\w.:/$])/(opt|src|tmp)\b", rf"{self.folder}/\1", text)


async def build(dockerfile: Path, folder: Path) -> Image:
    """Carry out every instruction, in order. Stages share the folder: none of them has another's files in its way."""
    image = Image(folder)
    for one in DockerfileParser(str(dockerfile), cache_content=True).structure:
        await _carry_out(image, one["instruction"], one["value"])
    return image


async def _carry_out(image: Image, instruction: str, value: str) -> None:
    match instruction:
        case "FROM":
            image.environment, image.working = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}, "/"
        case "ENV":
            pairs = (pair.split("=", 1) for pair in shlex.split(value))
            image.environment |= {
                name: image.there(Template(text).substitute(image.environment)) for name, text in pairs
            }
        case "WORKDIR":
            image.working = value
            Path(image.there(value)).mkdir(parents=True, exist_ok=True)
        case "COPY" if "--from=" not in value:
            *sources, target = shlex.split(value)
            _copy([ROOT / source for source in sources], Path(image.there(image.working)) / target, target)
        case "RUN" if not value.startswith(_ACCOUNT):
            code = await run(image, ["sh", "-ec", image.there(value)])
            assert code == 0, f"RUN {value} ends with {code}"
        case "USER":
            image.user = value
        case "HEALTHCHECK":
            image.health = json.loads(value[value.index("CMD") + 3 :])
        case "CMD":
            image.command = json.loads(value)


def _copy(sources: Sequence[Path], target: Path, written: str) -> None:
    for source in sources:
        to = target / source.name if written.endswith("/") else target
        to.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, to)


async def start(image: Image, command: Sequence[str], environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Start one of the image's commands, with what an engine would give it and nothing of this process's own."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("HOME", "PIP_", "SSL_", "LANG"))}
    return await asyncio.create_subprocess_exec(
        *command, env={**kept, **image.environment, **environment}, cwd=image.there(image.working)
    )


async def run(image: Image, command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Run one of the image's commands to its end; give its exit code."""
    return await (await start(image, command, environment or {})).wait()
