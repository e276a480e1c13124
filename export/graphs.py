"""The forward passes that become ONNX graphs, written for inference alone.

`transformers` modules compute every position of every layer, because training needs them. What
is served reads only a few positions, so these modules take the same weights and compute less, with
the same result:

* The scale 1/sqrt(head width) is part of the query weights, the one used token type part of the
  position table.
* The last layer runs only for the positions that are read. Keys and values come from every token.
  Token classification, question answering and feature extraction read every position.
* The vocabulary projection of a served fill-mask graph runs only where a mask stands.

Weights are kept as (in, out), the layout of an ONNX `MatMul`, and named as they are in the
checkpoint, so that a graph can be read. The architecture is RoBERTa (Liu et al. 2019,
https://arxiv.org/abs/1907.11692), post-layer-norm, with absolute positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

# Added to the scores of padding before the softmax. Far below any score a trained model makes, so
# exp() of it is exactly 0 in FP32, and still finite in FP16 (where FP32's lowest value is not).
PADDING_BIAS = -10000.0

# A product of one row takes another path through onnxruntime's kernels, whose last bit depends on
# the padding and on how many texts there are. A quantized value after it can turn that into a step.
_FEWEST_COLUMNS = 2


class Linear(nn.Module):
    """`x @ weight + bias`, with the weight as (in, out)."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """Take a weight of shape (in, out) and a bias of shape (out,), float32."""
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone().contiguous(), requires_grad=False)
        self.bias = nn.Parameter(bias.detach().clone().contiguous(), requires_grad=False)

    @classmethod
    def of(cls, layer: nn.Linear) -> Linear:
        """The product and the bias of an `nn.Linear`."""
        return cls(layer.weight.T, layer.bias)

    def forward(self, x: Tensor) -> Tensor:  # (..., in) -> (..., out)
        return torch.matmul(x, self.weight) + self.bias


def _scaled(layer: nn.Linear, factor: float) -> nn.Linear:
    scaled = nn.Linear(layer.in_features, layer.out_features)
    scaled.weight = nn.Parameter(layer.weight.detach() * factor)
    scaled.bias = nn.Parameter(layer.bias.detach() * factor)
    return scaled


class Embeddings(nn.Module):
    """Token ids to vectors: word + position + the one token type, then layer norm."""

    def __init__(self, source: Any, pad_token_id: int) -> None:
        """Take the weights of a `RobertaEmbeddings`."""
        super().__init__()
        self.pad_token_id = pad_token_id
        self.word_embeddings = nn.Parameter(source.word_embeddings.weight.detach().clone())
        positions = source.position_embeddings.weight + source.token_type_embeddings.weight[0]
        self.position_embeddings = nn.Parameter(positions.detach().clone())
        self.LayerNorm = source.LayerNorm

    def forward(self, input_ids: Tensor) -> Tensor:  # (batch, length) -> (batch, length, hidden)
        # RoBERTa counts positions from pad_token_id + 1 and gives every padding token the
        # position pad_token_id, from the ids and not from the attention mask.
        real = (input_ids != self.pad_token_id).to(torch.int64)
        positions = torch.cumsum(real, dim=1) * real + self.pad_token_id
        words = nn.functional.embedding(input_ids, self.word_embeddings)
        # onnxruntime turns an `Add` and a layer norm of shapes that it knows to be equal into
        # `SkipLayerNormalization`, which on a CPU takes several times as long as the two. It does
        # not follow this -1, here and in all layers.
        words = words.reshape(words.shape[0], -1, words.shape[2])
        return self.LayerNorm(words + nn.functional.embedding(positions, self.position_embeddings))


class Block(nn.Module):
    """What follows attention in a layer: projection, residual, feed-forward, residual."""

    def __init__(self, source: Any) -> None:
        """Take the weights of a `RobertaLayer`."""
        super().__init__()
        self.attention_output = Linear.of(source.attention.output.dense)
        self.attention_norm = source.attention.output.LayerNorm
        self.intermediate = Linear.of(source.intermediate.dense)
        self.activation = source.intermediate.intermediate_act_fn
        self.output = Linear.of(source.output.dense)
        self.output_norm = source.output.LayerNorm

    def forward(self, context: Tensor, residual: Tensor) -> Tensor:  # (..., hidden) both
        x = self.attention_norm(self.attention_output(context) + residual)
        return self.output_norm(self.output(self.activation(self.intermediate(x))) + x)


class Heads(nn.Module):
    """Splitting vectors into attention heads, and the scaled dot product (the scale is in Q)."""

    def __init__(self, heads: int, width: int) -> None:
        """Take the number of heads and the width of one."""
        super().__init__()
        self.heads, self.width = heads, width

    @classmethod
    def of(cls, config: Any) -> Heads:
        """The heads of a `RobertaConfig`."""
        heads = config.num_attention_heads
        return cls(heads, config.hidden_size // heads)

    def split(
        self, x: Tensor
    ) -> Tensor:  # (batch, length, hidden) -> (batch, heads, length, width)
        return x.reshape(x.shape[0], x.shape[1], self.heads, self.width).transpose(1, 2)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        # query, key, value: (batch, *, hidden); bias: (batch, 1, 1, length)
        query, key, value = self.split(query), self.split(key), self.split(value)
        scores = torch.matmul(query, key.transpose(2, 3)) + bias
        context = torch.matmul(torch.softmax(scores, dim=-1), value)  # (batch, heads, *, width)
        context = context.transpose(1, 2)
        return context.reshape(context.shape[0], context.shape[1], self.heads * self.width)


class Attention(nn.Module):
    """Q, K and V of a layer, and attention."""

    def __init__(self, source: Any, heads: Heads) -> None:
        """Take the weights of a `RobertaSelfAttention`."""
        super().__init__()
        # One product for the three would have to be taken apart again, which onnxruntime does on
        # one thread: it costs more than larger products gain.
        self.query = Linear.of(_scaled(source.query, 1 / math.sqrt(heads.width)))
        self.key = Linear.of(source.key)
        self.value = Linear.of(source.value)
        self.heads = heads

    def forward(self, x: Tensor, read: Tensor, bias: Tensor) -> Tensor:
        # x: (batch, length, hidden); read: (batch, reads, hidden) -> (batch, reads, hidden)
        return self.heads(self.query(read), self.key(x), self.value(x), bias)


class Layer(nn.Module):
    """A layer: attention, and what follows it.

    The last layer's is run in two steps, because that is for the read positions alone: keys and
    values come from every token.
    """

    def __init__(self, source: Any, heads: Heads) -> None:
        """Take the weights of a `RobertaLayer`."""
        super().__init__()
        self.attention = Attention(source.attention.self, heads)
        self.block = Block(source)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:  # (batch, length, hidden)
        return self.block(self.attention(x, x, bias), x)


class Encoder(nn.Module):
    """Embeddings and layers, computed for every token."""

    def __init__(self, source: Any, layers: Iterable[Any]) -> None:
        """Take the embeddings of a `RobertaModel`, and those of its layers that are to run."""
        super().__init__()
        heads = Heads.of(source.config)
        self.embeddings = Embeddings(source.embeddings, source.config.pad_token_id)
        self.layer = nn.ModuleList(Layer(layer, heads) for layer in layers)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        # -> what the layers give (batch, length, hidden) and the bias (batch, 1, 1, length)
        bias = (1 - attention_mask.to(torch.float32))[:, None, None, :] * PADDING_BIAS
        x = self.embeddings(input_ids)
        for layer in self.layer:
            x = layer(x, bias)
        return x, bias


class PartialEncoder(Encoder):
    """Embeddings and all layers but the last, which is for the caller to run where it reads."""

    def __init__(self, source: Any) -> None:
        """Take the weights of a `RobertaModel`."""
        *layers, last = source.encoder.layer
        super().__init__(source, layers)
        self.last = Layer(last, Heads.of(source.config))


class LanguageModelHead(nn.Module):
    """Hidden states to logits over the vocabulary, with the tied word embeddings."""

    def __init__(self, source: Any, word_embeddings: nn.Parameter) -> None:
        """Take the weights of a `RobertaLMHead` and the embedding it is tied to."""
        super().__init__()
        self.dense = Linear.of(source.dense)
        self.layer_norm = source.layer_norm
        self.word_embeddings = word_embeddings
        self.bias = nn.Parameter(source.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:  # (reads, hidden) -> (reads, vocabulary)
        x = self.layer_norm(nn.functional.gelu(self.dense(x)))
        # On two dimensions this is a Gemm with transB=1, which reads the embedding as it is
        # stored: a MatMul would need a second, transposed copy of it.
        return nn.functional.linear(x, self.word_embeddings, self.bias)


class FillMask(nn.Module):
    """Every token in, logits for every token out: the graph other tools expect."""

    def __init__(self, source: Any) -> None:
        """Take the weights of a `RobertaForMaskedLM`."""
        super().__init__()
        self.encoder = PartialEncoder(source.roberta)
        self.lm_head = LanguageModelHead(source.lm_head, self.encoder.embeddings.word_embeddings)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        # (batch, length) -> (batch, length, vocabulary)
        x, bias = self.encoder(input_ids, attention_mask)
        last = self.encoder.last
        x = last(x, bias)
        logits = self.lm_head(x.reshape(-1, x.shape[2]))
        return logits.reshape(x.shape[0], x.shape[1], logits.shape[1])


class ServedFillMask(nn.Module):
    """Every token in, logits for the masks out, in reading order over the batch."""

    def __init__(self, standard: FillMask, mask_token_id: int) -> None:
        """Share the weights of `standard`."""
        super().__init__()
        self.encoder, self.lm_head = standard.encoder, standard.lm_head
        self.mask_token_id = mask_token_id

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        # (batch, length) -> (masks, vocabulary)
        x, bias = self.encoder(input_ids, attention_mask)
        batch, length, hidden = x.shape[0], x.shape[1], x.shape[2]
        masks = input_ids == self.mask_token_id

        # The masks of a row, first to last, in as many columns as the row with the most masks
        # has: attention then needs no copy of K and V for each mask. Ranks are distinct, so the
        # order does not hang on how a sort breaks ties.
        rank = masks.to(torch.int64) * torch.arange(length, 0, -1)
        columns = masks.to(torch.int64).sum(dim=1).max().clamp(min=_FEWEST_COLUMNS)
        order = torch.sort(rank, dim=1, descending=True)[1][:, :columns]  # (batch, columns)
        real = torch.gather(rank, 1, order) > 0  # a row with fewer masks has columns to drop

        flat = x.reshape(-1, hidden)
        rows = order + (torch.arange(batch) * length)[:, None]
        last = self.encoder.last
        context = last.attention(x, flat[rows], bias)  # (batch, columns, hidden)
        kept = torch.nonzero(real.reshape(-1))[:, 0]  # (masks,)
        context = context.reshape(-1, hidden)[kept]
        residual = flat[rows.reshape(-1)[kept]]
        return self.lm_head(last.block(context, residual))


class TextClassification(nn.Module):
    """Every token in, class logits out. Only `<s>` is read, so only it passes the last layer."""

    def __init__(self, source: Any) -> None:
        """Take the weights of a `RobertaForSequenceClassification`."""
        super().__init__()
        self.encoder = PartialEncoder(source.roberta)
        self.dense = Linear.of(source.classifier.dense)
        self.out_proj = Linear.of(source.classifier.out_proj)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        # (batch, length) -> (batch, labels)
        x, bias = self.encoder(input_ids, attention_mask)
        last = self.encoder.last
        context = last.attention(x, x[:, :_FEWEST_COLUMNS], bias)[:, :1]
        x = last.block(context, x[:, :1])[:, 0]
        return self.out_proj(torch.tanh(self.dense(x)))


class TokenClassification(nn.Module):
    """Every token in, class logits for every token out."""

    def __init__(self, source: Any) -> None:
        """Take the weights of a `RobertaForTokenClassification`."""
        super().__init__()
        self.encoder = Encoder(source.roberta, source.roberta.encoder.layer)
        self.classifier = Linear.of(source.classifier)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        # (batch, length) -> (batch, length, labels)
        x, _ = self.encoder(input_ids, attention_mask)
        return self.classifier(x)


class QuestionAnswering(nn.Module):
    """Every token in, out for each how well the answer starts and how well it ends there."""

    def __init__(self, source: Any) -> None:
        """Take the weights of a `RobertaForQuestionAnswering`."""
        super().__init__()
        self.encoder = Encoder(source.roberta, source.roberta.encoder.layer)
        self.qa_outputs = Linear.of(source.qa_outputs)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        # (batch, length) -> start and end logits, (batch, length) each
        x, _ = self.encoder(input_ids, attention_mask)
        logits = self.qa_outputs(x)
        return logits[..., 0], logits[..., 1]


class FeatureExtraction(nn.Module):
    """Every token in, the hidden state of every token out."""

    def __init__(self, source: Any) -> None:
        """Take the weights of a `RobertaModel`."""
        super().__init__()
        self.encoder = Encoder(source, source.encoder.layer)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        # (batch, length) -> (batch, length, hidden)
        x, _ = self.encoder(input_ids, attention_mask)
        return x
