"""What `import streamflow` loads, and which names it gives."""

import subprocess
import sys
from types import ModuleType

import streamflow

NAMES = [
    "BackgroundError",
    "BackgroundStreamer",
    "BaseMux",
    "ChainMux",
    "DataError",
    "MissingDependencyError",
    "Mux",
    "ParameterError",
    "PescadorError",
    "RoundRobinMux",
    "ShuffledMux",
    "StateError",
    "StochasticMux",
    "Stream",
    "Streamer",
    "StreamerList",
    "StreamflowError",
    "ThreadStreamer",
    "WorkerDied",
    "ZMQStreamer",
    "ZipMux",
    "buffer_stream",
    "cache",
    "filter_items",
    "keras_tuples",
    "map_items",
    "streamable",
    "tuples",
]
SUBMODULES = ["core", "exceptions", "maps", "mux", "samplers", "seeding", "sources", "testing", "util", "zmq_stream"]
#: Imported by the functions that need them.
LAZY = ["PIL", "cloudpickle", "h5py", "joblib", "lmdb", "msgpack", "rich", "sklearn", "soundfile", "typer", "zarr"]


def fresh(code: str) -> list[str]:
    """The lines that a new interpreter prints; a warning is an error in it."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def third_party(modules: str) -> set[str]:
    """What is loaded besides the standard library once `modules` are imported."""
    loaded = fresh(f"import sys, {modules}\nfor name in list(sys.modules): print(name)")
    return {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names


def test_import_loads_numpy_zmq_and_itself():
    assert third_party("streamflow") <= third_party("numpy, zmq") | {"streamflow"}


def test_a_library_loaded_on_top_would_be_seen():
    assert "joblib" in third_party("streamflow, joblib") - third_party("numpy, zmq")


def test_import_does_not_load_the_command_line():
    assert fresh("import sys, streamflow; print('streamflow.cli' in sys.modules)") == ["False"]


def test_the_core_works_where_the_lazy_libraries_are_missing():
    code = f"""
import sys
for name in {LAZY}:
    sys.modules[name] = None  # importing it raises ImportError
import streamflow
pool = [streamflow.Streamer(range, n) for n in (2, 3)]
tree = streamflow.RoundRobinMux(pool).pipe(streamflow.cache, 2, random_state=0)
with tree.open() as live:
    print(len(list(live)) > 0, live.state_dict()["version"] is not None)
"""
    assert fresh(code) == ["True True"]


def test_names_are_sorted():
    assert streamflow.__all__ == sorted(streamflow.__all__)


def test_names_are_what_is_promised():
    assert [name for name in streamflow.__all__ if name not in SUBMODULES] == NAMES


def test_names_are_what_is_visible():
    visible = {
        name
        for name, value in vars(streamflow).items()
        if not name.startswith("_") and not (isinstance(value, ModuleType) and value.__name__ == f"streamflow.{name}")
    }
    assert visible == set(NAMES)


def test_submodules_need_no_import_of_their_own():
    printed = fresh(f"import streamflow as sf\nfor name in {SUBMODULES}: print(getattr(sf, name).__name__)")
    assert printed == [f"streamflow.{name}" for name in SUBMODULES]


def test_each_submodule_can_be_imported_first():
    code = f"""
import importlib, os, numpy, zmq
for name in {SUBMODULES}:
    if not (child := os.fork()):
        print(importlib.import_module(f"streamflow.{{name}}").__name__, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""
    assert fresh(code) == [f"streamflow.{name}" for name in SUBMODULES]


def test_star_import_gives_the_public_names():
    code = "from streamflow import *\nprint(*sorted(name for name in dir() if name[:2] != '__'))"
    assert fresh(code) == [" ".join(streamflow.__all__)]


def test_pescador_error_is_the_root():
    assert streamflow.PescadorError is streamflow.StreamflowError
