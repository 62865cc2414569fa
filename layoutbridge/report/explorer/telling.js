// What is found, as words and colours.

/** From 0 to 1 by where in the input an element lies: its number, its place on an axis, or the value of a digit. */
function toneBy(bound, colours) {
  const [kind, name] = colours.split(/:(.*)/su);
  const share = (value, size) => (size > 1 ? value / (size - 1) : 0);
  if (kind === "axis") {
    const axis = Number(name);
    const stride = totalOf(bound.inShape.slice(axis + 1));
    return (position) => share(Math.floor(position / stride) % bound.inShape[axis], bound.inShape[axis]);
  }
  const digit = kind === "digit" ? bound.stages[0].digits.find((each) => each.name === name) : null;
  if (digit) return (position) => share(Math.floor(position / digit.stride) % digit.size, digit.size);
  return (position) => share(position, bound.total);
}

const many = (number) => number.toLocaleString("en");

function comparisonInWords(one, other, { sameShape, equal, forAllSizes, count, first }) {
  const shape = toldShape(one.inShape);
  if (!sameShape) {
    return `Not the same: the results have shapes ${toldShape(one.outShape)} and ${toldShape(other.outShape)}`;
  }
  if (equal && forAllSizes) return "The same map for all sizes that both take";
  if (equal) return `Equal at ${shape}, all ${many(one.total)} elements; other sizes are not settled by that`;
  if (equal === null) return `Not settled at ${shape}: the first ${many(MOST_SEARCHED)} elements are equal`;
  const start = count === null ? "They differ" : `${many(count)} of ${many(one.total)} elements differ`;
  if (first === null) return start;
  const [a, b] = [one, other].map((bound) => toldShape(unravel(readAt(bound, first), bound.inShape)));
  const place = toldShape(unravel(first, one.outShape));
  return `${start}. The first: output ${place} holds input ${a} in the first and ${b} in the second`;
}

/** Paragraphs and lists of the names, those for all sizes first. */
function namesInWords(shown, names) {
  const told = ({ name, told: values }) => (values ? `${name} (${values})` : name);
  const list = (found) =>
    element(
      "ul",
      {},
      found.map((match) => element("li", {}, element("code", {}, told(match)))),
    );
  const always = names.filter((match) => match.forAllSizes);
  const here = names.filter((match) => !match.forAllSizes);
  const paragraph = (text) => element("p", { class: "small" }, text);
  if (!names.length) return [paragraph("No name of the catalogue fits.")];
  const only = `Equal at ${toldShape(shown.inShape)}, every element; other sizes are not settled by that:`;
  return [
    ...(always.length ? [paragraph("The same map for all sizes, for its digits agree:"), list(always)] : []),
    ...(here.length ? [paragraph(only), list(here)] : []),
  ];
}
