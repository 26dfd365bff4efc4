"""Texts as vectors: by the embedded sentence encoder, or, where it is not there, by hashed words."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fewtune.runtime.train.linear import Floats

Encode = Callable[[Sequence[str]], Floats]
"""Texts -> (texts, features), each of unit length."""
HASHED = 1024
"""Features of hashed words."""


def hashed_words(texts: Sequence[str]) -> Floats:
    """Counts of words and pairs of words in so many bins, of unit length."""
    from sklearn.feature_extraction.text import HashingVectorizer

    if not texts:
        return np.zeros((0, HASHED))
    found: Floats = HashingVectorizer(n_features=HASHED, ngram_range=(1, 2)).transform(list(texts)).toarray()
    return found


def embedded_vectors(device: str = "cpu", threads: int = 1) -> Encode | None:
    """The sentence encoder of this machine's cache; None where it was not pulled."""
    from fewtune.runtime.folders import encoder_folder
    from fewtune.runtime.minilm import encoder_is_ready

    if not encoder_is_ready():
        return None
    from fewtune.runtime.job import Corpus
    from fewtune.runtime.train.pulse import Pulse
    from fewtune.runtime.train.sentences import Sentences
    from fewtune.runtime.train.threads import Threads

    network = Sentences(encoder_folder(), Corpus(labels=(), splits={}), device, Threads(threads, steady=False))
    silent = Pulse("augment", lambda progress: None)

    def encode(texts: Sequence[str]) -> Floats:
        if not texts:
            return np.zeros((0, 1))
        return network.neighbourly([{"text": text} for text in texts], silent)

    return encode


def features(encode: Encode, rows: Sequence[Mapping[str, str]]) -> Floats:
    """(rows, features): a text's vector, or what two texts are together."""
    from fewtune.runtime.train.sentences import together

    distinct = list(dict.fromkeys(text for row in rows for text in row.values()))
    vectors = dict(zip(distinct, encode(distinct), strict=True))
    return np.array([together([vectors[text] for text in row.values()]) for row in rows])
