"""Cutting a long text short before it is tokenized, with the same tokens as from the whole text.

Truncation bounds what a model reads, not what its tokenizer reads. A `Clipper` finds a prefix whose
first `max_length` tokens have the ids and offsets that they have in the whole text. It tokenizes a
prefix and accepts it if what is behind the cut can't reach those tokens; else it tries a longer
one. What it can't decide it leaves whole: slow, never wrong.

How far the text behind a cut reaches, in the three steps of byte-level BPE:

1. Added tokens are found first, from left to right. If no added token's text lies across the cut,
   the prefix has those of the whole text. Only whitespace before an `lstrip` token belongs to it
   too: the cut must not be in or behind whitespace that such a token follows. A cut that meets
   both conditions is clean.
2. GPT-2's pattern then splits the text between added tokens, from left to right. Whether a
   pre-token ends at t depends on the characters up to t + 1 alone. So pre-tokens that end at least
   two characters before a clean cut are those of the whole text.
3. BPE works inside a pre-token. Rank by rank it merges the pairs of that rank, from left to right
   (the queue of `tokenizers` is ordered by rank, then position, and what a merge makes has
   merges of higher ranks only). Take two pre-tokens with the same first K bytes that differ
   from then on. Let their frontier be the last boundary before which they are segmented alike, at
   first K. It moves only if a token A that ends there is merged with a token B behind it. The
   tokens behind the frontier differ, so this happens in one of the two, and the frontier moves to
   the start of A. Behind it the one has a token that began as A and B merged, the other has A,
   or a token that began as A and went on otherwise. Each token is made by one merge, so these
   differ from now on, and the next move is like the first, at a higher rank. All moves form a
   chain of merges (A1, B1), (A2, B2), ... of rising rank, where B(i + 1) began as A(i): just before
   merge i, A(i) is what its leftmost part has grown to. The greatest sum of the lengths of A1, A2,
   ... over all chains is `right_context`: a token that ends so many bytes before K is the same in
   both.

The third step needs a vocabulary in which each token is made by one merge, of tokens made before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cached_property

import tokenizers
from tokenizers import models, pre_tokenizers

# Characters per token of the first prefix and the factor to the next. English has 4 to 5. The third
# prefix has 72, more than the longest token of RoBERTa's vocabulary (65).
_FIRST = 8
_GROWTH = 3
# A pre-token that ends this many characters before a clean cut can't see it.
_LOOKAHEAD = 2
_CHUNK = 1 << 16


class Clipper:
    """Clips texts for a tokenizer that keeps their first `max_length` tokens."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, max_length: int) -> None:
        """Hold the tokenizer, which must not be changed any more. Nothing is computed yet.

        Args:
            tokenizer: one that truncates to `max_length` tokens or not at all.
            max_length: how many tokens are kept at most, special tokens included.
        """
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._short = _FIRST * max_length

    def clip(self, text: str) -> str:
        """Return a prefix of a text that has the same first `max_length` tokens.

        A text of up to 8 * `max_length` characters is returned as it is, unread.

        Raises:
            UnicodeEncodeError: the part that had to be read holds a lone surrogate.
        """
        if len(text) <= self._short or not self._is_supported:
            return text
        for cut in self._clean_cuts(text, self._short):
            enough = self._enough(text[:cut])
            if enough is not None:
                shorter = (place for place in self._clean_cuts(text, enough) if place >= enough)
                return text[: min(next(shorter, cut), cut)]
        return text

    def clip_pair(self, first: str, second: str) -> tuple[str, str]:
        """Return prefixes of two texts that are truncated, as a pair, to the same tokens.

        Let a pair have room for r tokens. Which tokens of a side are kept depends on the length of
        the other, but not on its own once it is at least r, with one exception: if r is odd,
        `longest_first` gives the odd token to the longer side. To know which it is takes
        counting both to the end, so then a pair is left whole.

        Raises:
            UnicodeEncodeError: the part that had to be read holds a lone surrogate.
        """
        if self._compares_lengths:
            return first, second
        return self.clip(first), self.clip(second)

    @cached_property
    def right_context(self) -> int | None:
        """How many bytes to its right a token in one pre-token can depend on.

        None if no bound is known for this vocabulary. It is computed from all merges, when a text
        first needs it: one whose kept tokens end in a pre-token that reaches the cut.
        """
        model = self._tokenizer.model
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        if model.ignore_merges or model.continuing_subword_prefix or model.end_of_word_suffix:
            return None
        if any(model.token_to_id(byte) is None for byte in alphabet):
            return None
        # Decoding the merges alone takes half the time and memory of decoding all. No text of a
        # token looks like their key: its quotes are escaped.
        saved, key = self._tokenizer.to_str(), '"merges":'
        merges, _ = json.JSONDecoder().raw_decode(saved, saved.rindex(f"{key}[") + len(key))
        return right_context(merges, alphabet)

    @cached_property
    def _is_supported(self) -> bool:
        # Whether the proof above covers the tokenizer, its third step aside.
        tokenizer = self._tokenizer
        split, model, truncation = tokenizer.pre_tokenizer, tokenizer.model, tokenizer.truncation
        return (
            tokenizer.normalizer is None
            and isinstance(split, pre_tokenizers.ByteLevel)
            and split.use_regex
            and isinstance(model, models.BPE)
            and not model.dropout
            and not any(
                token.single_word or token.rstrip or any(map(str.isspace, token.content))
                for token in self._added_tokens
            )
            and (
                truncation is None
                or (truncation["direction"] == "right" and truncation["stride"] == 0)
            )
        )

    @cached_property
    def _compares_lengths(self) -> bool:
        truncation = self._tokenizer.truncation
        room = self._max_length - self._tokenizer.num_special_tokens_to_add(True)
        return bool(truncation and truncation["strategy"] == "longest_first" and room % 2)

    @cached_property
    def _added_tokens(self) -> list[tokenizers.AddedToken]:
        return list(self._tokenizer.get_added_tokens_decoder().values())

    def _clean_cuts(self, text: str, start: int) -> Iterator[int]:
        # Rising cuts from about `start`. Where an `lstrip` token follows the whitespace around one,
        # the start of the whitespace and the end of the token are clean.
        cut = self._after_added_tokens(text, start)
        while cut < len(text):
            if text[cut - 1].isspace():
                end = _end_of_whitespace(text, cut)
                follower = self._lstrip_token_at(text, end)
                if follower:
                    yield len(text[:cut].rstrip())
                    cut = self._after_added_tokens(text, end + len(follower))
            if cut < len(text):
                yield cut
            cut = self._after_added_tokens(text, _GROWTH * cut)

    def _after_added_tokens(self, text: str, cut: int) -> int:
        # The first place from `cut` on that lies across no added token's text.
        while True:
            ends = [cut]
            for content in (token.content for token in self._added_tokens):
                size = len(content)
                start = text.find(content, max(0, cut - size + 1), cut + size - 1)
                if start >= 0:
                    ends.append(start + size)
            if max(ends) == cut:
                return cut
            cut = max(ends)

    def _lstrip_token_at(self, text: str, place: int) -> str:
        for token in self._added_tokens:
            if token.lstrip and text.startswith(token.content, place):
                return str(token.content)
        return ""

    def _enough(self, prefix: str) -> int | None:
        # How much of a text is enough, given a prefix up to a clean cut: a prefix up to this place
        # or any clean cut behind it has the kept tokens of the text. None if this prefix has not.
        prefix.encode()  # for tokenizers, a text with a lone surrogate is no string
        encoding = self._tokenizer.encode_batch([prefix], add_special_tokens=False)[0]
        parts = [encoding, *encoding.overflowing]
        words = [word for part in parts for word in part.word_ids]
        starts = [start for part in parts for start, _ in part.offsets]
        kept = self._max_length
        if len(words) <= kept:
            return None
        # A token's end is read off the next start, which `trim_offsets` only moves to the right.
        behind = zip(words[kept:], starts[kept:], strict=True)
        end = next((start for word, start in behind if word != words[kept - 1]), len(prefix))
        if end + _LOOKAHEAD <= len(prefix):
            return end + _LOOKAHEAD
        if self.right_context is None:
            return None
        # A character has at least a byte. The token may end within the next one's first character.
        end = starts[kept] + 1 + self.right_context + _LOOKAHEAD
        return end if end <= len(prefix) else None


def right_context(merges: Iterable[tuple[str, str]], alphabet: Iterable[str]) -> int | None:
    """Return how many bytes to its right the segmentation of byte-level BPE can depend on.

    Args:
        merges: the pairs of tokens to merge, by rank; one character is one byte.
        alphabet: the tokens that no merge makes.

    Returns:
        The bound that the module derives, or None if two merges make the same token, or a merge
        takes a token that none before it makes.
    """
    # By token: how far a chain goes that ends with a merge (A, B), where A is this token or, before
    # the merge that made more of it, one of its left parts.
    reach = dict.fromkeys(alphabet, 0)
    for left, right in merges:
        merged = left + right
        if left not in reach or right not in reach or merged in reach:
            return None
        chain = len(left) + reach[right]
        if chain > reach[left]:
            reach[left] = chain
        reach[merged] = reach[left]
    return max(reach.values())


def _end_of_whitespace(text: str, start: int) -> int:
    # In chunks, as `isspace` is ten times as fast as a pattern. Python counts some control
    # characters as whitespace that tokenizers does not, which only makes a cut more careful.
    for place in range(start, len(text), _CHUNK):
        chunk = text[place : place + _CHUNK]
        if not chunk.isspace():
            return place + len(chunk) - len(chunk.lstrip())
    return len(text)
