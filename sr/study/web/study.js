// One question after the other; answers stay in this browser until they are saved as a file.
(() => {
  const DATA = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const PAIRS = DATA.mode === "pairs";
  const PLACE = `sr-study-${DATA.study}`;
  const OPINIONS = ["bad", "poor", "fair", "good", "excellent"];
  const SECONDS = PAIRS ? 6 : 4; // that a trial takes, about
  const ZOOMS = [1, 2, 3, 4]; // times what fits
  const LARGEST = 4; // of a picture's pixels, where all of it is to be seen
  const stage = at("stage");
  const panes = [...stage.querySelectorAll(".pane")].slice(0, PAIRS ? 2 : 1);
  const images = panes.map((pane) => pane.querySelector("img"));
  if (!PAIRS) stage.lastElementChild.remove();

  let state = null; // rater, name, begun, answers, saved: how many of them are in a file
  let order = [];
  let mirrored = false;
  let ready = false; // the pictures of the trial are there
  let turn = 0; // of the last trial that was asked for
  let since = 0;
  let zoom = 0;
  let centre = [0.5, 0.5];
  let flipped = -1; // which picture is seen while flipping; -1: beside each other
  let seen = new Set();

  // ---- chance, from a text: the same rater sees the same order after a reload --------------------------------
  function generator(text) {
    let a = 2166136261;
    for (const letter of text) a = Math.imul(a ^ letter.codePointAt(0), 16777619);
    return () => {
      a = (a + 0x6d2b79f5) | 0;
      let t = Math.imul(a ^ (a >>> 15), 1 | a);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  // The same crop does not come twice in a row, wherever that can be: one that more than half of those left are of is
  // taken at once.
  function arrange(rater) {
    const random = generator(DATA.study + rater);
    mirrored = random() < 0.5;
    const crop = (n) => DATA.trials[n].crop;
    const left = DATA.trials.map((_, n) => n);
    order = [];
    while (left.length) {
      const last = order.length ? crop(order.at(-1)) : -1;
      const counts = new Map();
      for (const n of left) counts.set(crop(n), (counts.get(crop(n)) || 0) + 1);
      const many = [...counts].find(([which, count]) => which !== last && 2 * count > left.length);
      const others = left.filter((n) => (many ? crop(n) === many[0] : crop(n) !== last));
      const from = others.length ? others : left;
      const next = from[Math.floor(random() * from.length)];
      left.splice(left.indexOf(next), 1);
      order.push(next);
    }
  }

  // ---- what stays ---------------------------------------------------------------------------------------------
  function keep() {
    try {
      if (state) localStorage.setItem(PLACE, JSON.stringify(state));
      else localStorage.removeItem(PLACE);
    } catch {
      at("closed").hidden = false;
    }
  }

  function kept() {
    try {
      const found = JSON.parse(localStorage.getItem(PLACE));
      if (found && typeof found.rater === "string" && Array.isArray(found.answers)) return found;
    } catch { /* nothing that could be read, or a browser that keeps nothing for files */ }
    return null;
  }

  function save() {
    const content = {
      format: DATA.format, study: DATA.study, mode: DATA.mode, rater: state.rater, name: state.name, mirrored,
      begun: state.begun, saved_at: new Date().toISOString(), answers: state.answers,
    };
    const name = (state.name || state.rater.slice(0, 8)).replace(/[^\p{L}\p{N}_-]+/gu, "_").slice(0, 40);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${JSON.stringify(content, null, 1)}\n`], { type: "application/json" }));
    link.download = `answers_${DATA.study.slice(0, 6)}_${name}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    state.saved = state.answers.length;
    keep();
    const told = `Saved as ${link.download}, where this browser puts what it downloads.`;
    at("saved").textContent = `${told} Send that file to whoever gave you this page.`;
    at("hint").textContent = told;
  }

  // ---- the pictures -------------------------------------------------------------------------------------------
  function lay() {
    const [w, h] = [images[0].naturalWidth, images[0].naturalHeight];
    if (!w) return;
    const dots = window.devicePixelRatio || 1;
    const [wide, high] = [stage.clientWidth, stage.clientHeight];
    const beside = PAIRS && flipped < 0;
    const caption = 26;
    const fits = (width, height) => Math.min(LARGEST, width / w, height / h);
    const inRow = beside ? fits((wide - 14) / 2, high - caption) : fits(wide, high - caption);
    const inColumn = beside ? fits(wide, (high - 6) / 2 - caption) : 0;
    stage.classList.toggle("column", inColumn > inRow);
    // Whole pixels of the screen for each of the picture's, one at least.
    const fit = Math.max(1, Math.floor(Math.max(inRow, inColumn) * dots)) / dots;
    const scale = fit * ZOOMS[zoom];
    const most = inColumn > inRow ? [wide, (high - 6) / 2 - caption] : [beside ? (wide - 14) / 2 : wide, high - caption];
    const size = [Math.min(w * fit, most[0]), Math.min(h * fit, most[1])];
    const whole = [w * scale, h * scale];
    const moved = whole.map((side, n) => {
      const from = Math.min(0, Math.max(size[n] - side, size[n] / 2 - centre[n] * side));
      centre[n] = side > size[n] ? (size[n] / 2 - from) / side : 0.5;
      return Math.round(from * dots) / dots;
    });
    panes.forEach((pane, n) => {
      const frame = pane.querySelector(".window");
      [frame.style.width, frame.style.height] = size.map((side) => `${side}px`);
      [images[n].style.width, images[n].style.height] = whole.map((side) => `${side}px`);
      images[n].style.transform = `translate(${moved[0]}px, ${moved[1]}px)`;
      pane.classList.toggle("shown", flipped === n);
    });
    stage.classList.toggle("zoomed", whole[0] > size[0] + 0.5 || whole[1] > size[1] + 0.5);
    stage.classList.toggle("flipping", flipped >= 0);
    at("zoomed").textContent = `${Number(scale.toFixed(1))}x`;
    at("smaller").disabled = zoom === 0;
    at("larger").disabled = zoom === ZOOMS.length - 1;
    at("flip").setAttribute("aria-pressed", String(flipped >= 0));
  }

  function enlarge(by) {
    zoom = Math.max(0, Math.min(ZOOMS.length - 1, zoom + by));
    lay();
  }

  function flip(to) {
    if (!PAIRS) return;
    flipped = to;
    if (to < 0) seen = new Set([0, 1]);
    else seen.add(to);
    allow();
    lay();
  }

  // Whoever flips has to see both before an answer.
  function allow() {
    const able = ready && (!PAIRS || seen.size === 2);
    at("answers").querySelectorAll("button").forEach((button) => { button.disabled = !able; });
    const how = matchMedia("(pointer: coarse)").matches ? "tap the picture" : "press f, or click the picture,";
    at("hint").textContent = flipped < 0 ? "" : `This is ${"AB"[flipped]}: ${how} to see the other one`;
    return able;
  }

  // ---- the questions ------------------------------------------------------------------------------------------
  function only(view) {
    for (const name of ["start", "rate", "end"]) at(name).hidden = name !== view;
    document.body.classList.toggle("rating", view === "rate");
  }

  async function show() {
    const number = state.answers.length;
    const mine = ++turn;
    ready = false;
    if (number >= order.length) return finish();
    only("rate");
    at("count").textContent = `${number + 1} of ${order.length}`;
    at("done-part").max = order.length;
    at("done-part").value = number;
    at("undo").disabled = number === 0;
    at("save-part").disabled = number === 0;
    const { shown } = DATA.trials[order[number]];
    const pictures = mirrored ? [...shown].reverse() : shown;
    centre = [0.5, 0.5];
    if (flipped >= 0) flipped = 0;
    seen = new Set(flipped < 0 ? [0, 1] : [0]);
    allow();
    await Promise.all(images.map(async (image, n) => {
      image.alt = PAIRS ? `Picture ${"AB"[n]}` : "The picture";
      await new Promise((loaded, failed) => { // a damaged picture is not answered
        image.onload = loaded;
        image.onerror = failed;
        image.src = DATA.pictures[pictures[n]];
      });
      // Decoded, they do not flash; a browser that paints nothing at the moment would keep us waiting for that.
      await Promise.race([image.decode().catch(() => {}), new Promise((late) => { setTimeout(late, 500); })]);
    }));
    if (mine !== turn) return undefined;
    for (const pane of panes) { // seen to be new ones
      pane.style.animation = "none";
      pane.getBoundingClientRect();
      pane.style.animation = "";
    }
    lay();
    ready = true;
    since = performance.now();
    return allow();
  }

  function answer(choice) {
    if (!state || !ready || !allow()) return;
    ready = false;
    let chosen = choice;
    if (choice === "left") chosen = mirrored ? "second" : "first";
    if (choice === "right") chosen = mirrored ? "first" : "second";
    const seconds = Math.round((performance.now() - since) / 100) / 10;
    state.answers.push({ trial: order[state.answers.length], choice: chosen, seconds });
    keep();
    show();
  }

  function undo() {
    if (!state || !state.answers.length) return;
    state.answers.pop();
    state.saved = Math.min(state.saved, state.answers.length);
    keep();
    show();
  }

  function finish() {
    only("end");
    at("all").textContent = `All ${order.length} are answered. Save them as a file and send it to whoever gave you this page.`;
    at("saved").textContent = state.saved === order.length ? "Your answers were saved already; you can save them again." : "";
    at("save").focus();
  }

  function begin(name) {
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    const rater = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    state = { rater, name, begun: new Date().toISOString(), answers: [], saved: 0 };
    keep();
    go();
  }

  function go() {
    arrange(state.rater);
    // Whatever stood in the browser: only answers to the trials in their order are gone on with.
    const fits = state.answers.findIndex((answered, n) => answered.trial !== order[n]);
    if (fits >= 0) state.answers.length = fits;
    show();
  }

  // ---- what is pressed ----------------------------------------------------------------------------------------
  const ANSWERS = PAIRS
    ? [["left", "A is better", "\u2190"], ...(DATA.equal ? [["equal", "Equal", "\u2193"]] : []), ["right", "B is better", "\u2192"]]
    : OPINIONS.map((word, n) => [n + 1, word, ""]);
  for (const [choice, text, key] of ANSWERS) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.choice = choice;
    const word = document.createElement("span");
    word.textContent = text;
    if (PAIRS) button.append(word);
    else {
      word.className = "word";
      button.append(String(choice), word);
    }
    if (key) {
      const hint = document.createElement("kbd");
      hint.textContent = key;
      button.append(hint);
    }
    button.addEventListener("click", () => { button.blur(); answer(choice); });
    at("answers").append(button);
  }

  const KEYS = PAIRS
    ? [["\u2190 \u2192", "A (left) or B (right) is better"], ...(DATA.equal ? [["\u2193", "equal"]] : []),
      ["f", "one over the other, flipped in place; s: beside each other again"]]
    : [["1 2 3 4 5", OPINIONS.join(", ")]];
  for (const [keys, text] of [...KEYS, ["+ \u2212", "larger, smaller; a large picture is moved by dragging it"], ["u", "undo the last answer"]]) {
    const [term, told] = [document.createElement("dt"), document.createElement("dd")];
    for (const key of keys.split(" ")) {
      const sign = document.createElement("kbd");
      sign.textContent = key;
      term.append(sign, " ");
    }
    told.textContent = text;
    at("keys").append(term, told);
  }

  document.addEventListener("keydown", (event) => {
    if (at("rate").hidden || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const doing = {
      "+": () => enlarge(1), "-": () => enlarge(-1), "\u2212": () => enlarge(-1),
      u: undo, z: undo, Backspace: undo, f: () => flip(flipped === 0 ? 1 : 0), s: () => flip(-1), Escape: () => flip(-1),
      ...(PAIRS ? { ArrowLeft: () => answer("left"), ArrowRight: () => answer("right") } : {}),
      ...(DATA.equal ? { ArrowDown: () => answer("equal"), "=": () => answer("equal") } : {}),
      ...(PAIRS ? {} : Object.fromEntries(OPINIONS.map((_, n) => [String(n + 1), () => answer(n + 1)]))),
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!doing) return;
    event.preventDefault();
    doing();
  });

  let held = null; // where a drag began
  stage.addEventListener("pointerdown", (event) => {
    if (!event.target.closest(".window")) return;
    held = { x: event.clientX, y: event.clientY, from: [...centre], moved: false };
    event.target.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!held || !event.buttons) return;
    const by = [event.clientX - held.x, event.clientY - held.y];
    held.moved ||= Math.hypot(...by) > 6;
    const sides = [images[0].offsetWidth, images[0].offsetHeight];
    if (stage.classList.contains("zoomed")) centre = held.from.map((c, n) => c - by[n] / sides[n]);
    lay();
  });
  stage.addEventListener("pointerup", () => {
    if (held && !held.moved && flipped >= 0) flip(1 - flipped);
    held = null;
  });
  stage.addEventListener("pointercancel", () => { held = null; });

  const press = (id, doing) => at(id).addEventListener("click", () => { at(id).blur(); doing(); });
  press("undo", undo);
  press("back", undo);
  press("flip", () => flip(flipped < 0 ? 1 : -1));
  press("smaller", () => enlarge(-1));
  press("larger", () => enlarge(1));
  press("save-part", save);
  press("save", save);
  press("other", () => {
    const lost = state.saved < state.answers.length ? " They are not saved as a file yet." : "";
    if (!confirm(`The answers on this device are forgotten.${lost} Go on?`)) return;
    state = null;
    keep();
    at("name").value = "";
    only("start");
  });
  at("who").addEventListener("submit", (event) => {
    event.preventDefault();
    begin(at("name").value.trim());
  });
  window.addEventListener("resize", lay);
  window.addEventListener("beforeunload", (event) => {
    if (!at("closed").hidden && state && state.saved < state.answers.length) event.preventDefault();
  });

  function enter() {
    state = kept();
    if (state) go();
    else only("start");
  }

  // Another tab of this page went on: its answers are these ones, which would else be written over.
  window.addEventListener("storage", (event) => { if (event.key === PLACE) enter(); });

  at("flip").hidden = !PAIRS;
  if (!PAIRS) {
    document.title = "How good is this picture?";
    at("asked").textContent = document.title;
    panes[0].querySelector("figcaption").hidden = true;
  }
  at("told").textContent = PAIRS
    ? "You see two pictures of the same thing, A and B, and say which one looks better to you. Flip shows one over the other, + enlarges both."
    : "You see one picture after the other and say how good it looks: 1 is bad, 5 is excellent. + enlarges it.";
  at("number").textContent = `there are ${DATA.trials.length} questions`;
  at("minutes").textContent = Math.max(1, Math.round((DATA.trials.length * SECONDS) / 60));
  enter();
})();
