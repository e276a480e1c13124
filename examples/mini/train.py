"""Train the mini checkpoint: a byte-level BPE tokenizer and a small RoBERTa masked-language model.

The model is trained from scratch on the text that ``corpus.py`` collects. The budget is given in
minutes of work: the time of every step counts, but at most a few times the usual step, so that a
suspended process does not lose its schedule. The learning rate reaches zero when the budget ends.

Usage:
    python examples/mini/train.py --corpus build/mini/corpus.txt --output examples/mini
    python examples/mini/train.py --evaluate --output examples/mini
"""

from __future__ import annotations

import argparse
import collections
import json
import math
import os
import random
import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import RobertaConfig, RobertaForMaskedLM

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
BOS, PAD, EOS = 0, 1, 2
VOCAB_SIZE = 8000
MASK = VOCAB_SIZE - 1
MASK_RATE = 0.15  # of the held-out text
# More masks teach more per step, and a small model on a small budget has few steps
# (Wettig et al. 2023, https://arxiv.org/abs/2202.08005).
TRAINING_MASK_RATE = 0.3
MAX_POSITIONS = 514  # RoBERTa counts positions from pad_token_id + 1, which leaves 512

SHORT, LONG = 128, 512  # sequence lengths with <s> and </s>
SINGLE_SENTENCE_SHARE = 0.4
LONG_SHARE = 0.004  # of the sequences; about 5 % of the tokens, to train every position

EXAMPLES = (
    "Paris is the <mask> of France.",
    "The capital of Italy is <mask>.",
    "In the <mask> God created the heaven and the earth.",
    "The dog <mask> at the stranger.",
    "He opened the <mask> and went in.",
    "She was sitting at the <mask> reading a book.",
    "Water is a clear <mask>.",
    "A cat is a small <mask>.",
    "The king sat on his <mask>.",
    "I am very <mask> to hear it.",
)


# ---------------------------------------------------------------- tokenizer


def train_tokenizer(corpus: Path) -> Tokenizer:
    """Train a RoBERTa-style tokenizer; ``<mask>`` takes the last id."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True)
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=True, trim_offsets=True)
    special = [AddedToken(token, normalized=True, special=True) for token in SPECIAL]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - 1,
        min_frequency=2,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    # A passage in running text follows a space, a sentence on its own does not: show both.
    with corpus.open(encoding="utf-8") as lines:
        texts = (line.strip() if n % 4 else " " + line.strip() for n, line in enumerate(lines))
        tokenizer.train_from_iterator(texts, trainer)
    mask = AddedToken("<mask>", lstrip=True, normalized=False, special=True)
    tokenizer.add_special_tokens([mask])
    tokenizer.post_processor = processors.RobertaProcessing(
        sep=("</s>", EOS), cls=("<s>", BOS), trim_offsets=True, add_prefix_space=False
    )
    if tokenizer.token_to_id("<mask>") != MASK:
        raise ValueError(f"{corpus} is too small for a vocabulary of {VOCAB_SIZE}")
    return tokenizer


def tokenizer_files(tokenizer: Tokenizer) -> dict[str, str]:
    """Return the tokenizer's files, in the format that transformers reads and writes."""

    def entry(content: str, **more: bool) -> dict[str, object]:
        mask = content == "<mask>"
        flags = {"lstrip": mask, "normalized": not mask, "rstrip": False, "single_word": False}
        return {"content": content, **flags, **more}

    names = {
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "mask_token": "<mask>",
        "pad_token": "<pad>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
    }
    ids = {str(tokenizer.token_to_id(token)): token for token in (*SPECIAL, "<mask>")}
    config = {
        "add_prefix_space": False,
        "added_tokens_decoder": {n: entry(token, special=True) for n, token in ids.items()},
        "clean_up_tokenization_spaces": False,
        "errors": "replace",
        "extra_special_tokens": {},
        "model_max_length": MAX_POSITIONS - 2,
        "tokenizer_class": "RobertaTokenizer",
        "trim_offsets": True,
        **names,
    }
    special = {name: entry(token) for name, token in names.items()}
    return {
        "tokenizer.json": tokenizer.to_str(pretty=False) + "\n",
        "tokenizer_config.json": json.dumps(config, indent=2, sort_keys=True) + "\n",
        "special_tokens_map.json": json.dumps(special, indent=2, sort_keys=True) + "\n",
    }


# ---------------------------------------------------------------- data


class Corpus:
    """A text file as sentences, each tokenized with and without a space before it."""

    def __init__(self, path: Path, tokenizer: Tokenizer) -> None:
        """Read and tokenize the file."""
        sentences: list[str] = []
        self.starts_passage: list[bool] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            # A capital or a quote after a full stop begins a sentence; titles do not end one.
            parts = re.split(r"(?<=[.!?])(?<!Mr\.)(?<!Mrs\.)(?<!Dr\.)(?<!St\.) (?=[\"'(A-Z])", line)
            sentences += parts
            self.starts_passage += [True] + [False] * (len(parts) - 1)
        self.alone: list[list[int]] = []
        self.inside: list[list[int]] = []
        for at in range(0, len(sentences), 10_000):
            part = sentences[at : at + 10_000]
            alone = tokenizer.encode_batch_fast(part, add_special_tokens=False)
            inside = tokenizer.encode_batch_fast([" " + s for s in part], add_special_tokens=False)
            self.alone += [e.ids for e in alone]
            self.inside += [e.ids for e in inside]
        self.tokens = sum(map(len, self.inside))

    def sequences(self, rng: random.Random) -> Iterator[list[int]]:
        """Cut the text anew: single sentences, passages of several, and a few long sequences."""
        at = 0
        while at < len(self.alone):
            draw = rng.random()
            across, limit = False, 0
            if draw < LONG_SHARE:
                across, limit = True, LONG - 2
            elif draw > SINGLE_SENTENCE_SHARE:
                limit = rng.randint(16, SHORT - 2)
            ids = list(self.alone[at])
            at += 1
            while at < len(self.alone) and len(ids) + len(self.inside[at]) <= limit:
                if self.starts_passage[at] and not across:
                    break
                ids += self.inside[at]
                at += 1
            step = max(limit, SHORT - 2)  # a sentence longer than that is cut into pieces
            for begin in range(0, len(ids), step):
                yield [BOS, *ids[begin : begin + step], EOS]

    def batches(self, rng: random.Random, size: int, everything: bool) -> list[torch.Tensor]:
        """Return one pass over the text in batches of equal length, so that nothing is padded.

        A batch has about ``size`` tokens. Without ``everything``, a remainder of less than half
        a batch is left out: it would weigh as much as a full one, and the next pass cuts anew.
        """
        buckets: dict[int, list[list[int]]] = collections.defaultdict(list)
        for ids in self.sequences(rng):
            if len(ids) < 5:
                continue
            if len(ids) > SHORT:  # few are this long: rounding the length fills the batches
                ids = [*ids[: len(ids) // 32 * 32 - 1], EOS]
            buckets[len(ids)].append(ids)
        result = []
        for length, members in buckets.items():
            rng.shuffle(members)
            rows = max(size // length, 1)
            for at in range(0, len(members), rows):
                if everything or len(members[at : at + rows]) > rows // 2:
                    part = members[at : at + rows]
                    result.append(torch.tensor(part, dtype=torch.int16))
        rng.shuffle(result)
        return result


def mask_tokens(
    ids: torch.Tensor, generator: torch.Generator, rate: float, only_mask: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose some of the tokens; 80 % of them become ``<mask>``, 10 % random, 10 % stay."""
    chosen = torch.rand(ids.shape, generator=generator) < rate
    chosen &= (ids != BOS) & (ids != EOS)
    how = torch.rand(ids.shape, generator=generator)
    masked = ids.masked_fill(chosen & ((how < 0.8) | only_mask), MASK)
    if not only_mask:
        noise = torch.randint(len(SPECIAL), MASK, ids.shape, generator=generator)
        masked = torch.where(chosen & (how >= 0.9), noise, masked)
    return masked, chosen


# ---------------------------------------------------------------- model


def new_model() -> RobertaForMaskedLM:
    """Return the untrained model."""
    config = RobertaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=192,
        num_hidden_layers=6,
        num_attention_heads=6,
        intermediate_size=768,
        max_position_embeddings=MAX_POSITIONS,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        # A few passes over the text do not overfit a model of this size.
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        bos_token_id=BOS,
        pad_token_id=PAD,
        eos_token_id=EOS,
        tie_word_embeddings=True,
        architectures=["RobertaForMaskedLM"],
    )
    return RobertaForMaskedLM._from_config(config, attn_implementation="sdpa")


@torch.no_grad()
def start_from_neighbours(model: RobertaForMaskedLM, corpus: Corpus) -> None:
    """Start where training would arrive first: at word frequencies and at the nearest words.

    From random weights a masked-language model spends its first millions of tokens on finding out
    which position is next to which. Here positions begin as sinusoids (Vaswani et al. 2017), on
    which "the position d further on" is a rotation, and each head of the first layer begins with
    the rotation to one neighbour. All of it is trained on.
    """
    config = model.config
    frequencies = 10000 ** (-torch.arange(config.hidden_size // 2) / (config.hidden_size // 2))
    angles = torch.arange(config.max_position_embeddings)[:, None] * frequencies
    waves = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
    model.roberta.embeddings.position_embeddings.weight.copy_(waves * 0.02 * math.sqrt(2))

    attention = model.roberta.encoder.layer[0].attention.self
    width = config.hidden_size // config.num_attention_heads
    used = 2 * torch.arange(width // 2)  # frequencies fast enough to tell neighbours apart
    gain = 2.0  # peaks the softmax at the neighbour, and leaves it a gradient elsewhere
    for head, offset in enumerate((-1, 1, -2, 2, -3, 3)):
        turn = frequencies[used] * offset
        rows = head * width + 2 * torch.arange(width // 2)
        for matrix, cos, sin in (
            (attention.query.weight, gain * turn.cos(), gain * turn.sin()),
            (attention.key.weight, torch.full_like(turn, gain), torch.zeros_like(turn)),
        ):
            matrix[rows, 2 * used] += cos
            matrix[rows, 2 * used + 1] += sin
            matrix[rows + 1, 2 * used] -= sin
            matrix[rows + 1, 2 * used + 1] += cos

    counts = torch.ones(config.vocab_size)
    for ids in corpus.inside:
        counts += torch.bincount(torch.tensor(ids, dtype=torch.int64), minlength=len(counts))
    model.lm_head.bias.copy_(counts.log() - counts.log().mean())


def masked_loss(
    model: RobertaForMaskedLM, ids: torch.Tensor, chosen: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean loss and the logits, with the output layer at the chosen tokens only."""
    hidden = model.roberta(ids).last_hidden_state
    logits = model.lm_head(hidden[chosen])
    return torch.nn.functional.cross_entropy(logits, labels[chosen]), logits


@torch.inference_mode()
def held_out_figures(model: RobertaForMaskedLM, held: Corpus) -> dict[str, float]:
    """Return loss, perplexity and accuracy over masked tokens of the held-out text."""
    generator = torch.Generator().manual_seed(1)
    loss, right, count = 0.0, 0, 0
    order = random.Random(1)  # noqa: S311  (nothing secret)
    for batch in held.batches(order, 4096, everything=True):
        labels = batch.long()
        ids, chosen = mask_tokens(labels, generator, MASK_RATE, only_mask=True)
        if not chosen.any():
            continue
        mean, logits = masked_loss(model, ids, chosen, labels)
        wanted = labels[chosen]
        loss += mean.item() * len(wanted)
        right += int((logits.argmax(-1) == wanted).sum())
        count += len(wanted)
    mean_loss = loss / count
    return {
        "masked tokens": count,
        "loss": round(mean_loss, 4),
        "perplexity": round(math.exp(mean_loss), 2),
        "accuracy": round(right / count, 4),
    }


@torch.inference_mode()
def fill(model: RobertaForMaskedLM, tokenizer: Tokenizer, text: str, top: int = 5) -> str:
    """Return the best answers for one mask as ``word 0.12, ...``."""
    ids = torch.tensor([tokenizer.encode(text).ids])
    logits = model(ids).logits[0, int((ids[0] == MASK).nonzero()[0])]
    best = logits.float().softmax(-1).topk(top)
    answers = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return ", ".join(f"{tokenizer.decode([i]).strip()} {p:.3f}" for i, p in answers)


# ---------------------------------------------------------------- files


def replace_file(path: Path, data: str | dict[str, torch.Tensor]) -> None:
    """Write a file beside its final place and move it there, so that no reader sees a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    if isinstance(data, str):
        partial.write_text(data, encoding="utf-8")
    elif path.suffix == ".safetensors":
        save_file(data, partial, metadata={"format": "pt"})
    else:
        torch.save(data, partial)
    partial.chmod(0o644)  # safetensors writes files that only their owner can read
    os.replace(partial, path)


def export(model: RobertaForMaskedLM, tokenizer: Tokenizer, output: Path) -> None:
    """Write the FP16 checkpoint; the decoder, tied to the embeddings, is not stored again."""
    state = {
        name: tensor.detach().half().contiguous()
        for name, tensor in model.state_dict().items()
        if not name.startswith("lm_head.decoder.") and not name.endswith("position_ids")
    }
    replace_file(output / "model.safetensors", state)
    config = {**model.config.to_diff_dict(), "model_type": "roberta", "torch_dtype": "float16"}
    config |= {"tie_word_embeddings": True, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
    config |= {"bos_token_id": BOS, "pad_token_id": PAD, "eos_token_id": EOS}
    config.pop("dtype", None)
    replace_file(output / "config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")
    for name, text in tokenizer_files(tokenizer).items():
        replace_file(output / name, text)


# ---------------------------------------------------------------- training


class Clock:
    """Adds up the time of the steps; one that took far longer than usual counts as a usual one."""

    def __init__(self, used: float = 0.0) -> None:
        """Start with the seconds that an earlier run used."""
        self.used = used
        self.recent: collections.deque[float] = collections.deque(maxlen=200)

    def add(self, seconds: float) -> None:
        """Count one step."""
        usual = statistics.median(self.recent) if len(self.recent) >= 20 else seconds
        self.recent.append(seconds)
        self.used += min(seconds, 3 * usual)


def learning_rate(progress: float, warmup: float = 0.03) -> float:
    """Share of the peak rate: linear warm-up, then linear decay to zero at the budget's end."""
    if progress < warmup:
        return max(progress, 1e-3) / warmup
    return max(1.0 - progress, 0.0) / (1.0 - warmup)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal, for the weight matrices of the layers.

    It needs fewer steps than AdamW. PyTorch's own version works in bfloat16, which is slow on
    most processors; this one stays in FP32 and treats all matrices of one shape at once.
    """

    def __init__(self, params: list[torch.Tensor], peak: float, momentum: float = 0.95) -> None:
        """Take the matrices and the peak rate."""
        super().__init__(params, {"lr": peak, "peak": peak, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update every matrix."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[torch.Tensor]] = collections.defaultdict(list)
            for p in group["params"]:
                shapes[p.shape].append(p)
            for shape, same in shapes.items():
                updates = []
                for p in same:
                    state = self.state[p]
                    buffer = state.setdefault("momentum", torch.zeros_like(p))
                    buffer.lerp_(p.grad, 1 - group["momentum"])
                    updates.append(p.grad.lerp(buffer, group["momentum"]))
                update = orthogonal(torch.stack(updates))
                scale = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                for p, u in zip(same, update, strict=True):
                    p.mul_(1 - 0.01 * group["lr"]).sub_(u, alpha=scale)


def orthogonal(x: torch.Tensor) -> torch.Tensor:
    """Bring the singular values of a batch of matrices near 1 (Newton-Schulz, five rounds)."""
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.775 * square + 2.0315 * square @ square) @ x
    return x.mT if tall else x


def make_optimizers(
    model: RobertaForMaskedLM, args: argparse.Namespace
) -> list[torch.optim.Optimizer]:
    """AdamW for everything, or Muon for the layers' matrices and AdamW for the rest."""
    layers = [p for n, p in model.named_parameters() if ".layer." in n and p.ndim == 2]
    use_muon = args.optimizer == "muon"
    taken = {id(p) for p in layers} if use_muon else set()
    rest = [p for p in model.parameters() if id(p) not in taken]
    peak = args.learning_rate
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": 0.01, "peak": peak},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0, "peak": peak},
    ]
    adamw = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.98), eps=1e-6, fused=True)
    return [adamw, Muon(layers, args.muon_rate)] if use_muon else [adamw]


class Training:
    """The model in training, with all that is needed to go on after an interruption."""

    def __init__(self, args: argparse.Namespace) -> None:
        """Start anew, or from a stored state."""
        self.args = args
        saved = torch.load(args.resume, weights_only=True) if args.resume else None
        if saved:
            self.tokenizer = Tokenizer.from_str(saved["tokenizer"])
        else:
            self.tokenizer = train_tokenizer(args.corpus)
        self.corpus = Corpus(args.corpus, self.tokenizer)
        self.held = Corpus(args.corpus.with_suffix(".heldout.txt"), self.tokenizer)
        self.model = new_model()
        self.model.train()
        self.optimizers = make_optimizers(self.model, args)
        self.clock, self.steps, self.epoch, self.seen = Clock(), 0, 0, 0
        if saved:
            self.model.load_state_dict(saved["model"])
            for optimizer, kept in zip(self.optimizers, saved["optimizers"], strict=True):
                optimizer.load_state_dict(kept)
            self.clock = Clock(saved["used"])
            self.steps, self.epoch, self.seen = saved["step"], saved["epoch"] + 1, saved["seen"]
        else:
            start_from_neighbours(self.model, self.corpus)
        if args.compile:
            self.model.roberta.compile(dynamic=True)
        self.budget = args.minutes * 60
        self.generator = torch.Generator().manual_seed(args.seed + self.steps)
        self.running: float | None = None
        self.next_save = self.clock.used + 60 * min(args.save_every, 3)
        self.published = False

    def step(self, batch: torch.Tensor) -> None:
        """Learn from one batch."""
        began = time.perf_counter()
        rate = learning_rate(self.clock.used / self.budget)
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = rate * group["peak"]
        labels = batch.long()
        ids, chosen = mask_tokens(labels, self.generator, TRAINING_MASK_RATE)
        loss, _ = masked_loss(self.model, ids, chosen, labels)
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.steps += 1
        self.seen += batch.numel()
        last = loss.item()
        self.running = last if self.running is None else 0.98 * self.running + 0.02 * last
        self.clock.add(time.perf_counter() - began)
        if self.steps % 100 == 0:
            print(
                f"step {self.steps} epoch {self.epoch} minutes {self.clock.used / 60:.1f}"
                f" loss {self.running:.3f} rate {rate:.2e}"
                f" tokens/s {self.seen / self.clock.used:.0f}",
                flush=True,
            )

    def save(self) -> None:
        """Store the state, print where the training stands, and publish a first checkpoint."""
        self.next_save = self.clock.used + 60 * self.args.save_every
        state = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "tokenizer": self.tokenizer.to_str(),
            "used": self.clock.used,
            "step": self.steps,
            "epoch": self.epoch,
            "seen": self.seen,
        }
        replace_file(self.args.work / "state.pt", state)
        copy = new_model().eval()  # leaves the compiled training graph alone
        copy.load_state_dict(self.model.state_dict())
        print("held out:", held_out_figures(copy, self.held), flush=True)
        for text in EXAMPLES:
            print(f"{text}  {fill(copy, self.tokenizer, text)}", flush=True)
        if not self.published:  # an early checkpoint lets others work while this goes on
            export(self.model, self.tokenizer, self.args.output)
            self.published = True

    def run(self) -> None:
        """Pass over the text until the budget is used up, and write the checkpoint."""
        while self.clock.used < self.budget:
            order = random.Random(self.args.seed + self.epoch)  # noqa: S311  (nothing secret)
            for batch in self.corpus.batches(order, self.args.batch, everything=False):
                self.step(batch)
                if self.clock.used >= self.next_save:
                    self.save()
                if self.clock.used >= self.budget:
                    break
            self.epoch += 1
        export(self.model, self.tokenizer, self.args.output)


def train(args: argparse.Namespace) -> None:
    """Train tokenizer and model, write the checkpoint and print its figures."""
    torch.manual_seed(args.seed)
    training = Training(args)
    parameters = sum(p.numel() for p in training.model.parameters())
    print(f"{parameters:,} parameters; {training.corpus.tokens:,} training tokens", flush=True)
    training.run()
    figures = {
        "parameters": parameters,
        "training tokens in the corpus": training.corpus.tokens,
        "tokens seen": training.seen,
        "steps": training.steps,
        "minutes": round(training.clock.used / 60, 1),
        "tokens per second": round(training.seen / training.clock.used),
    }
    replace_file(args.work / "training.json", json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
    evaluate(args)


def evaluate(args: argparse.Namespace) -> None:
    """Print the figures of the stored checkpoint: held-out loss if the text is there, and fills."""
    tokenizer = Tokenizer.from_file(str(args.output / "tokenizer.json"))
    model = RobertaForMaskedLM.from_pretrained(args.output, dtype=torch.float32).eval()
    held_path = args.corpus.with_suffix(".heldout.txt")
    if held_path.exists():
        print("held out:", json.dumps(held_out_figures(model, Corpus(held_path, tokenizer))))
    for text in args.text or EXAMPLES:
        print(f"{text}\n    {fill(model, tokenizer, text)}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--corpus", type=Path, default=Path("build/mini/corpus.txt"))
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    parser.add_argument("--work", type=Path, default=Path("build/mini"), help="training state")
    parser.add_argument("--minutes", type=float, default=55, help="budget of training time")
    parser.add_argument("--save-every", type=float, default=4, help="minutes between states")
    parser.add_argument("--batch", type=int, default=4096, help="tokens in a batch")
    parser.add_argument("--optimizer", choices=("adamw", "muon"), default="muon")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="peak, AdamW")
    parser.add_argument("--muon-rate", type=float, default=0.02, help="peak, Muon")
    parser.add_argument("--compile", action="store_true", help="torch.compile, about 20 % faster")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", type=Path, help="state.pt of an interrupted run")
    parser.add_argument("--evaluate", action="store_true", help="only print the figures")
    parser.add_argument("--text", action="append", help="sentence to fill with --evaluate")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.evaluate:
        evaluate(args)
    else:
        train(args)


if __name__ == "__main__":
    main()
