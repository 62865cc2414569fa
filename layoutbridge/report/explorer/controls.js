// Choosing an operation: a list of the catalogue by family, the parameters of the entry, or a pattern of one's own.

const OWN = "own pattern"; // no name of an entry: it has a space

class SideControls {
  /** `onChange(side, isWritten)` is told; `none` is what stands for no operation, where that may be. */
  constructor(root, { label, none = null, own, onChange }) {
    Object.assign(this, { root, onChange, own, id: root.id });
    const families = new Map();
    for (const entry of CATALOGUE.entries)
      families.set(entry.family, [...(families.get(entry.family) ?? []), entry.name]);
    this.select = element(
      "select",
      { id: `${this.id}-name`, change: () => this.chosen() },
      none === null ? null : element("option", { value: "" }, none),
      [...families].map(([family, names]) =>
        element(
          "optgroup",
          { label: family },
          names.map((name) => element("option", { value: name }, name)),
        ),
      ),
      element(
        "optgroup",
        { label: "your own" },
        element("option", { value: OWN }, own === "text" ? "a pattern" : "your own permutation"),
      ),
    );
    this.rest = element("div", {});
    root.append(
      element("div", { class: "field" }, element("label", { for: this.select.id }, label), this.select),
      this.rest,
    );
  }

  chosen() {
    const name = this.select.value;
    if (name === "") this.onChange(null);
    else if (name === OWN) this.onChange({ pattern: this.lastPattern() });
    else this.onChange({ entry: name, values: {} });
  }

  lastPattern() {
    return this.held?.entry === undefined
      ? (this.held?.pattern ?? "c (h p:2) (w q:2) -> (q p c) h w")
      : patternOfSide(this.held);
  }

  show(side) {
    this.held = side;
    this.select.value = side === null ? "" : (side.entry ?? OWN);
    const key = side === null ? "" : (side.entry ?? OWN);
    const focused = this.rest.contains(document.activeElement) ? document.activeElement.id : null;
    if (side === null) this.rest.replaceChildren();
    else if (side.entry === undefined) this.showPattern(side, key);
    else this.showParameters(side);
    this.key = key;
    if (focused) byId(focused)?.focus();
  }

  showPattern(side, key) {
    if (this.own !== "text") {
      this.rest.replaceChildren();
      return;
    }
    if (this.key === key) return; // it is being written
    const field = element("input", {
      id: `${this.id}-pattern`,
      class: "code",
      value: side.pattern,
      autocomplete: "off",
      autocapitalize: "none",
      spellcheck: "false",
      input: (event) => this.onChange({ pattern: event.target.value }),
    });
    this.rest.replaceChildren(
      element("div", { class: "field" }, element("label", { for: field.id }, "Pattern"), field),
    );
  }

  showParameters(side) {
    const entry = CATALOGUE.entries.find((each) => each.name === side.entry);
    const values = valuesOrDefaults(entry, side.values);
    const fields = Object.entries(entry.takes)
      .filter(([name]) => name in values)
      .map(([name, parameter]) => {
        const id = `${this.id}-${name}`;
        const common = { id, title: parameter.meaning, change: (event) => this.asked(entry, name, event.target.value) };
        const choices = parameter.values;
        const field = choices
          ? element(
              "select",
              common,
              choices.map((value) =>
                element(
                  "option",
                  { value: toldValue(value), selected: toldValue(value) === toldValue(values[name]) },
                  toldValue(value),
                ),
              ),
            )
          : element("input", {
              ...common,
              value: [values[name]].flat().join("x"),
              inputmode: "numeric",
              autocomplete: "off",
            });
        return element("div", { class: "field" }, element("label", { for: id }, name), field);
      });
    this.rest.replaceChildren(element("div", { class: "parameters" }, fields));
  }

  asked(entry, name, text) {
    let values = plain(this.held.values);
    try {
      const { default: usual, values: choices } = entry.takes[name];
      values[name] = choices
        ? (choices.find((value) => toldValue(value) === text) ?? usual)
        : readValue(entry, name, text);
      if (choices) values = thatGoWith(entry, values, name);
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      this.onChange(this.held, error.message);
      return;
    }
    this.onChange({ entry: entry.name, values });
  }
}

/** What was asked before, without that which no form takes together with a new choice. */
function thatGoWith(entry, values, name) {
  const fits = (asked) => entry.forms.some((form) => takenBy(entry, form, asked));
  if (fits(values)) return values;
  const kept = plain({ [name]: values[name] });
  for (const [other, value] of Object.entries(values)) {
    if (other !== name && fits(Object.assign(plain(kept), { [other]: value }))) kept[other] = value;
  }
  return kept;
}

function valuesOrDefaults(entry, asked) {
  try {
    return formFor(entry, plain(asked)).values;
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    return Object.assign(
      plain(Object.fromEntries(Object.entries(entry.takes).map(([name, each]) => [name, each.default]))),
      asked,
    );
  }
}

/** An entry at its parameters as a pattern with the numbers in it, which can be edited. */
function patternOfSide(side) {
  const op = operationOf(side);
  const [parsed] = op.steps;
  const shape = op.steps.length === 1 ? usualShape(op) : null;
  return shape === null ? op.text : patternOf(modelOf(parsed, shape));
}

/** The pattern of what undoes an operation of one step at these lengths: its digits the other way round. */
function inversePattern(op, lengths) {
  const [parsed] = op.steps;
  const model = modelOf(parsed, lengths);
  const inverse = (reading) => (Array.isArray(reading) ? reading.map((_, value) => reading.indexOf(value)) : reading);
  if (model.groups !== null && model.label === null) {
    const back = copyOf(model);
    [back.groups, back.written] = [model.written, model.groups];
    for (const digit of back.digits.values()) digit.reading = inverse(digit.reading);
    for (const group of back.groups) {
      group
        .filter((name) => back.digits.get(name).isOpen)
        .slice(1)
        .forEach((name) => {
          back.digits.get(name).isOpen = false;
        });
    }
    return patternOf(back);
  }
  const names = distinctNames([...parsed.digits, ...parsed.outShape.map((_, axis) => `X${axis}`)]).slice(
    parsed.digits.length,
  );
  const sized = parsed.order
    .map((source) => `${parsed.digits[source]}:${valueAt(parsed.sizes[source], lengths)}`)
    .join(" ");
  const written = parsed.digits.map((name, k) => {
    const reading = inverse(parsed.readings[k]);
    return reading === null ? name : `${name}[${reading === BACKWARDS ? "::-1" : reading.join(" ")}]`;
  });
  const out = parsed.outShape.map((size) => valueAt(size, lengths));
  const fixed = names.map((name, axis) => `${name}=${out[axis]}`);
  return [`${names.join(" ")} | ${sized} -> ${written.join(" ")} | ${lengths.join(" ")}`, ...fixed].join(", ");
}
