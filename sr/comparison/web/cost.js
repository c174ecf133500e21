// PSNR against multiply-adds: a bubble a model, the papers' points outlined.
(() => {
  const section = document.getElementById("cost");
  if (!DATA.pictures.length) return;
  section.hidden = false;
  const select = section.querySelector("select");
  const place = section.querySelector(".chart");
  options(select, DATA.pictures.map((p) => p.title));

  const overlap = (a, b) => Math.max(0, Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x)) *
    Math.max(0, Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y));

  function paint() {
    const { title, points } = DATA.pictures.find((p) => p.title === select.value);
    const bubbles = points.filter((p) => p.macs).sort((a, b) => b.parameters - a.parameters); // small ones on top
    const lines = points.filter((p) => !p.macs);
    const psnrs = bubbles.map((p) => p.psnr);
    const lowest = Math.min(...psnrs) - Math.max(0.5, Math.max(...psnrs) - Math.min(...psnrs));
    const near = lines.map((p) => p.psnr).filter((v) => v > lowest); // a far baseline would press the others together
    const { svg, x, y, box, width } = chart(place, {
      xs: bubbles.map((p) => p.macs / 1e9), ys: [...psnrs, ...near], logX: true, roomY: 0.16, least: 360,
      xTitle: "multiply-adds, G", yTitle: "PSNR, dB",
      label: `PSNR against multiply-adds on ${title}: ` + bubbles.map((p) => `${told(p)}`).join("; "),
    });
    const largest = Math.max(...bubbles.map((p) => p.parameters));
    const radius = (p) => Math.max(4, (box.right - box.left < 500 ? 18 : 30) * Math.sqrt(p.parameters / largest));
    const far = lines.filter((p) => p.psnr <= lowest).map((p) => `${p.label} ${p.psnr.toFixed(2)}`);
    if (far.length) draw(svg, "text", { class: "faint", x: box.left + 6, y: box.bottom - 6 }, `below: ${far.join(", ")}`);
    for (const line of lines.filter((p) => p.psnr > lowest)) {
      draw(svg, "line", { x1: box.left, x2: box.right, y1: y(line.psnr), y2: y(line.psnr), stroke: "var(--faint)", "stroke-dasharray": "6 4" });
      draw(svg, "text", { class: "faint", x: box.left + 6, y: y(line.psnr) - 5 }, `${line.label} ${line.psnr.toFixed(2)}`);
    }
    const taken = bubbles.map((p) => {
      const r = 0.85 * radius(p);
      return { x: x(p.macs / 1e9) - r, y: y(p.psnr) - r, w: 2 * r, h: 2 * r };
    });
    taken.push({ x: 0, y: 0, w: box.left, h: box.bottom }); // the axis
    for (const p of bubbles) {
      const paint = p.paper ? "var(--faint)" : colour(p.label);
      const circle = draw(svg, "circle", {
        cx: x(p.macs / 1e9), cy: y(p.psnr), r: radius(p), stroke: paint, "stroke-width": 2, class: p.paper ? "paper" : "ours",
        fill: p.paper ? "none" : paint, "fill-opacity": 0.45, "stroke-dasharray": p.paper ? "4 3" : "", tabindex: 0, role: "img", "aria-label": told(p),
      });
      draw(circle, "title", {}, told(p));
    }
    for (const p of [...bubbles].sort((a, b) => a.paper - b.paper)) {
      const others = alike(p, bubbles);
      if (others.some((q) => q.psnr > p.psnr || (q.psnr === p.psnr && bubbles.indexOf(q) < bubbles.indexOf(p)))) continue;
      const text = others.length ? `${p.label} and ${others.length} more` : p.label;
      label(svg, p, text, radius(p), x(p.macs / 1e9), y(p.psnr), box, width, taken);
    }
  }

  const told = (p) => `${p.label}${p.paper ? " (published)" : ""}: ${p.psnr.toFixed(2)} dB, ` +
    `${short(p.macs / 1e9)} G multiply-adds, ${p.parameters.toLocaleString("en")} parameters`;

  // Runs of one network stand above each other: the best is named for all of them, a bubble's own name is its tooltip.
  const alike = (p, all) => all.filter((q) => q !== p && !p.paper && !q.paper && q.macs === p.macs && q.parameters === p.parameters);

  // Beside the bubble, where it covers the least of what is there; farther away with a line to it.
  function label(svg, p, words, r, cx, cy, box, width, taken) {
    const text = draw(svg, "text", { class: p.paper ? "faint" : "" }, words);
    const w = text.getComputedTextLength();
    const places = [[cx + r + 4, cy - 8, 0], [cx - r - 4 - w, cy - 8, 0]];
    for (const away of [4, 22, 40, 58, 76])
      for (const left of [cx - w / 2, cx + 4, cx - 4 - w])
        places.push([left, cy - r - away - 14, away], [left, cy + r + away, away]);
    const out = (a) => Math.max(0, 4 - a.x) + Math.max(0, a.x + a.w - width + 4) + Math.max(0, box.top - a.y) + Math.max(0, a.y + a.h - box.bottom);
    const price = (a) => out(a) * 50 + a.away + taken.reduce((sum, b) => sum + overlap(a, b), 0);
    const best = places.map(([left, top, away]) => ({ x: left, y: top, w, h: 16, away })).reduce((a, b) => (price(b) < price(a) ? b : a));
    text.setAttribute("x", best.x);
    text.setAttribute("y", best.y + 12);
    if (best.away > 4) {
      const above = best.y < cy;
      const foot = Math.max(best.x + 4, Math.min(best.x + w - 4, cx));
      draw(svg, "line", { x1: cx, y1: above ? cy - r : cy + r, x2: foot, y2: above ? best.y + 15 : best.y + 1, stroke: "var(--faint)" });
    }
    taken.push(best);
  }
  select.addEventListener("change", paint);
  keepDrawn(place, paint);
})();
