// Which names of the catalogue a map has: every entry, at every number that the map's own digits allow.

const MOST_TRIED = 400; // combinations of numbers of one form

/** The names of what is done at this shape: [{name, told, forAllSizes}], those that hold for all sizes first. */
function namesOf(bound) {
  if (bound.stages.length > 1 && bound.total > MOST_SEARCHED) return [];
  const key = keyOfMap(bound);
  const numbers = numbersWithin(bound);
  const found = new Map();
  const { name: own, values: ownValues, told: ownTold } = bound.op;
  if (own !== null) found.set(own, { name: own, values: ownValues, told: ownTold, forAllSizes: true });
  for (const entry of CATALOGUE.entries) {
    for (const form of entry.forms) {
      if (!isOfRank(entry, form, bound)) continue;
      for (const chosen of choicesOf(form, bound, numbers)) {
        const op = triedAt(entry, form, chosen);
        if (!op || !fits(op, bound.inShape) || !gives(op, bound)) continue;
        if (keyOfMap(boundAt(op, bound.inShape)) !== key) continue;
        const forAllSizes = sameForAllSizes(bound.op, op);
        if (movesNothing(bound) && !forAllSizes) continue;
        const values = Object.assign(valuesOf(form, chosen), form.fixed);
        const match = { name: entry.name, values, told: toldParameters(entry, values), forAllSizes };
        const kept = found.get(entry.name);
        if (!kept || (forAllSizes && !kept.forAllSizes)) found.set(entry.name, match);
      }
    }
  }
  return [...found.values()].sort((a, b) => Number(b.forAllSizes) - Number(a.forAllSizes));
}

function keyOfMap(bound) {
  if (bound.stages.length === 1) return (bound.key ??= digitsKey(normalStage(bound.stages[0])));
  return (bound.key ??= digitsKey(finestDigits([...tableAt(bound)], []) ?? []));
}

const movesNothing = (bound) =>
  bound.stages.length === 1 &&
  normalStage(bound.stages[0]).length <= 1 &&
  normalStage(bound.stages[0]).every((digit) => digit.reading === null);

function isOfRank(entry, form, bound) {
  form.ranks ??= ranksOf(entry, form);
  const [taken, given] = form.ranks ?? [-9, -9];
  const extra = bound.inShape.length - taken;
  return (extra === 0 || (extra === 1 && entry.has_batch)) && bound.outShape.length === given + extra;
}

function ranksOf(entry, form) {
  try {
    const usual = Object.keys(form.letters).flatMap((name) => {
      const value = [entry.takes[name].default].flat();
      return form.letters[name].map((_, k) => value[k] ?? value[0]);
    });
    const op = atNumbers(entry, form, form.written ? form.written[0][0] : usual);
    return [op.rank, op.steps.at(-1).outShape.length];
  } catch (error) {
    if (error instanceof PatternError) return null;
    throw error;
  }
}

/** Numbers that the map may have been made with: what divides its digits, and the lengths of its axes. */
function numbersWithin(bound) {
  const sizes = new Set();
  for (const stage of bound.stages) {
    for (const digit of normalStage(stage)) divisorsOf(digit.size).forEach((each) => sizes.add(each));
  }
  for (const length of [...bound.inShape, ...bound.outShape]) divisorsOf(length).forEach((each) => sizes.add(each));
  return [...sizes].filter((size) => size > 1).sort((a, b) => a - b);
}

function divisorsOf(number) {
  const found = [];
  for (let each = 2; each <= Math.min(number, 64); each++) if (number % each === 0) found.push(each);
  return number <= 4096 && number > 64 ? [...found, number] : found;
}

/** The numbers at which a form may take the one shape and give the other. */
function* choicesOf(form, bound, numbers) {
  if (form.written) {
    yield* form.written.map(([own]) => own);
    return;
  }
  const letters = Object.values(form.letters).flat();
  const several = Object.values(form.letters).some((own) => own.length > 1);
  let left = MOST_TRIED;
  for (const known of solved(form, letters, equationsOf(form, letters, bound), new Map(), numbers)) {
    if (!left--) return;
    const chosen = letters.map((letter) => known.get(letter));
    if (!several || !isPlain(form, chosen)) yield chosen;
  }
}

/** What the lengths of both shapes say of a form's letters: [powers of letters, value], one for each axis. */
function equationsOf(form, letters, bound) {
  const lettered = (form.lettered ??= readPattern(form.pattern, {}, letters)[0]);
  const extra = bound.inShape.length - lettered.axes.length;
  const item = bound.inShape.slice(extra);
  const told = [
    ...lettered.inShape.map((size, axis) => [size, item[axis]]),
    ...lettered.outShape.map((size, axis) => [size, bound.outShape[extra + axis]]),
  ];
  return told
    .map(([size, length]) => {
      let value = (length * size.under) / size.over;
      const powers = new Map();
      for (const [axis, exponent] of size.powers) {
        if (axis >= FIRST_LETTER) powers.set(letters[axis - FIRST_LETTER], exponent);
        else value /= item[axis] ** exponent;
      }
      return [powers, value];
    })
    .filter(([powers]) => powers.size);
}

/** All letters with numbers: those that an equation tells, and each possible number of the others. */
function* solved(form, letters, equations, known, numbers) {
  const open = letters.filter((letter) => !known.has(letter));
  if (!open.length) {
    yield known;
    return;
  }
  for (const [powers, value] of equations) {
    const unknown = [...powers.keys()].filter((letter) => !known.has(letter));
    if (unknown.length !== 1) continue;
    let left = value;
    for (const [letter, exponent] of powers) if (letter !== unknown[0]) left /= known.get(letter) ** exponent;
    const number = Math.round(left ** (1 / powers.get(unknown[0])));
    const isFit = Math.abs(number ** powers.get(unknown[0]) - left) < 1e-9 * left;
    if (!isFit || number < leastOf(form, unknown[0])) return;
    yield* solved(form, letters, equations, new Map(known).set(unknown[0], number), numbers);
    return;
  }
  const least = leastOf(form, open[0]);
  for (const number of least === 1 ? [1, ...numbers] : numbers) {
    yield* solved(form, letters, equations, new Map(known).set(open[0], number), numbers);
  }
}

/** At 1 most operations move nothing, and are not looked for there. */
const leastOf = (form, letter) => (form.from_one.includes(letter) ? 1 : 2);

function valuesOf(form, numbers) {
  const left = [...numbers];
  const values = plain();
  for (const [name, letters] of Object.entries(form.letters)) values[name] = left.splice(0, letters.length);
  return values;
}

/** Several numbers that are all equal belong to another form. */
const isPlain = (form, numbers) =>
  Object.values(valuesOf(form, numbers)).some((own) => own.length > 1 && own.every((value) => value === own[0]));

function triedAt(entry, form, numbers) {
  try {
    return atNumbers(entry, form, numbers);
  } catch (error) {
    if (error instanceof PatternError) return null;
    throw error;
  }
}

/** Whether an operation that takes the shape gives the same one. */
function gives(op, bound) {
  if (op.steps.length > 1) return boundAt(op, bound.inShape).outShape.join() === bound.outShape.join();
  const batch = bound.inShape.length - op.rank;
  const item = bound.inShape.slice(batch);
  return op.steps[0].outShape.every((size, axis) => valueAt(size, item) === bound.outShape[batch + axis]);
}
