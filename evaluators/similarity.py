"""Semantic textual similarity: the rank correlation of the similarities of embeddings with people's judgements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ._digest import digest
from ._labelled.columns import Where, read_columns
from ._options import at_least
from ._scoring import undisturbed
from ._texts.embedding import Embedding, Pooling
from ._texts.tokenised import Texts, tokenise
from .evaluator import Evaluator, IntArray, Scores
from .statistics.bootstrap import FEW_REPLICATES
from .statistics.scores import MetricScores


class SimilarityEvaluator(Evaluator):
    """Spearman's correlation of the similarities of pairs with gold ones; a sample is a pair.

    For any encoder of transformers: its last hidden states are pooled. The similarity of two texts is the product of
    their vectors: the cosine, where these are normalised. The task is called like the evaluator.
    """

    def __init__(
        self,
        name: str,
        dataset: Where,
        pair: Sequence[str] = ("sentence1", "sentence2"),
        gold: str = "score",
        pooling: Pooling = "mean",
        normalise: bool = True,
        prompt: str = "",
        batch_size: int = 32,
        max_length: int | None = None,
    ) -> None:
        """Read the pairs.

        Args:
            name: the evaluator's name, and its task's.
            dataset: path of a .jsonl, .csv, .tsv or .parquet file, a data set's name on the Hugging Face hub, or the
                arguments of `datasets.load_dataset`.
            pair: names of the two columns of texts.
            gold: name of the column of gold similarities, the larger the more similar.
            pooling: the `mean` of the hidden states of all tokens, or that of the first (`cls`) or `last` one.
            normalise: whether vectors get length 1.
            prompt: put before every text.
            batch_size: texts per forward pass.
            max_length: most tokens of a text, which is cut there; as many as the model reads where left out.

        Raises:
            InputError: the data cannot be read, gold similarities that are all alike, or an option out of range.
        """
        super().__init__(name)
        at_least(1, name, batch_size=batch_size, max_length=max_length)
        if len(pair) != 2:
            raise InputError(f"evaluator '{name}': pair = {list(pair)}; name two columns")
        columns = read_columns(f"evaluator '{name}'", dataset, [*pair, gold]).values
        wrong = next((one for one in columns[gold] if not isinstance(one, int | float)), None)
        if wrong is not None:
            raise InputError(
                f"evaluator '{name}': gold = '{gold}' has {wrong!r}, which is no number; name another column"
            )
        self.gold = np.asarray(columns[gold], dtype=np.float64)
        if len(set(self.gold.tolist())) < 2:
            raise InputError(f"evaluator '{name}': all gold similarities are {self.gold[0]}, which ranks nothing")
        self.texts = [prompt + str(text) for column in pair for text in columns[column]]
        self.max_length = max_length
        self._embedding = Embedding(pooling, normalise, batch_size)
        self._tokens = Texts(())

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Tokenise the texts, and try the model on one batch.

        Raises:
            InputError: no tokenizer, or a model without hidden states.
        """
        what = f"evaluator '{self.name}'"
        with undisturbed():
            self._tokens = tokenise(what, model, tokenizer, [self.texts], self.max_length)
        self._embedding.check(what, model, self._tokens)

    def tasks(self) -> dict[str, int]:
        """The evaluator's name -> number of pairs."""
        return {self.name: len(self.gold)}

    def metrics(self) -> dict[str, dict[str, bool]]:
        """`spearman`; higher is better."""
        return {self.name: {"spearman": True}}

    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        """Score `model` on pairs; the correlation has no value per pair, and its error is bootstrapped.

        Raises:
            TrialError: embeddings that are not finite.
        """
        from scipy.stats import spearmanr

        rows = np.asarray(samples[self.name])
        with undisturbed(model):
            vectors = self._embedding.embed(model, self._tokens, np.concatenate([rows, rows + len(self.gold)]))
            products = (vectors[: len(rows)] * vectors[len(rows) :]).sum(dim=1).cpu().double().numpy()
        both = np.stack([products, self.gold[rows]], axis=1)
        found = MetricScores.aggregate(both, lambda some: float(spearmanr(some).statistic), FEW_REPLICATES)
        return {self.name: {"spearman": found}}

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of options and data, and of the tokens once they are known."""
        options = [vars(self._embedding), self.max_length]
        return digest("similarity", options, self.texts, self.gold, self._tokens.content)
