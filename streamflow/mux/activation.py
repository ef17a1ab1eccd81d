"""The activations of a mux in a state: what is written of them, and how they find their members again.

A state says of each open member which one it is: by its key in a mapping, else by what it calls with which arguments.
So it can be loaded when members have been added (``strict=False``).  What random numbers a member draws is a matter of
its index when it was opened, which may be another one by then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.call import Shards
from ..core.exact import setting
from ..core.fingerprint import differing
from ..core.leaf import Leaf
from ..core.node import NUMBERS, Activation, Node
from ..core.saved import LARGEST, Saved
from ..exceptions import StateError
from .pool import Pool, dealt

__all__ = ["Members", "activation_state", "check_dealt_alike", "restore_activation"]


def activation_state(one: Activation | Node, failed: bool, pool: Pool | None) -> dict[str, Any]:
    """The state of an activation for JSON: with the state of its node where that is open, else with its count.

    Its member is named unless the node says what it calls; `pool` is None where members have no names.
    """
    inside = one.state(failed)
    given = one.given(failed) if inside is None else inside["given"]
    if given == one.budget:
        inside = None  # it is spent
    state: dict[str, Any] = {"index": one.index, "number": one.number, "budget": one.budget}
    if inside is None:
        state["given"] = given
    else:
        state["node"] = inside
    if pool is not None:
        if pool.names is not None:
            state["name"] = setting(pool.names[one.index])
        if inside is None or one.__class__ is not Leaf or getattr(one.call, "_overrides", None) is not None:
            state["member"] = pool.identity(one.index)
    return state


def restore_activation(
    saved: Saved, index: int, open_member: Callable[[Activation], Node], name: Any, cap: int | None
) -> Activation | Node:
    """An activation from its state.

    Parameters
    ----------
    saved : Saved
    index : int
        Of its member, where that is now.
    open_member : function
        Opens an `Activation`.
    name : object
        What the member is called in errors.
    cap : int or None
        The most items that an activation may have to give; None: all that its member has.
    """
    number, budget = saved.count("number", most=NUMBERS - 1), saved.optional_count("budget", least=1)
    if (budget is None) != (cap is None) or (budget is not None and cap is not None and budget > cap):
        raise saved.wrong("budget", "null" if cap is None else f"an integer from 1 to {cap}")
    most = LARGEST if budget is None else budget
    inside = saved.below("node") if "node" in saved else None
    if inside is None:
        given = saved.count("given", most=most)
        if given not in (0, budget):
            raise saved.wrong("given", "0 or its budget where no node is open")
        return Activation(index, number, budget, given)
    inside.count("given", most=most, least=1 if inside.value("kind") == "leaf" else 0)
    node = open_member(Activation(index, number, budget))
    try:
        node.resume(inside)
    except StateError as error:
        node.close()
        raise StateError(f"member {name}: {error}") from None
    except BaseException:
        node.close()
        raise
    return node


def check_dealt_alike(kind: str, before: int, now: int, shards: Shards) -> None:
    """Raise if so many members are dealt out to parts in another way than when there were fewer."""
    if dealt(before, shards)[:2] != dealt(now, shards)[:2]:
        raise StateError(
            f"{kind} had {before} members, fewer than parts, so that each was divided; now it has {now}, of which each "
            "belongs to one part"
        )


class Members:
    """The members of a mux and those that a state speaks of.

    Parameters
    ----------
    pool : Pool
    saved : Saved
        The state of the mux.
    appended : bool
        Whether members may be added at the end only, because the others go by their places; else anywhere.
    """

    def __init__(self, pool: Pool, saved: Saved, appended: bool = True) -> None:
        self._pool, self._known = pool, None if appended else dict[str, int]()
        census = saved.below("pool")
        if census is None:
            raise saved.wrong("pool", "a dict")
        now = len(pool)
        self.before = census.count("members", least=1)  #: how many there were
        sample = census.text("sample")
        self.grown = self.before < now
        if self.before > now or (self.grown and not saved.loading.grown):
            raise StateError(f"{pool.kind} had {self.before} members, now has {now}")
        if self.grown and appended and sample != pool.sample(self.before):
            raise StateError(
                f"{pool.kind} had {self.before} members and now has {now}, but those it had are not the first of them; "
                "here members may only be added at the end"
            )

    def find(self, one: Saved) -> int:
        """The index at which the member of an activation is now."""
        index = one.count("index", most=self.before - 1)
        name, text = self._said(one)
        if (self._pool.names is None) != (name is None):
            change = "no names, now they have" if name is None else "names, now they have none"
            raise StateError(f"the members of {self._pool.kind} had {change}")
        if self._is(index, name, text):
            return index
        if self._known is not None and self.grown:
            found = self._search(text if name is None else name, name is not None)
            if name is None or text is None or self._pool.identity(found) == text:
                return found
            index = found
        if name is not None and (self._pool.names is None or setting(self._pool.names[index]) != name):
            raise StateError(f"member {index}: was named {name}, and now has another name")
        raise StateError("member {}: was {}, is now {}".format(
            self._pool.name(index), *differing(text or "", self._pool.identity(index))
        ))  # fmt: skip

    def _said(self, one: Saved) -> tuple[str | None, str | None]:
        """What a state says of a member: its name, and what it is; a leaf that is open compares that itself."""
        name = one.text("name") if "name" in one else None
        if "member" in one:
            return name, one.text("member")
        inside = one.below("node") if "node" in one else None
        return name, inside.text("call") if inside is not None and name is None and self.grown else None

    def _is(self, index: int, name: str | None, text: str | None) -> bool:
        names = self._pool.names
        if (names is None) != (name is None) or (names is not None and setting(names[index]) != name):
            return False
        return text is None or self._pool.identity(index) == text

    def _search(self, wanted: str | None, by_name: bool) -> int:
        """The index of a member by its name, or by what it is; -1 where several are that."""
        known, pool = self._known, self._pool
        assert known is not None
        if not known:
            for index in range(len(pool)):
                text = setting(pool.name(index)) if by_name else pool.identity(index)
                known[text] = -1 if text in known else index
        found = known.get(wanted or "")
        if found is None:
            raise StateError(f"member {wanted} was open and is no longer there; only adding members is allowed")
        if found < 0:
            raise StateError(f"member {wanted} was open, and several members are alike now; give them names, in a dict")
        return found
