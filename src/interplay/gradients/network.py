"""A torch module as a function f(W, x) of one flat vector W of its trainable parameters.

f0(x) = f(W0, x); products with the Jacobian J0 = df/dW at W0 from both sides: J0 v forward, J0' u backward, and its
rows example by example. Each is computed by the first way that the module allows (see `interplay.gradients.products`),
in tiles of examples and directions that fit into memory (see `interplay.gradients.chunks`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap

from .batches import arguments, logits_of, opened, part, rows_of
from .chunks import Chunk, in_tiles, out_of_memory
from .cost import Cost, cost_of
from .devices import allowance, checked, home
from .products import PULLS, PUSHES, Function, plain_attention, pull_plainly
from .suitability import NO_DERIVATIVE, check_output, check_products, failing_layer

_BATCH_DEPENDENT = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
#: Bytes of a tile where nothing else is said.
TILE = 2**28
#: Most directions of a tile: a card has more to do at once.
DIRECTIONS = {"cpu": 32}
_ROWS = ("reverse mode over examples", "plain autograd, example by example")


class Network:
    """Frozen copy of a module, in evaluation mode, as a function of a flat parameter vector.

    Parameters
    ----------
    model : torch.nn.Module
        Maps a batch of inputs to logits (b, C), or (b,) for one logit; also an output with ``.logits`` or a tuple
        whose first entry they are. Inputs are a tensor, or a dict or tuple of tensors. It is copied, never changed.
        A parameter under several names (tied embeddings) counts once and moves everywhere.
    parameters : str or sequence of str, optional
        Names or globs (as in `fnmatch`) of the parameters that training changes, ``"!glob"`` for those it does
        not; default: all that require a gradient.
    W0 : mapping of str to Tensor, optional
        State dict of the trained model; default: the values that `model` has.
    memory : int, optional
        Bytes for what one tile of examples and directions needs; default: 256 MB, and on a card a quarter of what is
        free there if that is more.
    device : torch.device or str, optional
        Where to compute; default: where the model is.

    Attributes
    ----------
    W0 : Tensor (p,)
        The trained parameters, flattened in the order of `names`, in the widest of their precisions.
    warnings : list of str
        What was changed in the copy (layers that were in training mode), and which slower ways had to be taken.
    ways : dict of str to str
        How products are computed: "push" (J v), "pull" (J'u) and "rows" (J by examples).
    """

    def __init__(
        self,
        model: nn.Module,
        parameters: str | Sequence[str] | None = None,
        *,
        W0: Mapping[str, Tensor] | None = None,
        memory: int | None = None,
        device: torch.device | str | None = None,
    ):
        if not isinstance(model, nn.Module):
            raise TypeError(f"model is a {type(model).__name__}; it must be a torch.nn.Module.")
        self.warnings: list[str] = []
        training = sorted({type(m).__name__ for m in model.modules() if m.training and isinstance(m, _BATCH_DEPENDENT)})
        if training:
            self.warnings.append(
                f"the model has {', '.join(training)} in training mode, where outputs depend on the batch; "
                "the estimator uses a copy in evaluation mode. Call model.eval() to make that explicit."
            )
        self.device = home(model) if device is None else checked(device)
        self.model = copy.deepcopy(model).to(self.device).eval()
        if W0 is not None:
            load(self.model, W0)
        for parameter in self.model.parameters():
            parameter.requires_grad_(parameter.requires_grad and parameter.is_floating_point())
        trainable = chosen(self.model, parameters)
        self.names = tuple(trainable)
        self.shapes = tuple(p.shape for p in trainable.values())
        self.sizes = tuple(p.numel() for p in trainable.values())
        self.W0 = torch.cat([p.reshape(-1) for p in trainable.values()])
        self._dtypes = tuple(p.dtype for p in trainable.values())
        self.fixed = {n: p.detach() for n, p in self.model.named_parameters() if n not in trainable}
        self.fixed |= {n: b.detach() for n, b in self.model.named_buffers()}
        self._buffers = tuple(n for n, _ in self.model.named_buffers())
        self.memory = allowance(self.device, TILE, 4) if memory is None else int(memory)
        self.block = TILE if memory is None else int(memory)  # of columns: alike on every machine, as files hold them
        self._way = {"push": 0, "pull": 0, "rows": 0}
        self._cost: Cost | None = None
        self._chunks: dict[str, Chunk] = {}

    @property
    def size(self) -> int:
        """Number of trainable parameters p."""
        return self.W0.numel()

    @property
    def wide(self) -> torch.dtype:
        """Precision in which products are summed: the parameters' own, float32 where that is half precision."""
        return self.W0.dtype if self.W0.dtype in (torch.float32, torch.float64) else torch.float32

    @property
    def ways(self) -> dict[str, str]:
        """How products are computed, in words."""
        names = {"push": tuple(PUSHES), "pull": tuple(PULLS), "rows": _ROWS}
        return {product: names[product][way] for product, way in self._way.items()}

    @property
    def cost(self) -> Cost:
        """Operations and activations of one example, counted on the probed batch; a guess where there was none."""
        return self._cost or Cost(2 * self.size, self.size)

    def logits(self, W: Tensor, x: Any) -> Tensor:
        """Logits (b, C) of a batch at parameters W (p,)."""
        parts = zip(self.names, self.shapes, self._dtypes, W.split(self.sizes), strict=True)
        values = {n: v.view(s) if v.dtype == t else v.view(s).to(t) for n, s, t, v in parts}
        fixed = self.fixed
        if self._buffers:  # a forward that counts or keeps something does so in copies
            fixed = {**fixed, **{n: fixed[n].clone() for n in self._buffers}}
        args, named = arguments(self.model, x)
        return logits_of(functional_call(self.model, (fixed, values), args, named))

    def push(self, x: Any, vectors: Tensor) -> Tensor:
        """J0 v for each column: `vectors` (p, d) to (d, b, C)."""
        return self.push_rows(x, vectors.T)

    def push_rows(self, x: Any, V: Tensor) -> Tensor:
        """J0 v for each row v of V (d, p): (d, b, C)."""
        found: list[Tensor] = []

        def compute(rows: slice, columns: slice) -> None:
            moved = self._product("push", part(x, rows), V[columns].to(self.W0.dtype))
            if not found:
                found.append(moved.new_empty(len(V), rows_of(x), moved.shape[-1]))
            found[0][columns, rows] = moved

        in_tiles(rows_of(x), len(V), self._chunk("push", len(V)), compute, "one example with one direction")
        return found[0]

    def pull(self, x: Any, cotangents: Tensor) -> Tensor:
        """J0' u for each leading entry: `cotangents` (d, b, C) to (d, p)."""
        total = torch.zeros(len(cotangents), self.size, dtype=self.wide, device=self.W0.device)

        def compute(rows: slice, columns: slice) -> None:
            total[columns] += self._product("pull", part(x, rows), cotangents[columns, rows])

        chunk = self._chunk("pull", len(cotangents))
        in_tiles(rows_of(x), len(cotangents), chunk, compute, "one example with one cotangent")
        return total

    def jacobian(self, x: Any, outputs: int, use: Callable[[slice, slice, Tensor], None]) -> None:
        """Rows of J0, tile by tile: ``use(examples, outputs, J (b, c, p))`` is called once per tile."""

        def compute(rows: slice, columns: slice) -> None:
            use(rows, columns, self._rows(part(x, rows), columns, outputs))

        chunk = self._chunk("rows", outputs)
        in_tiles(rows_of(x), outputs, chunk, compute, "the gradient of one output of one example")

    def probe(self, x: Any) -> None:
        """Run the model and products on a few examples, so that an unsuitable model fails early and in words."""
        try:
            with torch.no_grad(), plain_attention():
                out = self.logits(self.W0, x)
        except Exception as error:
            if out_of_memory(error):
                raise
            layer = failing_layer(self.model, lambda: self.logits(self.W0, x))
            raise ValueError(
                f"the model cannot be called on a batch of the loader through torch.func: {error}{layer}. "
                "It must map the first element of a batch to logits (b, C) and change no state in doing so."
            ) from error
        check_output(out, rows_of(x))
        if self._cost is not None:  # products were checked on examples before these
            return
        few = part(x, slice(0, 2))
        check_products(self, few, out[:2])
        self._cost = cost_of(lambda: self.logits(self.W0, few), rows_of(few))

    def _product(self, product: str, x: Any, vectors: Tensor) -> Tensor:
        """J v or J'u by the first way that works, from the one in use on."""
        ways = tuple((PUSHES if product == "push" else PULLS).values())

        def attempt(way: int) -> Tensor:
            return ways[way](self._function(x), self.W0, vectors)

        return self._first(product, attempt, len(ways))

    def _rows(self, x: Any, columns: slice, outputs: int) -> Tensor:
        """Rows of J0 for some outputs of a few examples, (b, c, p)."""
        eye = torch.eye(outputs, dtype=self.W0.dtype, device=self.W0.device)[columns]

        def attempt(way: int) -> Tensor:
            if way:
                singles = (part(x, slice(i, i + 1)) for i in range(rows_of(x)))
                return torch.stack([pull_plainly(self._function(one), self.W0, eye[:, None]) for one in singles])
            tensors, single = opened(x)

            def of_one(*leaves: Tensor) -> Tensor:
                out, back = vjp(lambda W: self.logits(W, single(*leaves))[0], self.W0)[:2]
                return vmap(lambda u: back(u)[0])(eye.to(out.dtype))

            return vmap(of_one, randomness="error")(*tensors)

        return self._first("rows", attempt, len(_ROWS))

    def _first(self, product: str, attempt: Callable[[int], Tensor], ways: int) -> Tensor:
        """Try the way in use and those after it; keep the first that works, and say that it is a slower one."""
        first_error: Exception | None = None
        for way in range(self._way[product], ways):
            try:
                with plain_attention():
                    found = attempt(way)
            except Exception as error:
                if out_of_memory(error):
                    raise
                first_error = first_error or error
                continue
            if first_error is not None:
                self.take(product, way, first_error)
            return found
        assert first_error is not None
        raise ValueError(f"{NO_DERIVATIVE} The error is: {first_error}") from first_error

    def take(self, product: str, way: int, why: object) -> None:
        """Go over to another way, and say so."""
        self._way[product] = way
        reason = str(why).strip().split("\n", 1)[0][:160]
        what = {"push": "J v", "pull": "J'u", "rows": "gradients per example"}[product]
        self.warnings = [w for w in self.warnings if not w.startswith(f"{what} ")]
        self.warnings.append(f"{what} is computed by {self.ways[product]}, which is slower: {reason}")

    def _function(self, x: Any) -> Function:
        return lambda W: self.logits(W, x)

    def _chunk(self, product: str, count: int) -> Chunk:
        """Tile sizes of a product of so many directions or outputs: from the memory allowed, then as they sufficed."""
        most = min(count, DIRECTIONS.get(self.device.type, 256))
        key = product if product == "rows" else f"{product} of {most}"
        if key not in self._chunks:
            item = self.W0.element_size()
            if product == "rows":
                self._chunks[key] = Chunk(*_shape(self.memory // (3 * item * self.size), count))
            else:
                columns = max(1, min(most, self.memory // (4 * item * self.size)))
                rows = self.memory // (3 * item * max(1, self.cost.activations) * columns)
                self._chunks[key] = Chunk(max(1, rows), columns)
        return self._chunks[key]


def chosen(model: nn.Module, parameters: str | Sequence[str] | None) -> dict[str, Tensor]:
    """Trainable parameters that patterns choose, each once, under the first of its names."""
    aliases: dict[int, list[str]] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        aliases.setdefault(id(p), []).append(name)
    trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
    names = {n: aliases[id(p)] for n, p in trainable.items()}
    if not trainable:
        raise ValueError(
            "model has no trainable parameter: every one has requires_grad=False. "
            "Set requires_grad_(True) on the parameters that training changes."
        )
    patterns = ["*"] if parameters is None else [parameters] if isinstance(parameters, str) else list(parameters)

    def matches(name: str, pattern: str) -> bool:
        return any(fnmatchcase(alias, pattern.removeprefix("!")) for alias in names[name])

    for pattern in patterns:
        if not any(matches(n, pattern) for n in names):
            held = [n for n, p in model.named_parameters() if not p.requires_grad and fnmatchcase(n, pattern)]
            hint = f" ({held[0]!r} does not require a gradient)" if held else ""
            raise ValueError(
                f"parameters={pattern!r} matches no trainable parameter{hint}; there are: {', '.join(trainable)}."
            )
    wanted = [q for q in patterns if not q.startswith("!")] or ["*"]
    unwanted = [q for q in patterns if q.startswith("!")]
    found = {
        n: p.detach()
        for n, p in trainable.items()
        if any(matches(n, q) for q in wanted) and not any(matches(n, q) for q in unwanted)
    }
    if not found:
        raise ValueError(f"parameters={parameters!r} leaves no parameter; there are: {', '.join(trainable)}.")
    return found


def load(model: nn.Module, W0: Mapping[str, Tensor]) -> None:
    """Load a state dict into a module in place, after checking names and shapes."""
    ours = model.state_dict(keep_vars=True)
    missing = [n for n in ours if n not in W0 and not any(ours[n] is ours[m] for m in W0 if m in ours)]
    unknown = [n for n in W0 if n not in ours]
    shapes = [n for n in ours if n in W0 and tuple(W0[n].shape) != tuple(ours[n].shape)]
    faults = []
    if shapes:
        n = shapes[0]
        faults.append(
            f"{len(shapes)} have another shape, the first is {n!r}: {tuple(W0[n].shape)} in W0, "
            f"{tuple(ours[n].shape)} in the model"
        )
    faults += [
        f"{len(names)} are not {where}, the first is {names[0]!r}"
        for names, where in ((missing, "in W0"), (unknown, "in the model"))
        if names
    ]
    if faults:
        raise ValueError(
            f"W0 is of another configuration than model: of its parameters and buffers {'; '.join(faults)}. "
            "Build the model with the configuration that W0 was trained with."
        )
    model.load_state_dict(dict(W0), strict=False)


def _shape(tile: int, outputs: int) -> tuple[int, int]:
    """Rows and columns of a tile of so many entries: columns first, no more than there are."""
    columns = max(1, min(16, tile, outputs))
    return max(1, tile // columns), columns
