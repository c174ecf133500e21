// PSNR against multiply-adds: a bubble a model, the papers' points outlined.
(() => {
  const section = document.getElementById("cost");
  if (!DATA.pictures.length) return;
  section.hidden = false;
  const select = section.querySelector("select");
  const place = section.querySelector(".chart");
  const rest = section.querySelector(".rest");
  options(select, DATA.pictures.map((p) => p.title));

  const overlap = (a, b) => Math.max(0, Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x)) *
    Math.max(0, Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y));

  function paint() {
    const picture = DATA.pictures.find((p) => p.title === select.value);
    const bubbles = picture.points.filter((p) => p.macs).sort((a, b) => b.parameters - a.parameters); // small ones on top
    const lines = picture.points.filter((p) => !p.macs);
    const [low, high] = picture.y;
    const room = Math.max(0.5, high - low);
    const near = lines.filter((p) => p.psnr > low - room && p.psnr < high + room); // a far baseline would press the others together
    const { svg, x, y, box, width } = chart(place, {
      xs: picture.x, ys: [low, high, ...near.map((p) => p.psnr)], logX: true, roomX: 1.7, roomY: 0.16, least: 360,
      xTitle: "multiply-adds, G", yTitle: "PSNR, dB",
      label: `PSNR against multiply-adds on ${picture.title}: ` + bubbles.map((p) => `${told(p)}`).join("; "),
    });
    const largest = Math.max(...bubbles.map((p) => p.parameters));
    const radius = (p) => Math.max(4, (box.right - box.left < 500 ? 18 : 30) * Math.sqrt(p.parameters / largest));
    const names = []; // boxes
    for (const p of lines.filter((p) => !near.includes(p))) {
      const above = p.psnr > high;
      const at = above ? box.top + 14 : box.bottom - 6;
      draw(svg, "text", { class: "faint", x: box.left + 6, y: at }, `${above ? "\u2191" : "\u2193"} ${p.label} ${p.psnr.toFixed(2)}`);
      names.push({ x: box.left, y: at - 12, w: 120, h: 16 });
    }
    for (const line of near) {
      draw(svg, "line", { x1: box.left, x2: box.right, y1: y(line.psnr), y2: y(line.psnr), stroke: "var(--faint)", "stroke-dasharray": "6 4" });
      draw(svg, "text", { class: "faint", x: box.left + 6, y: y(line.psnr) - 5 }, `${line.label} ${line.psnr.toFixed(2)}`);
      names.push({ x: box.left, y: y(line.psnr) - 17, w: 120, h: 16 });
    }
    const marks = bubbles.map((p) => mark(p, picture, x, y, box, radius(p)));
    const unnamed = [];
    for (const m of marks) paintMark(svg, m);
    for (const m of [...marks].sort((a, b) => a.p.paper - b.p.paper)) {
      const p = m.p;
      const others = m.away ? [] : alike(p, bubbles);
      if (others.some((q) => q.psnr > p.psnr || (q.psnr === p.psnr && bubbles.indexOf(q) < bubbles.indexOf(p)))) continue;
      const text = others.length ? `${p.name}, ${others.length + 1} rows` : m.away ? `${p.label} ${figures(p)} ${m.away}` : p.label;
      if (!label(svg, m, text, box, width, marks, names)) unnamed.push(`${text} (${figures(p)})`);
    }
    rest.textContent = unnamed.length ? `Without room for a name: ${unnamed.join("; ")}.` : "";
  }

  // Where a point stands: beyond the axes' range at the edge, with arrows to where it lies.
  function mark(p, picture, x, y, box, r) {
    const [macs, [x0, x1], [y0, y1]] = [p.macs / 1e9, picture.x, picture.y];
    const across = macs < x0 ? "\u2190" : macs > x1 ? "\u2192" : "";
    const up = p.psnr < y0 ? "\u2193" : p.psnr > y1 ? "\u2191" : "";
    const away = across + up;
    const cx = across === "\u2190" ? box.left + 9 : across ? box.right - 9 : x(macs);
    const cy = up === "\u2193" ? box.bottom - 9 : up ? box.top + 9 : y(p.psnr);
    return { p, away, cx, cy, r: away ? 7 : r };
  }

  const TURNS = { "\u2191": 0, "\u2192": 90, "\u2193": 180, "\u2190": 270 };
  function paintMark(svg, { p, away, cx, cy, r }) {
    const paint = p.paper ? "var(--faint)" : colour(p.label);
    const own = away ? { d: "M0 -8L6 6H-6Z", transform: `translate(${cx} ${cy}) rotate(${TURNS[away[0]]})` } : { cx, cy, r };
    const shape = draw(svg, away ? "path" : "circle", {
      ...own, stroke: paint, "stroke-width": 2, class: p.paper ? "paper" : "ours", fill: p.paper ? "none" : paint,
      "fill-opacity": 0.45, "stroke-dasharray": p.paper ? "4 3" : "", tabindex: 0, role: "img", "aria-label": told(p),
    });
    draw(shape, "title", {}, told(p));
  }

  const macs = (p) => `${short(p.macs / 1e9)} G${p.uncounted ? " + ?" : ""}`;
  const figures = (p) => `${p.psnr.toFixed(2)} dB, ${macs(p)}`;
  const told = (p) => `${p.label}${p.paper ? " (published)" : ""}: ${p.psnr.toFixed(2)} dB, ` +
    `${macs(p)} multiply-adds, ${p.parameters.toLocaleString("en")} parameters`;

  // Runs of one network stand above each other: the best is named for all of them, a bubble's own name is its tooltip.
  const alike = (p, all) => all.filter((q) => q !== p && !p.paper && !q.paper && q.macs === p.macs && q.parameters === p.parameters);

  // Beside the mark, on no other name, where it covers the least of other marks; farther away with a line to it.
  // False where every place is taken.
  function label(svg, { p, cx, cy, r }, words, box, width, marks, names) {
    const text = draw(svg, "text", { class: p.paper ? "faint" : "" }, words);
    const w = text.getComputedTextLength();
    const places = [[cx + r + 4, cy - 8, 0], [cx - r - 4 - w, cy - 8, 0]];
    for (const away of [4, 22, 40, 58, 76, 94, 112])
      for (const left of [cx - w / 2, cx + 4, cx - 4 - w, cx + r + 10, cx - r - 10 - w])
        places.push([left, cy - r - away - 14, away], [left, cy + r + away, away]);
    const bubbles = marks.map((m) => ({ x: m.cx - 0.85 * m.r, y: m.cy - 0.85 * m.r, w: 1.7 * m.r, h: 1.7 * m.r }));
    const apart = (a) => ({ x: a.x - 5, y: a.y, w: a.w + 10, h: a.h });
    const price = (a) => a.away + bubbles.reduce((sum, b) => sum + overlap(a, b), 0);
    const free = (a) => a.x >= box.left + 2 && a.x + w <= width - 4 && a.y >= box.top && a.y + a.h <= box.bottom &&
      names.every((b) => overlap(apart(a), b) === 0);
    const found = places.map(([left, top, away]) => ({ x: left, y: top, w, h: 16, away })).filter(free);
    if (!found.length) {
      text.remove();
      return false;
    }
    const best = found.reduce((a, b) => (price(b) < price(a) ? b : a));
    text.setAttribute("x", best.x);
    text.setAttribute("y", best.y + 12);
    if (best.away > 4) {
      const above = best.y < cy;
      const foot = Math.max(best.x + 4, Math.min(best.x + w - 4, cx));
      draw(svg, "line", { x1: cx, y1: above ? cy - r : cy + r, x2: foot, y2: above ? best.y + 15 : best.y + 1, stroke: "var(--faint)" });
    }
    names.push(best);
    return true;
  }
  select.addEventListener("change", paint);
  keepDrawn(place, paint);
})();
