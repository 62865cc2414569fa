// Tensors drawn as planes of cells. Colours go from dark to light, so they tell places apart in grey as well.

const STOPS = [
  "#0a2f68",
  "#173b75",
  "#3b496c",
  "#575d6d",
  "#707173",
  "#8a8678",
  "#a59c74",
  "#c3b369",
  "#e1cc55",
  "#fee838",
];
const TONES = 128;
const LARGEST_CELL = 38;
const SMALLEST_CELL = 7;
const TALLEST = 460; // pixels that all planes of a tensor should take at most
const PLANE_GAP = 12;
const LABEL = 16;

/** [fill, text] for each tone, the text black or white, whichever stands out more. */
const PALETTE = Array.from({ length: TONES }, (_, tone) => {
  const at = (tone / (TONES - 1)) * (STOPS.length - 1);
  const low = Math.min(Math.floor(at), STOPS.length - 2);
  const mixed = [1, 3, 5].map((place) => {
    const [a, b] = [STOPS[low], STOPS[low + 1]].map((stop) => parseInt(stop.slice(place, place + 2), 16));
    return Math.round(a + (b - a) * (at - low));
  });
  const [red, green, blue] = mixed.map((value) =>
    value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4,
  );
  const light = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return [`rgb(${mixed.join()})`, light > 0.179 ? "#000" : "#fff"];
});

/** One tensor on a canvas; `onPoint(index)` is told of the element under a pointer. */
class Planes {
  constructor(heading, onPoint) {
    this.root = element("div", { class: "view" });
    this.heading = element("h3", {}, heading);
    this.grid = element("div", { class: "grid" });
    this.canvas = element("canvas", { role: "img" });
    this.grid.append(this.canvas);
    this.root.append(this.heading, this.grid);
    const point = (event) => {
      const index = this.indexAt(event);
      if (index !== null) onPoint(index, event.type === "click");
    };
    this.canvas.addEventListener("pointermove", (event) => event.pointerType !== "touch" && point(event));
    this.canvas.addEventListener("click", point);
  }

  /**
   * Draw a tensor of `shape`. `show(index)` says what a cell has: tone, text, fades, differs; `rings` are elements that
   * are marked, `around` the one that is drawn in any case, `widest` how many characters a text has at most.
   */
  draw({ title, shape, show, rings, around, widest }) {
    this.heading.replaceChildren(title, " ", element("span", {}, toldShape(shape)));
    this.shape = shape;
    this.window = windowAround(shape, around);
    const width = Math.max(160, this.grid.clientWidth || 320);
    this.layout = layoutOf(this.window, width, widest);
    this.show = show;
    this.rings = rings;
    this.paint();
    this.scrollTo(rings[0].index);
  }

  /** An element that is marked from elsewhere is brought into view. */
  scrollTo(index) {
    const place = this.placeOf(index);
    if (!place || this.grid.matches(":hover")) return;
    const { clientWidth, clientHeight, scrollLeft, scrollTop } = this.grid;
    const { size } = this.layout;
    if (place.y < scrollTop || place.y + size > scrollTop + clientHeight)
      this.grid.scrollTop = place.y - clientHeight / 2;
    if (place.x < scrollLeft || place.x + size > scrollLeft + clientWidth)
      this.grid.scrollLeft = place.x - clientWidth / 2;
  }

  get hasNumbers() {
    return this.layout.font > 0;
  }

  paint() {
    const { size, width, height } = this.layout;
    const scale = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(height * scale)) {
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
    }
    const pen = this.canvas.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    const [card, muted, ink, mark, line] = ["--card", "--muted", "--ink", "--mark", "--edge"].map((name) =>
      style.getPropertyValue(name).trim(),
    );
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    const inset = size >= 14 ? 1 : 0.4;
    for (const cell of this.cells()) {
      const { tone, text, fades, differs } = this.show(cell.index);
      const [fill, contrast] = PALETTE[Math.round(tone * (TONES - 1))];
      pen.globalAlpha = fades ? 0.22 : 1;
      pen.fillStyle = fill;
      pen.fillRect(cell.x + inset, cell.y + inset, size - 2 * inset, size - 2 * inset);
      pen.globalAlpha = 1;
      if (fades && size >= 10) {
        pen.strokeStyle = line;
        pen.lineWidth = 1;
        pen.strokeRect(cell.x + inset + 0.5, cell.y + inset + 0.5, size - 2 * inset - 1, size - 2 * inset - 1);
      }
      if (text !== null && this.layout.font) {
        pen.font = `${this.layout.font}px ui-monospace, Menlo, Consolas, monospace`;
        pen.fillStyle = fades ? ink : contrast;
        pen.fillText(text, cell.x + size / 2, cell.y + size / 2 + 0.5);
      }
      if (differs && size >= 10) {
        pen.fillStyle = card;
        pen.beginPath();
        pen.moveTo(cell.x + size - inset, cell.y + inset);
        pen.lineTo(cell.x + size - inset - size * 0.36, cell.y + inset);
        pen.lineTo(cell.x + size - inset, cell.y + inset + size * 0.36);
        pen.fill();
        pen.fillStyle = mark;
        pen.beginPath();
        pen.moveTo(cell.x + size - inset, cell.y + inset);
        pen.lineTo(cell.x + size - inset - size * 0.27, cell.y + inset);
        pen.lineTo(cell.x + size - inset, cell.y + inset + size * 0.27);
        pen.fill();
      }
    }
    this.labels(pen, muted);
    for (const ring of this.rings) this.ring(pen, ring, card, ink);
  }

  labels(pen, muted) {
    if (this.shape.length < 3) return;
    pen.font = "11.5px ui-monospace, Menlo, Consolas, monospace";
    pen.fillStyle = muted;
    pen.textAlign = "left";
    const { planes } = this.window;
    for (let plane = planes[0]; plane < planes[1]; plane++) {
      const { x, y } = this.corner(plane);
      pen.fillText(toldShape(unravel(plane, this.shape.slice(0, -2))), x, y - LABEL / 2 + 1);
    }
  }

  ring(pen, { index, dashed }, card, ink) {
    const place = this.placeOf(index);
    if (!place) return;
    const { size } = this.layout;
    for (const [colour, width] of [
      [card, 7],
      [ink, 3],
    ]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.setLineDash(dashed && colour === ink ? [4, 3] : []);
      pen.strokeRect(place.x + 0.5, place.y + 0.5, size - 1, size - 1);
    }
    pen.setLineDash([]);
  }

  corner(plane) {
    const { perRow, planeWidth, planeHeight, label } = this.layout;
    const at = plane - this.window.planes[0];
    return {
      x: 2 + (at % perRow) * (planeWidth + PLANE_GAP),
      y: 2 + label + Math.floor(at / perRow) * (planeHeight + label + PLANE_GAP),
    };
  }

  *cells() {
    const [rows, columns] = lastTwo(this.shape);
    const { planes, rows: rowRange, columns: columnRange } = this.window;
    for (let plane = planes[0]; plane < planes[1]; plane++) {
      const { x, y } = this.corner(plane);
      for (let row = rowRange[0]; row < rowRange[1]; row++) {
        for (let column = columnRange[0]; column < columnRange[1]; column++) {
          yield {
            index: (plane * rows + row) * columns + column,
            x: x + (column - columnRange[0]) * this.layout.size,
            y: y + (row - rowRange[0]) * this.layout.size,
          };
        }
      }
    }
  }

  /** Where an element is drawn; null where it is not. */
  placeOf(index) {
    const [rows, columns] = lastTwo(this.shape);
    const [column, rest] = [index % columns, Math.floor(index / columns)];
    const [row, plane] = [rest % rows, Math.floor(rest / rows)];
    const inside = [
      [plane, "planes"],
      [row, "rows"],
      [column, "columns"],
    ].every(([at, name]) => at >= this.window[name][0] && at < this.window[name][1]);
    if (!inside) return null;
    const { x, y } = this.corner(plane);
    const { size } = this.layout;
    return { x: x + (column - this.window.columns[0]) * size, y: y + (row - this.window.rows[0]) * size };
  }

  indexAt(event) {
    if (!this.layout) return null;
    const { size, perRow, planeWidth, planeHeight, label } = this.layout;
    const [x, y] = [event.offsetX - 2, event.offsetY - 2];
    const [across, down] = [
      Math.floor(x / (planeWidth + PLANE_GAP)),
      Math.floor(y / (planeHeight + label + PLANE_GAP)),
    ];
    const plane = this.window.planes[0] + down * perRow + across;
    const column = this.window.columns[0] + Math.floor((x - across * (planeWidth + PLANE_GAP)) / size);
    const row = this.window.rows[0] + Math.floor((y - label - down * (planeHeight + label + PLANE_GAP)) / size);
    const [rows, columns] = lastTwo(this.shape);
    const isInside =
      across < perRow &&
      plane < this.window.planes[1] &&
      x >= 0 &&
      column >= this.window.columns[0] &&
      column < this.window.columns[1] &&
      row >= this.window.rows[0] &&
      row < this.window.rows[1];
    return isInside ? (plane * rows + row) * columns + column : null;
  }

  describe(text) {
    this.canvas.setAttribute("aria-label", text);
  }
}

const lastTwo = (shape) => [shape.at(-2) ?? 1, shape.at(-1)];

/** The planes, rows and columns that are drawn: all of them, or so many around an element. */
function windowAround(shape, index) {
  const [rows, columns] = lastTwo(shape);
  const planes = totalOf(shape.slice(0, -2));
  if (totalOf(shape) <= MOST_DRAWN)
    return { planes: [0, planes], rows: [0, rows], columns: [0, columns], isWhole: true };
  const around = (at, count, most) => {
    const start = Math.floor(at / most) * most;
    return [start, Math.min(count, start + most)];
  };
  const [column, rest] = [index % columns, Math.floor(index / columns)];
  const [row, plane] = [rest % rows, Math.floor(rest / rows)];
  const many = Math.floor(MOST_DRAWN / (rows * columns));
  if (many >= 1) return { planes: around(plane, planes, many), rows: [0, rows], columns: [0, columns] };
  const side = rows === 1 ? 256 : 48;
  return { planes: [plane, plane + 1], rows: around(row, rows, side), columns: around(column, columns, side) };
}

/** The largest cells with which the planes fit into the width, and are not too tall, for numbers so wide. */
function layoutOf({ planes, rows, columns }, width, widest) {
  const [count, tall, wide] = [planes, rows, columns].map(([start, end]) => end - start);
  const label = count > 1 || planes[0] > 0 ? LABEL : 4;
  const made = (size) => {
    const [planeWidth, planeHeight] = [wide * size, tall * size];
    const perRow = Math.max(1, Math.min(count, Math.floor((width - 4 + PLANE_GAP) / (planeWidth + PLANE_GAP))));
    const lines = Math.ceil(count / perRow);
    const font = Math.min(13, (size - 5) / (0.62 * widest));
    return {
      size,
      perRow,
      planeWidth,
      planeHeight,
      label,
      font: font >= 8.5 ? font : 0,
      width: 4 + perRow * (planeWidth + PLANE_GAP) - PLANE_GAP,
      height: 4 + lines * (planeHeight + label + PLANE_GAP) - PLANE_GAP,
    };
  };
  for (let size = LARGEST_CELL; size > SMALLEST_CELL; size--) {
    const layout = made(size);
    if (layout.width <= width && layout.height <= TALLEST) return layout;
  }
  return made(SMALLEST_CELL);
}
