// Digits moved: a flat index read as digits, the digits written in another order. At known lengths a step is a list of
// {size, stride, reading} in the order of writing, as in layoutbridge's tables.

/** The source's value where `value` is written. */
function valueRead(reading, size, value) {
  if (reading === null) return value;
  return reading === BACKWARDS ? size - 1 - value : reading[value];
}

function valueWritten(reading, size, value) {
  return Array.isArray(reading) ? reading.indexOf(value) : valueRead(reading, size, value);
}

/** The digits of a parsed pattern at these lengths, in the order of writing; `source` is their place on the left. */
function digitsAt(parsed, lengths) {
  const sizes = parsed.sizes.map((size) => valueAt(size, lengths));
  const strides = sizes.map((_, k) => sizes.slice(k + 1).reduce((a, b) => a * b, 1));
  return parsed.order.map((source) => ({
    name: parsed.digits[source],
    source,
    size: sizes[source],
    stride: strides[source],
    reading: parsed.readings[source],
  }));
}

function unravel(index, shape) {
  const coordinates = new Array(shape.length);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    coordinates[axis] = index % shape[axis];
    index = Math.floor(index / shape[axis]);
  }
  return coordinates;
}

function ravel(coordinates, shape) {
  return coordinates.reduce((index, coordinate, axis) => index * shape[axis] + coordinate, 0);
}

/** What each digit is, in the order of writing, where the result's flat `index` is written. */
function writtenValues(digits, index) {
  return unravel(
    index,
    digits.map((digit) => digit.size),
  );
}

function positionRead(digits, index) {
  let position = 0;
  for (let k = digits.length - 1; k >= 0; k--) {
    const { size, stride, reading } = digits[k];
    position += valueRead(reading, size, index % size) * stride;
    index = Math.floor(index / size);
  }
  return position;
}

/** The result's flat index that reads this position. */
function indexWritten(digits, position) {
  return digits.reduce((index, { size, stride, reading }) => {
    const value = Math.floor(position / stride) % size;
    return index * size + valueWritten(reading, size, value);
  }, 0);
}

/** The gather table of a step: out[i] = x[table[i]]. */
function tableOf(digits) {
  let table = new Float64Array(1); // holds whole numbers up to 2^53
  for (let k = digits.length - 1; k >= 0; k--) {
    const { size, stride, reading } = digits[k];
    const wider = new Float64Array(table.length * size);
    for (let value = 0; value < size; value++) {
      const start = valueRead(reading, size, value) * stride;
      for (let j = 0; j < table.length; j++) wider[value * table.length + j] = start + table[j];
    }
    table = wider;
  }
  return table;
}

// ---------------------------------------------------------------------- normal form

/**
 * The normal form of a step, symbols and all: digits of size 1 dropped, orders cut into their finest digits, neighbours
 * merged that stay together. Equal normal forms are the same map for all lengths.
 */
function normalStep({ sizes, order, readings }) {
  const cut = readings.some(Array.isArray) ? withOrdersCut(sizes, order, readings) : { sizes, order, readings };
  const kept = cut.order.filter((source) => !isOne(cut.sizes[source]));
  const rank = new Map([...kept].sort((a, b) => a - b).map((source, position) => [source, position]));
  const written = [];
  for (const source of kept) {
    const last = written.length ? written[written.length - 1].at(-1) : null;
    const reading = cut.readings[source];
    const goesOn =
      last !== null &&
      !Array.isArray(reading) &&
      cut.readings[last] === reading &&
      rank.get(last) + 1 === rank.get(source);
    if (goesOn) written.at(-1).push(source);
    else written.push([source]);
  }
  const groups = [...written].sort((a, b) => a[0] - b[0]);
  return {
    sizes: groups.map((group) => productSize(group.map((source) => cut.sizes[source]))),
    order: written.map((group) => groups.indexOf(group)),
    readings: groups.map((group) => cut.readings[group[0]]),
  };
}

function withOrdersCut(sizes, order, readings) {
  const made = { sizes: [], readings: [] };
  const places = sizes.map((size, source) => {
    const digits = Array.isArray(readings[source]) ? finestDigits(readings[source], []) : null;
    const first = made.sizes.length;
    if (!digits) {
      made.sizes.push(size);
      made.readings.push(readings[source]);
      return [first];
    }
    const bySource = [...digits].sort((a, b) => b.stride - a.stride);
    made.sizes.push(...bySource.map((digit) => constantSize(digit.size)));
    made.readings.push(...bySource.map((digit) => digit.reading));
    return digits.map((digit) => first + bySource.indexOf(digit));
  });
  return { ...made, order: order.flatMap((source) => places[source]) };
}

/** The finest digits of a table, outermost first; null where it has none apart from those in `taken`. */
function finestDigits(table, taken) {
  const total = table.length;
  if (total === 1) return [];
  for (let size = 2; size <= total; size++) {
    if (total % size) continue;
    const found = firstDigit(table, size);
    if (!found || !taken.every((other) => lieApart(found, other))) continue;
    const first = valueRead(found.reading, size, 0) * found.stride;
    const rest = [];
    for (let k = 0; k < total; k += size) rest.push(table[k] - first);
    if (rest.some((value) => Math.floor(value / found.stride) % size) || !repeats(table, size)) continue;
    const outer = finestDigits(rest, [...taken, found]);
    if (outer) return [...outer, found];
  }
  return null;
}

function firstDigit(table, size) {
  const start = table.slice(0, size);
  const lowest = Math.min(...start);
  const stride = Math.floor((Math.max(...start) - lowest) / (size - 1));
  if (stride < 1) return null;
  const values = start.map((value) => (value - lowest) / stride);
  const sorted = [...values].sort((a, b) => a - b);
  if (!sorted.every((value, place) => value === place)) return null;
  return { size, stride, reading: normalReading(values) };
}

function repeats(table, size) {
  return table.every((value, k) => value - table[k - (k % size)] === table[k % size] - table[0]);
}

function lieApart(one, other) {
  const [fine, coarse] = one.stride < other.stride ? [one, other] : [other, one];
  return coarse.stride % (fine.stride * fine.size) === 0;
}

const stepKey = (step) => `${step.sizes.map(keyOf).join(",")}|${step.order}|${JSON.stringify(step.readings)}`;

/** Digits of a normal form as text: equal texts are the same map of so many elements. */
const digitsKey = (digits) => digits.map((d) => `${d.size}x${d.stride}${JSON.stringify(d.reading)}`).join(" ");
