"""The twins: forms of `trainer/model.py` with gradients written by hand, for a float32 model on a CPU.

There a power costs as much as ten multiplications, and a product of matrices is the only thing near the machine's
limit. Each twin therefore takes every power once, keeps it for the gradient, and moves whatever it can out of the big
arrays (tokens × vocabulary, queries × keys) into the small ones beside them or into the products.

`fast.NAME` computes what `model.NAME` computes, for the same arguments. Whoever edits a plain form, or something it
calls (`softcap`), edits the twin too or takes it out of `TWINS`: a twin that is listed runs in the plain form's place.
"""

# mypy: allow-untyped-calls, disable-error-code=index

import math

import mlx.core as mx

TWINS = {
    "attention": ("attention", "exp2"),
    "cross_entropy": ("cross_entropy", "capped_logits", "softcap", "exp2"),
}
"""Each twin, and the plain definitions of `trainer/model.py` that it mirrors."""

LOG2_E = math.log2(math.e)


def cross_entropy(x: mx.array, embedding: mx.array, targets: mx.array, cap: float) -> mx.array:
    """Mean cross-entropy in nats of x (batch, time, dim) under a tied, capped head; embedding (vocab, dim).

    The loss comes with its gradients: both need the same powers, and the gradients are linear in what comes from above.
    """
    bound = cap * LOG2_E

    @mx.custom_function
    def form(x: mx.array, embedding: mx.array) -> tuple[mx.array, mx.array, mx.array]:
        count = x.shape[0]
        # In base two the capped logit is bound − depth, and its slope is depth · (2 · bound − depth) / bound².
        depth = (2 * bound) / (mx.power(2.0, (x * (2 * LOG2_E / cap)) @ embedding.T) + 1)
        weight = mx.power(2.0, bound - depth)
        total = weight.sum(axis=-1, keepdims=True)
        chosen = mx.take_along_axis(depth, index[:, None], axis=-1)
        loss = (mx.log(total) - (bound - chosen) / LOG2_E).mean()

        slope = 1 / (count * bound**2)
        pull = weight * (depth * (2 * bound - depth))
        share = slope / total
        push = slope * chosen * (2 * bound - chosen)
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


def attention(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
    """Softmax attention over the past and the present; q (batch, head, time, channel), k and v with fewer heads.

    A block of queries sees the keys up to its end. Its unnormalised weights and their sums are kept for the gradient,
    in which the division by the sums falls on (query, channel) and not on (query, key).
    """
    mixed: mx.array = _attend(q, k, v)[0]
    return mixed


@mx.custom_function
def _attend(q: mx.array, k: mx.array, v: mx.array) -> tuple[mx.array, ...]:
    """The mixed values, then the weights of each block, then the sums of each block."""
    groups, channel = k.shape[1], q.shape[-1]
    scaled = q * (LOG2_E / math.sqrt(channel))
    mixed, weights, totals = [], [], []
    for start, end in _blocks(q.shape[2]):
        past = mx.tile(mx.tril(mx.ones((end - start, end)), k=start), (q.shape[1] // groups, 1))
        weight = mx.power(2.0, _rows(scaled, groups, start, end) @ k[:, :, :end].swapaxes(-1, -2)) * past
        total = weight.sum(axis=-1, keepdims=True)
        mixed.append(_heads((weight @ v[:, :, :end]) / total, q.shape[1]))
        weights.append(weight)
        totals.append(total)
    return mx.concatenate(mixed, axis=2), *weights, *totals


@_attend.vjp
def _attend_backward(
    primals: tuple[mx.array, ...], cotangents: tuple[mx.array, ...], outputs: tuple[mx.array, ...]
) -> tuple[mx.array, mx.array, mx.array]:
    """Gradients of q, k and v; the kept weights and sums have none."""
    (q, k, v), above, mixed = primals, cotangents[0], outputs[0]
    groups, scale = k.shape[1], 1 / math.sqrt(q.shape[-1])
    blocks = _blocks(q.shape[2])
    weights, totals = outputs[1 : 1 + len(blocks)], outputs[1 + len(blocks) :]
    scaled, along = q * scale, (above * mixed).sum(axis=-1, keepdims=True)
    grad_q, grad_k, grad_v = [], [], []
    for (start, end), weight, total in zip(blocks, weights, totals, strict=True):
        pull = _rows(above, groups, start, end) / total
        slope = weight * (pull @ v[:, :, :end].swapaxes(-1, -2) - _rows(along, groups, start, end) / total)
        grad_q.append(_heads(slope @ k[:, :, :end], q.shape[1]))
        grad_k.append(slope.swapaxes(-1, -2) @ _rows(scaled, groups, start, end))
        grad_v.append(weight.swapaxes(-1, -2) @ pull)
    return scale * mx.concatenate(grad_q, axis=2), _over_keys(grad_k), _over_keys(grad_v)


def _blocks(time: int) -> list[tuple[int, int]]:
    """First and one past the last query of some eight blocks: with more, small products eat what masking saves."""
    size = max(32, time // 8)
    return [(start, min(start + size, time)) for start in range(0, time, size)]


def _rows(x: mx.array, groups: int, start: int, end: int) -> mx.array:
    """The queries of a block, heads that share keys below each other: (batch, group, head · query, channel)."""
    batch, heads, time, channel = x.shape
    part = x.reshape(batch, groups, heads // groups, time, channel)[:, :, :, start:end]
    return part.reshape(batch, groups, -1, channel)


def _heads(rows: mx.array, heads: int) -> mx.array:
    """Undo `_rows`: (batch, head, query, channel)."""
    return rows.reshape(rows.shape[0], heads, -1, rows.shape[-1])


def _over_keys(grads: list[mx.array]) -> mx.array:
    """Sum of the blocks' gradients (batch, group, key, channel), of which each holds the keys up to its block's end."""
    size = grads[0].shape[2]
    parts = [mx.split(grad, list(range(size, grad.shape[2], size)), axis=2) for grad in grads]
    sums = [sum((part[i] for part in parts[i + 1 :]), parts[i][i]) for i in range(len(parts))]
    return mx.concatenate(sums, axis=2)
