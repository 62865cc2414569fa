// Operations: an entry of the catalogue at its parameters, or a pattern of one's own, and what either does at a shape.

const MOST_DRAWN = 4096; // elements that are drawn at once
const MOST_COUNTED = 1 << 20; // elements of a table that are compared one by one
const MOST_SEARCHED = 1 << 16; // elements among which a difference, or the digits of several patterns, are looked for
const MOST_AXES = 16;

/** A copy in which every name is one of its own: an object of the language would have others, constructor say. */
const plain = (object) => Object.assign(Object.create(null), object);

/** A side of the page: {entry, values} or {pattern}. Raises PatternError for what cannot be. */
function operationOf(side) {
  if (side.entry === undefined) return made(side.pattern, readPattern(side.pattern), true);
  const entry = CATALOGUE.entries.find((each) => each.name === side.entry);
  if (!entry) throw new PatternError(`no operation is called ${side.entry}`);
  const { form, values } = formFor(entry, plain(side.values));
  const numbers = Object.keys(form.letters).flatMap((name) => values[name]);
  const told = toldParameters(entry, values);
  return { ...atNumbers(entry, form, numbers), told, values };
}

/** The operation of a form with these numbers; what was read once is kept, for names are looked for in all of them. */
function atNumbers(entry, form, numbers) {
  const kept = (form.kept ??= new Map());
  const key = numbers.join();
  if (!kept.has(key)) {
    const text = textAt(form, numbers);
    kept.set(key, made(text, readPattern(text), entry.has_batch, entry.name));
  }
  return kept.get(key);
}

/** The pattern of a form with these numbers behind it. */
function textAt(form, numbers) {
  if (form.written === null) {
    const letters = Object.values(form.letters).flat();
    return [form.pattern, ...letters.map((letter, k) => `${letter}=${numbers[k]}`)].join(", ");
  }
  const found = form.written.find(([own]) => own.every((number, k) => number === numbers[k]));
  if (!found) throw new PatternError("this page has no pattern for these numbers; the command line has");
  return found[1];
}

function made(text, steps, hasBatch, name = null) {
  const [first] = steps;
  const canonical = steps.length === 1 ? normalStep(first) : null;
  return { text, steps, hasBatch, name, told: "", axes: first.axes, rank: first.axes.length, canonical };
}

const labelOf = (op) => (op.name === null ? "your own pattern" : op.told ? `${op.name} (${op.told})` : op.name);

// ---------------------------------------------------------------------- parameters

/** The first form of an entry that fits what is asked, and all values: numbers as lists. */
function formFor(entry, asked) {
  for (const form of entry.forms) {
    const values = takenBy(entry, form, asked);
    if (values) return { form, values };
  }
  const told = Object.entries(asked)
    .map(([name, value]) => `${name} ${toldValue(value)}`)
    .join(", ");
  throw new PatternError(`${entry.name} has no form for ${told}`);
}

function takenBy(entry, form, asked) {
  const taken = plain();
  for (const [name, letters] of Object.entries(form.letters)) {
    const value = [asked[name] ?? entry.takes[name].default].flat();
    const equal = value.every((number) => number === value[0]);
    if (value.length === letters.length) taken[name] = value;
    else if (letters.length === 1 && form.axes > 1 && value.length === form.axes && equal) taken[name] = [value[0]];
    else return null;
  }
  for (const [name, value] of Object.entries(asked)) {
    if (!(name in form.letters) && form.fixed[name] !== value) return null;
  }
  return Object.assign(taken, form.fixed);
}

/** Text of a parameter as its value: 2, 2x4, a word. */
function readValue(entry, name, text) {
  const { default: usual } = entry.takes[name];
  const plain = String(text).trim();
  if (typeof usual === "string") return plain.slice(0, 80);
  const parts = plain
    .replace(/^\(|\)$/g, "")
    .split(/[x×,]/)
    .map((part) => part.trim());
  if (parts.length > 8 || !parts.every((part) => /^[0-9]{1,15}$/.test(part) && Number(part) >= 1)) {
    throw new PatternError(`${name} must be a whole number of 1 or more, or a few as in 2x4`);
  }
  const numbers = parts.map(Number);
  return numbers.length > 1 ? numbers : numbers[0];
}

const toldValue = (value) => [value].flat().join("×");

function toldParameters(entry, values) {
  const usual = entry.forms[0].fixed;
  return Object.keys(entry.takes)
    .filter(
      (name) =>
        name in values &&
        (typeof values[name] === "string" || toldValue(values[name]) !== toldValue(usual[name] ?? "")),
    )
    .map((name) => `${name} ${toldValue(values[name])}`)
    .join(", ");
}

// ---------------------------------------------------------------------- shapes

/** Text as a shape: "4,4,4", "[4, 4, 4]" or "4x4x4". */
function readShape(text) {
  const parts = String(text)
    .replace(/^\s*[[(]|[\])]\s*$/g, "")
    .split(/[x×,]/)
    .map((part) => part.trim());
  if (!parts.every((part) => /^[0-9]{1,15}$/.test(part) && Number(part) >= 1)) {
    throw new PatternError("a shape is lengths of 1 or more with commas between them: 4, 4, 4");
  }
  if (parts.length > MOST_AXES) throw new PatternError(`a shape has at most ${MOST_AXES} axes here`);
  const shape = parts.map(Number);
  exact(totalOf(shape));
  return shape;
}

const totalOf = (shape) => shape.reduce((a, b) => a * b, 1);
const toldShape = (shape) => `[${shape.join(", ")}]`;

/** What is wrong with an item's lengths; null where they fit. */
function misfit(parsed, lengths) {
  for (const [axis, size] of parsed.inShape.entries()) {
    if (isConstant(size) && size.over !== lengths[axis]) {
      return `${parsed.axes[axis]} = ${lengths[axis]} must be ${size.over}`;
    }
  }
  for (const size of parsed.whole) {
    const [over, under] = fractionAt(size, lengths);
    if (under === 1) continue;
    const axis = singleAxis(size);
    if (axis !== null) return `${parsed.axes[axis]} = ${lengths[axis]} is not a multiple of ${size.under}`;
    return `${formatSize(size, parsed.axes)} = ${over}/${under} must be a whole number`;
  }
  return null;
}

/** The operation at a shape, of one item or with a batch axis in front. Raises PatternError where it does not fit. */
function boundAt(op, shape) {
  exact(totalOf(shape));
  const batch = shape.length - op.rank;
  if (batch !== 0 && batch !== 1) {
    const axes = toldShape(op.axes);
    throw new PatternError(
      `${labelOf(op)} takes ${op.rank} axes ${axes}, or one more in front for a batch; here are ${shape.length}`,
    );
  }
  const stages = [];
  let held = shape;
  for (const parsed of op.steps) {
    const item = held.slice(batch);
    if (item.length !== parsed.axes.length)
      throw new PatternError(`a step takes ${parsed.axes.length} axes and gets ${item.length}`);
    const wrong = misfit(parsed, item);
    if (wrong) throw new PatternError(`${labelOf(op)} does not take ${toldShape(shape)}: ${wrong}`);
    stages.push(stageAt(parsed, held.slice(0, batch), item));
    held = stages.at(-1).outShape;
  }
  return { op, inShape: shape, outShape: held, total: totalOf(shape), stages };
}

function stageAt(parsed, leading, item) {
  const digits = digitsAt(parsed, item);
  const stride = totalOf(item);
  const front = leading.map((length) => ({
    name: batchName(parsed.axes),
    source: 0,
    size: length,
    stride,
    reading: null,
  }));
  const written = [...front, ...digits.map((digit) => ({ ...digit, source: digit.source + front.length }))];
  return {
    parsed,
    digits: written,
    axes: [...front.map((digit) => digit.name), ...parsed.axes],
    inShape: [...leading, ...item],
    outShape: [...leading, ...parsed.outShape.map((size) => valueAt(size, item))],
  };
}

const batchName = (axes) => distinctNames([...axes, axes.includes("N") ? "batch" : "N"]).at(-1);

/** The flat input position that the result's flat `index` holds; what is drawn whole is asked for often, and kept. */
function readAt(bound, index) {
  if (bound.total <= MOST_DRAWN) return (bound.table ??= tableAt(bound))[index];
  return bound.stages.reduceRight((at, stage) => positionRead(stage.digits, at), index);
}

const writeAt = (bound, position) => bound.stages.reduce((at, stage) => indexWritten(stage.digits, at), position);

function tableAt(bound) {
  return bound.stages.map((stage) => tableOf(stage.digits)).reduce((table, next) => next.map((index) => table[index]));
}

/** A small shape that the operation takes, its lengths different where they may be; null where there is none here. */
function usualShape(op) {
  const [parsed] = op.steps;
  const base = parsed.axes.map((_, axis) => divisorOf(parsed, axis));
  let free = 2;
  const wider = parsed.axes.map((_, axis) => {
    if (isConstant(parsed.inShape[axis])) return base[axis];
    return base[axis] > 1 ? 2 * base[axis] : free++;
  });
  const candidates = [
    wider,
    base.map((length, axis) => (isConstant(parsed.inShape[axis]) ? length : 2 * length)),
    base,
  ];
  const fitting = candidates.filter((shape) => Number.isSafeInteger(totalOf(shape)) && fits(op, shape));
  return fitting.find((shape) => totalOf(shape) <= MOST_DRAWN) ?? fitting.at(-1) ?? null;
}

function divisorOf(parsed, axis) {
  if (isConstant(parsed.inShape[axis])) return parsed.inShape[axis].over;
  const unders = parsed.whole.filter((size) => singleAxis(size) === axis).map((size) => size.under);
  return unders.reduce((a, b) => (a / gcd(a, b)) * b, 1);
}

function fits(op, shape) {
  const batch = shape.length - op.rank;
  if (batch !== 0 && batch !== 1) return false;
  if (op.steps.length === 1) return misfit(op.steps[0], shape.slice(batch)) === null;
  try {
    boundAt(op, shape);
    return true;
  } catch (error) {
    if (error instanceof PatternError) return false;
    throw error;
  }
}

/** What an operation takes, in words. */
function toldDomain(op) {
  const [parsed] = op.steps;
  const conditions = parsed.axes.flatMap((name, axis) => {
    const divisor = divisorOf(parsed, axis);
    if (isConstant(parsed.inShape[axis])) return [`${name} = ${divisor}`];
    return divisor > 1 ? [`${name} a multiple of ${divisor}`] : [];
  });
  const joint = parsed.whole.filter((size) => singleAxis(size) === null && !isImplied(parsed, size));
  const told = [...conditions, ...new Set(joint.map((size) => `${formatSize(size, parsed.axes)} whole`))];
  return `${toldShape(parsed.axes)}${told.length ? `, ${told.join(", ")}` : ""}`;
}

/** Whether a size is whole wherever the axes are multiples of what each of them must be. */
function isImplied(parsed, size) {
  const known = size.powers.map(([axis, exponent]) => divisorOf(parsed, axis) ** exponent);
  return size.powers.every(([, exponent]) => exponent > 0) && (totalOf(known) * size.over) % size.under === 0;
}

// ---------------------------------------------------------------------- two operations

/** Are two the same? {sameShape, equal, forAllSizes, count, first}: `count` is null where it is not counted. */
function compared(a, b) {
  const sameShape = a.outShape.join() === b.outShape.join();
  const always = sameForAllSizes(a.op, b.op);
  if (!sameShape) return { sameShape, equal: false, forAllSizes: false, count: null, first: null };
  if (a.total > MOST_COUNTED) return comparedByDigits(a, b, always);
  const [one, other] = [tableAt(a), tableAt(b)];
  let count = 0;
  let first = null;
  for (let index = 0; index < one.length; index++) {
    if (one[index] === other[index]) continue;
    count++;
    first ??= index;
  }
  return { sameShape, equal: count === 0, forAllSizes: always, count, first };
}

/** The same of long tables: single steps are equal where their digits are, others may stay unsettled (null). */
function comparedByDigits(a, b, forAllSizes) {
  const isSingle = a.stages.length === 1 && b.stages.length === 1;
  const isEqual = isSingle && digitsKey(normalStage(a.stages[0])) === digitsKey(normalStage(b.stages[0]));
  const first = isEqual ? null : firstDifference(a, b);
  return {
    sameShape: true,
    equal: isEqual || (isSingle || first !== null ? false : null),
    forAllSizes,
    count: null,
    first,
  };
}

/** Where two first differ: among the first elements, or where a digit takes a step; null if it is not there. */
function firstDifference(a, b) {
  for (let index = 0; index < MOST_SEARCHED; index++) if (readAt(a, index) !== readAt(b, index)) return index;
  const found = [a, b].flatMap(stepsOf).filter((index) => index < a.total && readAt(a, index) !== readAt(b, index));
  return found.length ? Math.min(...found) : null;
}

/** Where each digit that is written takes its first step, and all of its steps where it is read in an order. */
function stepsOf({ stages }) {
  return stages.at(-1).digits.flatMap(({ reading }, k, all) => {
    const inside = totalOf(all.slice(k + 1).map((digit) => digit.size));
    return (Array.isArray(reading) ? reading : [0, 1]).map((_, value) => value * inside);
  });
}

function normalStage(stage) {
  const sizes = [];
  const readings = [];
  for (const digit of stage.digits) {
    sizes[digit.source] = constantSize(digit.size);
    readings[digit.source] = digit.reading;
  }
  const step = normalStep({ sizes, order: stage.digits.map((digit) => digit.source), readings });
  const numbers = step.sizes.map((size) => size.over);
  return step.order.map((source) => ({
    size: numbers[source],
    stride: totalOf(numbers.slice(source + 1)),
    reading: step.readings[source],
  }));
}

/** Whether the symbols agree, so that both are one map for all shapes; not known of several patterns in a row. */
function sameForAllSizes(a, b) {
  if (a.rank !== b.rank || !a.canonical || !b.canonical) return false;
  const pinned = new Map();
  for (const op of [a, b]) {
    op.steps[0].inShape.forEach((size, axis) => isConstant(size) && pinned.set(axis, size));
  }
  const [one, other] = [a, b].map((op) => pinnedForm(op, pinned));
  return one === other;
}

function pinnedForm(op, pinned) {
  const [parsed] = op.steps;
  if (!pinned.size) {
    op.form ??= `${stepKey(op.canonical)} -> ${parsed.outShape.map(keyOf)}`;
    return op.form;
  }
  const sizes = parsed.sizes.map((size) => substitutedSize(size, pinned));
  const step = normalStep({ sizes, order: parsed.order, readings: parsed.readings });
  return `${stepKey(step)} -> ${parsed.outShape.map((size) => keyOf(substitutedSize(size, pinned)))}`;
}
