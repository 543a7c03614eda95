"""Calls in a pickle by the function that they name: which make tensors, which wrap one, which hold nothing of interest.

Source: torch/_utils.py, torch/_tensor.py, torch/nn/parameter.py, torch/jit/_pickle.py, torch/fx/graph_module.py.
"""

from __future__ import annotations

from wcx.formats.pytorch.inert import CONTAINERS, Call, Dict, Value
from wcx.formats.pytorch.numpy_arrays import ARRAYS
from wcx.formats.pytorch.rebuild import REBUILD
from wcx.formats.pytorch.tensors import function_of

ONLY_FIRST = frozenset(
    {f"torch._utils.{name}" for name in ("_rebuild_parameter", "_rebuild_device_tensor_from_cpu_tensor")}
    | {f"torch._utils.{name}" for name in ("_rebuild_device_tensor_from_numpy", "_rebuild_xla_tensor")}
    | {f"torch.nn.parameter.{name}" for name in ("Parameter", "Buffer")}
    | {f"torch.jit._pickle.build_{kind}list" for kind in ("int", "tensor", "double", "bool")}
    | {"torch.jit._pickle.restore_type_tag"}
)
WITH_STATE = "torch._utils._rebuild_parameter_with_state"
SUBCLASS = frozenset(
    f"torch.{module}._rebuild_from_type{version}" for module in ("_tensor", "tensor") for version in ("", "_v2")
)
MODULES_OF_FX = frozenset(
    f"torch.fx.graph_module.reduce_{kind}" for kind in ("graph_module", "package_graph_module", "deploy_graph_module")
)
SPARSE = "torch._utils._rebuild_sparse_tensor"
NESTED = "torch._utils._rebuild_nested_tensor"
_FROM_BYTES = "torch.storage._load_from_bytes"
REBUILDS = "torch._utils._rebuild_"
SEQUENCES = frozenset(
    f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("set", "frozenset", "list", "tuple")
) | {"collections.deque"}
DICTS = frozenset({"collections.OrderedDict", "collections.Counter", "builtins.dict", "__builtin__.dict"})
NO_CONTENT = frozenset({"torch.Size", "numpy.dtype", "torch.device"})
TENSORS = ARRAYS | frozenset(REBUILD)
OF_TENSORS = TENSORS | ONLY_FIRST | SUBCLASS | {WITH_STATE, _FROM_BYTES}
_MAX_WRAPPERS = 4
_FIRST_ATTRIBUTES = 40


def unwrapped(call: Call) -> Call:
    """Return the call that rebuilds the tensor itself, inside those that make a parameter or a subclass of it."""
    for _ in range(_MAX_WRAPPERS):
        args = call.args
        function = function_of(call)
        if not isinstance(args, tuple) or not args:
            break
        if function in SUBCLASS and len(args) == 4:
            call = Call(args[0], args[2])
        elif (function in ONLY_FIRST or function == WITH_STATE) and isinstance(args[0], Call):
            call = args[0]
        else:
            break
    return call


def is_buffer(call: Call) -> bool:
    """Return True if the first attributes of a tensor's subclass say that it is a torch.nn.Buffer."""
    state = call.args[3] if isinstance(call.args, tuple) and len(call.args) == 4 else None
    return type(state) is Dict and "_is_buffer" in state[: 2 * _FIRST_ATTRIBUTES : 2]


def is_pickled_plainly(call: Call) -> bool:
    """Return True if a tensor's storage is wrapped in bytes, as plain pickle does it, and never opened here."""
    if function_of(call) == _FROM_BYTES:
        return True
    storage = call.args[0] if isinstance(call.args, tuple) and call.args else None
    return isinstance(storage, Call) and function_of(storage) == _FROM_BYTES and function_of(call).startswith(REBUILDS)


def holds_nothing(call: Call) -> bool:
    """Return True if an object, no tensor, has no attributes, items and arguments that could hold anything."""
    if call.items or call.pairs or not (call.state is None or _is_empty(call.state)):
        return False
    function = function_of(call)
    return function in NO_CONTENT or (_is_empty(call.args) and function not in OF_TENSORS)


def _is_empty(value: Value) -> bool:
    return type(value) in CONTAINERS and not value
