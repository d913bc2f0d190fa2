"""The trainer of this repository with the same face as `reference.Reference`: a model, an optimizer, and a step."""

import mlx.core as mx
import numpy as np
from mlx.utils import tree_unflatten

from trainer import optim
from trainer.config import Config
from trainer.model import new_model
from trainer.train import accumulate, gradient_function


class Ours:
    """A run of `iterations` steps at its beginning."""

    def __init__(self, config: Config, seed: int, iterations: int) -> None:
        self.config, self.iterations = config, iterations
        self.model = new_model(config, seed)
        self.params = self.model.weights()
        self.state = optim.start(config, self.params)
        self.loss_and_grads = gradient_function(self.model)

    def step(self, ids: np.ndarray, targets: np.ndarray) -> float:
        """One turn of the loop in `trainer.train.train`; returns the loss in nats before the update."""
        rows = self.config.mlx_max_microbatch_tokens // self.config.train_seq_len
        loss, grads = accumulate(self.loss_and_grads, ids, targets, rows)
        self.params, self.state = optim.update(self.config, self.params, grads, self.state, self.iterations)
        mx.eval(self.params, self.state.momentum, self.state.variance)
        self.model.update(tree_unflatten(list(self.params.items())))
        return loss
