"""A tokenizer of one token per UTF-8 byte, built in memory: every text survives encode and decode."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"


def byte_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    """Build the byte-level tokenizer, which puts BOS in front of what it encodes.

    Args:
        max_length: Longest sequence, in tokens, that the model accepts.

    Returns:
        A fast tokenizer of 259 tokens: PAD (0), BOS (1), EOS (2) and the 256 bytes.
    """
    symbols = [PAD, BOS, EOS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {symbol: index for index, symbol in enumerate(symbols)}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, vocabulary[BOS])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
