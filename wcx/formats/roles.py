"""The role of a tensor, by its name: a weight, a buffer, or the state of an optimizer.

Checkpoints hold no roles, so names decide, and only the last dotted part of one: the names below are those that
PyTorch's own modules and optimizers give (`torch.nn.modules.batchnorm`, `torch.optim`), bitsandbytes and Apex. A layer
with such a name has parameters below it, such as `step.weight`, which stay weights.
"""

from __future__ import annotations

_BUFFERS = frozenset({"running_mean", "running_var", "num_batches_tracked"})
_OPTIMIZER = frozenset(
    (
        *("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "mu_product"),  # Adam, AMSGrad, Adamax, NAdam
        *("exp_avg_sq_row", "exp_avg_sq_col"),  # Adafactor
        *("momentum_buffer", "momentum"),  # SGD, Muon
        *("square_avg", "acc_delta", "grad_avg", "ax"),  # RMSprop, Adadelta, ASGD
        *("state1", "state2"),  # bitsandbytes, 8-bit optimizers
        "fp32_master_weight",
    )
)


def role_of(name: str) -> str:
    """Return weight, buffer or optimizer for a tensor's name.

    >>> role_of("layer1.0.bn1.running_mean"), role_of("optimizer.state.3.exp_avg"), role_of("exp_avg.weight")
    ('buffer', 'optimizer', 'weight')
    """
    last = name.rpartition(".")[2]
    if last in _BUFFERS:
        return "buffer"
    return "optimizer" if last in _OPTIMIZER else "weight"
