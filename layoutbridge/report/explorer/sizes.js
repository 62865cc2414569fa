// Sizes of digits: a fraction times lengths of the input's axes to powers, C/4 or 2*H. Exact, or refused.

class PatternError extends Error {}

function gcd(a, b) {
  while (b) [a, b] = [b, a % b];
  return a;
}

function exact(number) {
  if (!Number.isSafeInteger(number)) throw new PatternError("a number is too large for this page: 2^53 is its limit");
  return number;
}

/** `powers` has [axis, exponent] pairs by axis, none with the exponent 0. */
function makeSize(numerator, denominator, powers) {
  const common = gcd(numerator, denominator);
  return { over: numerator / common, under: denominator / common, powers };
}

const ONE = makeSize(1, 1, []);
const constantSize = (value) => makeSize(exact(value), 1, []);
const axisSize = (axis) => makeSize(1, 1, [[axis, 1]]);

function timesSize(a, b, sign = 1) {
  const [over, under] = sign > 0 ? [b.over, b.under] : [b.under, b.over];
  const [first, second] = [gcd(a.over, under), gcd(over, a.under)];
  const numerator = exact((a.over / first) * (over / second));
  const denominator = exact((a.under / second) * (under / first));
  if (!b.powers.length) return makeSize(numerator, denominator, a.powers);
  const exponents = new Map(a.powers);
  for (const [axis, exponent] of b.powers) exponents.set(axis, (exponents.get(axis) ?? 0) + sign * exponent);
  const powers = [...exponents].filter(([, exponent]) => exponent).sort((x, y) => x[0] - y[0]);
  return makeSize(numerator, denominator, powers);
}

const overSize = (a, b) => timesSize(a, b, -1);
const productSize = (sizes) => sizes.reduce((made, size) => timesSize(made, size), ONE);
const isConstant = (size) => !size.powers.length;
const isOne = (size) => isConstant(size) && size.over === 1 && size.under === 1;
const singleAxis = (size) => (size.powers.length === 1 && size.powers[0][1] === 1 ? size.powers[0][0] : null);
const keyOf = (size) => `${size.over}/${size.under}:${size.powers.map((power) => power.join("^")).join("*")}`;
const sameSize = (a, b) => keyOf(a) === keyOf(b);

/** Its value at these lengths as [numerator, denominator]. */
function fractionAt(size, lengths) {
  let made = makeSize(size.over, size.under, []);
  for (const [axis, exponent] of size.powers) {
    for (let k = 0; k < Math.abs(exponent); k++)
      made = timesSize(made, constantSize(lengths[axis]), Math.sign(exponent));
  }
  return [made.over, made.under];
}

/** Its value at these lengths, which make it whole. */
function valueAt(size, lengths) {
  const [over, under] = fractionAt(size, lengths);
  if (under !== 1) throw new PatternError(`a size would be ${over}/${under}`);
  return over;
}

function substitutedSize(size, known) {
  let made = makeSize(size.over, size.under, []);
  for (const [axis, exponent] of size.powers) {
    const factor = known.get(axis) ?? axisSize(axis);
    for (let k = 0; k < Math.abs(exponent); k++) made = timesSize(made, factor, Math.sign(exponent));
  }
  return made;
}

/** Text such as C/4 or 2*H, which a pattern can hold. */
function formatSize(size, names) {
  const over = [];
  const under = [];
  for (const [axis, exponent] of size.powers) {
    const power = Math.abs(exponent);
    (exponent > 0 ? over : under).push(power === 1 ? names[axis] : `${names[axis]}^${power}`);
  }
  if (size.over !== 1 || !over.length) over.unshift(String(size.over));
  if (size.under !== 1) under.push(String(size.under));
  return [over.join("*"), ...under].join("/");
}
