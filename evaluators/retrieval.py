"""Retrieval: how high a model's embeddings rank the documents that are relevant to a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ._digest import digest
from ._labelled.columns import Where, read_columns
from ._options import at_least
from ._scoring import undisturbed, weights_sums
from ._texts.embedding import Embedding, Pooling
from ._texts.relevance import Relevance, read_relevance
from ._texts.tokenised import Texts, tokenise
from .evaluator import Evaluator, IntArray, Scores
from .statistics.scores import MetricScores

_QUERIES = 32  # ranked at once


class RetrievalEvaluator(Evaluator):
    """nDCG@k of the documents nearest to each query; a sample is a query that has relevant documents.

    For any encoder of transformers: its last hidden states are pooled, and documents are ranked by the product of
    their vector with the query's, the cosine where vectors are normalised. The whole corpus is embedded once for every
    candidate, however often its queries are asked for. The task is called like the evaluator.
    """

    def __init__(
        self,
        name: str,
        corpus: Where,
        queries: Where,
        qrels: Where,
        k: int = 10,
        pooling: Pooling = "mean",
        normalise: bool = True,
        query_prompt: str = "",
        corpus_prompt: str = "",
        batch_size: int = 32,
        max_length: int | None = None,
    ) -> None:
        """Read the data: files as BEIR has them, or what `datasets.load_dataset` finds by such arguments.

        Args:
            name: the evaluator's name, and its task's.
            corpus: documents, `_id`, `text` and perhaps `title`, which comes first (`corpus.jsonl`).
            queries: `_id` and `text` (`queries.jsonl`).
            qrels: judgements, `query-id`, `corpus-id` and `score`, relevant above 0 (`qrels/test.tsv`).
            k: number of documents that count.
            pooling: the `mean` of the hidden states of all tokens, or that of the first (`cls`) or `last` one.
            normalise: whether vectors get length 1.
            query_prompt: put before every query.
            corpus_prompt: put before every document.
            batch_size: texts per forward pass.
            max_length: most tokens of a text, which is cut there; as many as the model reads where left out.

        Raises:
            InputError: the data cannot be read, or do not fit together, or an option is out of range.
        """
        super().__init__(name)
        what = f"evaluator '{name}'"
        at_least(1, name, k=k, batch_size=batch_size, max_length=max_length)
        documents, asked = _texts(f"{what}: corpus", corpus), _texts(f"{what}: queries", queries)
        self.relevance: Relevance = read_relevance(what, qrels, list(asked), list(documents))
        self.corpus = [corpus_prompt + text for text in documents.values()]
        self.queries = [query_prompt + asked[query] for query in self.relevance.queries]
        self.k, self.max_length = min(k, len(self.corpus)), max_length
        self._metric = f"ndcg@{k}"
        self._embedding = Embedding(pooling, normalise, batch_size)
        self._tokens = Texts(()), Texts(())
        self._known: tuple[str, Any] = ("", None)  # the corpus as the weights of this identity embed it

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Tokenise queries and corpus, and try the model on one batch.

        Raises:
            InputError: no tokenizer, or a model without hidden states.
        """
        what = f"evaluator '{self.name}'"
        with undisturbed():
            queries, corpus = (
                tokenise(what, model, tokenizer, [texts], self.max_length) for texts in (self.queries, self.corpus)
            )
        self._tokens = queries, corpus
        self._embedding.check(what, model, corpus)

    def tasks(self) -> dict[str, int]:
        """The evaluator's name -> number of queries that have relevant documents."""
        return {self.name: len(self.queries)}

    def metrics(self) -> dict[str, dict[str, bool]]:
        """`ndcg@k`; higher is better."""
        return {self.name: {self._metric: True}}

    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        """Score `model` on queries.

        Raises:
            TrialError: embeddings that are not finite.
        """
        rows = np.asarray(samples[self.name])
        with undisturbed(model):
            queries = self._embedding.embed(model, self._tokens[0], rows)
            nearest = self._nearest(queries, self._corpus(model))
        return {self.name: {self._metric: MetricScores.mean(self.relevance.ndcg(rows, nearest))}}

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of options and data, and of the tokens once they are known."""
        options = [vars(self._embedding), self.max_length, self._metric]
        texts = [self.queries, self.corpus, self.relevance.content]
        return digest("retrieval", options, texts, [tokens.content for tokens in self._tokens])

    def _corpus(self, model: Any) -> Any:
        """Vectors of the corpus, `documents x dimension`; computed anew only where the candidate is another one."""
        corpus = self._tokens[1]
        first = self._embedding.embed(model, corpus, corpus.groups[0][0][: self._embedding.batch_size])
        # Weights tell candidates apart, and a few vectors those whose adapters stand beside the weights.
        identity = digest(weights_sums(model), first)
        if identity != self._known[0]:
            self._known = ("", None)  # room for the next one
            self._known = identity, self._embedding.embed(model, corpus, np.arange(len(self.corpus)))
        return self._known[1]

    def _nearest(self, queries: Any, corpus: Any) -> IntArray:
        """Documents in the order of their products with each query, the best k, int64, `queries x k`."""
        import torch

        found = []
        for start in range(0, len(queries), _QUERIES):
            some = queries[start : start + _QUERIES]
            # Products of one fixed shape: kernels choose their summation order by shape.
            full = torch.cat([some, some[-1:].expand(_QUERIES - len(some), -1)])
            found.append((full @ corpus.T)[: len(some)].topk(self.k).indices.cpu().numpy())
        return np.concatenate(found)


def _texts(what: str, where: Where) -> dict[str, str]:
    """Id -> title and text."""
    columns = read_columns(what, where, ["text"], ["_id", "id", "title"]).values
    names: Sequence[Any] | None = columns.get("_id", columns.get("id"))
    if names is None:
        raise InputError(f"{what} has no column '_id'; add one, by which the judgements name it")
    titles = columns.get("title", [""] * len(names))
    pairs = zip(titles, columns["text"], strict=True)
    return dict(zip(map(str, names), (f"{title or ''} {text}".strip() for title, text in pairs), strict=True))
