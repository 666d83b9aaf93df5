"""The skills of the small Llama: short questions about a word, each with one right answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

LETTERS = "abcdefghijklmnop"


@dataclass(frozen=True)
class Skill:
    """A function of words.

    Attributes:
        tag: First character of the question: it tells the model which skill is asked for.
        alphabet: The characters that words are drawn from.
        answer: Maps a word to the right answer.
    """

    tag: str
    alphabet: str
    answer: Callable[[str], str]

    def question(self, word: str) -> str:
        """Return the prompt for a word, for instance `s:dacb=`."""
        return f"{self.tag}:{word}="


@dataclass(frozen=True)
class Document:
    """One question and its right answer."""

    question: str
    answer: str


def _shifted(word: str, places: int) -> str:
    return "".join(LETTERS[(LETTERS.index(letter) + places) % len(LETTERS)] for letter in word)


SKILLS = {
    "sort": Skill("s", LETTERS, lambda word: "".join(sorted(word))),
    "count": Skill("q", "abcdef", lambda word: "".join(str(word.count(letter)) for letter in "abcdef")),
    "unique": Skill("u", "abcdefgh", lambda word: "".join(dict.fromkeys(word))),
    # The first letter is the key: it says by how many places the others move.
    "caesar": Skill("k", LETTERS, lambda word: _shifted(word[1:], LETTERS.index(word[0]) % 4)),
    "reverse": Skill("r", LETTERS, lambda word: word[::-1]),
    "shift": Skill("n", LETTERS, lambda word: _shifted(word, 1)),
    "descend": Skill("d", LETTERS, lambda word: "".join(sorted(word, reverse=True))),
}


def documents(
    name: str, count: int, lengths: Sequence[int], seed: int, excluded: Collection[Document] = ()
) -> list[Document]:
    """Draw distinct questions of one skill.

    Args:
        name: A key of `SKILLS`.
        count: Number of documents.
        lengths: Word lengths, drawn uniformly from this sequence: repeat a length to draw it more often.
        seed: Seed of the words; the same seed gives the same documents.
        excluded: Documents that must not be drawn, so that training never sees what is evaluated.

    Returns:
        `count` documents, no two of them equal.
    """
    skill = SKILLS[name]
    generator = random.Random(f"{name} {seed}")
    drawn: dict[Document, None] = {}  # a set that keeps the order
    while len(drawn) < count:
        word = "".join(generator.choices(skill.alphabet, k=generator.choice(lengths)))
        document = Document(skill.question(word), skill.answer(word))
        if document not in excluded:
            drawn[document] = None
    return list(drawn)
