"""A comparison written down: Markdown to read, LaTeX to print."""

from sr.comparison.columns import Table
from sr.errors import printable
from sr.scores.text import in_markdown, markdown, wrapped

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''",  # \textquotedbl is not in LaTeX's default encoding
    "±": r"$\pm$",
}  # fmt: skip


def as_markdown(table: Table) -> str:
    """The table, how its rows differ, and its notes; the best scores in bold."""
    tables = [markdown(table.cells(), table.best()), *([markdown(table.differences)] if table.differences else [])]
    return "\n\n".join([*tables, "\n".join(f"- {in_markdown(note)}" for note in table.notes)]) + "\n"


def as_latex(table: Table) -> str:
    r"""A `tabular` for \input, with the rules of the booktabs package; the notes are comments in it."""
    head, *lines = [[_latex(cell) for cell in line] for line in table.cells()]
    for (i, n), parts in table.best().items():
        lines[i][n] = wrapped(lines[i][n], parts, r"\textbf{{{}}}".format)
    body = [" & ".join(line) + r" \\" for line in lines]
    kinds = "".join("r" if table.numeric(n) else "l" for n in range(len(head)))
    comments = [r"% needs \usepackage{booktabs}", *(f"% {printable(' '.join(note.split()))}" for note in table.notes)]
    begin = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", " & ".join(head) + r" \\", r"\midrule"]
    return "\n".join([*comments, *begin, *body, r"\bottomrule", r"\end{tabular}", ""])


def _latex(text: str) -> str:
    """Of a cell; where a line begins with [ or *, the end of the line before would take it for its own."""
    told = "".join(_LATEX.get(character, character) for character in printable(" ".join(text.split())))
    return f"{{}}{told}" if told.startswith(("[", "*")) else told
