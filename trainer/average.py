"""Averaging of weights over the steps of a run: what is exported when EMA_DECAY is not 0."""

import mlx.core as mx

Arrays = dict[str, mx.array]


def blend(average: Arrays, params: Arrays, decay: float, step: int) -> Arrays:
    """The exponential moving average after step `step`, counted from 1, from the one before it.

    A step weighs `decay` times as much as the next (arXiv 2411.18704). The weights of the steps so far add up to one,
    which is Adam's correction of its bias (1412.6980, section 3) made as the average moves: the first is `params`.
    """
    share = (1 - decay) / (1 - decay**step)
    return {name: old + share * (params[name] - old) for name, old in average.items()}
