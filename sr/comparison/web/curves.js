// Training curves: one line a run, its values read off by mouse, finger or arrow keys.
(() => {
  const section = document.getElementById("curves");
  const names = Object.keys(DATA.curves);
  if (!names.length) return;
  section.hidden = false;
  const select = section.querySelector("select");
  const place = section.querySelector(".chart");
  const reading = section.querySelector(".reading");
  const legend = section.querySelector(".legend");
  const runs = [...new Set(names.flatMap((name) => Object.keys(DATA.curves[name])))];
  const hidden = new Set();
  const all = document.getElementById("all-runs");
  options(select, names);

  runs.forEach((run) => {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => {
      if (box.checked) hidden.delete(run);
      else hidden.add(run);
      all.checked = !hidden.size;
      all.indeterminate = hidden.size > 0 && hidden.size < runs.length;
      paint();
    });
    const key = document.createElementNS(SVG, "svg");
    key.setAttribute("width", 26);
    key.setAttribute("height", 8);
    key.setAttribute("aria-hidden", "true");
    draw(key, "line", { x1: 0, x2: 26, y1: 4, y2: 4, stroke: colour(run), "stroke-width": 3, "stroke-dasharray": dashes(run) });
    label.append(box, key, run);
    legend.append(label);
  });

  function paint() {
    const lines = Object.entries(DATA.curves[select.value]).filter(([run]) => !hidden.has(run));
    if (!lines.length) return place.replaceChildren("No run is chosen.");
    const points = lines.flatMap(([, line]) => line);
    const label = `${select.value} over training steps, ${lines.length} runs. ` +
      lines.map(([run, line]) => `${run} ends at ${short(line[line.length - 1][1])}`).join("; ");
    const { svg, x, y, box } = chart(place, {
      xs: points.map((p) => p[0]), ys: points.map((p) => p[1]), xTitle: "optimizer steps", yTitle: select.value, label,
    });
    for (const [run, line] of lines) {
      const path = line.map(([a, b], n) => `${n ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
      draw(svg, "path", { d: path, fill: "none", stroke: colour(run), "stroke-width": 2, "stroke-dasharray": dashes(run), "stroke-linejoin": "round" });
    }
    const steps = [...new Set(points.map((p) => p[0]))].sort((a, b) => a - b);
    const cursor = draw(svg, "line", { y1: box.top, y2: box.bottom, stroke: "var(--ink)", "stroke-width": 1, visibility: "hidden" });
    let at = steps.length - 1;
    const read = (index) => {
      at = Math.max(0, Math.min(steps.length - 1, index));
      const step = steps[at];
      cursor.setAttribute("x1", x(step));
      cursor.setAttribute("x2", x(step));
      cursor.setAttribute("visibility", "visible");
      const told = lines.flatMap(([run, line]) => {
        const point = line.find((p) => p[0] === step);
        return point ? [`${run} ${short(point[1])}`] : [];
      });
      reading.textContent = `Step ${step}: ${told.join("; ")}`;
    };
    svg.setAttribute("tabindex", "0");
    svg.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
      if (move === undefined) return;
      event.preventDefault();
      read(at + move);
    });
    svg.addEventListener("pointermove", (event) => {
      const where = event.clientX - svg.getBoundingClientRect().left;
      const distance = (step) => Math.abs(x(step) - where);
      read(steps.reduce((best, step, i) => (distance(step) < distance(steps[best]) ? i : best), 0));
    });
  }
  all.addEventListener("change", () => {
    legend.querySelectorAll("input").forEach((box) => { box.checked = all.checked; });
    runs.forEach((run) => (all.checked ? hidden.delete(run) : hidden.add(run)));
    paint();
  });
  select.addEventListener("change", paint);
  keepDrawn(place, paint);
})();
