"""Parts of a training checkpoint that are no weights of the model: optimizer state, and averages of the weights.

The keys that PyTorch Lightning, Hugging Face, DeepSpeed, timm, Megatron and the PyTorch examples give them decide. Only
keys at the top of a file count, and only of dicts and lists, so that a layer called `scaler` stays a layer.
"""

from __future__ import annotations

from collections.abc import Collection

from wcx.formats.pytorch.inert import Call, Dict, Value

EMA_COPY = "EMA copy"
_OPTIMIZER_KEYS = frozenset(
    (
        *("amp", "amp_scaling_state", "callbacks", "grad_scaler", "loops", "lr_scheduler", "lr_schedulers"),
        *("native_amp_scaling_state", "opt", "opt_param_scheduler", "opt_state", "optim", "optim_state"),
        *("optim_state_dict", "optimizer", "optimizer_state", "optimizer_state_dict", "optimizer_states", "optimizers"),
        *("sched", "scheduler", "scheduler_state_dict"),
    )
)
_SCALER_KEYS = frozenset({"scaler", "amp_scaler", "scaler_state_dict"})
_SCALER_FIELDS = frozenset({"scale", "growth_factor", "loss_scaler0", "loss_scale", "cur_scale"})
_RNG = "rng_state"
_FIRST = 200
_FIRST_FIELDS = 40
_LONG_KEY = 200  # characters
_EMA_KEYS = frozenset(
    (
        *("averaged", "averaged_model", "averaged_model_state_dict", "ema", "ema_model", "ema_params", "ema_state"),
        *("ema_state_dict", "ema_weights", "model_ema", "shadow", "shadow_params", "state_dict_ema"),
        *("swa_model", "swa_state"),
    )
)
_EMA_PREFIXES = ("model_ema.", "ema_model.")


def keys_of(value: Value, most: int = _FIRST) -> Collection[str]:
    """Return the first keys of a dict-like value, as far as they are texts: its beginning shows its kind."""
    if isinstance(value, Call):
        value = value.pairs or ()
    elif not isinstance(value, Dict):
        return ()
    return {key for key in value[: 2 * most : 2] if isinstance(key, str)}


def is_optimizer_state(value: Value) -> bool:
    """Return True for a value as an optimizer's state_dict() gives it."""
    return {"state", "param_groups"} <= set(keys_of(value))


def is_optimizer_key(key: str, value: Value) -> bool:
    """Return True if the key of a value at the top of a file says that it has no weight of the model."""
    if _RNG in key[:_LONG_KEY]:
        return True
    if key not in _SCALER_KEYS and key not in _OPTIMIZER_KEYS:
        return False
    if not isinstance(value, (list, tuple)) and not (isinstance(value, Call) and _is_dict_or_state(value)):
        return False
    return key not in _SCALER_KEYS or not _SCALER_FIELDS.isdisjoint(keys_of(value, _FIRST_FIELDS))


def _is_dict_or_state(call: Call) -> bool:
    """Return True for an object that is not a module."""
    state = call.state
    return not isinstance(state, Dict) or "_modules" not in state[: 2 * _FIRST_FIELDS : 2]


def is_ema_key(key: str, value: Value) -> bool:
    """Return True if the key of a value near the top of a file says that it holds averaged weights."""
    return key in _EMA_KEYS and isinstance(value, (list, tuple, Call))


def is_ema_prefix(key: str) -> bool:
    """Return True if a key of a state_dict begins as those of averaged weights do."""
    return key.startswith(_EMA_PREFIXES)
