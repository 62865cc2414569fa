// A pattern as something to edit: digits with sizes, in groups on the left (the input's axes) and on the right (the
// output's). Every edit gives a new model; the pattern that it is written as goes into the page's state and its link.

/** A parsed pattern at these lengths as a model; `label` holds the result's shape where it is not made of groups. */
function modelOf(parsed, lengths) {
  const isBar = parsed.sourceGroups === null;
  const digits = new Map();
  parsed.digits.forEach((name, k) => {
    const size = parsed.sizes[k];
    const told = isBar ? formatSize(size, parsed.axes) : null;
    digits.set(name, {
      value: valueAt(size, lengths),
      told,
      isOpen: !isBar && !isConstant(size),
      reading: parsed.readings[k],
    });
  });
  const groups = isBar ? null : parsed.sourceGroups;
  for (const group of groups ?? []) {
    group
      .filter((name) => digits.get(name).isOpen)
      .slice(1)
      .forEach((name) => {
        digits.get(name).isOpen = false;
      });
  }
  const model = {
    axes: parsed.axes,
    groups,
    digits,
    order: parsed.digits,
    written: parsed.writtenGroups,
    label: null,
    fixed: [],
  };
  if (isBar)
    model.fixed = parsed.axes.flatMap((axis, k) =>
      isConstant(parsed.inShape[k]) ? [`${axis}=${parsed.inShape[k].over}`] : [],
    );
  if (model.written === null) {
    model.written = [parsed.order.map((source) => parsed.digits[source])];
    model.label = parsed.outShape.map((size) => labelText(model, size)).join(" ");
  }
  return model;
}

/** A length of the result as a pattern writes it: by axes beside a bar, else by the digits that axes are made of. */
function labelText(model, size) {
  if (model.groups === null) return formatSize(size, model.axes);
  const parts = { over: [], under: [] };
  for (const [axis, exponent] of size.powers) {
    const factors = model.groups[axis].map((name) =>
      model.digits.get(name).isOpen ? name : String(model.digits.get(name).value),
    );
    for (let k = 0; k < Math.abs(exponent); k++) parts[exponent > 0 ? "over" : "under"].push(...factors);
  }
  if (size.over !== 1 || !parts.over.length) parts.over.unshift(String(size.over));
  if (size.under !== 1) parts.under.push(String(size.under));
  return [parts.over.join("*"), ...parts.under].join("/");
}

/** The model as text that reads as the same. */
function patternOf(model) {
  const sized = (name) => {
    const { told, value, isOpen } = model.digits.get(name);
    return isOpen ? name : `${name}:${told ?? value}`;
  };
  const read = (name) => {
    const { reading } = model.digits.get(name);
    if (reading === null) return name;
    return `${name}[${reading === BACKWARDS ? "::-1" : reading.join(" ")}]`;
  };
  const grouped = (groups, text) =>
    groups
      .map((group) => {
        if (group.length === 1) return text(group[0]);
        return group.length ? `(${group.map(text).join(" ")})` : "1";
      })
      .join(" ");
  const left =
    model.groups === null
      ? `${model.axes.join(" ")} | ${model.order.map(sized).join(" ")}`
      : grouped(model.groups, sized);
  const right =
    model.label === null
      ? grouped(model.written, read)
      : `${model.written.flat().map(read).join(" ")} | ${model.label}`;
  return [`${left} -> ${right}`, ...model.fixed].join(", ");
}

/** The input's lengths that the digits make; null beside a bar, where they follow from the shape. */
function shapeOf(model) {
  if (model.groups === null) return null;
  return model.groups.map((group) => totalOf(group.map((name) => model.digits.get(name).value)));
}

function copyOf(model) {
  return {
    ...model,
    groups: model.groups && model.groups.map((group) => [...group]),
    digits: new Map([...model.digits].map(([name, digit]) => [name, { ...digit }])),
    written: model.written.map((group) => [...group]),
  };
}

function edited(model, change) {
  const made = copyOf(model);
  change(made);
  return made;
}

// ---------------------------------------------------------------------- the order of writing

function placeIn(model, name) {
  const group = model.written.findIndex((each) => each.includes(name));
  return [group, model.written[group].indexOf(name)];
}

/** The digit as the `place`-th of a group of the result; a group behind the last is a new axis. */
function moved(model, name, group, place) {
  return edited(model, (made) => {
    const [from] = placeIn(made, name);
    made.written[from] = made.written[from].filter((each) => each !== name);
    if (group >= made.written.length) made.written.push([]);
    made.written[group].splice(place, 0, name);
    if (!made.written[from].length && from !== group && made.label === null) made.written.splice(from, 1);
  });
}

/** One step to the left (-1) or to the right: past its neighbour, or over the edge of its axis; null at the end. */
function stepped(model, name, by) {
  const [group, place] = placeIn(model, name);
  const own = model.written[group];
  if (place + by >= 0 && place + by < own.length) return moved(model, name, group, place + by);
  const next = group + by;
  if (next < 0 || next >= model.written.length) {
    if (own.length === 1 || model.label !== null) return null;
    return edited(model, (made) => {
      made.written[group].splice(place, 1);
      made.written.splice(by < 0 ? 0 : made.written.length, 0, [name]);
    });
  }
  return moved(model, name, next, by > 0 ? 0 : model.written[next].length);
}

/** A group in two before `name`. */
function cutBefore(model, name) {
  return edited(model, (made) => {
    const [group, place] = placeIn(made, name);
    made.written.splice(group, 1, made.written[group].slice(0, place), made.written[group].slice(place));
  });
}

function joinedGroups(model, group) {
  return edited(model, (made) => {
    made.written.splice(group, 2, [...made.written[group], ...made.written[group + 1]]);
  });
}

/** The result's axes as one for each digit, where its shape was told apart. */
function labelDropped(model) {
  return edited(model, (made) => {
    made.label = null;
    made.written = made.written.flat().map((name) => [name]);
  });
}

// ---------------------------------------------------------------------- digits

const turned = (model, name) =>
  edited(model, (made) => {
    const digit = made.digits.get(name);
    digit.reading = digit.reading === null ? BACKWARDS : null;
  });

function resized(model, name, value) {
  return edited(model, (made) => {
    const digit = made.digits.get(name);
    digit.value = value;
    if (Array.isArray(digit.reading)) digit.reading = null;
  });
}

/** A digit is of this size for every shape, or as long as its axis lets it be: one of an axis may be so. */
function opened(model, name, isOpen) {
  return edited(model, (made) => {
    const group = made.groups.find((each) => each.includes(name));
    if (isOpen)
      group.forEach((each) => {
        made.digits.get(each).isOpen = false;
      });
    made.digits.get(name).isOpen = isOpen;
    if (isOpen && Array.isArray(made.digits.get(name).reading)) made.digits.get(name).reading = null;
  });
}

function renamed(model, name, wanted) {
  if (!IDENTIFIER.test(wanted) || wanted.length > 20 || (wanted !== name && model.digits.has(wanted))) {
    throw new PatternError("a digit's name is letters, digits and underscores, and no other's");
  }
  const by = (each) => (each === name ? wanted : each);
  return edited(model, (made) => {
    made.groups = made.groups.map((group) => group.map(by));
    made.written = made.written.map((group) => group.map(by));
    made.digits = new Map([...made.digits].map(([each, digit]) => [by(each), digit]));
    if (made.label !== null) made.label = made.label.replace(/[\p{L}_][\p{L}\p{N}_]*/gu, by);
  });
}

const factorOf = (value) => divisorsOf(value).find((each) => value % each === 0 && each < value) ?? null;

/** A digit in two: the inner one of the size `inner`. */
function split(model, name, inner) {
  return edited(model, (made) => {
    const digit = made.digits.get(name);
    const fresh = [..."pqrstuvabdefgijkmnoxyz"].find((letter) => !made.digits.has(letter)) ?? `d${made.digits.size}`;
    made.digits.set(fresh, { value: inner, told: null, isOpen: false, reading: digit.reading });
    digit.value /= inner;
    for (const groups of [made.groups, made.written]) {
      const group = groups.find((each) => each.includes(name));
      group.splice(group.indexOf(name) + 1, 0, fresh);
    }
    if (made.label !== null) Object.assign(made, { label: null, written: made.written.flat().map((each) => [each]) });
  });
}

/** The digit behind `name` on its axis; null where it is the last, or where the two are read otherwise. */
function mergesWith(model, name) {
  const group = model.groups?.find((each) => each.includes(name)) ?? [];
  const next = group[group.indexOf(name) + 1] ?? null;
  if (next === null) return null;
  const [one, other] = [name, next].map((each) => model.digits.get(each).reading);
  return one === other && !Array.isArray(one) && model.label === null ? next : null;
}

function merged(model, name) {
  const next = mergesWith(model, name);
  return edited(model, (made) => {
    const [one, other] = [name, next].map((each) => made.digits.get(each));
    one.value *= other.value;
    one.isOpen = one.isOpen || other.isOpen;
    made.digits.delete(next);
    made.groups = made.groups.map((group) => group.filter((each) => each !== next));
    made.written = made.written.map((group) => group.filter((each) => each !== next)).filter((group) => group.length);
  });
}
