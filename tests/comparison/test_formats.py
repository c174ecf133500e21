"""A comparison as Markdown, CSV and LaTeX."""

import csv
import dataclasses

from sr.comparison.columns import tabulate
from sr.comparison.formats import as_latex, as_markdown
from sr.comparison.page import page
from sr.comparison.rows import labelled, rows
from sr.scores.results import read, write
from sr.scores.score import scores_of
from sr.scores.text import from_csv, write_csv

NASTY = r"a|b_c*d&50%<e>\f{g}#h~i^j$"


def table(made_up):
    sources = labelled([made_up("a", loss="l1"), made_up("b", loss="l2", psnr=31.0)])
    return tabulate(rows([dataclasses.replace(sources[0], label=NASTY), sources[1]]), ["a note, 50% _long_"])


def test_markdown(made_up):
    text = as_markdown(table(made_up))
    head, rule, *lines = [line for line in text.splitlines() if line.startswith("|")]
    assert head.startswith("| entry, x2 | Set5, y |") and rule.count("|") == head.count("|")
    assert lines[1].startswith(r"| a\|b_c\*d&50%\<e\>\\f{g}\#h\~i^j$ | 30.00 / 0.7500 |")
    assert lines[1].endswith("| l1 |")
    assert all(line.replace(r"\|", "").count("|") == head.count("|") for line in lines)
    assert "**31.00 / 0.7750**" in lines[2] and r"- a note, 50% \_long\_" in text


def test_each_number_is_bold_by_its_own_metric(made_up):
    """A bold SSIM was that of the best PSNR."""
    one, other = made_up("a", loss="l1"), made_up("b", loss="l2", psnr=31.0)
    better = [s for s in one.run.scores if s.metric == "ssim" and s.model != "bicubic"]
    one.run.scores[:] = [dataclasses.replace(s, value=0.9) if s in better else s for s in one.run.scores]
    made = tabulate(rows(labelled([one, other])))
    assert "| 30.00 / **0.9000** |" in as_markdown(made) and "| **31.00** / 0.7750 |" in as_markdown(made)
    assert r"30.00 / \textbf{0.9000} &" in as_latex(made) and '<td class="number"' in page(made, [], [])
    assert "30.00 / <b>0.9000</b></td>" in page(made, [], [])


def test_no_cell_moves_the_cursor_of_a_terminal(made_up):
    made = tabulate(rows(labelled([made_up("a")])), ["x\x1b[2Ky"])
    row = dataclasses.replace(made.lines[1].row, label="a\x1b[31mb")
    made.lines[1] = dataclasses.replace(made.lines[1], row=row)
    for text in (as_markdown(made), as_latex(made)):
        assert text.isascii() and all(letter.isprintable() or letter == "\n" for letter in text)


def test_csv(made_up, tmp_path):
    made = table(made_up)
    write_csv(tmp_path / "table.csv", made.keys, (line.values for line in made.lines))
    found = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [row["entry"] for row in found] == ["bicubic", NASTY, "ecbsr_m4c8 loss=l2"]
    assert found[2]["Set5/psnr_y"] == "31.0" and found[2]["parameters"] == "2748" and found[0]["loss"] == ""
    assert found[1]["place"].endswith("a")


def test_no_cell_of_a_csv_is_a_formula(tmp_path):
    names = ["=1+1", "+x", "-cmd|' /C calc'!A0", "@SUM(A1)", "\tx", "\rx"]
    kept = ["+0.12", "-3.5", "-1e-05", "", "-", "a=b", "'quoted'"]
    write_csv(tmp_path / "x.csv", ["=head", "n"], [{"=head": text, "n": -1.5} for text in names + kept])
    head, *found = list(csv.reader((tmp_path / "x.csv").open(newline="")))
    assert [row[0] for row in found] == [f"'{name}" for name in names] + kept and head[0] == "'=head"
    assert all(row[1] == "-1.5" for row in found)
    assert [from_csv(row[0]) for row in found] == names + kept
    scores = scores_of("=evil", "@set", 2, "y", {"psnr": 30.0, "ssim": 0.9}, 1, "image")
    write(scores, tmp_path)
    assert [(s.model, s.dataset) for s in read(tmp_path / "results.csv")] == [("=evil", "@set")] * 2


def test_latex(made_up):
    text = as_latex(table(made_up))
    special = (
        r"a\textbar{}b\_c*d\&50\%\textless{}e\textgreater{}\textbackslash{}f\{g\}\#h\textasciitilde{}i"
        r"\textasciicircum{}j\$ & 30.00 / 0.7500 &"
    )
    assert special in text
    made = table(made_up)
    quoted = dataclasses.replace(
        made, lines=[dataclasses.replace(li, values={**li.values, "loss": '"flow"'}) for li in made.lines]
    )
    assert r"& ''flow'' \\" in as_latex(quoted)  # \\textquotedbl is an error in LaTeX's default encoding
    ends = tabulate(rows([dataclasses.replace(labelled([made_up("a")])[0], label="[9in]")]))
    assert "{}[9in] & " in as_latex(ends)  # after a line's end it would be the end's own space
    assert r"\begin{tabular}{lrrrrrrrrl}" in text and r"\textbf{31.00 / 0.7750}" in text
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    assert {line.count(" & ") for line in body.splitlines() if " & " in line} == {9}
    assert all(line.startswith("%") for line in text[: text.index(r"\begin")].splitlines())
