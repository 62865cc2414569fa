// Code to paste, continued: TensorFlow's functions, a model of ONNX, einops' own notation.

const MOST_REVERSED = 8; // axes of a tensor that tf.reverse takes; digits are merged where there would be more

function tensorflowCode(op, batch) {
  const unpack = (lengths, step) => {
    if (!batch) return lengths.unpacked(step);
    const others = lengths.unpacked(step, "x.shape[1:]", 1);
    return lengths.used.size ? [`${INDENT}${lengths.names[0]} = tf.shape(x)[0]`, ...others] : others;
  };
  const statements = (step, lengths) =>
    movesOf(step).flatMap(({ view, ...move }) => {
      const calls = view === null ? [] : [callOf("tf.reshape", "x", listOf(lengths.all(view)))];
      if (move.kind === "transpose") calls.push(callOf("tf.transpose", "x", listOf(move.order)));
      if (move.kind === "flip")
        calls.push(callOf("tf.reverse", "x", listOf(move.flipped.map((axis) => fromLast(axis, move)))));
      if (move.kind === "gather") {
        calls.push(callOf("tf.gather", "x", listOf(move.order), `axis=${fromLast(move.axis, move)}`));
      }
      return calls;
    });
  const body = bodyOf(op, batch, ["tf"], statements, { unpack, mostAxes: MOST_REVERSED });
  return functionText(["import tensorflow as tf"], functionName(op, ["tf"]), ["x: tf.Tensor"], "tf.Tensor", body);
}

// ---------------------------------------------------------------------- ONNX

const ONNX_TAKEN = ["ModelProto", "TensorProto", "helper", "dtype", "nodes", "graph", "model"];
const RESULTS = { Reshape: "reshaped", Transpose: "transposed", Slice: "flipped", Gather: "ordered" };

/** A function that builds a model; it takes the lengths of the axes, and leaves a batch open. */
function onnxCode(op, batch) {
  const graph = new OnnxNodes();
  const lines = [];
  const steps = op.steps.map((parsed) => spelledStep(parsed, batch, false));
  const lengths = steps.map((step) => new Lengths(step, ONNX_TAKEN));
  const open = steps.map((step) =>
    step.inShape.flatMap((size, axis) => (isConstant(size) || (batch && axis === 0) ? [] : [axis])),
  );
  const written = steps.map((step, number) => graph.step(step, lengths[number], batch));
  graph.finish(written);
  steps.forEach((step, number) => {
    const names = open[number].map((axis) => lengths[number].names[axis]);
    if (number === 0) lines.push(...valueInfo("x", step.inShape, lengths[0], batch));
    else if (names.length) {
      const told = open[number].map((axis) => lengths[number - 1].of(steps[number - 1].outShape[axis]));
      lines.push(...laidOut(`${names.join(", ")} = `, { head: "(", items: told, close: told.length > 1 ? ")" : ",)" }));
    }
    const nodes = written[number].map(nodeText);
    lines.push(...laidOut(number ? "nodes += " : "nodes = ", { head: "[", items: nodes, close: "]", isDisplay: true }));
  });
  const name = functionName(op, ONNX_TAKEN);
  const model = callOf("helper.make_model", "graph", 'opset_imports=[helper.make_opsetid("", 13)]', "ir_version=8");
  lines.push(
    ...valueInfo("y", steps.at(-1).outShape, lengths.at(-1), batch),
    ...laidOut("graph = ", callOf("helper.make_graph", "nodes", `"${name}"`, "[x]", "[y]")),
    ...laidOut("return ", model),
  );
  const parameters = [...open[0].map((axis) => `${lengths[0].names[axis]}: int`), "dtype: int = TensorProto.FLOAT"];
  const imports = ["from onnx import ModelProto, TensorProto, helper"];
  return functionText(imports, name, parameters, "ModelProto", [...docstring(op), ...lines]);
}

/** The nodes of a graph from x to y, those of each step by themselves. */
class OnnxNodes {
  constructor() {
    this.counts = new Map();
    this.held = "x";
  }

  step(step, lengths, batch) {
    this.nodes = [];
    for (const { view, ...move } of movesOf(step)) {
      if (view !== null) {
        const told = view.map((size) => (batch && sameSize(size, axisSize(0)) ? "0" : lengths.of(size)));
        this.add("Reshape", [this.constant("shape", told)]);
      }
      if (move.kind === "transpose") this.add("Transpose", [], listOf(move.order, "perm=["));
      if (move.kind === "flip") {
        const back = this.constant(
          "backwards",
          move.flipped.map(() => "-1"),
        );
        const end = this.constant(
          "before_all",
          move.flipped.map(() => "-(2**63)"),
        );
        this.add("Slice", [back, end, this.constant("axes", move.flipped), back]);
      }
      if (move.kind === "gather") this.add("Gather", [this.constant("order", move.order)], `axis=${move.axis}`);
    }
    return this.nodes;
  }

  /** The last node gives y. */
  finish(written) {
    const last = written.flat().at(-1);
    if (last) last.output = "y";
    else written.at(-1).push({ operator: "Identity", inputs: ["x"], output: "y", attributes: [] });
  }

  constant(name, values) {
    const output = this.fresh(name);
    const attributes = [listOf(values, "value_ints=[")];
    this.nodes.push({ operator: "Constant", inputs: [], output, attributes });
    return output;
  }

  add(operator, constants, ...attributes) {
    const output = this.fresh(RESULTS[operator]);
    this.nodes.push({ operator, inputs: [this.held, ...constants], output, attributes });
    this.held = output;
  }

  fresh(name) {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    return this.counts.get(name) === 1 ? name : `${name}${this.counts.get(name)}`;
  }
}

function nodeText({ operator, inputs, output, attributes }) {
  const held = inputs.map((each) => `"${each}"`).join(", ");
  return callOf("helper.make_node", `"${operator}"`, `[${held}]`, `["${output}"]`, ...attributes);
}

function valueInfo(name, shape, lengths, batch) {
  const told = shape.map((size, axis) => (batch && axis === 0 ? "None" : lengths.of(size)));
  return laidOut(`${name} = `, callOf("helper.make_tensor_value_info", `"${name}"`, "dtype", listOf(told)));
}

// ---------------------------------------------------------------------- einops

const NOT_DIGITS = ["tensor", "pattern", "axis"];
const EINOPS_TAKEN = ["rearrange", "reversed", "range", "index", ...NOT_DIGITS];

/** One `rearrange` where digits lie within axes; else flattened first, and cut into the result's axes at the end. */
function einopsCode(op, batch) {
  const body = bodyOf(op, batch, EINOPS_TAKEN, (step, lengths) => einopsStatements(step, lengths, batch ? 1 : 0));
  return functionText(["from einops import rearrange"], functionName(op, EINOPS_TAKEN), ["x"], "", body);
}

function einopsStatements(step, lengths, kept) {
  const names = usableNames(step.names, NOT_DIGITS);
  const digits = names.map((_, digit) => digit);
  const statements = [];
  const rearranged = (left, right, told) => {
    statements.push(callOf("rearrange", "x", `"${left.join(" ")} -> ${right.join(" ")}"`, ...told));
  };
  const flat = (count) => [...digits.slice(0, kept).map((axis) => [axis]), digits.slice(kept, count)];
  let groups = groupsOf(step.sizes, step.inShape);
  if (groups === null) {
    const axes = axisTokens(step.inShape);
    rearranged(axes.map(tokenOf), [...axes.slice(0, kept).map(tokenOf), tokenOf(axes.slice(kept).flat())], []);
    groups = flat(digits.length);
  }
  let left = groups.map((group) => tokenOf(group.map((digit) => names[digit])));
  let told = groups.flatMap((group) => toldSizes(group, names, step.sizes, lengths));
  let isList = false;
  for (const digit of step.order.filter((each) => step.readings[each] !== null)) {
    const name = names[digit];
    if (isList || !left.includes(name)) {
      const apart = [name, ...names.filter((other) => other !== name)];
      rearranged(left, apart, told);
      [left, told] = [apart, []];
    }
    const others = left.filter((token) => token !== name);
    const index = others.length ? `${":, ".repeat(left.indexOf(name))}index` : "index : index + 1";
    const reading = step.readings[digit];
    const values =
      reading === BACKWARDS ? `reversed(range(${lengths.of(step.sizes[digit])}))` : `(${reading.join(", ")})`;
    const items = Array.isArray(reading) ? reading.map(String) : null;
    const list = {
      head: `[x[${index}] for index in `,
      items: [items ? { head: "(", items, close: ")", isDisplay: true } : values],
      close: "]",
    };
    statements.push(list);
    [left, isList] = [[name, ...(others.length ? others : ["1"])], true];
  }
  const written = groupsOf(
    step.order.map((digit) => step.sizes[digit]),
    step.outShape,
  );
  const right = (written ?? flat(digits.length)).map((group) =>
    tokenOf(group.map((place) => names[step.order[place]])),
  );
  rearranged(left, right, told);
  if (written === null) {
    const axes = axisTokens(step.outShape);
    const inside = step.outShape.map((_, axis) => axis).slice(kept);
    const sizes = inside
      .filter((axis) => axes[axis].length)
      .map((axis) => `${axes[axis][0]}=${lengths.of(step.outShape[axis])}`);
    rearranged([...axes.slice(0, kept).map(tokenOf), tokenOf(axes.slice(kept).flat())], axes.map(tokenOf), sizes);
  }
  return statements;
}

const tokenOf = (names) => (names.length === 1 ? names[0] : names.length ? `(${names.join(" ")})` : "1");
const axisTokens = (shape) => shape.map((size, axis) => (isOne(size) ? [] : [`a${axis}`]));

/** The sizes in a group that einops must be told: all but one, or all where several might be rounded. */
function toldSizes(group, names, sizes, lengths) {
  if (group.length < 2) return [];
  const rounded = group.filter(
    (digit) => sizes[digit].under !== 1 || sizes[digit].powers.some(([, power]) => power < 0),
  );
  const leftOut = [...rounded, ...group.filter((digit) => !isConstant(sizes[digit])), ...group][0];
  const told = rounded.length > 1 ? group : group.filter((digit) => digit !== leftOut);
  return told.map((digit) => `${names[digit]}=${lengths.of(sizes[digit])}`);
}

/** Which of the digits make up each axis of a shape; null where an axis ends inside a digit. */
function groupsOf(sizes, shape) {
  const groups = [];
  let following = 0;
  for (const length of shape) {
    const group = [];
    while (!sameSize(productSize(group.map((digit) => sizes[digit])), length)) {
      if (following === sizes.length) return null;
      group.push(following++);
    }
    groups.push(group);
  }
  return following === sizes.length ? groups : null;
}

const CODE_WRITERS = {
  einops: einopsCode,
  NumPy: numpyCode,
  PyTorch: torchCode,
  TensorFlow: tensorflowCode,
  ONNX: onnxCode,
  JAX: jaxCode,
};

/** The text of a function that needs nothing but the framework. */
const codeOf = (op, framework, batch) => CODE_WRITERS[framework](op, batch);
