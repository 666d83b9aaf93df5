"""Log-likelihood requests, in batches planned once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

from .abilities import Abilities
from .batches import Batch, likelihoods, plan_batches
from .model import HarnessModel
from .packing import Budget
from .pieces import Piece, pieces_of

_ROLLING = "loglikelihood_rolling"


class Likelihoods:
    """Answers `loglikelihood` requests, of which multiple choices are made, and rolling ones, of causal models."""

    def __init__(self, model: HarnessModel, abilities: Abilities) -> None:
        """Remember the model that turns requests into tokens, and what it allows."""
        self._model, self._abilities = model, abilities
        self._pieces: dict[int, list[Piece]] = {}

    def take(self, request: Any) -> bool:
        """Turn a request into tokens.

        Raises:
            InputError: a continuation without tokens, or with more than the model reads.
        """
        if request.request_type not in ("loglikelihood", _ROLLING):
            return False
        self._pieces[id(request)] = pieces_of(self._model, request)
        return True

    def plan(self, requests: Sequence[Any]) -> partial[list[list[Any]]]:
        """Put the pieces of all requests into batches."""
        pieces: list[Piece] = []
        bounds, units = [0], dict[Any, list[int]]()
        for request in requests:
            pieces += self._pieces[id(request)]
            bounds.append(len(pieces))
            # Requests without a context stand apart from a document's others, with which they share nothing.
            unit = units.setdefault((request.task_name, request.doc_id, bool(request.args[0])), [])
            unit.extend(range(*bounds[-2:]))
        batches = plan_batches(pieces, units.values(), self._budget, self._abilities) if pieces else []
        return partial(self._responses, requests=requests, bounds=bounds, batches=batches)

    @cached_property
    def _budget(self) -> Budget:
        """The same for whatever is asked, so that memory is."""
        return Budget.of((one for some in self._pieces.values() for one in some), self._model.batch_size)

    def _responses(
        self, model: HarnessModel, requests: Sequence[Any], bounds: Sequence[int], batches: Sequence[Batch]
    ) -> list[list[Any]]:
        """Nats of a rolling request; of another one, nats and whether the model itself would have said so."""
        nats, greedy = (found.tolist() for found in likelihoods(model.model, self._abilities.select, batches))
        found = [
            sum(nats[start:end]) if request.request_type == _ROLLING else (nats[start], greedy[start])
            for request, (start, end) in zip(requests, pairwise(bounds), strict=True)
        ]
        return [[response] * request.repeats for request, response in zip(requests, found, strict=True)]
