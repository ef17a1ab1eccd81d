"""`streamflow convert`: a folder of arrays, images or audio becomes a memmap or LMDB store."""

from __future__ import annotations

import shutil
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ..exceptions import BackgroundError, DataError, ParameterError
from ..sources import build_memmap_store
from ..sources.build.engine import Failure
from ..sources.build.lmdb import build_lmdb_store
from .inputs import KINDS, Inputs, counted, find, sample
from .work import UsageError, need

__all__ = ["Settings", "run"]

_BETWEEN = 0.1  #: seconds between two updates of the bar
_MOST_LINES = 20  #: skipped files that are listed
_FILES_PER_WORKER = 200  #: for fewer, starting another worker costs more time than it saves


class Settings(NamedTuple):
    """The options of the command."""

    source: Path
    target: Path
    lmdb: bool
    kind: str
    patterns: list[str]
    workers: int | None
    skip: bool
    overwrite: bool
    shard_bytes: int | None
    quiet: bool


class Bar:
    """Counts the results that pass it, and shows a bar if stderr is a terminal.

    Parameters
    ----------
    label : str
    shown : bool

    Attributes
    ----------
    moved : bool
        Whether there was anything to convert.
    done, bytes, failed : int
        Files that were converted, the bytes of their arrays, and files that could not be converted.
    """

    def __init__(self, label: str, shown: bool) -> None:
        self._label, self._shown = label, shown and sys.stderr.isatty()
        self.moved = False
        self.done = self.bytes = self.failed = 0

    def __call__(self, results: Iterable[Any], total: int) -> Iterator[Any]:
        """Pass on the results of a build."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.moved = True
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[size]}"),
            TimeRemainingColumn(),
        )
        console = Console(stderr=True, highlight=False)
        still = not (self._shown and console.is_interactive)
        then = 0.0
        # No thread moves the bar, because processes are started while it is shown.
        with Progress(*columns, console=console, transient=True, auto_refresh=False, disable=still) as bar:
            task = bar.add_task(self._label, total=total, size="")
            for result in results:
                self._count(result)
                now = time.monotonic()
                if now > then + _BETWEEN:
                    bar.update(task, completed=self.done + self.failed, size=_size(self.bytes), refresh=True)
                    then = now
                yield result

    def _count(self, result: Any) -> None:
        if isinstance(result, Failure):
            self.failed += 1
        else:
            self.done += 1
            self.bytes += result.nbytes


class Outcome(NamedTuple):
    """What the store holds in the end."""

    total: int
    skipped: dict[str, str]  #: why files were left out, by name


def run(settings: Settings) -> bool:
    """Convert a folder.

    Returns
    -------
    bool
        Whether all of its files are in the store.

    Raises
    ------
    UsageError
        If it cannot be converted; the text is one line.
    """
    _check_apart(settings.source, settings.target)
    inputs = find(settings.source, settings.kind, settings.patterns)
    bar = Bar(KINDS[inputs.kind].many, not settings.quiet)
    begun = time.monotonic()
    try:
        outcome = (_to_lmdb if settings.lmdb else _to_memmap)(settings, inputs, bar)
    except (DataError, ParameterError, BackgroundError) as error:
        text = str(error).replace("overwrite=True", "--overwrite").replace("make that call", "run that command")
        if bar.failed:
            many = f"none of {len(inputs.paths):,} files can be converted, the first: "
            text = f"{many}{text}" if settings.skip else f"{text.rstrip('.')}; --on-error skip leaves such files out"
        raise UsageError(text) from error
    except OSError as error:
        raise _unwritten(settings.target, error) from error
    if not settings.quiet:
        _report(settings, inputs, outcome, bar, time.monotonic() - begun)
    return not outcome.skipped


def _check_apart(source: Path, target: Path) -> None:
    if target.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{str(target)!r} is inside {str(source)!r}; choose a folder elsewhere")


def _unwritten(target: Path, error: OSError) -> UsageError:
    why = (error.strerror or str(error)).lower()
    there = next(folder for folder in (target, *target.absolute().parents) if folder.is_dir())
    return UsageError(
        f"{str(target)!r} cannot be written ({why}; "
        f"{_size(shutil.disk_usage(there).free)} free); the same command resumes"
    )


def _to_memmap(settings: Settings, inputs: Inputs, bar: Bar) -> Outcome:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\d+ of \d+ files were left out")  # they are listed by `_report`
        store = build_memmap_store(
            settings.source,
            settings.target,
            load=KINDS[inputs.kind].load,
            pattern=inputs.patterns,
            n_workers=_workers(settings, inputs),
            progress=bar,
            on_error="skip" if settings.skip else "raise",
            overwrite=settings.overwrite,
            shard_bytes=settings.shard_bytes,
        )
    return Outcome(len(store), dict(store.skipped))


def _to_lmdb(settings: Settings, inputs: Inputs, bar: Bar) -> Outcome:
    need("streamflow convert", "lmdb", lmdb="lmdb")
    built = build_lmdb_store(
        settings.source,
        settings.target,
        load=partial(sample, kind=inputs.kind),
        kind=inputs.kind,
        patterns=inputs.patterns,
        n_workers=_workers(settings, inputs),
        progress=bar,
        on_error="skip" if settings.skip else "raise",
        overwrite=settings.overwrite,
    )
    return Outcome(*built)


def _workers(settings: Settings, inputs: Inputs) -> int:
    """How many workers: as asked for, else as many as there are cores and work for."""
    if settings.workers is not None:
        return settings.workers
    import joblib

    # A thread that only maps a .npy file gains nothing; a process that writes it does.
    work = sum(path.suffix.lower() != ".npy" for path in inputs.paths) if settings.lmdb else len(inputs.paths)
    cores: int = joblib.cpu_count()
    return max(1, min(cores, work // _FILES_PER_WORKER))


def _report(settings: Settings, inputs: Inputs, outcome: Outcome, bar: Bar, seconds: float) -> None:
    """Print the closing lines."""
    what = "an LMDB" if settings.lmdb else "a memmap"
    line = f"{str(settings.target)!r} is {what} store of {counted(outcome.total, inputs.kind)}"
    if bar.moved:
        before = outcome.total - bar.done
        line += f": {bar.done:,} converted, {_size(bar.bytes)} in {seconds:.1f} s"
        line += f"; {before:,} were there already" if before else ""
    else:
        line += ", already finished; nothing to do"
    print(line)
    if outcome.skipped:
        print(f"{len(outcome.skipped):,} of {len(inputs.paths):,} files were skipped:")
        for name, why in list(outcome.skipped.items())[:_MOST_LINES]:
            path = str(inputs.root.absolute() / name)
            print(f"  {name!r}: {why.removeprefix(f'{path!r} ')}")
        if len(outcome.skipped) > _MOST_LINES:
            where = "metadata" if settings.lmdb else "`skipped`"
            print(f"  and {len(outcome.skipped) - _MOST_LINES:,} more, which the store's {where} list")


def _size(count: int) -> str:
    """A number of bytes in words.

    >>> _size(5), _size(123_456), _size(7_890_123_456)
    ('5 bytes', '123.5 kB', '7.9 GB')
    """
    if count < 1000:
        return f"{count} bytes"
    size, units = float(count), iter(("kB", "MB", "GB", "TB", "PB"))
    unit = ""
    while size >= 999.95:
        size, unit = size / 1000, next(units)
    return f"{size:.1f} {unit}"
