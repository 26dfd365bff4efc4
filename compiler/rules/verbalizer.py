"""Which word stands for each label."""

from fewtune.compiler.arm import Verbalizer
from fewtune.compiler.situation import Choice, Situation, otherwise
from fewtune.compiler.wording import SYNONYMS, word_forms

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def first_tokens(s: Situation, words: dict[str, str]) -> dict[str, int] | None:
    """Label -> the first token of its word; None where two labels share it or a word was not measured."""
    known = s.facts.model.word_tokens
    tokens = {label: known[word][0] for label, word in words.items() if known.get(word)}
    return tokens if len(tokens) == len(words) == len(set(tokens.values())) else None


def single(s: Situation, words: dict[str, str]) -> bool:
    """Whether each word is one token of this model."""
    return all(len(s.facts.model.word_tokens.get(word, ())) == 1 for word in words.values())


def _named(s: Situation) -> dict[str, str]:
    """The labels' own names, each in the spelling with the fewest tokens."""
    known = s.facts.model.word_tokens
    return {label: min(word_forms(label), key=lambda word: len(known.get(word, (0,) * 99))) for label in s.label_names}


def synonyms(s: Situation) -> dict[str, str] | None:
    """The usual words for these labels, if there are any."""
    names = frozenset(label.lower() for label in s.label_names)
    table = next((words for words in SYNONYMS if names == words.keys()), None)
    return {label: table[label.lower()] for label in s.label_names} if table else None


def verbalizer(s: Situation) -> Choice:
    """The label's own name where it is one token, a usual synonym, its first token, or a letter."""
    named = _named(s)
    tokens = first_tokens(s, named)
    speaking = not all(label.strip().lstrip("-").isdigit() for label in s.label_names)
    if tokens and single(s, named) and speaking:
        return _chosen(named, tokens, "each label's own name is one token of this model")
    usual = synonyms(s)
    if usual and (shared := first_tokens(s, usual)) and single(s, usual):
        return _chosen(usual, shared, "the usual words for these labels, each one token")
    if tokens and speaking:
        long = [word for word in named.values() if len(s.facts.model.word_tokens[word]) > 1]
        because = f"the labels' own names, recognised by their first token ({', '.join(map(repr, long[:3]))} have more)"
        return _chosen(named, tokens, because)
    letters = {label: LETTERS[index] for index, label in enumerate(s.label_names[: len(LETTERS)])}
    if len(letters) == len(s.label_names) and (drawn := first_tokens(s, letters)):
        return _chosen(letters, drawn, "the labels' names share tokens or say nothing: a letter for each")
    return Choice(
        value=None,
        because=f"{len(s.label_names)} labels have no distinct single tokens: only a classification head is possible",
        rule="R-072",
        flips_when="task.verbalizer gives a one-token word for each label",
    )


def _chosen(words: dict[str, str], tokens: dict[str, int], because: str) -> Choice:
    return Choice(
        value=Verbalizer(words=words, tokens=tokens).model_dump(mode="json"),
        because=because,
        rule="R-072",
        alternatives=(otherwise("other words", "give task.verbalizer to pin your own"),),
        flips_when="task.verbalizer is given",
    )
