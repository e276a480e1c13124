"""The first tokens of a clipped text are those of the whole text. Both are tokenized to see it."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers

from distilroberta.runtime.tasks.clipping import Clipper, right_context

MAX_LENGTH = 16
SHORT = 8 * MAX_LENGTH  # characters that are never clipped

# Clips a text and asserts that its tokens are those of the whole text. Returns what is left.
Check = Callable[..., str]

RANDOM = random.Random(0)  # noqa: S311
FAMILY = "\N{WOMAN}\u200d\N{WOMAN}\u200d\N{GIRL}\u200d\N{BOY}"
HAN = "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出"
BASE64 = "".join(RANDOM.choices("ABCDEFGHIJKLMabcdefghijklm0123456789+/", k=1500))
# Texts of one pre-token, or nearly.
GIANTS = {
    "a": "a" * 1500,
    "letters": "".join(RANDOM.choices("etaoinshrdlu", k=1500)),
    "dashes": "-" * 4096,
    "dots": "." * 4096,
    "digits": "0123456789" * 150,
    "spaces": " " * 1500,
    "newlines": "\n" * 1500,
    "mixed whitespace": " \n\t\u00a0\u3000\x1c" * 250,
    "Han": HAN * 50,
    "Arabic": "\u0627\u0644\u0633\u0644\u0627\u0645\u0639\u0644\u064a\u0643\u0645" * 140,
    "base64": BASE64,
    "emoji": FAMILY * 200,
    "combining marks": "e" + "\u0301" * 1500,
    "twice decoded": "\u00c3\u0083\u00c2\u0082" * 400,
    "apostrophes": "'" * 1500,
}
SPECIAL = ("<s>", "</s>", "<pad>", "<unk>", "<mask>")


@pytest.fixture(scope="module", params=["mini", "reality"])
def path(request: pytest.FixtureRequest) -> Path:
    """The tokenizer of the bundled checkpoint, and RoBERTa's."""
    folder: Path = request.getfixturevalue(request.param)
    return folder / ("tokenizer" if request.param == "reality" else "") / "tokenizer.json"


@pytest.fixture(scope="module")
def make_tokenizer(path: Path) -> Callable[..., tokenizers.Tokenizer]:
    """Make a tokenizer that truncates to `max_length`."""

    @cache
    def make(max_length: int = MAX_LENGTH, strategy: str = "longest_first") -> Any:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
        tokenizer.enable_truncation(max_length, strategy=strategy)
        return tokenizer

    return make


@pytest.fixture
def draw() -> random.Random:
    """The same random choices in every test."""
    return random.Random(0)  # noqa: S311


@pytest.fixture(scope="module")
def check(make_tokenizer: Callable[..., tokenizers.Tokenizer]) -> Check:
    """Compare the tokens of a clipped text with those of the whole text."""

    @cache
    def clipper(max_length: int) -> Clipper:
        return Clipper(make_tokenizer(max_length), max_length)

    def run(text: str, max_length: int = MAX_LENGTH) -> str:
        clipped = clipper(max_length).clip(text)
        assert text.startswith(clipped)
        _assert_same(make_tokenizer(max_length), [text], [clipped])
        return clipped

    return run


def _assert_same(tokenizer: tokenizers.Tokenizer, whole: list[Any], clipped: list[Any]) -> None:
    for special in (True, False):
        expected = tokenizer.encode_batch(whole, add_special_tokens=special)
        found = tokenizer.encode_batch(clipped, add_special_tokens=special)
        for one, other in zip(expected, found, strict=True):
            assert one.ids == other.ids
            assert one.offsets == other.offsets
            assert one.type_ids == other.type_ids


def _start(tokens: int, characters: int) -> str:
    # So many tokens with so many characters in all; "" if there is no such text.
    for long, short in itertools.product(range(tokens + 1), repeat=2):
        rest = tokens - long - short
        if rest >= 0 and 15 * long + 8 * short + 2 * rest == characters:
            return " representation" * long + " thought" * short + " a" * rest
    return ""


# Texts after which the last token that is kept comes next or soon, where the first cut is.
STARTS = [
    start
    for tokens in (MAX_LENGTH - 3, MAX_LENGTH - 2, MAX_LENGTH - 1)
    for characters in range(SHORT - 8, SHORT + 1, 2)
    if (start := _start(tokens, characters))
]


class TestWholeTokens:
    @pytest.mark.parametrize("name", GIANTS)
    def test_of_a_giant_pre_token(self, check: Check, name: str) -> None:
        giant = GIANTS[name]
        for shift in range(5):
            assert len(check("x " * (shift % 3) + giant[shift:])) < len(giant) - 100

    @pytest.mark.parametrize("name", GIANTS)
    def test_of_a_giant_pre_token_that_starts_at_the_cut(self, check: Check, name: str) -> None:
        for start in STARTS:
            check(start + GIANTS[name][:600])

    @pytest.mark.parametrize("token", SPECIAL)
    @pytest.mark.parametrize("before", ["", " \n", "--", "<s"])
    @pytest.mark.parametrize("after", ["", "  ", "mask>"])
    def test_of_an_added_token_at_the_cut(
        self, check: Check, token: str, before: str, after: str
    ) -> None:
        for start in STARTS:
            check(start + before + token + after + " then it ends")
            check(start + (before + token + after) * 50)

    @pytest.mark.parametrize("ending", ["'s", "'ll", "'re", "'d", "'", "''ve", "'lx"])
    def test_of_a_contraction_at_the_cut(self, check: Check, ending: str) -> None:
        for start in STARTS:
            check(start + ending + " thought" * 9)
            check(start + ending * 50)

    @pytest.mark.parametrize("space", [" ", "\n", "\u2003", "\x1c", " \x1c", "\t "])
    @pytest.mark.parametrize("follower", ["<mask>", "<mask", "word", "<s>", "", "\x1c<mask>"])
    def test_of_whitespace_over_the_cut(self, check: Check, space: str, follower: str) -> None:
        for start, count in itertools.product(("", *STARTS[::3]), (1, 2, 300)):
            check(start + space * count + follower + " thought" * 16)

    def test_of_whitespace_that_a_mask_takes_in(self, check: Check) -> None:
        text = " thought" * 4 + " " * 3000 + "<mask> and this" + " thought" * 1000
        assert 3000 < len(check(text)) < 3300
        assert len(check(" thought" * 20 + " " * 3000 + "<mask>")) < len(" thought" * 20)

    def test_of_longest_tokens(self, check: Check) -> None:
        # 64 and 65 characters each
        assert max(len(check(text * 5000, 32)) for text in "-=") < 72 * 32

    @settings(max_examples=60, deadline=None)
    @given(
        pieces=st.lists(
            st.one_of(
                st.sampled_from(
                    [" ", "\n\n", "\t ", "'", "'s", "'l", "l ", "1", "\u00e9", "\u0301", FAMILY]
                ),
                st.sampled_from([*SPECIAL, "<mas", "k>", "<<s", "  <mask>", "<mask>  "]),
                st.sampled_from(["a", "-", "=", " ", "\n", HAN[0], " thought", "\U0001f1ee"]).map(
                    lambda piece: piece * 60
                ),
                st.text(max_size=40),
            ),
            max_size=40,
        ),
        max_length=st.sampled_from((5, MAX_LENGTH, 23)),
    )
    def test_of_any_text(self, check: Check, pieces: list[str], max_length: int) -> None:
        check("".join(pieces) * 3, max_length)

    @settings(max_examples=20, deadline=None)
    @given(seed=st.integers(0, 1 << 32))
    def test_of_any_vocabulary(self, seed: int) -> None:
        draw = random.Random(seed)  # noqa: S311
        tokens, merges = _random_vocabulary(draw)
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        vocabulary = dict.fromkeys([*alphabet, *tokens])
        model = models.BPE({token: index for index, token in enumerate(vocabulary)}, merges)
        tokenizer = tokenizers.Tokenizer(model)
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        for max_length in (2, 5, 11):
            tokenizer.enable_truncation(max_length)
            clipper = Clipper(tokenizer, max_length)
            for _ in range(5):
                text = "".join(draw.choices(tokens, k=80))
                _assert_same(tokenizer, [text], [clipper.clip(text)])

    def test_of_prose(self, check: Check, reality: Path) -> None:
        text = (reality / "data" / "sst2-dev.tsv").read_text("utf-8")
        for start in range(0, 20000, 997):
            assert len(check(text[start : start + 3000])) < 400


class TestPairs:
    TEXTS = (
        *("", " thought" * 7, " thought" * 13, " thought" * 40),
        *("-" * 130, (HAN * 5)[:130], "a " * 70 + "<mask>"),
    )

    @pytest.mark.parametrize("strategy", ["longest_first", "only_first"])
    @pytest.mark.parametrize("max_length", [16, 17])
    def test_are_truncated_alike(
        self,
        make_tokenizer: Callable[..., tokenizers.Tokenizer],
        max_length: int,
        strategy: str,
    ) -> None:
        tokenizer = make_tokenizer(max_length, strategy)
        clipper = Clipper(tokenizer, max_length)
        for pair in itertools.product(self.TEXTS, repeat=2):
            clipped = clipper.clip_pair(*pair)
            try:
                tokenizer.encode_batch([pair])
            except Exception as error:  # what tokenizers raises
                assert strategy == "only_first"
                with pytest.raises(type(error), match=str(error)):
                    tokenizer.encode_batch([clipped])
            else:
                _assert_same(tokenizer, [pair], [clipped])

    def test_are_clipped(self, make_tokenizer: Callable[..., tokenizers.Tokenizer]) -> None:
        sides = "-" * 5000, "a " * 5000
        assert max(map(len, Clipper(make_tokenizer(), MAX_LENGTH).clip_pair(*sides))) < 1300

    def test_with_an_odd_room_depend_on_both_lengths(
        self, make_tokenizer: Callable[..., tokenizers.Tokenizer]
    ) -> None:
        # Why such pairs are left whole.
        tokenizer = make_tokenizer(17)
        pairs = [(" thought" * 60, " thought" * count) for count in (59, 60)]
        shorter, longer = tokenizer.encode_batch(pairs)
        assert shorter.type_ids == longer.type_ids  # RoBERTa has one type
        assert shorter.sequence_ids != longer.sequence_ids


class TestRightContext:
    def test_of_the_vocabularies(
        self, make_tokenizer: Callable[..., tokenizers.Tokenizer], path: Path
    ) -> None:
        bound = Clipper(make_tokenizer(), MAX_LENGTH).right_context
        assert bound == (54 if "mini" in path.parts else 129)

    def test_holds_for_chains_of_merges(
        self, make_tokenizer: Callable[..., tokenizers.Tokenizer]
    ) -> None:
        # Follows the chains that reach farthest, with what each merge takes in behind, or not.
        tokenizer = make_tokenizer()
        merges = [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
        bound = Clipper(tokenizer, MAX_LENGTH).right_context
        assert bound
        chains = _farthest_chains(merges)
        followers = {left: right for left, right in merges}
        reached = 0
        for common, behind in chains[:300]:
            for other in ("", "!", followers.get(behind, "Z"), behind[:-1], behind + behind):
                reached = max(reached, _reach(tokenizer.model, common, behind, other))
        assert bound / 4 < reached <= bound

    @settings(max_examples=150, deadline=None)
    @given(seed=st.integers(0, 1 << 32))
    def test_holds_for_any_vocabulary(self, seed: int) -> None:
        draw = random.Random(seed)  # noqa: S311
        tokens, merges = _random_vocabulary(draw)
        bound = right_context(merges, tokens[: len(tokens) - len(merges)])
        assert bound is not None
        model = models.BPE({token: index for index, token in enumerate(tokens)}, merges)
        for _ in range(40):
            words = [draw.choices(tokens, k=count) for count in (9, 3, 2)]
            assert _reach(model, *map("".join, words)) <= bound

    def test_is_reached(self) -> None:
        # bc before ab: "ab" is merged unless a c follows.
        assert right_context([("b", "c"), ("a", "b")], "abc") == 2
        model = models.BPE(
            {token: index for index, token in enumerate(("a", "b", "c", "bc", "ab"))},
            [("b", "c"), ("a", "b")],
        )
        assert _reach(model, "ab", "c", "") == 2

    def test_is_unknown_where_two_merges_make_one_token(self) -> None:
        assert right_context([("a", "b"), ("b", "c"), ("ab", "c"), ("a", "bc")], "abc") is None

    def test_is_unknown_where_a_merge_comes_too_early(self) -> None:
        assert right_context([("ab", "c"), ("a", "b")], "abc") is None


def _random_vocabulary(draw: random.Random) -> tuple[list[str], list[tuple[str, str]]]:
    tokens = list("abc"[: draw.randint(1, 3)])
    merges = []
    for _ in range(draw.choice((8, 30, 120))):
        # Of the newest, or of any: both long and many chains come up.
        left, right = (draw.choice(tokens[-draw.choice((6, 99)) :]) for _ in range(2))
        if left + right not in tokens and len(left + right) <= 24:
            tokens.append(left + right)
            merges.append((left, right))
    return tokens, merges


def _farthest_chains(merges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    # For each merge, the longest chain that ends with it: its tokens before the first frontier, and
    # what is behind that.
    best: dict[str, tuple[int, str, str]] = {}
    chains = []
    for left, right in merges:
        reach, common, behind = best.get(right, (0, "", right))
        chain = (reach + len(left), left + common, behind)
        chains.append(chain)
        best[left] = max(best.get(left, (0, "", left)), chain)
        best[left + right] = best[left]
    return [chain[1:] for chain in sorted(set(chains), reverse=True)]


def _reach(model: models.BPE, common: str, one: str, other: str) -> int:
    # How far before the first difference the tokens of two words differ.
    words = common + one, common + other
    pairs = itertools.zip_longest(*words)
    shared = next((place for place, (a, b) in enumerate(pairs) if a != b), len(words[0]))
    if words[0] == words[1] or not shared:
        return 0
    alike = 0
    tokens = ([(t.id, t.offsets) for t in model.tokenize(word)] for word in words)
    for first, second in zip(*tokens, strict=False):
        if first != second:
            break
        alike = first[1][1]
    return max(0, shared - alike)


class _Counting:
    # A tokenizer that counts the characters it is given.
    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.characters = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def encode_batch(self, texts: list[str], **options: Any) -> Any:
        self.characters += sum(map(len, texts))
        return self._tokenizer.encode_batch(texts, **options)


class TestCost:
    def test_of_a_short_text_is_none(self) -> None:
        text = "a" * SHORT
        assert Clipper(None, MAX_LENGTH).clip(text) is text

    @pytest.mark.parametrize("name", ["a", "dashes", "spaces", "Han", "base64", "emoji"])
    def test_of_a_huge_text_is_bounded(
        self, make_tokenizer: Callable[..., tokenizers.Tokenizer], name: str
    ) -> None:
        tokenizer = _Counting(make_tokenizer(512))
        text = GIANTS[name] * (10_000_000 // len(GIANTS[name]))
        clipped = Clipper(tokenizer, 512).clip(text)
        # Three prefixes at most, of 8, 24 and 72 characters for each token.
        assert len(clipped) <= 72 * 512
        assert tokenizer.characters <= (8 + 24 + 72) * 512

    def test_in_memory_is_bounded(self, path: Path) -> None:
        # By how many MB the peak of a process grows with 10 MB of one pre-token.
        if not Path("/proc/self/clear_refs").exists():
            pytest.skip("peak memory is read as Linux gives it")
        grown = float(
            subprocess.run(
                [sys.executable, "-c", _PEAK, path], capture_output=True, text=True, check=True
            ).stdout
        )
        assert grown < 40


_PEAK = """
import sys
import tokenizers
from distilroberta.runtime.tasks.clipping import Clipper

def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])

tokenizer = tokenizers.Tokenizer.from_file(sys.argv[1])
tokenizer.enable_truncation(512)
tokenizer.encode_batch(["a b"])
text = "a" * 10_000_000
open("/proc/self/clear_refs", "w").write("5")
before = peak()
tokenizer.encode_batch([Clipper(tokenizer, 512).clip(text)])
print((peak() - before) / 1024)
"""


class TestLeftWhole:
    @pytest.fixture
    def bare(self, mini: Path) -> tokenizers.Tokenizer:
        tokenizer = tokenizers.Tokenizer.from_file(str(mini / "tokenizer.json"))
        tokenizer.enable_truncation(MAX_LENGTH)
        return tokenizer

    TEXT = " thought" * 500

    def test_text_of_this_tokenizer_is_not(self, bare: tokenizers.Tokenizer) -> None:
        assert len(Clipper(bare, MAX_LENGTH).clip(self.TEXT)) < len(self.TEXT)

    @pytest.mark.parametrize(
        "change",
        [
            lambda tokenizer: setattr(tokenizer, "normalizer", normalizers.NFC()),
            lambda tokenizer: setattr(tokenizer, "pre_tokenizer", pre_tokenizers.Whitespace()),
            lambda tokenizer: setattr(
                tokenizer, "pre_tokenizer", pre_tokenizers.ByteLevel(use_regex=False)
            ),
            lambda tokenizer: setattr(tokenizer.model, "dropout", 0.1),
            lambda tokenizer: tokenizer.enable_truncation(MAX_LENGTH, stride=2),
            lambda tokenizer: tokenizer.enable_truncation(MAX_LENGTH, direction="left"),
            *(
                lambda tokenizer, token=token: tokenizer.add_tokens([token])
                for token in (
                    tokenizers.AddedToken("x", single_word=True),
                    tokenizers.AddedToken("x", rstrip=True),
                    tokenizers.AddedToken("x y"),
                )
            ),
        ],
    )
    def test_text_of_a_tokenizer_without_a_proof(
        self, bare: tokenizers.Tokenizer, change: Callable[[tokenizers.Tokenizer], Any]
    ) -> None:
        change(bare)
        assert Clipper(bare, MAX_LENGTH).clip(self.TEXT) is self.TEXT

    def test_giant_pre_token_without_a_bound(self, mini: Path) -> None:
        tree = json.loads((mini / "tokenizer.json").read_text("utf-8"))
        vocab, merges = tree["model"]["vocab"], tree["model"]["merges"]
        # A second merge that makes a token which is there.
        parts = ((token[:1], token[1:]) for token in vocab if len(token) > 2)
        second = next(pair for pair in parts if pair[1] in vocab and [*pair] not in merges)
        merges.append([*second])
        tokenizer = tokenizers.Tokenizer.from_str(json.dumps(tree))
        tokenizer.enable_truncation(MAX_LENGTH)
        clipper = Clipper(tokenizer, MAX_LENGTH)
        giant = "a" * 5000
        assert clipper.clip(giant) is giant
        assert len(clipper.clip("a b " * 5000)) <= SHORT


def test_added_tokens_may_overlap(mini: Path, draw: random.Random) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(mini / "tokenizer.json"))
    tokenizer.add_tokens(["aab", "baa", "aa", tokenizers.AddedToken("bb", lstrip=True)])
    tokenizer.enable_truncation(MAX_LENGTH)
    clipper = Clipper(tokenizer, MAX_LENGTH)
    for _ in range(200):
        text = "".join(draw.choices(["a", "b", " ", "  ", "c", "-" * 9], k=draw.randint(100, 900)))
        _assert_same(tokenizer, [text], [clipper.clip(text)])


def test_python_takes_all_that_tokenizers_strips_for_whitespace(
    make_tokenizer: Callable[..., tokenizers.Tokenizer],
) -> None:
    tokenizer = make_tokenizer(1 << 20)
    characters = [chr(code) for code in range(0x3001)]
    encodings = tokenizer.encode_batch([f"</s>{character}<mask>" for character in characters])
    stripped = [
        character
        for character, encoding in zip(characters, encodings, strict=True)
        if len(encoding.ids) == 4
    ]
    assert " " in stripped
    assert all(map(str.isspace, stripped))


def test_lone_surrogate_in_what_is_read_is_refused(
    make_tokenizer: Callable[..., tokenizers.Tokenizer],
) -> None:
    clipper = Clipper(make_tokenizer(), MAX_LENGTH)
    with pytest.raises(UnicodeEncodeError):
        clipper.clip("a \ud800" + "a " * 5000)
    assert "\ud800" not in clipper.clip("a " * 5000 + "\ud800")


def test_every_mask_in_a_text_is_a_token(
    make_tokenizer: Callable[..., tokenizers.Tokenizer], draw: random.Random
) -> None:
    # So that counting in the text tells whether truncation cut one off.
    tokenizer = make_tokenizer(1 << 20)
    mask = tokenizer.token_to_id("<mask>")
    for _ in range(300):
        text = "".join(draw.choices(["<mask>", "<", "mask>", "<s>", "</s>", " ", "a", "'"], k=30))
        assert tokenizer.encode_batch([text])[0].ids.count(mask) == text.count("<mask>")
