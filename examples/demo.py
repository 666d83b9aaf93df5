"""The main job from beginning to end: train the zoo, search it, export a merged model, and generate with it.

Every step is a command that you could type. A second call finds what the first one made: nothing is trained or
evaluated twice.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers import logging as transformers_logging

RUN = Path("mergesearch-runs/zoo-llama")
MERGED = Path("merged/zoo-llama")


def main() -> None:
    """Run the steps from the repository's root."""
    step("Train the zoo: a small Llama with four experts, digit classifiers, two training runs")
    command(sys.executable, "examples/zoo/train.py", "--out", "zoo")
    step("Check the configuration, then search")
    command("mergesearch", "validate", "examples/llama.yaml")
    command("mergesearch", "run", "examples/llama.yaml")
    step("Export the best trial, and load it again with transformers")
    number = int(command("mergesearch", "pick", str(RUN), capture=True).split()[-1])
    if exported() != number:
        command("rm", "-rf", str(MERGED))
        command("mergesearch", "export", str(RUN), str(MERGED), "--trial", str(number))
    generate()


def step(title: str) -> None:
    """Print a heading."""
    sys.stdout.write(f"\n=== {title}\n")
    sys.stdout.flush()


def command(program: str, *arguments: str, capture: bool = False) -> str:
    """Show a command, run it, and stop the demo where it fails."""
    shown = "python" if program == sys.executable else program
    sys.stdout.write(f"$ {shlex.join([shown, *arguments])}\n")
    sys.stdout.flush()
    path = program if program in ("rm", sys.executable) else str(Path(sys.executable).with_name(program))
    done = subprocess.run([path, *arguments], text=True, stdout=subprocess.PIPE if capture else None, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout or ""


def exported() -> int | None:
    """The trial that the merged model came from; None where there is no merged model yet."""
    recipe = MERGED / "mergesearch.json"
    return int(json.loads(recipe.read_text(encoding="utf-8"))["trial"]) if recipe.is_file() else None


def generate() -> None:
    """Let the merged model answer the first question of every task."""
    transformers_logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(MERGED)
    model = AutoModelForCausalLM.from_pretrained(MERGED)
    for path in sorted(Path("zoo/llama/tasks").glob("*.jsonl")):
        question = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
        prompt = question["question"]
        inputs = tokenizer(prompt, return_tensors="pt")
        output = model.generate(**inputs, max_new_tokens=12, do_sample=False)
        answer = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        sys.stdout.write(f"{path.stem:>12}: {prompt!r} -> {answer!r} (wanted {question['answer']!r})\n")


if __name__ == "__main__":
    main()
