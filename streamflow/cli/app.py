"""The commands and their options."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer

from .. import __version__
from ..exceptions import DataError, MissingDependencyError, StreamflowError
from . import convert as conversion
from . import demo as demonstration
from .stopping import stoppable
from .work import ProcessFailed, UsageError

__all__ = ["app"]

app = typer.Typer(
    help="streamflow: sample from trees of streams, and feed training loops.",
    add_completion=False,
    rich_markup_mode=None,  # plain text, which reads the same in a terminal, a log and a pipe
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"streamflow {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@contextmanager
def _reported(command: str, stopped: str = "") -> Iterator[None]:
    """Turn errors into one line on stderr and an exit code; `stopped`: what `main` prints at Ctrl-C."""
    try:
        with stoppable(stopped):
            yield
    except ProcessFailed as failed:  # the new process has said why
        raise typer.Exit(failed.code if failed.code > 0 else 128 - failed.code) from None
    except (MissingDependencyError, BrokenPipeError):  # `main` reports the one; typer ends quietly on the other
        raise
    except StreamflowError as error:
        print(f"{command}: {error}", file=sys.stderr)
        raise typer.Exit(2 if isinstance(error, (UsageError, DataError)) else 1) from None
    except OSError as error:  # such as a full disk
        print(f"{command}: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def _weights(texts: list[str]) -> dict[str, float]:
    """The weights of ``CLASS=NUMBER``."""
    weights: dict[str, float] = {}
    for text in texts:
        name, sign, number = text.rpartition("=")
        try:
            weights[name] = float(number)
        except ValueError:
            sign = ""
        if not name or not sign or not 0 <= weights[name] < math.inf:
            raise UsageError(f"--weight {text}: must be CLASS=NUMBER, such as 8=3, with a number of at least 0")
    return weights


@app.command()
def demo(
    corpus: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="DIR",
            help="Your own data: one folder per class, .npy or .npz files in each, samples along axis 0 (in an .npz "
            "file, the array X, not compressed). It is only read. [default: handwritten digits]",
        ),
    ] = None,
    weight: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="CLASS=NUMBER",
            help="Ask for more or less of a class, as in --weight 8=3; can be repeated. [default: 1 for each class; "
            "of the digits, 2 for the rarest, 9]",
        ),
    ] = None,
    batches: Annotated[
        int,
        typer.Option(metavar="N", min=10, help="Batches to train on; halfway it stops, and resumes in a new process."),
    ] = 300,
    batch_size: Annotated[int, typer.Option(metavar="N", min=1, help="Samples in a batch.")] = 64,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same batches.")] = 0,
    keep: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="DIR",
            help="Keep what the demo writes (digits, state, model) in this new or empty folder. [default: a temporary "
            "folder, which is removed]",
        ),
    ] = None,
) -> None:
    """Train a classifier from files, stop halfway, and resume exactly.

    The demo writes handwritten digits to tens of files, some classes far more frequent than others. It samples from
    them with a tree that keeps a few files of each class open, gives each class the share you ask for and runs in
    another process. Then it checks what it promised: the class shares, the held-out accuracy, and that the resumed
    stream gives exactly the batches that would have come.

    Nothing is downloaded. It takes a few seconds.

    Exit code: 0 all is as promised, 1 something is not, 2 wrong usage or unusable files, 130 stopped by Ctrl-C.
    """
    with _reported("streamflow demo", "streamflow demo: stopped"):
        if not demonstration.run(corpus, keep, _weights(weight or []), batches, batch_size, seed):
            raise typer.Exit(1)


@app.command(hidden=True)
def resume(folder: Path) -> None:
    """Train the second half of a demo whose first half left its files in this folder; `demo` calls it."""
    with _reported("streamflow demo"):  # `demo` says that it was stopped
        demonstration.resume(folder)


class _Kind(StrEnum):
    """What the files are."""

    auto = "auto"
    array = "array"
    image = "image"
    audio = "audio"


class _Store(StrEnum):
    """What they become."""

    memmap = "memmap"
    lmdb = "lmdb"


class _OnError(StrEnum):
    """What is done about a file that cannot be read."""

    stop = "raise"
    skip = "skip"


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The folder of files; subfolders are searched too.")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="The folder of the store; made if missing.")],
    to: Annotated[
        Optional[_Store],  # noqa: UP045
        typer.Option(help="Which store. [default: lmdb if DST ends in .lmdb, else memmap]", show_default=False),
    ] = None,
    kind: Annotated[_Kind, typer.Option(help="What the files are; auto: by their extensions.")] = _Kind.auto,
    pattern: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="GLOB",
            help="Take the files whose names match, as in --pattern '*.png'; can be repeated. [default: the "
            "extensions of the kind]",
        ),
    ] = None,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            metavar="N",
            min=1,
            help="How many files to read at once. [default: the number of cores, fewer for few files]",
        ),
    ] = None,
    on_error: Annotated[
        _OnError, typer.Option(help="Stop at a file that cannot be read, or leave it out and list it.")
    ] = _OnError.stop,
    shard_mb: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            metavar="N",
            min=1,
            help="Pack the arrays of a memmap store into files of about N MB, which is faster for small arrays. "
            "[default: a .npy file for each]",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing store, once the new one is complete.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Convert a folder of arrays, images or audio into one store.

    The store can be read quickly in any order.

    A memmap store holds an entry for each file: an array of any shape, named by the path of the file below SRC; for
    audio the metadata hold the sample rate. An LMDB store holds a sample for each file: {"x": the array, "name": the
    path}, for audio also "rate"; the arrays of an .npz file keep their own keys. Images become RGB, audio float32
    of shape (frames, channels). Arrays of Python objects and files with several images are refused.

    If it is stopped, by Ctrl-C or otherwise, the same command resumes. Once the store is finished, the same command
    does nothing; if the files have changed since, it fails unless --overwrite is given.

    Exit code: 0 all files are in the store, 1 some were skipped, 2 wrong usage, unusable files or a full disk, 130
    stopped by Ctrl-C.
    """
    with _reported("streamflow convert", "streamflow convert: stopped; the same command resumes"):
        lmdb = to is _Store.lmdb if to else target.suffix.lower() == ".lmdb"
        if lmdb and shard_mb:
            raise UsageError("--shard-mb: only memmap stores have shards")
        settings = conversion.Settings(
            source=source,
            target=target,
            lmdb=lmdb,
            kind=kind.value,
            patterns=pattern or [],
            workers=workers,
            skip=on_error is _OnError.skip,
            overwrite=overwrite,
            shard_bytes=None if shard_mb is None else shard_mb * 10**6,
            quiet=quiet,
        )
        if not conversion.run(settings):
            raise typer.Exit(1)
