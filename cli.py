"""The command line: one command per intention. Heavy libraries are imported when a command needs them."""

from __future__ import annotations

import importlib.metadata
import logging
import math
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from .errors import InputError, MergesearchError

if TYPE_CHECKING:
    import pandas as pd

    from .runs.api import Run

app = typer.Typer(
    help="Finds the coefficients with which to average fine-tuned models.",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()
errors = Console(stderr=True)
_debug = False
_ROWS = 12  # of the front that the terminal shows; front.csv and the report have them all

ConfigPath = Annotated[Path, typer.Argument(help="Configuration in YAML, as `init` writes it.", metavar="CONFIG")]
RunPath = Annotated[Path, typer.Argument(help="Run folder, such as mergesearch-runs/search.", metavar="RUN")]
Trial = Annotated[int | None, typer.Option(help="Number of the trial; the best one where left out.")]
Weights = Annotated[list[str] | None, typer.Option("--weight", help="task/metric=number; repeat for more.")]
Floors = Annotated[list[str] | None, typer.Option("--floor", help="task/metric=value to keep; repeat for more.")]


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    global _debug
    _debug = debug
    if version:
        console.print(importlib.metadata.version("mergesearch"), highlight=False)
        raise typer.Exit
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr, force=True)


@app.command()
def init(
    models: Annotated[list[str], typer.Argument(help="The base first, then the members; globs are welcome.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("search.yaml"),
    name: Annotated[str, typer.Option(help="Name of the run.")] = "search",
) -> None:
    """Write a commented configuration for these models."""
    from .runs.template import write_template

    write_template(out, models, name)
    console.print(f"wrote {out}; name your tasks in it, then: mergesearch validate {out}", soft_wrap=True)


@app.command()
def validate(config: ConfigPath) -> None:
    """Check a configuration, its models and its tasks, without evaluating anything."""
    from .runs.config import load_config
    from .runs.session import open_session

    session = open_session(load_config(config))
    plan = session.plan()
    console.print(f"members:    {', '.join(plan.members)}", soft_wrap=True, highlight=False)
    console.print(f"space:      {len(plan.groups)} groups, {len(plan.coordinates)} dimensions", highlight=False)
    console.print(f"objectives: {', '.join(plan.objectives.names)}", soft_wrap=True, highlight=False)
    console.print(f"samples:    {plan.sample_counts}", soft_wrap=True, highlight=False)
    console.print(f"racing:     {session.race.summary}", soft_wrap=True, highlight=False)
    console.print(f"baselines:  {', '.join(plan.baselines)}", soft_wrap=True, highlight=False)
    if plan.choice:
        console.print(plan.choice, soft_wrap=True, highlight=False, markup=False)
    if session.models.place:
        console.print(session.models.place, soft_wrap=True, highlight=False, markup=False)
    gigabytes = session.bench.live.bank.bytes / 1e9
    console.print(f"{config} is valid; base and deltas take {gigabytes:.3f} GB", soft_wrap=True, highlight=False)


@app.command()
def run(config: ConfigPath) -> None:
    """Start a run, or resume it where it stopped. Ctrl-C stops it cleanly."""
    from .runs.api import run as start
    from .runs.config import load_config
    from .runs.report.progress import TerminalProgress

    loaded = load_config(config)
    for stop in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs with SIGINT ignored
        signal.signal(stop, signal.default_int_handler)
    try:
        with TerminalProgress(loaded, console) as progress:
            result = start(loaded, progress)
    except KeyboardInterrupt:
        errors.print(f"stopped; nothing finished is lost. Resume with: mergesearch run {config}", soft_wrap=True)
        raise typer.Exit(130) from None
    _show_front(result)
    console.print(f"report: {result.folder.report}", soft_wrap=True, highlight=False)


@app.command()
def status(folder: RunPath) -> None:
    """Show how far a run is, and its best trials so far."""
    from .runs.api import Run

    opened = Run(folder)
    failed = sum(not record.complete for record in opened.records)
    count = f"{len(opened.records)} of {opened.config.budget.trials} trials, {failed} failed"
    console.print(f"{count}; {opened.state}", highlight=False)
    if opened.plan.choice:
        console.print(opened.plan.choice, soft_wrap=True, highlight=False, markup=False)
    _show_front(opened)


@app.command()
def report(folder: RunPath) -> None:
    """Write tables (CSV) and report (HTML) anew."""
    from .runs.api import Run

    opened = Run(folder)
    opened.write_tables()
    for path in (opened.folder.trials, opened.folder.front, opened.folder.report):
        console.print(str(path), soft_wrap=True, highlight=False)


@app.command()
def pick(folder: RunPath, weight: Weights = None, floor: Floors = None) -> None:
    """Print the number of the best trial by weights, among those that keep the floors."""
    from .runs.api import Run

    opened = Run(folder)
    number = opened.pick(_numbers("--weight", weight), _numbers("--floor", floor))
    console.print(_table(opened.trials[opened.trials["trial"] == number], opened))
    sys.stdout.write(f"{number}\n")


@app.command()
def export(
    folder: RunPath,
    destination: Annotated[Path, typer.Argument(help="Folder to create.")],
    trial: Trial = None,
    weight: Weights = None,
    floor: Floors = None,
) -> None:
    """Write a trial's merged model, with configuration, tokenizer and recipe."""
    from .runs.api import Run

    if trial is not None and (weight or floor):
        raise InputError("--trial names the trial already; leave out --weight and --floor, or --trial")
    opened = Run(folder)
    number = opened.pick(_numbers("--weight", weight), _numbers("--floor", floor)) if trial is None else trial
    opened.export(destination, number)
    console.print(f"wrote trial {number} to {destination}", soft_wrap=True, highlight=False)


@app.command()
def answers(
    model: Annotated[str, typer.Argument(help="Whose answers: a model's folder; with --base, also an adapter.")],
    prompts: Annotated[Path, typer.Option(help="A prompt per line, or JSON lines (.jsonl) with `prompt`.")],
    out: Annotated[Path, typer.Option(help="JSON lines to write, for an evaluator of kind answers.")],
    base: Annotated[str | None, typer.Option(help="What an adapter was trained from.")] = None,
    samples: Annotated[int, typer.Option(help="Answers per prompt.")] = 4,
    max_new_tokens: Annotated[int, typer.Option(help="After which an answer is cut off.")] = 128,
    temperature: Annotated[float, typer.Option(help="1: as the model is; 0: the likeliest tokens.")] = 1.0,
    batch_size: Annotated[int, typer.Option(help="Prompts per call of the model.")] = 16,
    chat: Annotated[bool, typer.Option("--chat", help="Put prompts into the tokenizer's chat template.")] = False,
    reward: Annotated[str | None, typer.Option(help="file.py:function, called as function(prompt, response).")] = None,
    least: Annotated[float | None, typer.Option(help="Keep answers of at least this reward.")] = None,
    best: Annotated[int | None, typer.Option(help="Keep at most so many, of the highest rewards.")] = None,
    pick: Annotated[int | None, typer.Option(help="Keep at most so many of those, at random.")] = None,
    seed: Annotated[int, typer.Option(help="All random numbers follow from it.")] = 0,
) -> None:
    """Let a model answer prompts, and write its answers for the evaluator `answers`."""
    from .runs.answering import Choice, Sampling, write_model_answers

    sampling = Sampling(samples, seed, max_new_tokens, temperature, batch_size, chat)
    written, drawn = write_model_answers(model, prompts, out, sampling, Choice(reward, least, best, pick), base)
    console.print(f"wrote {written} of {drawn} answers to {out}", soft_wrap=True, highlight=False)


def main() -> None:
    """Run the command line; errors that are the user's to mend are one line and exit code 2."""
    try:
        app()
    except MergesearchError as error:
        if _debug:
            raise
        errors.print(f"error: {error}", style="red", soft_wrap=True, highlight=False, markup=False)
        sys.exit(2)


def _numbers(option: str, given: list[str] | None) -> dict[str, float] | None:
    if not given:
        return None
    pairs = {}
    for text in given:
        name, equals, number = text.rpartition("=")
        try:
            pairs[name] = float(number)
        except ValueError:
            equals = ""
        if not equals or not math.isfinite(pairs[name]):
            raise InputError(f"{option} {text!r} is not understood; write it as task/metric=number")
    return pairs


def _show_front(opened: Run) -> None:
    from .runs.report.remarks import remarks
    from .runs.report.tables import baseline_rows
    from .runs.report.terminal import legend

    if not any(record.complete for record in opened.records):
        return
    front, baselines = opened.front, baseline_rows(opened.trials, opened.plan, opened.results)
    count = f"{len(front)} {'trial' if len(front) == 1 else 'trials'}"
    console.print(_table(front.head(_ROWS), opened, f"Front, best searched mean first ({count})"))
    console.print(_table(baselines, opened, "Baselines"))
    console.print(legend(front, opened.plan), style="dim", soft_wrap=True, highlight=False, markup=False)
    for line in (opened.verdict, *remarks(opened.plan, opened.trials, opened.results)):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _table(rows: pd.DataFrame, opened: Run, title: str | None = None) -> object:
    from .runs.report.reading import glance
    from .runs.report.terminal import fitted

    return fitted(glance(rows, opened.plan, len(opened.front)), console, title)
