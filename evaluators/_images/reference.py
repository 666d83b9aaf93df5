"""What generated images are compared with: the features of real ones, computed once and kept on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from .._digest import digest
from .array_cache import Arrays, cached_arrays
from .extractor import Extractor
from .frechet_distance import FrechetDistance, Gaussian
from .manifold import radii
from .real_images import RealImages

_VERSION = 1  # of the arrays that are kept
_BATCH = 256


@dataclass(frozen=True)
class Reference:
    """Real features, ready to compare with.

    Attributes:
        distance: the Fréchet distance to them.
        points: the features about their mean, float32, `images x features`; None where only statistics are known.
        reach: radius of each point's ball, `images`; None where no manifold is wanted.
    """

    distance: FrechetDistance
    points: Any = None
    reach: Any = None

    def require_width(self, width: int) -> None:
        """Refuse generated features, `width` of them, that are not as many as the real ones.

        Raises:
            InputError: they are not.
        """
        expected = self.distance.reference.mean.size
        if width != expected:
            raise InputError(
                f"generated images have {width} features and real ones {expected}; generate images of the real ones' "
                "shape, or give statistics of this extractor"
            )

    def centred(self, features: Any) -> Any:
        """Features (tensor, `samples x features`) about the real ones' mean: float32 distances are exacter there."""
        return _centred(features, self.distance.reference)


class ImageSource:
    """Real images of a user's function; their features are kept in `folder`, named by what they follow from."""

    def __init__(self, images: RealImages, folder: Path) -> None:
        self._images, self._folder = images, folder

    @property
    def fingerprint(self) -> str:
        """Hash of the images."""
        return self._images.fingerprint

    def open(self, extractor: Extractor, device: Any, neighbours: int | None) -> Reference:
        """The reference on `device`, with radii for so many `neighbours`, if any."""
        import torch

        def features() -> Arrays:
            found = extractor.features(self._images.batches(_BATCH), device).cpu().numpy()
            own = Gaussian.of(found)
            return {"features": found, "mean": own.mean, "covariance": own.covariance}

        key = digest(_VERSION, extractor.fingerprint, self._images.fingerprint)
        kept = cached_arrays(self._folder / f"features-{key}.npz", features)
        distance = FrechetDistance(Gaussian(kept["mean"], kept["covariance"]))
        if neighbours is None:
            return Reference(distance)
        points = _centred(torch.from_numpy(kept["features"]).to(device), distance.reference)
        if neighbours >= len(points):
            raise InputError(f"neighbours = {neighbours} of {len(points)} real images; give fewer, or more images")
        path = self._folder / f"radii-{key}-{neighbours}.npz"
        reach = cached_arrays(path, lambda: {"radii": radii(points, neighbours).cpu().numpy()})["radii"]
        return Reference(distance, points, torch.from_numpy(reach).to(device))


class StatisticsFile:
    """Mean `mu` and covariance `sigma` of real features in a `.npz` file, as FID's tools exchange them."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"no file '{path}'; give a .npz file with mu and sigma, or a function that returns images")
        self._path = path

    @property
    def fingerprint(self) -> str:
        """Hash of the file's bytes."""
        return digest(self._path.read_bytes())

    def open(self, extractor: Extractor, device: Any, neighbours: int | None) -> Reference:
        """The reference; it has no points.

        Raises:
            InputError: the file lacks an array, or points are wanted.
        """
        with np.load(self._path, allow_pickle=False) as file:
            if not {"mu", "sigma"} <= set(file):
                raise InputError(f"'{self._path}' has {', '.join(file) or 'no arrays'}; it must have mu and sigma")
            gaussian = Gaussian(*(np.asarray(file[name], dtype=np.float64) for name in ("mu", "sigma")))
        if neighbours is not None:
            raise InputError(f"precision and recall need real images, and '{self._path}' has their statistics alone")
        return Reference(FrechetDistance(gaussian))


def reference_of(reference: str, arguments: Mapping[str, Any], folder: Path) -> ImageSource | StatisticsFile:
    """What the option names: a `.npz` file, or a function that returns images.

    Raises:
        InputError: there is no such file or function.
    """
    if reference.endswith(".npz"):
        return StatisticsFile(Path(reference).expanduser())
    return ImageSource(RealImages(reference, arguments), folder)


def _centred(features: Any, about: Gaussian) -> Any:
    import torch

    return features - torch.from_numpy(about.mean.astype(np.float32)).to(features.device)
