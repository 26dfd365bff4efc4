"""Data files as people have them: every cell as it is written, or a sentence that says where the file is broken."""

from pathlib import Path

import pytest

from fewtune.runtime.probe.rows import cells, read_table
from fewtune.specs.data import Source
from fewtune.specs.diagnostic import PlanError

READ: list[tuple[str, bytes, dict[str, list[str]]]] = [
    ("plain.csv", b'text,label\n"a, b",x\n', {"text": ["a, b"], "label": ["x"]}),
    ("excel.csv", '\ufeffNachricht;Klasse\n"a; b, c";x\nhallo, welt;y\n'.encode(),
     {"Nachricht": ["a; b, c", "hallo, welt"], "Klasse": ["x", "y"]}),
    ("bars.csv", b"text|label\na,b;c|x\n", {"text": ["a,b;c"], "label": ["x"]}),
    ("quoted.csv", b'"a;b;c",label\n1,x\n', {"a;b;c": ["1"], "label": ["x"]}),
    ("one.csv", b"text\nhello\n", {"text": ["hello"]}),
    ("tabs.tsv", b"text\tlabel\na, b\tx\n", {"text": ["a, b"], "label": ["x"]}),
    ("dates.csv", b"text,label\n2020-01-01T1:05:00,007\n", {"text": ["2020-01-01T1:05:00"], "label": ["007"]}),
    ("mixed.jsonl", b'{"text": "2020-01-01T1:05:00", "label": 1}\n{"text": "a \\"b\\"", "label": "cooking"}\n'
     b'{"text": "3.50", "label": null, "more": {"k": [1]}}\n',
     {"text": ["2020-01-01T1:05:00", 'a "b"', "3.50"], "label": ["1", "cooking", ""], "more": ["", "", '{"k":[1]}']}),
    ("array.json", b'[{"text": "a", "label": true}, {"text": "b", "label": "x"}]',
     {"text": ["a", "b"], "label": ["true", "x"]}),
]  # fmt: skip
"""Name, content, what is read."""

BROKEN: list[tuple[str, bytes, str]] = [
    ("comma.csv", b"text,label\nhello, world,x\nb,y\n", "line 2 has 3 cells, the header has 2"),
    ("short.csv", b"text,label\na,x\nb\n", "line 3 has 1 cells, the header has 2"),
    ("open.csv", b'text,label\na,x\n"hello,y\nb,y\n', "unexpected end of data"),
    ("latin.csv", "text,label\nMüller,x\n".encode("latin-1"), "not UTF-8"),
]


@pytest.mark.parametrize(("name", "content", "expected"), READ, ids=[row[0] for row in READ])
def test_every_cell_is_as_it_is_written(
    name: str, content: bytes, expected: dict[str, list[str]], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    table = read_table(tmp_path / name, Source(path=name))
    assert {column: cells(values) for column, values in table.columns.items()} == expected


@pytest.mark.parametrize(("name", "content", "said"), BROKEN, ids=[row[0] for row in BROKEN])
def test_a_broken_file_is_named_with_its_line(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PlanError) as caught:
        read_table(tmp_path / name, Source(path=name))
    (finding,) = caught.value.diagnostics
    assert finding.code == "E-file-unreadable"
    assert said in finding.message


def test_labels_choose_rows_and_give_them_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,yes\nb,no\nc,maybe\nd, yes \ne,perhaps\n")
    table = read_table(tmp_path / "a.csv", Source(path="a.csv", rows="2-5"))
    kept = table.labelled("label", {"yes": "sure", "maybe": "unsure", "perhaps": "unsure"})
    assert kept.columns == {"text": ["c", "d", "e"], "label": ["unsure", "sure", "unsure"]}
    assert list(kept.numbers) == [3, 4, 5]
    with pytest.raises(PlanError) as caught:
        table.labelled("label", {"yes": "sure", "Maybe": "unsure"})
    (finding,) = caught.value.diagnostics
    assert finding.code == "E-label-unknown"
    assert "'Maybe'" in finding.message
    assert "maybe, no, perhaps, yes" in (finding.remedy or "")
