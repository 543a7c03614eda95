"""What a tensor is for, told by its name: a weight, a buffer, or the state of an optimizer.

Checkpoints hold no roles, so names decide, and only the last dotted part of one: the names below are those that
PyTorch's own modules and optimizers give (`torch.nn.modules.batchnorm`, `torch.optim`), bitsandbytes and Apex beside.
A weight that is really called so (say a layer named `step`) is one among a last part that names a module's
parameter, `step.weight`, and stays a weight.
"""

from __future__ import annotations

_BUFFERS = frozenset({"running_mean", "running_var", "num_batches_tracked"})
_OPTIMIZER = frozenset(
    {
        "exp_avg",  # Adam and its kin
        "exp_avg_sq",
        "max_exp_avg_sq",  # AMSGrad
        "exp_inf",  # Adamax
        "exp_avg_sq_row",  # Adafactor
        "exp_avg_sq_col",
        "momentum_buffer",  # SGD, Muon
        "momentum",
        "square_avg",  # RMSprop, Adadelta
        "acc_delta",
        "grad_avg",
        "mu_product",  # NAdam
        "ax",  # ASGD
        "state1",  # bitsandbytes, 8-bit optimizers
        "state2",
        "fp32_master_weight",
    }
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
