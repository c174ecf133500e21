// The table: sorting by its heads, hiding rows; and the colours of the page.
const DATA = JSON.parse(document.getElementById("data").textContent);

(() => {
  const table = document.querySelector("table");
  const body = table.tBodies[0];
  const heads = [...table.querySelectorAll("thead th")];
  const numeric = (cells) => cells.every((c) => c.dataset.value === "" || !Number.isNaN(Number(c.dataset.value)));

  function sort(column) {
    const head = heads[column];
    const rows = [...body.rows];
    const cells = rows.map((row) => row.cells[column]);
    const numbers = numeric(cells);
    const before = head.getAttribute("aria-sort");
    const first = numbers && Number(head.dataset.better) >= 0 ? "descending" : "ascending";
    const next = before === "none" ? first : before === "ascending" ? "descending" : "ascending";
    heads.forEach((h) => h.setAttribute("aria-sort", h === head ? next : "none"));
    const turn = next === "ascending" ? 1 : -1;
    const value = (row) => row.cells[column].dataset.value;
    rows.sort((a, b) => {
      if (value(a) === "" || value(b) === "") return (value(a) === "") - (value(b) === ""); // unknown ones last
      return turn * (numbers ? value(a) - value(b) : value(a).localeCompare(value(b), undefined, { numeric: true }));
    });
    body.append(...rows);
  }
  heads.forEach((head, i) => head.querySelector("button").addEventListener("click", () => sort(i)));

  // A setting is shown where the rows that are shown differ in it.
  function differ() {
    const rows = [...body.rows].filter((row) => !row.hidden);
    heads.forEach((head, i) => {
      if (head.dataset.setting === undefined) return;
      const known = new Set(rows.map((row) => row.cells[i].textContent).filter(Boolean));
      [head, ...[...body.rows].map((row) => row.cells[i])].forEach((cell) => { cell.hidden = known.size < 2; });
    });
  }

  const wanted = document.getElementById("wanted");
  const shown = document.getElementById("shown");
  function narrow() {
    const words = wanted.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...body.rows];
    rows.forEach((row) => {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    });
    differ();
    shown.textContent = `${words.length ? `${rows.filter((row) => !row.hidden).length} of ` : ""}${rows.length} rows`;
  }
  wanted.addEventListener("input", narrow);
  narrow();

  const themes = { "": "as the system", light: "light", dark: "dark" };
  const button = document.getElementById("theme");
  let theme = "";
  try { theme = localStorage.getItem("theme") || ""; } catch { /* a file's storage may be closed */ }
  function paint() {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    button.textContent = `Colours: ${themes[theme]}`;
  }
  button.addEventListener("click", () => {
    const names = Object.keys(themes);
    theme = names[(names.indexOf(theme) + 1) % names.length];
    try { localStorage.setItem("theme", theme); } catch { /* then it holds until the page is closed */ }
    paint();
  });
  paint();
})();
