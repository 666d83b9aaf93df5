"""Generative models: Fréchet distance over any feature extractor, precision and recall of the generated samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, TrialError, nearest
from ..plugins import call_user, load_object
from ._digest import digest
from ._images.array_cache import default_folder
from ._images.extractor import Extractor
from ._images.generation import Generation
from ._images.manifold import precision, recall
from ._images.reference import Reference, reference_of
from ._options import at_least, chosen
from ._scoring import device_of, undisturbed
from .evaluator import Evaluator, IntArray, Scores
from .statistics.scores import MetricScores

_METRICS = {"frechet": False, "precision": True, "recall": True}
_FUNCTIONS = ("generator", "reference", "extractor")


class FrechetEvaluator(Evaluator):
    """Compares what a model generates with real images, in the space of a feature extractor.

    The task is called like the evaluator; a sample is one generated image. Its noise, label and random numbers follow
    from the seed and its number alone, so that all candidates meet the same ones, whatever the batch size, and
    held-out samples are other noise. `frechet` and `recall` are of all samples together; `precision` has a value each.
    """

    def __init__(
        self,
        name: str,
        generator: str,
        samples: int,
        shape: Sequence[int],
        reference: str,
        extractor: str,
        metrics: Sequence[str] = ("frechet",),
        arguments: Mapping[str, Mapping[str, Any]] | None = None,
        classes: int | None = None,
        neighbours: int = 3,
        seed: int = 0,
        batch_size: int = 64,
        cache: str | None = None,
    ) -> None:
        """Check the options; nothing is loaded yet.

        Args:
            name: the evaluator's name, and its task's.
            generator: `path.py:function` or `module:function`, called as `function(model, noise, **arguments)` with
                standard normal noise, float32, `batch_size x shape`, on the model's device; returns a tensor of as many
                images. If it has a parameter `labels`, it gets a class for each (int64); if `generators`, a
                torch.Generator for each, on the CPU, from which noise of further steps must be drawn.
            samples: how many images can be generated.
            shape: of one sample's noise.
            reference: function that returns the real images, a tensor or a map-style dataset (of images, or of tuples
                that begin with one); or a `.npz` file of their features' mean `mu` and covariance `sigma`.
            extractor: function that returns a torch.nn.Module, or another function of a batch of images, that gives a
                row of features per image.
            metrics: `frechet`, `precision`, `recall`.
            arguments: keyword arguments for the functions: `{generator: {...}, reference: {...}, extractor: {...}}`.
            classes: number of classes; sample i is of class i modulo `classes`.
            neighbours: k, for precision and recall.
            seed: of all noise.
            batch_size: images per call of the generator.
            cache: folder that keeps the reference's features between runs; default: in the user's cache folder.

        Raises:
            InputError: no such function, an unknown metric, a number out of range, or labels without classes.
        """
        super().__init__(name)
        self._metrics = chosen(name, metrics, _METRICS)
        at_least(1, name, samples=samples, neighbours=neighbours, batch_size=batch_size)
        at_least(1, name, classes=classes, shape=min(shape, default=1))
        at_least(0, name, seed=seed)
        for key in arguments or {}:
            if key not in _FUNCTIONS:
                raise InputError(f"evaluator '{name}' has no arguments for '{key}'; {nearest(key, _FUNCTIONS)}")
        own = {key: dict((arguments or {}).get(key, {})) for key in _FUNCTIONS}
        function = load_object(generator)
        if classes is None and "labels" in signature(function).parameters:
            raise InputError(f"evaluator '{name}': {generator} wants labels; give the number of classes")
        self._samples, self._neighbours = samples, neighbours
        self._generation = Generation(function, tuple(shape), seed, classes, batch_size, own["generator"])
        self._extractor = Extractor(extractor, own["extractor"])
        self._source = reference_of(reference, own["reference"], Path(cache) if cache else default_folder())
        self._reference: Reference | None = None

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Compute the reference's features, or read them from the cache, and generate one batch to see that they fit.

        Raises:
            InputError: a function failed, or features of generated and of real images differ in number.
        """
        with undisturbed(model):
            neighbours = self._neighbours if {"precision", "recall"} & set(self._metrics) else None
            what, device = f"evaluator '{self.name}'", device_of(model)
            reference: Reference = call_user(
                what, self._source.open, extractor=self._extractor, device=device, neighbours=neighbours
            )
            if model is not None:
                rows = np.arange(min(self._generation.batch_size, self._samples))
                found = call_user(what, self._features, model=model, rows=rows)
                reference.require_width(found.shape[1])
        self._reference = reference

    def tasks(self) -> dict[str, int]:
        """The evaluator's name -> number of images."""
        return {self.name: self._samples}

    def metrics(self) -> dict[str, dict[str, bool]]:
        """The evaluator's name -> metric -> whether higher is better."""
        return {self.name: dict(self._metrics)}

    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        """Generate the samples once, and compare them with the real images.

        Raises:
            TrialError: features that are not finite.
        """
        rows = np.asarray(samples[self.name], dtype=np.int64)
        with undisturbed(model):
            features = self._features(model, rows)
            bad = int((~features.isfinite().all(dim=1)).sum())
            if bad:
                raise TrialError(f"task '{self.name}': the features of {bad} of {len(rows)} images are not finite")
            return {self.name: {metric: self._score(metric, features) for metric in self._metrics}}

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of the options, the functions' source, the extractor's weights and the real images."""
        return digest(
            "frechet",
            vars(self._generation),
            list(self._metrics),
            self._neighbours,
            self._extractor.fingerprint,
            self._source.fingerprint,
        )

    def _features(self, model: Any, rows: IntArray) -> Any:
        return self._extractor.features(self._generation.batches(model, rows), device_of(model))

    def _score(self, metric: str, features: Any) -> MetricScores:
        reference = self._reference
        if reference is None:
            raise InputError(f"evaluator '{self.name}' compares with reference images; call prepare first")
        if metric == "frechet":
            return reference.distance.scores(features.cpu().numpy())
        points = reference.centred(features)
        if metric == "precision":
            return precision(points, reference.points, reference.reach)
        return recall(points, reference.points, self._neighbours)
