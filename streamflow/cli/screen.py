"""What the demo prints: headings, a picture of the tree, a progress bar, tables.

On a terminal the bar moves; elsewhere nothing but lines of text comes out.  Names of files and classes are the user's:
they are never read as markup.
"""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.tree import Tree

from .corpus import Corpus, HeldOut
from .training import Account
from .tree import Plan, n_open, turn

__all__ = ["Screen"]

_BETWEEN = 0.1  #: seconds between two positions of the bar
_WIDEST = 100  #: columns of a paragraph
_MOST_LINES = 12  #: classes that are shown; a corpus may have thousands


class Screen:
    """Where the demo prints."""

    def __init__(self) -> None:
        moving = None if sys.stdout.isatty() else False
        self._console = Console(highlight=False, force_interactive=moving)

    def title(self, text: str) -> None:
        """What it is all about."""
        self._console.print(f"[bold]{escape(text)}[/bold]", soft_wrap=True)

    def heading(self, text: str) -> None:
        """A line that begins a part."""
        self._console.print(f"\n[bold]{escape(text)}[/bold]")

    def say(self, text: str) -> None:
        """A paragraph; it wraps at the width of the terminal."""
        width = max(40, min(self._console.width, _WIDEST))
        indent = "  "
        lines = textwrap.fill(
            text,
            width,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        self._console.print(escape(lines), soft_wrap=True)

    def note(self, text: str) -> None:
        """A line by itself, which may hold a path and is not wrapped."""
        self._console.print(f"\n{escape(text)}", soft_wrap=True)

    def claim(self, kept: bool, text: str) -> None:
        """Something that was promised, and whether it is so."""
        mark = "[green]  ok      [/green]" if kept else "[bold red]  FAILED  [/bold red]"
        self._console.print(f"{mark}{escape(text)}", soft_wrap=True)

    def corpus(self, corpus: Corpus, held: HeldOut, what: str) -> None:
        """What there is to learn from."""
        sizes = {name: corpus.size(name) for name in corpus.classes}
        most, least = max(sizes, key=sizes.__getitem__), min(sizes, key=sizes.__getitem__)
        each = f"Each of them has {_many(sizes[most], 'sample')}."
        if sizes[most] > sizes[least]:
            each = (
                f"The most frequent one, {most!r}, has {_many(sizes[most], 'sample')}; the rarest, {least!r}, has "
                f"{sizes[least]:,}."
            )
        self._console.print(f"  {escape(str(corpus.root))}", soft_wrap=True)
        self.say(
            f"{sum(sizes.values()):,} {what} in {corpus.n_files:,} array files, one folder for each of {len(sizes):,} "
            f"classes. {each} {len(held.y):,} more are held out, to test on."
        )

    def rates(self, account: Account) -> None:
        """How quickly it went."""
        self.say(
            f"{account.samples:,} samples, {account.samples / account.seconds:,.0f} in a second, training included; "
            f"{account.waiting / account.seconds:.0%} of the time was spent waiting for batches."
        )
        self._console.print()

    def picture(self, corpus: Corpus, plan: Plan) -> None:
        """The tree, from the training loop down to the files."""
        root = Tree("[bold]ZMQStreamer[/bold]  runs all below in another process and reads ahead", guide_style="dim")
        batches = root.add(f"[bold]buffer_stream[/bold]  makes batches of {plan.batch_size} samples")
        classes = batches.add("[bold]ShuffledMux[/bold]  draws each sample's class in proportion to the weights")
        shown = list(corpus.classes.items())[:_MOST_LINES]
        width = max(len(repr(name)) for name, _ in shown)
        for name, parts in shown:
            classes.add(
                f"{escape(repr(name)):{width}}  weight {plan.weights[name]:g}  [bold]StochasticMux[/bold]  "
                + (f"{n_open(parts)} of {_many(len(parts), 'file')} open" if plan.weights[name] else "never opened")
            )
        if len(corpus.classes) > len(shown):
            classes.add(f"... and {len(corpus.classes) - len(shown)} more classes")
        self._console.print()
        self._console.print(Padding.indent(root, 2))
        self._console.print()
        self.say(
            f"A file gives about {turn(corpus)} samples, then it is closed and another takes its place: the corpus may "
            "be of any size. Every random choice has an address in the tree, so that the stream can be resumed exactly."
        )

    def progress(self, label: str, accounts: Iterable[Account], n_batches: int) -> Account:
        """Show a bar while a training runs; the last account."""
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("batches"),
            TimeRemainingColumn(),
        )
        last = None
        still = not self._console.is_interactive
        # No thread moves the bar: the background process is forked while it is shown.
        bar = Progress(*columns, console=self._console, transient=True, auto_refresh=False, disable=still)
        shown = 0.0
        with bar:
            task = bar.add_task(label, total=n_batches)
            for last in accounts:
                now = time.monotonic()
                moves = now > shown + _BETWEEN or last.batches in {1, n_batches}
                shown = now if moves else shown
                bar.update(task, completed=last.batches, refresh=moves)
        assert last is not None
        self.say(f"{label}: {last.batches} batches, {last.samples:,} samples, {last.seconds:.1f} s")
        return last

    def batches(self, first: int, wanted: list[str], came: list[str]) -> None:
        """The digests of batches side by side."""
        table = self._table()
        for text in ("batch", "would have come", "came in the new process", ""):
            table.add_column(text)
        for number, (one, other) in enumerate(zip(wanted, came, strict=True), first):
            table.add_row(str(number), one, other, "the same" if one == other else "[bold red]DIFFERENT[/bold red]")
        self._console.print(table)

    def shares(self, corpus: Corpus, plan: Plan, counts: list[int]) -> None:
        """How often each class was wanted, and how often it came."""
        table = self._table()
        for text in ("class", "files", "share on disk", "wanted", "came"):
            table.add_column(text, justify="left" if text == "class" else "right")
        on_disk = {name: corpus.size(name) for name in corpus.classes}
        rows = list(zip(corpus.classes, plan.shares.values(), counts, strict=True))
        for name, wanted, count in rows[:_MOST_LINES]:
            table.add_row(
                escape(name),
                str(len(corpus.classes[name])),
                f"{on_disk[name] / sum(on_disk.values()):.1%}",
                f"{wanted:.1%}",
                f"{count / sum(counts):.1%}",
            )
        if len(rows) > _MOST_LINES:
            table.add_row(f"... and {len(rows) - _MOST_LINES} more", "", "", "", "")
        self._console.print(table)

    def _table(self) -> Table:
        return Table(box=None, pad_edge=True, padding=(0, 2), header_style="dim")


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"
