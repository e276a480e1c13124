"""How good a variant's answers are: against labels, and against the model it was made from.

    >>> from distilroberta.quantize.quality.evaluation import Candidate, measure, prepare
    >>> data = prepare(artifact.path, "text-classification", Path("dev.tsv"))
    >>> candidates = [Candidate("int8", artifact.session("int8").run)]
    >>> measure(data, candidates, reference=None).scores[0].metrics["accuracy"]

`evaluation` is the way in; `readers` knows the file formats, a module per task how its answers are
scored, `gate` when a loss is too large. Needs the `evaluate` extra:
pip install 'distilroberta-onnx[evaluate]'.
"""

# How many rows go through a model at once, unless told otherwise. Here because the command line
# shows it, and must not load the rest for that.
BATCH_SIZE = 8
