// What the two charts share: elements, scales, axes, colours.
const SVG = "http://www.w3.org/2000/svg";
const COLOURS = 8;
const DASHES = ["", "7 3", "2 3", "10 3 2 3"];

function draw(parent, name, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

// A model has one colour, and one kind of line, in all pictures.
const number = (label) => Math.max(0, DATA.labels.indexOf(label));
const colour = (label) => `var(--c${number(label) % COLOURS})`;
const dashes = (label) => DASHES[Math.floor(number(label) / COLOURS) % DASHES.length];

function range(values, logarithmic, share = 0.06, factor = 1.5) {
  let low = Math.min(...values);
  let high = Math.max(...values);
  if (logarithmic) return low === high ? [low / 2, high * 2] : [low / factor, high * factor];
  const room = (high - low) * share || Math.abs(high) * 0.05 || 1;
  return [low - room, high + room];
}

function ticks(low, high, logarithmic, most) {
  if (logarithmic) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1)
      for (const digit of [1, 2, 5]) found.push(digit * 10 ** power);
    const inside = found.filter((v) => v >= low && v <= high);
    return inside.length > most ? inside.filter((v) => Math.abs(Math.log10(v) % 1) < 1e-9) : inside;
  }
  const rough = (high - low) / most;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * unit).find((s) => s >= rough);
  const found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) found.push(Number(v.toPrecision(12)));
  return found;
}

const short = (v) => {
  const size = Math.abs(v);
  if (size >= 1e6) return `${Number((v / 1e6).toPrecision(4))}M`;
  if (size >= 1e4) return `${Number((v / 1e3).toPrecision(4))}k`;
  return String(Number(v.toPrecision(5)));
};

// An empty chart: {svg, x, y, box}, where x and y turn values into pixels.
function chart(place, { xs, ys, xTitle, yTitle, logX = false, roomX = 1.5, roomY = 0.06, least = 260, label }) {
  place.replaceChildren();
  const width = Math.max(280, place.clientWidth);
  const height = Math.round(Math.min(460, Math.max(least, width * 0.5)));
  const box = { left: 58, right: width - 14, top: 30, bottom: height - 44 };
  const svg = draw(place, "svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label });
  const [x0, x1] = range(xs, logX, 0.06, roomX);
  const [y0, y1] = range(ys, false, roomY);
  const part = (v, a, b, logarithmic) => (logarithmic ? Math.log(v / a) / Math.log(b / a) : (v - a) / (b - a));
  const x = (v) => box.left + part(v, x0, x1, logX) * (box.right - box.left);
  const y = (v) => box.bottom - part(v, y0, y1, false) * (box.bottom - box.top);
  for (const v of ticks(x0, x1, logX, Math.max(3, Math.floor(width / 110)))) {
    draw(svg, "line", { class: "grid", x1: x(v), x2: x(v), y1: box.top, y2: box.bottom });
    draw(svg, "text", { class: "faint", x: x(v), y: box.bottom + 18, "text-anchor": "middle" }, short(v));
  }
  for (const v of ticks(y0, y1, false, 6)) {
    draw(svg, "line", { class: "grid", x1: box.left, x2: box.right, y1: y(v), y2: y(v) });
    draw(svg, "text", { class: "faint", x: box.left - 6, y: y(v) + 4, "text-anchor": "end" }, short(v));
  }
  draw(svg, "text", { x: box.right, y: height - 8, "text-anchor": "end" }, xTitle);
  draw(svg, "text", { x: 8, y: 18 }, yTitle);
  return { svg, x, y, box, width };
}

// Draw now and whenever the width changes.
function keepDrawn(place, paint) {
  let width = 0;
  new ResizeObserver(() => {
    if (place.clientWidth !== width) {
      width = place.clientWidth;
      paint();
    }
  }).observe(place);
  paint();
}

function options(select, names, chosen = names[0]) {
  select.replaceChildren(...names.map((name) => new Option(name, name, name === chosen, name === chosen)));
}
