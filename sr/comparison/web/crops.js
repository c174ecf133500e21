// The same crop of every model: two layers with a divider between them, zoom, error maps; a clip's frames are played.
(() => {
  const section = document.getElementById("crops");
  if (!DATA.crops.length) return;
  section.hidden = false;
  const at = (id) => document.getElementById(id);
  const [image, left, right, error] = [at("crop-image"), at("crop-left"), at("crop-right"), at("crop-error")];
  const [slider, zoom] = [at("crop-slider"), at("crop-zoom")];
  const stage = section.querySelector(".stage");
  const pair = section.querySelector(".pair");
  const [under, over] = [section.querySelector(".under"), section.querySelector(".over")];
  const divider = section.querySelector(".divider");
  const strip = section.querySelector(".strip");
  const [frame, play] = [at("crop-frame"), at("crop-play")];
  const BETWEEN = 125; // milliseconds from one frame to the next
  let timer = 0;
  let group = DATA.crops[0];
  let turn = 0; // of the last change: a slower, older one must not paint over it
  at("crop-gain").textContent = DATA.gain;

  const picture = (name) => group.pictures[name][frame.value - 1];
  const caption = (name) => (group.captions[name] || [])[frame.value - 1] || "";
  const told = (name) => (caption(name) ? `${name}, ${caption(name)}` : name);

  async function pixels(uri) {
    const image = new Image();
    await new Promise((loaded, failed) => {
      image.onload = loaded;
      image.onerror = failed;
      image.src = uri;
    });
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = group.size;
    const pen = canvas.getContext("2d");
    pen.drawImage(image, 0, 0);
    return { canvas, pen, data: pen.getImageData(0, 0, ...group.size) };
  }

  // |image - HR|, mean of the channels, times the gain, as a grey picture.
  async function errorMap(name) {
    const [a, b] = await Promise.all([pixels(picture(name)), pixels(picture("HR"))]);
    const [p, q] = [a.data.data, b.data.data];
    for (let i = 0; i < p.length; i += 4) {
      const sum = Math.abs(p[i] - q[i]) + Math.abs(p[i + 1] - q[i + 1]) + Math.abs(p[i + 2] - q[i + 2]);
      p[i] = p[i + 1] = p[i + 2] = Math.round((sum / 3) * DATA.gain);
    }
    a.pen.putImageData(a.data, 0, 0);
    return a.canvas.toDataURL();
  }

  async function show() {
    const mine = ++turn;
    for (const [side, layer, text] of [[left, over, "left-told"], [right, under, "right-told"]]) {
      const name = side.value;
      const mapped = error.checked && name !== "HR";
      const uri = mapped ? await errorMap(name) : picture(name);
      if (mine !== turn) return;
      layer.src = uri;
      layer.alt = `${mapped ? "Error map of " : ""}${told(name)}: crop of ${group.title}`;
      at(text).textContent = `${side === left ? "Left" : "Right"}: ${mapped ? "error of " : ""}${told(name)}`;
    }
    strip.querySelectorAll("button").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.name === left.value)));
  }

  function turnTo(number) {
    frame.value = number;
    at("crop-framed").textContent = `${frame.value} of ${frame.max}: ${group.frames[frame.value - 1]}`;
    strip.querySelectorAll("button").forEach((b) => {
      b.querySelector("img").src = picture(b.dataset.name);
      b.querySelector("small").textContent = caption(b.dataset.name);
    });
    show();
  }

  function playing(on) {
    clearInterval(timer);
    timer = on ? setInterval(() => turnTo((Number(frame.value) % frame.max) + 1), BETWEEN) : 0;
    play.textContent = on ? "Pause" : "Play";
  }

  function divide() {
    over.style.clipPath = `inset(0 ${100 - slider.value}% 0 0)`;
    divider.style.left = `${slider.value}%`;
    slider.setAttribute("aria-valuetext", `${slider.value} % ${left.value}, the rest ${right.value}`);
  }

  function scale() {
    pair.style.width = `${group.size[0] * zoom.value}px`;
    pair.style.height = `${group.size[1] * zoom.value}px`;
    at("crop-zoomed").textContent = `${zoom.value}x`;
    const fits = group.size[0] * zoom.value <= stage.clientWidth;
    pair.style.touchAction = fits ? "pan-y" : "auto"; // a zoomed picture is moved by the finger, not the divider
  }

  function choose() {
    playing(false);
    group = DATA.crops.find((g) => g.title === image.value);
    frame.max = group.frames.length;
    at("crop-player").hidden = group.frames.length < 2;
    const names = Object.keys(group.pictures);
    options(left, names, names.includes(left.value) && left.value ? left.value : group.first);
    const other = names.find((name) => name.startsWith("bicubic")) || "HR";
    options(right, names, names.includes(right.value) && right.value ? right.value : other);
    strip.replaceChildren(...names.map((name) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      const small = document.createElement("img");
      small.alt = "";
      button.type = "button";
      button.dataset.name = name;
      button.append(small, name, document.createElement("small"));
      button.addEventListener("click", () => {
        left.value = name;
        show();
        divide();
      });
      item.append(button);
      return item;
    }));
    scale();
    divide();
    turnTo(1);
  }

  function drag(event) {
    if (event.pointerType === "touch" && pair.style.touchAction === "auto") return;
    const box = pair.getBoundingClientRect();
    slider.value = Math.round((100 * (event.clientX - box.left)) / box.width);
    divide();
  }
  pair.addEventListener("pointerdown", (event) => {
    pair.setPointerCapture(event.pointerId);
    drag(event);
  });
  pair.addEventListener("pointermove", (event) => event.buttons && drag(event));
  slider.addEventListener("input", divide);
  zoom.addEventListener("input", scale);
  error.addEventListener("change", show);
  left.addEventListener("change", () => { show(); divide(); });
  right.addEventListener("change", () => { show(); divide(); });
  image.addEventListener("change", choose);
  frame.addEventListener("input", () => { playing(false); turnTo(frame.value); });
  play.addEventListener("click", () => playing(!timer));
  options(image, DATA.crops.map((g) => g.title));
  zoom.value = Math.max(1, Math.min(5, Math.floor(stage.clientWidth / group.size[0])));
  choose();
})();
