"""Early stops of generations: a stop text is seen whatever tokens it comes in, and ends a row for good."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mergesearch.evaluators._lm_eval.stops import StopTexts, settled


def merging_tokenizer() -> Any:
    """Of four letters, of which some pairs are one token."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    pairs = [("a", "b"), ("x", "a"), ("b", "y")]
    vocabulary = {token: number for number, token in enumerate([*"abxy", *map("".join, pairs)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def test_a_stop_text_under_way_may_take_the_end_of_one_that_came() -> None:
    """`ab` has come, but of `aba` a cut at `ba` leaves `a`, in which there is no `ab` any more."""
    assert not settled("ab", ["ba", "ab"])
    assert settled("abx", ["ba", "ab"])
    assert settled("ab", ["ab"])
    assert not settled("a", ["ab"])


@pytest.mark.parametrize(("stop", "answer", "ends"), [("abc", "xxabcx", 5), ("\n\n", "a\n\n\n", 3), ("x", "xa", 1)])
def test_a_row_is_done_with_the_last_token_of_its_stop_text(stop: str, answer: str, ends: int, tokenizer: Any) -> None:
    """Of a token for each letter, behind two columns of a prompt that has the stop text itself."""
    tokens = torch.tensor([tokenizer.encode(stop[:1] * 2 + answer, add_special_tokens=False)])
    criterion = StopTexts(tokenizer, [stop], 2)
    done = [bool(criterion(tokens[:, : 2 + length], None)[0]) for length in range(1, ends + 1)]
    assert done == [False] * (ends - 1) + [True]


def test_a_stop_text_may_begin_and_end_within_tokens() -> None:
    tokenizer = merging_tokenizer()
    first, last, one = (tokenizer.convert_tokens_to_ids(token) for token in ("xa", "by", "ab"))
    assert tokenizer.encode("ab") == [one]
    criterion = StopTexts(tokenizer, ["ab"], 0)
    assert criterion(torch.tensor([[first]]), None).tolist() == [False]
    assert criterion(torch.tensor([[first, last]]), None).tolist() == [True]


def test_rows_that_are_kept_go_on_as_they_were(tokenizer: Any) -> None:
    """Of three rows the first is done; of the others the last has a stop text, while another one is under way."""
    texts = ["ab-", "---", "-ab"]
    rows = torch.tensor([tokenizer.encode(text, add_special_tokens=False) for text in texts])
    criterion = StopTexts(tokenizer, ["ba", "ab"], 0)
    assert criterion(rows, None).tolist() == [True, False, False]
    criterion.keep([2, 1])
    further = torch.tensor([tokenizer.encode(text, add_special_tokens=False) for text in ("-ab----", "-------")])
    assert criterion(further, None).tolist() == [True, False], "the stop text lies far back by now"
