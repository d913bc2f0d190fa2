"""The optimizer: Muon for the matrices of the blocks, Adam for the embedding and for everything small.

Pure functions over flat dictionaries, parameter name to array.
"""

import math
from dataclasses import dataclass

import mlx.core as mx

from trainer.config import Config
from trainer.export import named

Arrays = dict[str, mx.array]


@dataclass(frozen=True)
class State:
    """What the optimizer remembers between steps.

    `momentum` holds the running sum of gradients (Muon's buffer, Adam's first moment), `variance` Adam's second
    moment, and `steps` counts the updates made.
    """

    momentum: Arrays
    variance: Arrays
    steps: int


def start(config: Config, params: Arrays) -> State:
    """The state before the first step."""
    return State(
        momentum={name: mx.zeros_like(p) for name, p in params.items()},
        variance={name: mx.zeros_like(p) for name, p in params.items() if not is_matrix(config, name, p)},
        steps=0,
    )


def is_matrix(config: Config, name: str, param: mx.array) -> bool:
    """Whether Muon trains this parameter: a matrix of a block that is no control tensor."""
    return param.ndim == 2 and name.startswith("blocks.") and not named(name, config.control_tensor_name_patterns)


def update(config: Config, params: Arrays, grads: Arrays, state: State, iterations: int) -> tuple[Arrays, State]:
    """One step of a run of `iterations`: the new parameters and the new state."""
    grads = clip(grads, config.grad_clip_norm)
    rate = warmdown(config, state.steps, iterations)
    mu = muon_momentum(config, state.steps, iterations)
    count = state.steps + 1
    new_params, momentum, variance = {}, {}, {}
    for name, param in params.items():
        grad = grads[name]
        if is_matrix(config, name, param):
            momentum[name] = mu * state.momentum[name] + grad
            direction = orthogonalise(grad + mu * momentum[name], config.muon_backend_steps)
            rows, columns = param.shape
            step = config.matrix_lr * math.sqrt(max(1, rows / columns)) * direction
        else:
            momentum[name] = config.beta1 * state.momentum[name] + (1 - config.beta1) * grad
            variance[name] = config.beta2 * state.variance[name] + (1 - config.beta2) * mx.square(grad)
            mean = momentum[name] / (1 - config.beta1**count)
            deviation = mx.sqrt(variance[name] / (1 - config.beta2**count))
            lr = config.tied_embed_lr if name.startswith("tok_emb") else config.scalar_lr
            step = lr * mean / (deviation + config.adam_eps)
        new_params[name] = param - rate * step
    return new_params, State(momentum, variance, count)


def orthogonalise(matrix: mx.array, steps: int) -> mx.array:
    """Bring the singular values of a matrix near one by `steps` Newton–Schulz iterations, in float32.

    The quintic and its coefficients are Keller Jordan's (kellerjordan.github.io/posts/muon): five steps leave singular
    values between about 0.7 and 1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (mx.linalg.norm(matrix) + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = mx.addmm(x, mx.addmm(gram, gram, gram, alpha=c, beta=b), x, beta=a)  # a·x + (b·gram + c·gram²)·x
    return x.T if tall else x


def clip(grads: Arrays, limit: float) -> Arrays:
    """Scale all gradients together so that their joint Euclidean norm is at most `limit`; 0 leaves them alone."""
    if limit == 0:
        return grads
    norm = mx.sqrt(sum((mx.square(g).sum() for g in grads.values()), mx.array(0.0)))
    factor = mx.minimum(1.0, limit / (norm + 1e-12))
    return {name: g * factor for name, g in grads.items()}


def warmdown(config: Config, step: int, iterations: int) -> float:
    """Factor of the learning rates at a step counted from 0: one, then linearly down over the last WARMDOWN_FRAC."""
    return min(1.0, (iterations - step) / max(config.warmdown_frac * iterations, 1))


def muon_momentum(config: Config, step: int, iterations: int) -> float:
    """Muon's momentum at a step counted from 0: it rises linearly over the first MUON_MOMENTUM_WARMUP_FRAC."""
    done = min(1.0, step / max(config.muon_momentum_warmup_frac * iterations, 1))
    return (1 - done) * config.muon_momentum_warmup_start + done * config.muon_momentum
