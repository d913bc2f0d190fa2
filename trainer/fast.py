"""The twins: forms of `trainer/model.py` with gradients written by hand, for a float32 model on a CPU.

There a product of matrices is the only thing near the machine's limit, and everything else costs by the array it reads
or writes. Each twin therefore visits the big arrays (tokens × vocabulary, queries × keys) as few times as it can: one
pass gives what both the loss and the gradient need, sums along them are left to the products, and masks fall only on
the blocks of the diagonal.

`fast.NAME` computes what `model.NAME` computes, for the same arguments. Whoever edits a plain form, or something it
calls (`softcap`), edits the twin too or takes it out of `TWINS`: a twin that is listed runs in the plain form's place.
"""

# mypy: allow-untyped-calls, disable-error-code=index

import math
from functools import cache

import mlx.core as mx

TWINS = {
    "attention": ("attention", "causal_attention", "rotate", "rms_norm", "exp2"),
    "cross_entropy": ("cross_entropy", "capped_logits", "softcap", "exp2"),
}
"""Each twin, and the plain definitions of `trainer/model.py` that it mirrors."""

LOG2_E = math.log2(math.e)
BLOCKS = 4
EARLY, LATE = 0, 1
EPSILON = 1e-6


def cross_entropy(x: mx.array, embedding: mx.array, targets: mx.array, cap: float) -> mx.array:
    """Mean cross-entropy in nats of x (batch, time, dim) under a tied, capped head; embedding (vocab, dim).

    The loss comes with its gradients: both need the same powers, and the gradients are linear in what comes from above.
    """

    @mx.custom_function
    def form(x: mx.array, embedding: mx.array) -> tuple[mx.array, mx.array, mx.array]:
        count = x.shape[0]
        bent = mx.tanh((x @ embedding.T) * (1 / cap))  # a capped logit over the cap; its slope is 1 − bent²
        weight = exp2((cap * LOG2_E) * bent)
        pull = weight * (1 - bent * bent)
        total = weight @ mx.ones((weight.shape[1], 1))
        chosen = mx.take_along_axis(bent, index[:, None], axis=-1)
        loss = (mx.log(total) - cap * chosen).mean()

        share = 1 / (count * total)
        push = (1 - chosen * chosen) / count
        grad_x = share * (pull @ embedding) - push * embedding[index]
        grad_embedding = (pull.T @ (share * x)).at[index].add(-push * x)
        return loss, grad_x, grad_embedding

    @form.vjp
    def backward(
        primals: tuple[mx.array, ...], cotangents: tuple[mx.array, ...], outputs: tuple[mx.array, ...]
    ) -> tuple[mx.array, mx.array]:
        return cotangents[0] * outputs[1], cotangents[0] * outputs[2]

    index = targets.reshape(-1)
    loss: mx.array = form(x.reshape(-1, x.shape[-1]), embedding)[0]
    return loss


def attention(q: mx.array, k: mx.array, v: mx.array, gain: mx.array, cos: mx.array, sin: mx.array) -> mx.array:
    """Causal attention on normalised, rotated queries and keys: q, k, v (batch, time, head, channel), gain (head).

    Time is cut into equal blocks. Each block attends to itself under a mask; then, at every scale, the later half of
    each stretch attends to all of its earlier half, so that nothing masked is computed but half of the diagonal.
    A column of ones beside the values gives the sums of the weights with the products, and the same column takes the
    gradient's mean away with the products. The weights stay as they are, unnormalised, for the gradient.
    """
    mixed: mx.array = _attend(q, k, v, gain, cos, sin)[0]
    return mixed


@mx.custom_function
def _attend(
    q: mx.array, k: mx.array, v: mx.array, gain: mx.array, cos: mx.array, sin: mx.array
) -> tuple[mx.array, ...]:
    """The mixed values (batch, time, head · channel), then what the gradient needs, the weights of all scales last."""
    batch, time, heads, channel = q.shape
    groups, block = k.shape[2], _block(time)
    scale_q, scale_k = (mx.rsqrt(mx.square(x).mean(axis=-1, keepdims=True) + EPSILON) for x in (q, k))
    cos, sin = (table.reshape(time // block, 1, block, 2, -1) for table in (cos, sin))

    def rows(x: mx.array, scale: mx.array) -> mx.array:
        pairs = _folded(x.reshape(*x.shape[:3], 2, -1), groups, block)
        turned = (pairs * cos + pairs[..., ::-1, :] * sin) * _folded(scale[..., None], groups, block)
        return turned.reshape(batch * groups * time // block, -1, channel)

    queries = rows(q, scale_q * _strength(gain, channel))
    keys = rows(k, scale_k)
    ones = mx.ones((*v.shape[:3], 1))
    values = _folded(mx.concatenate([v, ones], axis=-1), groups, block).reshape(len(keys), block, channel + 1)

    weights = [exp2(queries @ keys.swapaxes(-1, -2)) * _past(len(keys), heads // groups, block)]
    parts = [weights[0] @ values]
    for scale in _scales(time // block):
        weights.append(exp2(_half(queries, scale, LATE) @ _half(keys, scale, EARLY).swapaxes(-1, -2)))
        parts.append(weights[-1] @ _half(values, scale, EARLY))
    mixed = _joined(parts, time // block, LATE)
    mixed = _unfolded(mixed.reshape(batch, groups, time // block, heads // groups, block, -1))
    total = mixed[..., channel:]
    y = (mixed[..., :channel] / total).reshape(batch, time, -1)
    return y, scale_q, scale_k, queries, keys, values, total, *weights


@_attend.vjp
def _attend_backward(
    primals: tuple[mx.array, ...], cotangents: tuple[mx.array, ...], outputs: tuple[mx.array, ...]
) -> tuple[mx.array, ...]:
    """Gradients of q, k, v and gain; the tables have none, and nor has what was kept."""
    q, k, v, gain, cos, sin = primals
    y, scale_q, scale_k, queries, keys, values, total, *weights = outputs
    batch, time, heads, channel = q.shape
    groups, block = k.shape[2], _block(time)
    blocks, share = time // block, heads // groups
    no_grads = mx.zeros_like(cos), mx.zeros_like(sin)
    cos, sin = (table.reshape(blocks, block, 1, 1, 2, -1) for table in (cos, sin))

    above, y = (x.reshape(batch, time, heads, channel) for x in (cotangents[0], y))
    along = (above * y).sum(axis=-1, keepdims=True)
    above = mx.concatenate([above, -along], axis=-1)
    pull = _folded(above, groups, block) / _folded(total.reshape(batch, time, heads, 1), groups, block)
    pull = pull.reshape(len(keys), -1, channel + 1)

    slope = weights[0] * (pull @ values.swapaxes(-1, -2))
    grads_q, grads_k = [slope @ keys], [slope.swapaxes(-1, -2) @ queries]
    grads_v = [weights[0].swapaxes(-1, -2) @ pull]
    for scale, weight in zip(_scales(blocks), weights[1:], strict=True):
        pull_, queries_ = (_half(x, scale, LATE) for x in (pull, queries))
        keys_, values_ = (_half(x, scale, EARLY) for x in (keys, values))
        slope = weight * (pull_ @ values_.swapaxes(-1, -2))
        grads_q.append(slope @ keys_)
        grads_k.append(slope.swapaxes(-1, -2) @ queries_)
        grads_v.append(weight.swapaxes(-1, -2) @ pull_)
    grad_q = _joined(grads_q, blocks, LATE)
    grad_k, grad_v = (_joined(grads, blocks, EARLY) for grads in (grads_k, grads_v))

    def before(
        rows: mx.array, grad: mx.array, x: mx.array, scale: mx.array, strength: mx.array
    ) -> tuple[mx.array, ...]:
        """Through rotation and norm: the gradient of x, and the sums of gradient · row (…, group, head, 1)."""
        folds = (batch, groups, blocks, -1, block)
        along = _unfolded((grad * rows).sum(axis=-1, keepdims=True).reshape(*folds, 1))
        pairs = _unfolded(grad.reshape(*folds, 2, channel // 2))
        turned = pairs * cos - pairs[..., ::-1, :] * sin
        x, scale = (part.reshape(*pairs.shape[:5], -1, half) for part, half in ((x, channel // 2), (scale, 1)))
        return scale / LOG2_E * (turned * strength - x * (scale * (along / channel)[..., None])), along

    strength = _strength(gain, channel).reshape(groups, share, 1, 1)
    grad_q, along = before(queries, grad_q, q, scale_q, strength)
    grad_k, _ = before(keys, grad_k, k, scale_k, mx.ones(1))
    grad_gain = along.sum(axis=(0, 1, 2)).reshape(heads) / (LOG2_E * mx.where(gain == 0, 1, gain))
    grad_v = _unfolded(grad_v.reshape(batch, groups, blocks, 1, block, channel + 1)[..., :channel])
    return grad_q.reshape(q.shape), grad_k.reshape(k.shape), grad_v.reshape(v.shape), grad_gain, *no_grads


def exp2(x: mx.array) -> mx.array:
    """2 to the power x, in the one form that compilers make fast."""
    return mx.power(2.0, x)


def _block(time: int) -> int:
    """The length of a block: a quarter of the window; a window that cannot be cut so is one block."""
    return time // BLOCKS if time % BLOCKS == 0 else time


def _scales(blocks: int) -> range:
    """1, 2, …: at scale s the halves of a stretch are 2^(s − 1) blocks long."""
    return range(1, blocks.bit_length())


@cache
def _past(count: int, share: int, block: int) -> mx.array:
    """The mask of the diagonal, as large as its weights, because a mask that is spread costs more than one read."""
    past = mx.tile(mx.tril(mx.ones((block, block))), (count, share, 1))
    mx.eval(past)
    return past


def _strength(gain: mx.array, channel: int) -> mx.array:
    """What a head's scores are multiplied by, in base two: (head, 1)."""
    return (gain * (LOG2_E / math.sqrt(channel)))[:, None]


def _folded(x: mx.array, groups: int, block: int) -> mx.array:
    """(batch, time, head, …) as (batch, group, block, head of the group, time in the block, …), without a copy."""
    batch, time, heads, *rest = x.shape
    x = x.reshape(batch, time // block, block, groups, heads // groups, *rest)
    return x.transpose(0, 3, 1, 4, 2, *range(5, x.ndim))


def _unfolded(x: mx.array) -> mx.array:
    """Undo `_folded`, but for the last reshape: (batch, block, time in the block, group, head of the group, …)."""
    return x.transpose(0, 2, 4, 1, 3, *range(5, x.ndim))


def _half(x: mx.array, scale: int, half: int) -> mx.array:
    """The earlier or later half of every stretch: x (block, row, channel) to (stretch, row of the half, channel)."""
    return x.reshape(x.shape[0] >> scale, 2, -1, x.shape[2])[:, half]


def _joined(parts: list[mx.array], blocks: int, half: int) -> mx.array:
    """The sum of what every scale gives: first for all blocks, then for the earlier or later half of every stretch.

    Block by block, each written once: to add one scale after the other would copy everything as often.
    """
    rows, channel = parts[0].shape[1:]

    def of_block(index: int) -> mx.array:
        total = parts[0].reshape(-1, blocks, rows, channel)[:, index]
        for scale, part in enumerate(parts[1:], 1):
            stretch, place = divmod(index, 1 << scale)
            if place >> scale - 1 == half:
                within = place & (1 << scale - 1) - 1
                total = total + part.reshape(-1, blocks >> scale, 1 << scale - 1, rows, channel)[:, stretch, within]
        return total

    return mx.stack([of_block(index) for index in range(blocks)], axis=1).reshape(-1, rows, channel)
