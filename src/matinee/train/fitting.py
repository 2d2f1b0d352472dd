"""The training loop of the encoder: bfloat16 arithmetic on float32 weights, AdamW, and checkpoints to go on from."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from matinee.train.batches import Batch, Tokens, pack, plan_epoch
from matinee.train.encoder import Encoder
from matinee.train.progress import progress

_WARMUP = 0.06  # share of the steps
_WEIGHT_DECAY = 0.01
_HEAD_RATE = 5.0  # the head is new, and may learn faster than the rest
_MAX_NORM = 1.0


@dataclass(frozen=True)
class Stage:
    """Passes over a training set. ``window`` and ``budget`` (of a batch) are in tokens; the rate is AdamW's peak.

    The rate falls to 0 at the end of the last epoch; ``stop`` is the share of the steps that are taken, below 1 where
    another stage goes on anyway. The embeddings and the lowest ``frozen`` layers keep their weights.
    """

    name: str
    window: int
    learning_rate: float
    epochs: int = 1
    budget: int = 4096
    frozen: int = 0
    stop: float = 1.0


@dataclass(frozen=True)
class SpecialTokens:
    """The ids around every window."""

    first: int
    last: int


def pick_device() -> tuple[torch.device, torch.dtype]:
    """A GPU when there is one; bfloat16 wherever the hardware multiplies it."""
    if torch.cuda.is_available():
        return torch.device("cuda"), torch.bfloat16
    fast = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - the only way to ask
    return torch.device("cpu"), torch.bfloat16 if fast else torch.float32


class Trainer:
    """Runs one `Stage`, starting from ``encoder`` (float32), and goes on from ``checkpoint`` where that exists.

    A checkpoint is written every ``every`` seconds.
    """

    def __init__(
        self, encoder: Encoder, stage: Stage, special: SpecialTokens, checkpoint: Path, *, every: float = 180.0
    ) -> None:
        self.device, dtype = pick_device()
        self.encoder, self.stage, self.special, self.checkpoint = encoder, stage, special, checkpoint
        self.every = every
        encoder.freeze(stage.frozen)
        self.frozen = {name: p.detach().clone() for name, p in encoder.named_parameters() if not p.requires_grad}
        self.masters = [p.detach().to(self.device, torch.float32, copy=True) for p in _learning(encoder)]
        self.model = encoder.to(self.device, dtype)
        self.learning = _learning(self.model)
        heads = {id(p) for p in self.model.head.parameters()}
        groups = [
            {
                "params": [master],
                "factor": _HEAD_RATE if id(p) in heads else 1.0,
                "weight_decay": _WEIGHT_DECAY * (p.ndim > 1),
            }
            for p, master in zip(self.learning, self.masters, strict=True)
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=stage.learning_rate, fused=True)

    def run(self, tokens: Tokens, targets: NDArray[np.float32], seed: int) -> Encoder:
        """Fit soft ``targets`` [rows, labels] and return the encoder in float32 on the CPU."""
        rng = np.random.default_rng(seed)
        lengths = np.array([len(row) for row in tokens], dtype=np.int64)
        batches = [
            batch
            for _ in range(self.stage.epochs)
            for batch in plan_epoch(lengths, window=self.stage.window, budget=self.stage.budget, rng=rng)
        ]
        step = self._restore()
        self._loop(batches, step, tokens, torch.from_numpy(targets).to(self.device))
        self.encoder.to("cpu", torch.float32)
        with torch.no_grad():
            for parameter, master in zip(self.learning, self.masters, strict=True):
                parameter.copy_(master)
        self.encoder.load_state_dict(self.frozen, strict=False)
        self.encoder.requires_grad_(requires_grad=True)
        return self.encoder

    def _loop(self, batches: Sequence[Batch], step: int, tokens: Tokens, targets: torch.Tensor) -> None:
        rows = sum(len(batch.rows) for batch in batches) / max(1, len(batches))
        saved, losses = time.monotonic(), 0.0
        end = round(len(batches) * self.stage.stop)
        with progress(f"stage {self.stage.name}", end, done=step) as report:
            while step < end:
                loss = self._step(batches[step], step / len(batches), tokens, targets, rows)
                losses = loss if losses == 0.0 else 0.98 * losses + 0.02 * loss
                step += 1
                report(step, f"loss {losses:.4f}")
                if time.monotonic() - saved >= self.every:
                    self._save(step)
                    saved = time.monotonic()

    def _step(self, batch: Batch, done: float, tokens: Tokens, targets: torch.Tensor, mean_rows: float) -> float:
        ids, mask = pack(
            tokens,
            batch,
            first=self.special.first,
            last=self.special.last,
            limit=self.model.shape.max_position_embeddings,
        )
        logits = self.model(torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device))
        target = targets[torch.from_numpy(batch.rows).to(self.device)]
        total = functional.cross_entropy(logits.float(), target, reduction="sum")
        # Divided by the usual number of rows, not by this batch's: every review weighs the same, short or long.
        (total / mean_rows).backward()
        self._update(self.stage.learning_rate * min(done / _WARMUP, (1.0 - done) / (1.0 - _WARMUP)))
        return float(total.detach()) / len(batch.rows)

    def _update(self, rate: float) -> None:
        for parameter, master in zip(self.learning, self.masters, strict=True):
            master.grad = parameter.grad.float() if parameter.grad is not None else None
            parameter.grad = None
        torch.nn.utils.clip_grad_norm_(self.masters, _MAX_NORM)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_copy_(self.learning, self.masters)

    def _save(self, step: int) -> None:
        state = {"step": step, "masters": self.masters, "optimizer": self.optimizer.state_dict()}
        save_atomically(state, self.checkpoint)

    def _restore(self) -> int:
        if not self.checkpoint.exists():
            return 0
        state: dict[str, Any] = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        with torch.no_grad():
            for parameter, master, kept in zip(self.learning, self.masters, state["masters"], strict=True):
                master.copy_(kept)
                parameter.copy_(kept)
        self.optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])


def _learning(encoder: Encoder) -> list[torch.nn.Parameter]:
    return [parameter for parameter in encoder.parameters() if parameter.requires_grad]


def save_atomically(state: object, path: Path) -> None:
    """Write beside ``path``, then rename: a kill leaves the old file or the new one, never half of one."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)
