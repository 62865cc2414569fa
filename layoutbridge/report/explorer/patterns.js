// Patterns read: "c (h p:s) (w q:s) -> (p q c) h w", with a bar where digits cross the tensor's own axes. The notation
// is that of layoutbridge's patterns, and so is what is refused.

const LONGEST_PATTERN = 4096;
const IDENTIFIER = /^[\p{ID_Start}_][\p{ID_Continue}]*$/u;
const BACKWARDS = "backwards"; // how a digit is read: null as it is, backwards, or in an order (an array)

const FIRST_LETTER = 100; // where letters that stay open are numbered from, behind all axes

/**
 * Read one pattern or several, joined by " then ". `lengths` are numbers for its letters, by name; `letters` are those
 * that stay open, which sizes then hold like axes.
 */
function readPattern(text, lengths = {}, letters = []) {
  if (text.length > LONGEST_PATTERN) throw new PatternError(`a pattern has at most ${LONGEST_PATTERN} characters`);
  const parts = text.split(" then ");
  if (parts.length > 16) throw new PatternError("more than 16 patterns after one another are too many");
  return parts.map((part) => readOne(part, parts.length > 1 ? {} : lengths, letters));
}

function readOne(text, lengths, letters) {
  const [pattern, ...assignments] = text.split(",");
  const given = new Map();
  const told = [...assignments.map(readAssignment), ...Object.entries(lengths)];
  for (const [name, value] of told) {
    if (!Number.isSafeInteger(value) || value < 1) throw new PatternError(`${name} must be a whole number, 1 or more`);
    if (given.has(name) && given.get(name) !== value) throw new PatternError(`${name} is given twice`);
    given.set(name, value);
  }
  letters.forEach((name, place) => given.set(name, axisSize(FIRST_LETTER + place)));
  return new PatternReader(given).read(pattern);
}

function readAssignment(text) {
  const [name, value, ...more] = text.split("=").map((part) => part.trim());
  if (more.length || !IDENTIFIER.test(name) || !/^[0-9]{1,15}$/.test(value ?? "")) {
    throw new PatternError(`"${text.trim()}" behind the comma is not of the form name=length`);
  }
  return [name, Number(value)];
}

class PatternReader {
  constructor(given) {
    this.given = given;
    this.asked = new Set(given.keys());
    this.used = new Set();
    this.sizes = new Map();
  }

  read(pattern) {
    const sides = pattern.split("->");
    if (sides.length !== 2) throw new PatternError("one arrow -> must stand between the two sides");
    const { plain, readings } = readOrders(sides[1]);
    for (const [name, reading] of readings) {
      if (Array.isArray(reading) && !this.given.has(name)) this.given.set(name, reading.length);
    }
    const [left, leftDigits] = halves(sides[0], "left");
    const [right, rightAxes] = halves(plain, "right");
    const source = leftDigits === null ? this.groupsOnLeft(left) : this.viewOnLeft(left, leftDigits);
    const groups = groupsIn(right, false);
    const order = groups.flat().map((name) => this.place(source.digits, name, groups.flat()));
    const lost = source.digits.filter((name) => !groups.flat().includes(name));
    if (lost.length) throw new PatternError(`${lost.join(", ")} on the left is missing on the right`);
    for (const [name, reading] of readings) {
      if (Array.isArray(reading) && !sameSize(this.sizes.get(name) ?? ONE, constantSize(reading.length))) {
        throw new PatternError(`the order of ${name} lists ${reading.length} values, and its size is another`);
      }
    }
    const sizes = source.digits.map((name) => this.sizes.get(name));
    const outShape =
      rightAxes === null
        ? groups.map((group) => productSize(group.map((name) => this.sizes.get(name))))
        : flatTokens(rightAxes).map((token) => this.expression(token));
    if (!outShape.length) throw new PatternError("the axes behind the bar are missing");
    if (rightAxes !== null) this.refuseOtherCount(outShape, source.inShape, "the axes on the right");
    const unused = [...this.asked].filter((name) => !this.used.has(name));
    if (unused.length) throw new PatternError(`a length is given for ${unused.join(", ")}, which the pattern lacks`);
    for (const size of [...sizes, ...source.inShape, ...outShape]) {
      if (isConstant(size) && size.under !== 1) throw new PatternError(`a size would be ${size.over}/${size.under}`);
    }
    return {
      axes: source.axes,
      inShape: source.inShape,
      outShape,
      digits: source.digits,
      sizes,
      order,
      readings: source.digits.map((name) => normalReading(readings.get(name) ?? null)),
      whole: [...sizes, ...source.inShape, ...outShape].filter(
        (size) => size.powers.length && (size.under !== 1 || size.powers.some(([, exponent]) => exponent < 0)),
      ),
      sourceGroups: source.groups,
      writtenGroups: rightAxes === null ? groups : null,
    };
  }

  place(digits, name, written) {
    if (!digits.includes(name)) throw new PatternError(`${name} on the right is unknown on the left`);
    if (written.indexOf(name) !== written.lastIndexOf(name)) throw new PatternError(`${name} is repeated on the right`);
    return digits.indexOf(name);
  }

  groupsOnLeft(text) {
    const groups = groupsIn(text, true).map((group) => group.map((token) => splitOnce(token, ":")));
    const inShape = [];
    const telling = [];
    groups.forEach((group, position) => {
      const known = new Map();
      for (const [name, size] of group) {
        if (size !== null) known.set(name, this.expression(size));
        else if (this.given.has(name)) known.set(name, this.lengthOf(name));
      }
      const unknown = group.map(([name]) => name).filter((name) => !known.has(name));
      if (unknown.length > 1) throw new PatternError(`give a size for all but one of ${unknown.join(", ")}`);
      const held = productSize([...known.values()]);
      for (const [name] of group) {
        if (this.sizes.has(name)) throw new PatternError(`${name} is repeated on the left`);
        this.sizes.set(name, known.get(name) ?? overSize(axisSize(position), held));
      }
      inShape.push(unknown.length ? axisSize(position) : held);
      telling.push(unknown[0] ?? null);
    });
    const names = groups.map((group) => group.map(([name]) => name));
    return { axes: axisNames(names, telling), inShape, digits: names.flat(), groups: names };
  }

  viewOnLeft(axesText, digitsText) {
    const axes = flatTokens(axesText);
    if (!axes.length) throw new PatternError("the axes before the bar are missing");
    const inShape = axes.map((name, position) => {
      refuseOtherThanName(name);
      if (this.sizes.has(name)) throw new PatternError(`${name} is repeated on the left`);
      this.sizes.set(name, this.given.has(name) ? this.lengthOf(name) : axisSize(position));
      return this.sizes.get(name);
    });
    const ofAxes = new Map(this.sizes);
    const digits = [];
    let inferred = null;
    for (const token of flatTokens(digitsText)) {
      const [name, text] = splitOnce(token, ":");
      refuseOtherThanName(name);
      if (digits.includes(name)) throw new PatternError(`the digit ${name} is repeated`);
      digits.push(name);
      let size = null;
      if (text !== null) size = this.expression(text);
      else if (ofAxes.has(name)) size = ofAxes.get(name);
      else if (this.given.has(name)) size = this.lengthOf(name);
      else if (inferred === null) inferred = name;
      else throw new PatternError(`the sizes of ${inferred} and ${name} are both unknown`);
      if (size !== null && ofAxes.has(name) && !sameSize(ofAxes.get(name), size)) {
        throw new PatternError(`${name} names both an axis and a digit of another size`);
      }
      if (size !== null) this.sizes.set(name, size);
    }
    const sizesOf = (names) => names.map((name) => this.sizes.get(name));
    if (inferred !== null) {
      const others = productSize(sizesOf(digits.filter((name) => name !== inferred)));
      this.sizes.set(inferred, overSize(productSize(inShape), others));
    }
    this.refuseOtherCount(sizesOf(digits), inShape, "the digits on the left");
    return { axes, inShape, digits, groups: null };
  }

  expression(text) {
    if (!text) throw new PatternError("a size is missing");
    const factors = /([*/]?)([\p{L}\p{N}_]+)(?:\^([\p{L}\p{N}_]+))?/uy;
    let size = ONE;
    while (factors.lastIndex < text.length) {
      const start = factors.lastIndex;
      const match = factors.exec(text);
      if (!match || (start === 0) !== (match[1] === "")) {
        throw new PatternError(`the size ${text} is not a product or quotient of names and numbers`);
      }
      const factor = this.term(match[2]);
      const exponent = match[3] ? this.term(match[3]) : ONE;
      if (!isConstant(exponent) || exponent.over > 64) throw new PatternError(`the exponent in ${text} is too large`);
      for (let k = 0; k < exponent.over; k++)
        size = match[1] === "/" ? overSize(size, factor) : timesSize(size, factor);
    }
    return size;
  }

  term(text) {
    if (/^[0-9]+$/.test(text)) {
      if (text.length > 16 || Number(text) < 1)
        throw new PatternError(`the number ${text.slice(0, 40)} is out of range`);
      return constantSize(Number(text));
    }
    if (this.sizes.has(text)) {
      this.used.add(text);
      return this.sizes.get(text);
    }
    if (this.given.has(text)) return this.lengthOf(text);
    throw new PatternError(`${text} has no size: it is no axis, and no length is given for it`);
  }

  lengthOf(name) {
    this.used.add(name);
    const given = this.given.get(name);
    return typeof given === "number" ? constantSize(given) : given;
  }

  refuseOtherCount(sizes, inShape, what) {
    if (!sameSize(productSize(sizes), productSize(inShape))) {
      throw new PatternError(`${what} do not hold as many elements as the axes on the left`);
    }
  }
}

/** The right side without its brackets [ ], and how each digit in front of one is read. */
function readOrders(side) {
  const readings = new Map();
  const plain = side.replace(/([^\s()|[\]]*)\[([^[\]]*)\]/g, (_, name, text) => {
    refuseOtherThanName(name);
    if (readings.has(name)) throw new PatternError(`${name} is repeated on the right`);
    readings.set(name, /^\s*::\s*-\s*1\s*$/.test(text) ? BACKWARDS : readOrder(name, text));
    return `${name} `;
  });
  if (/[[\]]/.test(plain)) throw new PatternError("a digit is read as in w[::-1] or g[0 2 3 1]");
  return { plain, readings };
}

function readOrder(name, text) {
  const words = text.trim().split(/\s+/);
  const values = words.map(Number);
  const sorted = [...values].sort((a, b) => a - b);
  if (!words.every((word) => /^[0-9]{1,9}$/.test(word)) || !sorted.every((value, place) => value === place)) {
    throw new PatternError(`the order of ${name} must have each of 0 to ${words.length - 1} once`);
  }
  return values;
}

/** An order that reads as it is, or backwards, is told so. */
function normalReading(reading) {
  if (!Array.isArray(reading)) return reading;
  if (reading.every((value, place) => value === place)) return null;
  return reading.every((value, place) => value === reading.length - 1 - place) ? BACKWARDS : reading;
}

/** What stands before and behind a bar: on the left axes and digits, on the right digits and axes. */
function halves(side, where) {
  const parts = side.split("|");
  if (parts.length > 2) throw new PatternError(`at most one bar | may stand on the ${where}`);
  return [parts[0], parts[1] ?? null];
}

function tokensOf(text) {
  return [...text.matchAll(/\s*(->|[()|]|[^\s()|]+?(?=->|[\s()|]|$))/gu)].map((match) => match[1]);
}

function flatTokens(text) {
  const tokens = tokensOf(text);
  if (tokens.some((token) => token === "(" || token === ")")) throw new PatternError("no brackets beside a bar");
  return tokens;
}

function groupsIn(text, sized) {
  const groups = [];
  let inside = null;
  for (const token of tokensOf(text)) {
    if (token === "(") {
      if (inside !== null) throw new PatternError("brackets are nested: one level is all there is");
      inside = [];
    } else if (token === ")") {
      if (inside === null) throw new PatternError("brackets are unbalanced");
      groups.push(inside);
      inside = null;
    } else {
      const names = token === "1" ? [] : [token];
      names.forEach((name) => refuseOtherThanName(sized ? splitOnce(name, ":")[0] : name));
      if (inside === null) groups.push(names);
      else inside.push(...names);
    }
  }
  if (inside !== null) throw new PatternError("a bracket is never closed");
  if (!groups.length) throw new PatternError("a side of the arrow is empty");
  return groups;
}

function splitOnce(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
}

function refuseOtherThanName(name) {
  if (!IDENTIFIER.test(name)) throw new PatternError(`"${name}" is not a name: letters, digits and underscores`);
}

function axisNames(groups, telling) {
  const plain = groups.map((group, position) => group.join("_") || `one${position}`);
  const short = groups.map((group, position) => {
    const leading = telling[position] ?? group[0] ?? "";
    return [...leading].length === 1 ? leading.toUpperCase() : plain[position];
  });
  return distinctNames(new Set(short).size === short.length ? short : plain);
}

function distinctNames(wanted) {
  const made = [];
  for (let name of wanted) {
    while (made.includes(name)) name += "_";
    made.push(name);
  }
  return made;
}
