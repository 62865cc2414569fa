// Code to paste: a function that reshapes, transposes and reshapes again, for tensors of any lengths that fit.

const LONGEST_LINE = 100;
const INDENT = "    ";
const KEYWORDS = new Set(
  `False None True and as assert async await break class continue def del elif else except finally
  for from global if import in is lambda nonlocal not or pass raise return try while with yield`.split(/\s+/),
);
const LETTERS = "abcdefghijkmnopqrstuvwz";

/** The lines of a statement: head, items, close. Too long a one is broken as ruff and black do, a display by items. */
function laidOut(start, what, indent = INDENT, end = "") {
  const { head, items, close, isDisplay } = what;
  const line = `${indent}${start}${flatText(what)}${end}`;
  if (line.length <= LONGEST_LINE || !items.length) return [line];
  const inside = `${indent}${INDENT}${items.map(flatText).join(", ")}`;
  const [opened, closed] = [`${indent}${start}${head}`, `${indent}${close}${end}`];
  if (inside.length <= LONGEST_LINE && (!isDisplay || items.length === 1))
    return [opened, inside + (isDisplay ? "," : ""), closed];
  const lines = items.flatMap((item) =>
    typeof item === "string" ? [`${indent}${INDENT}${item},`] : laidOut("", item, indent + INDENT, ","),
  );
  return [opened, ...lines, closed];
}

const flatText = (item) =>
  typeof item === "string" ? item : `${item.head}${item.items.map(flatText).join(", ")}${item.close}`;
const callOf = (name, ...items) => ({ head: `${name}(`, items, close: ")", isDisplay: false });
const listOf = (items, head = "[") => ({ head, items: items.map(String), close: "]", isDisplay: true });

/** Variables in small letters, no keywords, not taken and distinct. */
function usableNames(wanted, taken) {
  const used = new Set(taken);
  return wanted.map((each) => {
    const name = each.toLowerCase();
    const plain =
      /^[a-z](\w*[a-z0-9])?$/.test(name) && name.length <= 20
        ? name
        : ([...LETTERS].find((letter) => !used.has(letter)) ?? "a");
    let made = plain;
    for (let number = 2; used.has(made) || KEYWORDS.has(made); number++) made = `${plain}${number}`;
    used.add(made);
    return made;
  });
}

/** A step for code: its digits without those of size 1, a batch axis in front where there is one. */
function spelledStep(parsed, batch, merge) {
  const shift = new Map(parsed.axes.map((_, axis) => [axis, axisSize(axis + 1)]));
  const moved = (size) => (batch ? substitutedSize(size, shift) : size);
  const front = batch ? [axisSize(0)] : [];
  const held = merge ? normalStep(parsed) : parsed;
  const names = merge ? held.sizes.map((_, k) => `d${k}`) : parsed.digits;
  const sizes = [...front, ...held.sizes.map(moved)];
  const readings = [...front.map(() => null), ...held.readings];
  const order = [...front.map(() => 0), ...held.order.map((source) => source + front.length)];
  const kept = sizes.map((_, digit) => digit).filter((digit) => !isOne(sizes[digit]));
  return {
    axes: [...(batch ? [batchName(parsed.axes)] : []), ...parsed.axes],
    inShape: [...front, ...parsed.inShape.map(moved)],
    outShape: [...front, ...parsed.outShape.map(moved)],
    names: kept.map((digit) => [...front.map(() => batchName(parsed.axes)), ...names][digit]),
    sizes: kept.map((digit) => sizes[digit]),
    order: order.filter((digit) => kept.includes(digit)).map((digit) => kept.indexOf(digit)),
    readings: kept.map((digit) => readings[digit]),
    fixed: parsed.inShape.flatMap((size, axis) => (isConstant(size) ? [[axis + front.length, size.over]] : [])),
  };
}

/** Lengths as expressions of variables, which remember who was asked for. */
class Lengths {
  constructor(step, taken) {
    this.names = usableNames(
      step.axes.map((axis) => (axis.toLowerCase() === "l" ? "length" : axis)),
      ["x", "y", ...taken],
    );
    this.used = new Set();
  }

  of(size) {
    size.powers.forEach(([axis]) => this.used.add(axis));
    const repeated = (sign) =>
      size.powers.flatMap(([axis, power]) => Array(Math.max(0, sign * power)).fill(this.names[axis]));
    const [over, under] = [repeated(1), repeated(-1)];
    if (size.over !== 1 || !over.length) over.push(String(size.over));
    if (size.under !== 1) under.push(String(size.under));
    const divisor = under.length === 1 ? under[0] : `(${under.join(" * ")})`;
    return over.join(" * ") + (under.length ? ` // ${divisor}` : "");
  }

  all(sizes) {
    return sizes.map((size) => this.of(size));
  }

  /** The lines that take the lengths from a tensor, and what holds of them; `first` axes are taken otherwise. */
  unpacked(step, source = "x.shape", first = 0) {
    const checks = step.fixed.map(([axis, length]) => {
      this.used.add(axis);
      return `${INDENT}assert ${this.names[axis]} == ${length}`;
    });
    const names = this.names.map((name, axis) => (this.used.has(axis) ? name : "_")).slice(first);
    if (names.every((name) => name === "_")) return checks;
    const held = names.length > 1 ? names.join(", ") : `(${names[0]},)`;
    return [`${INDENT}${held} = ${source}`, ...checks];
  }
}

/** What a step does in turn: views, a transpose, a flip of axes, a gather for each order. */
function movesOf(step) {
  const written = step.order.map((digit) => step.sizes[digit]);
  const readings = step.order.map((digit) => step.readings[digit]);
  const moves = [];
  if (step.order.some((digit, place) => digit !== place)) {
    moves.push({ kind: "transpose", view: step.sizes, written, order: step.order });
  }
  const flipped = readings.flatMap((reading, place) => (reading === BACKWARDS ? [place] : []));
  if (flipped.length) moves.push({ kind: "flip", view: written, written, flipped });
  readings.forEach((reading, axis) => {
    if (Array.isArray(reading)) moves.push({ kind: "gather", view: written, written, axis, order: reading });
  });
  let shape = step.inShape;
  const found = moves.map((move) => {
    const view = sameShape(shape, move.view) ? null : move.view;
    shape = move.written;
    return { view, ...move };
  });
  return sameShape(shape, step.outShape) ? found : [...found, { kind: "view", view: step.outShape }];
}

const sameShape = (a, b) => a.length === b.length && a.every((size, axis) => sameSize(size, b[axis]));

// ---------------------------------------------------------------------- the parts of a function

function functionName(op, taken) {
  let name = (op.name ?? "rearrange").replace(/[^A-Za-z0-9_]+/g, "_").replace(/^_+|_+$/g, "") || "rearrange";
  if (/^[0-9]/.test(name)) name = `op_${name}`;
  return KEYWORDS.has(name) || taken.includes(name) ? `${name}_axes` : name;
}

/** The label and the pattern: names and numbers alone, for what is in a pattern was read. */
function docstring(op) {
  const pattern = op.text.trim().replace(/\s+/g, " ");
  const title = op.name === null ? "" : `${labelOf(op)}: `;
  const line = `${INDENT}"""${title}${pattern}"""`;
  if (line.length <= LONGEST_LINE) return [line];
  const lines = title ? [`${INDENT}"""${title.slice(0, -2)}`, ""] : [`${INDENT}"""`];
  let text = "";
  for (const word of pattern.split(" ")) {
    if (text && `${INDENT}${text} ${word}`.length > LONGEST_LINE) {
      lines.push(INDENT + text);
      text = "";
    }
    text = text ? `${text} ${word}` : word;
  }
  return [...lines, INDENT + text, `${INDENT}"""`];
}

function functionText(imports, name, parameters, returns, body) {
  const head = { head: `def ${name}(`, items: parameters, close: `)${returns ? ` -> ${returns}` : ""}:` };
  return [...imports, "", "", ...laidOut("", head, ""), ...body, ""].join("\n");
}

/** The body of a function of an array, the steps after one another; `statements` gives what becomes of x in turn. */
function bodyOf(
  op,
  batch,
  taken,
  statements,
  { unpack = (lengths, step) => lengths.unpacked(step), mostAxes = Infinity } = {},
) {
  const parts = op.steps.flatMap((parsed) => {
    const plain = spelledStep(parsed, batch, false);
    const step = plain.sizes.length > mostAxes ? spelledStep(parsed, batch, true) : plain;
    const lengths = new Lengths(step, taken);
    const own = statements(step, lengths);
    return [...unpack(lengths, step), ...own];
  });
  if (!parts.length || typeof parts.at(-1) === "string") parts.push({ head: "x", items: [], close: "" });
  const lines = parts.flatMap((part, k) => {
    if (typeof part === "string") return [part];
    return laidOut(k === parts.length - 1 ? "return " : "x = ", part);
  });
  return [...docstring(op), ...lines];
}

// ---------------------------------------------------------------------- arrays with methods

function methodsCode(op, batch, { imports, gatherImports = [], kind, transpose, flip, gather }) {
  const gathers = op.steps.some((parsed) => parsed.readings.some(Array.isArray));
  const all = gathers ? [...imports, ...gatherImports] : imports;
  const taken = all.map((line) => line.split(" ").at(-1));
  const body = bodyOf(op, batch, taken, (step, lengths) =>
    movesOf(step).flatMap(({ view, ...move }) => {
      const links = view === null ? [] : [callOf(".reshape", ...lengths.all(view))];
      if (move.kind === "transpose") links.push(callOf(`.${transpose}`, ...move.order.map(String)));
      if (move.kind === "flip") links.push(flip(move));
      if (move.kind === "gather") links.push(gather(move));
      return links.map((link) => ({ ...link, head: `x${link.head}` }));
    }),
  );
  return functionText(all, functionName(op, taken), [`x: ${kind}`], kind, body);
}

/** Indexing that reads axes backwards: [..., ::-1, :]. */
function flippedByIndex({ flipped, written }) {
  const first = Math.min(...flipped);
  const items = written.slice(first).map((_, k) => (flipped.includes(first + k) ? "::-1" : ":"));
  return { head: "[", items: ["...", ...items], close: "]" };
}

const fromLast = (axis, { written }) => String(axis - written.length);

const numpyCode = (op, batch) =>
  methodsCode(op, batch, {
    imports: ["import numpy as np"],
    kind: "np.ndarray",
    transpose: "transpose",
    flip: flippedByIndex,
    gather: (move) => callOf(".take", listOf(move.order), `axis=${fromLast(move.axis, move)}`),
  });

const jaxCode = (op, batch) =>
  methodsCode(op, batch, {
    imports: ["import jax"],
    gatherImports: ["import jax.numpy as jnp"],
    kind: "jax.Array",
    transpose: "transpose",
    flip: flippedByIndex,
    gather: (move) => callOf(".take", callOf("jnp.array", listOf(move.order)), `axis=${fromLast(move.axis, move)}`),
  });

const torchCode = (op, batch) =>
  methodsCode(op, batch, {
    imports: ["import torch"],
    kind: "torch.Tensor",
    transpose: "permute",
    flip: (move) => callOf(".flip", ...move.flipped.map((axis) => fromLast(axis, move))),
    gather: (move) =>
      callOf(".index_select", fromLast(move.axis, move), callOf("torch.tensor", listOf(move.order), "device=x.device")),
  });
