"""lm-eval tasks: found by name, group or file, loaded once, and named the way that a configuration wants."""

from __future__ import annotations

import contextlib
import difflib
import io
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError
from .._digest import digest

_FEWSHOT_SEED = 1234  # lm-eval's default
# What the documents say already, or where they came from, which does not change a score.
_NOT_CONTENT = ("dataset_path", "dataset_name", "dataset_kwargs", "metadata")


@dataclass(frozen=True)
class LoadedTask:
    """One task of lm-eval without its groups.

    Attributes:
        task: the library's task object.
        documents: number of documents used, from the first on.
        columns: metric name -> (lm-eval's metric, its filter); the first filter's metrics go by their plain name
            (`exact_match`), those of further filters carry its name (`exact_match@strict-match`).
    """

    task: Any
    documents: int
    columns: dict[str, tuple[str, str]]

    def directions(self) -> dict[str, bool]:
        """Metric name -> whether higher is better; True where the task does not say."""
        known = self.task.higher_is_better()
        return {name: known[metric] is not False for name, (metric, _) in self.columns.items()}

    def fingerprint(self) -> str:
        """Hash of the task's configuration, with the code it names, and of its documents."""
        config = self.task.config.to_dict(keep_callable=True)
        content = {key: value for key, value in config.items() if key not in _NOT_CONTENT}
        shots = list(self.task.fewshot_docs() or []) if config.get("num_fewshot") else []
        documents = [dict(document) for _, document in self.task.doc_iterator(limit=self.documents)]
        return digest(content, documents, shots)


def load_tasks(
    names: Sequence[str], include_path: str | None, num_fewshot: int | None, limit: int | None
) -> dict[str, LoadedTask]:
    """Load tasks by name, with groups and tags expanded: task name -> task.

    Args:
        names: names of tasks, groups or tags, or paths of `.yaml` or `.json` task files.
        include_path: folder of further task files, which win over lm-eval's own; None for none.
        num_fewshot: examples in the prompt; None for the task's own number. A task that fixes 0 keeps 0.
        limit: documents to use of each task; None for all.

    Raises:
        InputError: an unknown name, or a task that cannot be loaded or scored here.
    """
    manager, wanted = _resolved(names, include_path)
    try:
        found = manager.load(wanted)["tasks"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # Whatever a task file gets wrong surfaces here as one of these, from the depths of two libraries.
        raise InputError(f"tasks {', '.join(names)} cannot be loaded: {type(error).__name__}: {error}") from error
    except (StopIteration, IndexError) as error:  # both libraries take a first document for granted
        raise InputError(f"tasks {', '.join(names)}: one has no documents; give it some, or leave it out") from error
    return {name: _loaded(name, task, num_fewshot, limit) for name, task in found.items()}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let lm-eval log errors only, and keep its progress bars off the standard error stream."""
    logger = logging.getLogger("lm_eval")
    level, own = logger.level, None if logger.hasHandlers() else logging.StreamHandler(sys.stderr)
    if own is not None:  # else errors would follow the progress bars
        logger.addHandler(own)
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
        if own is not None:
            logger.removeHandler(own)


def _resolved(names: Sequence[str], include_path: str | None) -> tuple[Any, list[str]]:
    """A manager that knows all the names, and the names as it wants them.

    Reading lm-eval's own fourteen thousand tasks takes seconds, so that is done only where a name needs it.
    """
    from lm_eval.tasks import TaskManager

    if include_path is not None and not Path(include_path).is_dir():
        raise InputError(f"include_path = '{include_path}' is no folder; give the one that holds the task files")
    wanted = [_as_file(name, include_path) for name in names]
    manager = TaskManager(include_path=include_path, include_defaults=False)
    if not all(name in manager.all_subtasks or Path(name).is_file() for name in wanted):
        manager = TaskManager(include_path=include_path)
    for name in wanted:
        if name not in manager.task_index and not Path(name).is_file():
            near = difflib.get_close_matches(name, manager.all_tasks, n=5, cutoff=0.5)
            hint = f"did you mean {', '.join(near)}?" if near else "`lm_eval ls tasks` lists all names"
            raise InputError(f"lm-eval has no task '{name}'; {hint}")
    return manager, wanted


def _as_file(name: str, include_path: str | None) -> str:
    """The path of a task file where `name` is one, or is that of a `.json` file, which lm-eval does not index."""
    if Path(name).suffix in (".yaml", ".yml", ".json"):
        if not Path(name).is_file():
            raise InputError(f"no task file '{name}'; check the path, which is relative to the current folder")
        return name
    beside = Path(include_path or "", f"{name}.json")
    return str(beside) if include_path is not None and beside.is_file() else name


def _loaded(name: str, task: Any, num_fewshot: int | None, limit: int | None) -> LoadedTask:
    for flag, reason in (("UNSAFE_CODE", "runs code that a model wrote"), ("MULTIMODAL", "asks for more than text")):
        if getattr(task, flag, False):
            raise InputError(f"task '{name}' {reason}, which this evaluator does not do; leave it out")
    own = task.get_config("num_fewshot")
    if own is None or (num_fewshot is not None and own != 0):
        task.set_config(key="num_fewshot", value=num_fewshot or 0)
    task.set_fewshot_seed(seed=_FEWSHOT_SEED)
    columns = _columns(task)
    count = len(task.eval_docs)
    if count == 0:
        raise InputError(f"task '{name}' has no documents; give it some, or leave it out")
    return LoadedTask(task, count if limit is None else min(count, limit), columns)


def _columns(task: Any) -> dict[str, tuple[str, str]]:
    """Metric name -> (lm-eval's metric, its filter); see `LoadedTask.columns`."""
    filters = [one["name"] for one in task.get_config("filter_list") or [{"name": "none"}]]
    return {
        metric if position == 0 else f"{metric}@{one}": (metric, one)
        for position, one in enumerate(filters)
        for metric in task.higher_is_better()
    }
