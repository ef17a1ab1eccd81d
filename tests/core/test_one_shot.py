"""One-shot iterators as sources: one pass; what they cannot do is refused, and the error says what to do."""

import io
import pickle

import pytest

import streamflow as sf


@pytest.mark.parametrize(
    "make",
    [
        lambda: (i for i in range(3)),
        lambda: iter([1, 2, 3]),
        lambda: map(str, range(3)),
        lambda: io.StringIO("a\nb\n3"),
    ],
    ids=["generator", "list iterator", "map", "file"],
)
def test_a_one_shot_iterator_serves_one_pass(make):
    streamer = sf.Streamer(make())
    streamer.iterate().close()  # a pass that was never begun uses nothing up
    assert len(list(streamer)) == 3
    for again in (streamer.iterate(), streamer.cycle(), iter(streamer), streamer.open()):
        with pytest.raises(sf.StreamflowError, match="(?i)function|list|callable"):
            next(again)


def test_what_a_one_shot_iterator_has_left_does_not_make_a_second_pass():
    streamer = sf.Streamer(iter(range(5)))
    assert list(streamer.iterate(2)) == [0, 1]
    with pytest.raises(sf.StreamflowError, match="(?i)function|list|callable"):
        next(iter(streamer))


def test_a_one_shot_iterator_cannot_be_sent_sharded_or_resumed():
    advice = "(?i)function|list|callable"
    with pytest.raises(sf.StreamflowError, match=advice):
        pickle.dumps(sf.Streamer(iter([1, 2])))
    with pytest.raises(sf.StreamflowError, match=advice):
        list(sf.Streamer(iter([1, 2])).shard(0, 2))
    with pytest.raises(sf.StateError, match=advice):
        live = sf.Streamer(iter([1, 2, 3])).open()
        next(live)
        sf.Streamer(iter([1, 2, 3])).open().load_state_dict(live.state_dict())


def test_nor_is_it_resumed_after_an_interrupt():
    def interrupted():
        yield 1
        raise KeyboardInterrupt

    for make in (sf.Streamer, lambda source: sf.RoundRobinMux([source, "ab"])):
        live = make(interrupted()).open()
        with pytest.raises(KeyboardInterrupt):
            list(live)
        with pytest.raises(sf.StateError, match="(?i)function|list|callable"):
            live.state_dict()


def test_one_shot_members_serve_one_pass_of_a_mux():
    mux = sf.RoundRobinMux([iter("abc"), iter("d")])
    assert "".join(mux) == "adbc"
    with pytest.raises(sf.StreamflowError, match="(?i)function|list|callable"):
        list(mux)
