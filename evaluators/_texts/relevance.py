"""Which documents are relevant to which query, and what a ranking is worth by that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .._labelled.columns import Where, read_columns

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Relevance:
    """Judgements of people.

    Attributes:
        queries: ids of the queries that have a relevant document, in the order of the samples.
        gains: for each of them, document's place in the corpus -> its relevance, above 0.
    """

    queries: Sequence[str]
    gains: Sequence[Mapping[int, float]]

    def ndcg(self, rows: IntArray, ranking: IntArray) -> NDArray[np.float64]:
        """Normalised discounted cumulative gain of each query, float64, `rows`, from 0 to 1.

        Σ_r gain_r / log2(r + 1) over the ranks r ≤ k, divided by that of the best ranking there is (Järvelin and
        Kekäläinen 2002; gains are the relevance itself, as in trec_eval and scikit-learn).

        Args:
            rows: indices of queries.
            ranking: documents of each, the best first, `rows x k`.
        """
        discounts = 1.0 / np.log2(np.arange(2, ranking.shape[1] + 2))
        values = np.empty(len(rows))
        for place, (row, documents) in enumerate(zip(rows.tolist(), ranking.tolist(), strict=True)):
            gains = self.gains[row]
            found = np.array([gains.get(document, 0.0) for document in documents])
            ideal = np.sort(np.fromiter(gains.values(), dtype=np.float64))[::-1][: len(discounts)]
            values[place] = found @ discounts / (ideal @ discounts[: len(ideal)])
        return values

    @property
    def content(self) -> list[Any]:
        """What is known, in plain values."""
        return [list(self.queries), [sorted(gains.items()) for gains in self.gains]]


def read_relevance(what: str, qrels: Where, queries: Sequence[str], documents: Sequence[str]) -> Relevance:
    """Read judgements `query-id`, `corpus-id`, `score`; queries keep their order, those without relevant ones go.

    Raises:
        InputError: the data cannot be read, a document or query is unknown, or nothing is relevant.
    """
    columns = read_columns(f"{what}: qrels", qrels, ["query-id", "corpus-id", "score"]).values
    places = {document: place for place, document in enumerate(documents)}
    gains: dict[str, dict[int, float]] = {query: {} for query in queries}
    for query, document, score in zip(*(columns[name] for name in ("query-id", "corpus-id", "score")), strict=True):
        if str(query) not in gains:
            raise InputError(f"{what}: qrels judge query '{query}', which is not among the {len(queries)} queries")
        if str(document) not in places:
            raise InputError(f"{what}: qrels judge document '{document}', which is not among the {len(places)} ones")
        if float(score) > 0:
            gains[str(query)][places[str(document)]] = float(score)
    kept = {query: found for query, found in gains.items() if found}
    if not kept:
        raise InputError(f"{what}: qrels find no document relevant (score above 0) to any query; give others")
    return Relevance(list(kept), list(kept.values()))
