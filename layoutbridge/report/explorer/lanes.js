// The way of one element through the digits: its place read as digits above, the same digits as they are written below.

const BOX = { widest: 60, narrowest: 44, height: 46, gap: 8 };
const LANE = { top: 44, between: 74, bottom: 40 };

/** A drawing of each stage for the element at the result's flat `index`. */
function drawLanes(root, bound, index) {
  let at = index;
  const drawings = [];
  for (const stage of [...bound.stages].reverse()) {
    drawings.unshift(laneOf(stage, at, root.clientWidth));
    at = positionRead(stage.digits, at);
  }
  root.replaceChildren(...drawings);
}

function laneOf(stage, index, room) {
  const written = stage.digits;
  const values = writtenValues(written, index);
  const source = written
    .map((digit, place) => ({ ...digit, place, value: valueRead(digit.reading, digit.size, values[place]) }))
    .sort((a, b) => a.source - b.source);
  const wide = Math.min(BOX.widest, Math.max(BOX.narrowest, Math.floor((room - BOX.gap) / written.length) - BOX.gap));
  const width = Math.max(written.length * (wide + BOX.gap) + BOX.gap, 320);
  const height = LANE.top + 2 * BOX.height + LANE.between + LANE.bottom;
  const x = (place) => 2 + place * (wide + BOX.gap);
  const below = LANE.top + BOX.height + LANE.between;
  const svg = drawing("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  source.forEach((digit, place) => {
    const [from, to] = [x(place) + wide / 2, x(digit.place) + wide / 2];
    const [start, end] = [LANE.top + BOX.height, below];
    const middle = (start + end) / 2;
    const path = drawing("path", {
      d: `M${from} ${start}C${from} ${middle} ${to} ${middle} ${to} ${end}`,
      fill: "none",
      "stroke-width": "3",
    });
    path.style.stroke = toneOf(digit.source);
    svg.append(path);
  });
  const position = positionRead(written, index);
  svg.append(
    ...axesOver(
      source,
      stage.inShape,
      stage.axes,
      unravel(position, stage.inShape),
      { x, wide },
      LANE.top - 8,
      "input",
    ),
    ...source.map((digit, place) => boxOf(digit, digit.value, x(place), LANE.top, wide, null)),
    ...written.map((digit, place) => boxOf(digit, values[place], x(place), below, wide, digit.reading)),
    ...axesOver(
      written,
      stage.outShape,
      null,
      unravel(index, stage.outShape),
      { x, wide },
      below + BOX.height + 8,
      "output",
    ),
  );
  return svg;
}

function boxOf(digit, value, x, y, wide, reading) {
  const box = drawing("rect", { x, y, width: wide, height: BOX.height, rx: 8, "stroke-width": "2" });
  box.style.stroke = toneOf(digit.source);
  box.style.fill = "var(--card)";
  const name = digit.name.length > 4 ? `${digit.name.slice(0, 3)}…` : digit.name;
  const told = reading === null ? name : `${name}${reading === BACKWARDS ? " ↶" : " ⤮"}`;
  const middle = { x: x + wide / 2, "text-anchor": "middle" };
  return drawing(
    "g",
    {},
    box,
    drawing("text", { ...middle, y: y + 18 }, `${told}=${value}`),
    drawing("text", { ...middle, y: y + 36, class: "small" }, `of ${digit.size}`),
  );
}

/** Brackets for the axes that digits make up, with the coordinate in each; one for all where digits cross the axes. */
function axesOver(digits, shape, names, coordinates, { x, wide }, y, what) {
  const groups = groupsOf(
    digits.map((digit) => constantSize(digit.size)),
    shape.map(constantSize),
  );
  const isAbove = what === "input";
  if (groups === null) {
    const told = `${what} ${toldShape(coordinates)}, number ${ravel(coordinates, shape)}`;
    return [
      bracket(x(0), x(digits.length - 1) + wide, y, isAbove),
      drawing("text", { x: x(0), y: isAbove ? y - 12 : y + 22 }, told),
    ];
  }
  return groups.flatMap((group, axis) => {
    if (!group.length) return [];
    const [left, right] = [x(group[0]), x(group.at(-1)) + wide];
    const told = `${names ? `${names[axis].slice(0, 6)} ` : ""}${coordinates[axis]}`;
    const text = { x: (left + right) / 2, y: isAbove ? y - 12 : y + 22, "text-anchor": "middle" };
    return [bracket(left, right, y, isAbove), drawing("text", text, told)];
  });
}

function bracket(left, right, y, isAbove) {
  const foot = isAbove ? 5 : -5;
  return drawing("path", { d: `M${left} ${y + foot}V${y}H${right}V${y + foot}`, class: "axis" });
}

/** The same in words. */
function wayInWords(bound, index) {
  const position = readAt(bound, index);
  const [output, input] = [unravel(index, bound.outShape), unravel(position, bound.inShape)];
  const start = `Output ${toldShape(output)} holds input ${toldShape(input)}`;
  if (bound.stages.length > 1) return `${start}, number ${position} of ${bound.total}.`;
  const digits = bound.stages[0].digits;
  const values = writtenValues(digits, index);
  const told = (digit, value) => `${digit.name}=${value}`;
  const written = digits.map((digit, k) => told(digit, values[k])).join(" ");
  const source = digits
    .map((digit, k) => [digit, valueRead(digit.reading, digit.size, values[k])])
    .sort((a, b) => a[0].source - b[0].source)
    .map(([digit, value]) => told(digit, value))
    .join(" ");
  return `${start}, number ${position} of ${bound.total}: digits ${written}, read as ${source}.`;
}
