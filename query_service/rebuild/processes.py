"""Loads a run with several processes, which give way to the one that serves."""

import asyncio
import os
import sys
from uuid import UUID

from query_service.settings import QuerySettings
from shared.errors import DatabaseUnavailable
from shared.process import die_with_parent


class LoadProcesses:
    """Starts `python -m query_service.rebuild.worker RUN` as often as the settings say."""

    def __init__(self, settings: QuerySettings) -> None:
        self._count = settings.rebuild_processes or os.cpu_count() or 1
        self._environment = {
            "DAICHO_DATABASE_URL": settings.log_url,
            "DAICHO_READ_DATABASE_URL": settings.read_url,
        }

    async def load(self, run: UUID) -> None:
        """Load every range of a run.

        Raises `DatabaseUnavailable` if a process did not come to its end; what it logged tells why.
        """
        processes: list[asyncio.subprocess.Process] = []
        try:
            while len(processes) < self._count:
                processes.append(await self._start(run))
            codes = await asyncio.gather(*(process.wait() for process in processes))
        finally:
            for process in processes:
                if process.returncode is None:
                    process.kill()
            await asyncio.gather(*(process.wait() for process in processes))
        if any(codes):
            raise DatabaseUnavailable(f"processes that load a rebuild ended with codes {codes}")

    async def _start(self, run: UUID) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "query_service.rebuild.worker", str(run),
            env={**os.environ, **self._environment}, stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
            preexec_fn=die_with_parent,
        )  # fmt: skip
