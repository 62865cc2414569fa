// The page: one state, and every part drawn from it.

const MOVES = {
  ArrowLeft: [-1, -1],
  ArrowRight: [-1, 1],
  ArrowUp: [-2, -1],
  ArrowDown: [-2, 1],
  PageUp: [-3, -1],
  PageDown: [-3, 1],
};

class Explorer {
  constructor() {
    const change = (name) => (side, message) => (message ? this.tell(name, message) : this.set({ [name]: side }));
    this.sides = {
      a: new SideControls(byId("side-a"), { label: "Name", own: "chips", onChange: change("a") }),
      b: new SideControls(byId("side-b"), {
        label: "A second operation",
        none: "nothing",
        own: "text",
        onChange: change("b"),
      }),
    };
    this.editor = new Editor(byId("editor"), (pattern, item) => {
      const batch = this.shown ? this.state.shape.slice(0, this.state.shape.length - this.shown.op.rank) : [];
      this.set({ a: { pattern }, ...(item ? { shape: [...batch, ...item] } : {}) });
    });
    this.input = new Planes("Input", (position, isClick) => this.point(writeAt(this.shown, position), isClick));
    this.outputs = ["Output", "Second output"].map(
      (title, k) => new Planes(title, (index, isClick) => this.point(index, isClick, k)),
    );
    byId("views").append(this.input.root, ...this.outputs.map((planes) => planes.root));
    this.listen();
    this.load();
  }

  listen() {
    byId("shape").addEventListener("input", (event) => this.reshape(event.target.value));
    byId("use-shape").addEventListener("click", () => {
      this.set({ shape: this.suggested });
      byId("shape").focus();
    });
    byId("pattern").addEventListener("input", (event) => this.set({ a: { pattern: event.target.value } }));
    byId("make-own").addEventListener("click", () => this.makeOwn());
    byId("invert").addEventListener("click", () => this.invert());
    byId("colours").addEventListener("change", (event) => this.set({ colours: event.target.value }));
    byId("batch").addEventListener("change", (event) => this.set({ batch: event.target.checked }));
    byId("copy-code").addEventListener("click", (event) => copyText(byId("code-text").textContent, event.target));
    byId("copy-link").addEventListener("click", (event) => {
      this.keepLink();
      copyText(location.href, event.target);
    });
    const grid = this.outputs[0].grid;
    Object.entries({
      tabindex: "0",
      role: "application",
      "aria-label": "Elements of the output. Arrow keys go from one to the next, page keys from plane to plane.",
    }).forEach(([name, value]) => grid.setAttribute(name, value));
    grid.addEventListener("keydown", (event) => this.walk(event));
    byId("frameworks").append(
      ...Object.keys(CODE_WRITERS).map((name) =>
        element(
          "button",
          {
            type: "button",
            role: "tab",
            "data-name": name,
            "aria-controls": "code-text",
            click: () => this.set({ code: name }),
          },
          name,
        ),
      ),
    );
    byId("frameworks").addEventListener("keydown", (event) => this.nextFramework(event));
    for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
      matchMedia(query).addEventListener("change", () => this.draw());
    }
    new ResizeObserver(() => this.width !== byId("views").clientWidth && this.draw()).observe(byId("views"));
    window.addEventListener("hashchange", () => location.hash.slice(1) !== this.link && this.load());
  }

  load() {
    const { state, ignored } = stateOf(location.hash.slice(1) || CATALOGUE.start);
    this.state = state;
    this.shown = null;
    this.set({});
    if (!this.shown && state.shape !== null) {
      ignored.push(this.problems.shape);
      this.set({ shape: null });
    }
    byId("ignored").textContent = ignored.length ? `Of the link this was left out: ${ignored.join("; ")}` : "";
  }

  // -------------------------------------------------------------------- the state

  set(changes) {
    byId("ignored").textContent = "";
    const before = this.state;
    this.state = { ...before, ...changes };
    this.compute("a" in changes || before.shape === null);
    this.draw();
    clearTimeout(this.keeping);
    this.keeping = setTimeout(() => this.keepLink(), 250); // browsers refuse many changes of a link at once
  }

  keepLink() {
    this.link = linkOf(this.state);
    try {
      history.replaceState(null, "", `#${this.link}`);
    } catch {
      location.replace(`#${this.link}`); // where a document may not change its history
    }
  }

  /** What the state says, as far as it can be: `shown` is the operation at the shape, the last one where it cannot. */
  compute(isNewOperation) {
    const { state } = this;
    this.problems = { a: "", shape: "", b: "" };
    let op = null;
    try {
      op = operationOf(state.a);
    } catch (error) {
      this.refused("a", error);
      return;
    }
    if (state.shape === null || (isNewOperation && !fits(op, state.shape))) {
      const usual = usualShape(op);
      if (state.shape !== null && usual) say(`The shape is ${toldShape(usual)} now.`);
      state.shape = usual ?? op.axes.map(() => 1);
    }
    Object.assign(this, { op, suggested: null, other: null, verdict: null });
    try {
      this.shown = boundAt(op, state.shape);
    } catch (error) {
      this.refused("shape", error);
      this.suggested = usualShape(op);
      return;
    }
    state.at = Math.min(state.at, this.shown.total - 1);
    if (state.b === null) return;
    try {
      this.other = boundAt(operationOf(state.b), state.shape);
      this.verdict = compared(this.shown, this.other);
    } catch (error) {
      this.refused("b", error);
    }
  }

  refused(what, error) {
    if (!(error instanceof PatternError)) throw error;
    this.problems[what] = error.message;
  }

  tell(what, message) {
    this.problems[what] = message;
    this.drawProblems();
  }

  reshape(text) {
    try {
      this.set({ shape: readShape(text) });
    } catch (error) {
      this.refused("shape", error);
      this.drawProblems();
    }
  }

  makeOwn() {
    if (!this.shown) return;
    const { op, stages } = this.shown;
    const item = this.state.shape.slice(this.state.shape.length - op.rank);
    this.set({ a: { pattern: stages.length === 1 ? patternOf(modelOf(op.steps[0], item)) : op.text } });
    byId("own").scrollIntoView({ block: "nearest" });
    byId("pattern").focus({ preventScroll: true });
  }

  invert() {
    if (!this.shown || this.shown.stages.length > 1) {
      this.tell("shape", "several patterns after one another are not turned round here");
      return;
    }
    const { op, outShape } = this.shown;
    const batch = this.state.shape.length - op.rank;
    this.set({ a: { pattern: inversePattern(op, this.state.shape.slice(batch)) }, shape: outShape });
  }

  // -------------------------------------------------------------------- the element that is looked at

  point(index, isClick = false, side = 0) {
    if (side === 1 && !this.other) return;
    if (index === this.state.at && !isClick) return;
    this.state.at = index;
    this.drawElement();
    clearTimeout(this.keeping);
    this.keeping = setTimeout(() => this.keepLink(), 250);
  }

  walk(event) {
    const move = MOVES[event.key];
    const { outShape } = this.shown;
    const isEdge = event.key === "Home" || event.key === "End";
    if ((!move && !isEdge) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    let index = event.key === "Home" ? 0 : this.shown.total - 1;
    if (move) {
      const stride = totalOf(outShape.slice(outShape.length + move[0] + 1));
      index = move[0] < -outShape.length ? this.state.at : this.state.at + move[1] * stride;
      if (index < 0 || index >= this.shown.total) index = this.state.at;
    }
    this.point(index);
    say(byId("told").textContent);
  }

  nextFramework(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const names = Object.keys(CODE_WRITERS);
    const code = names[(names.indexOf(this.state.code) + by + names.length) % names.length];
    this.set({ code });
    byId("frameworks").querySelector('[aria-selected="true"]').focus();
  }

  // -------------------------------------------------------------------- drawing

  draw() {
    this.width = byId("views").clientWidth;
    const { state } = this;
    const isOwn = state.a.entry === undefined;
    this.sides.a.show(state.a);
    this.sides.b.show(state.b);
    byId("own").hidden = !isOwn;
    byId("make-own").hidden = isOwn;
    if (isOwn && document.activeElement !== byId("pattern")) byId("pattern").value = state.a.pattern;
    if (document.activeElement !== byId("shape") && state.shape) byId("shape").value = state.shape.join(", ");
    this.drawProblems();
    for (const id of ["see", "name", "code"]) byId(id).hidden = !this.shown;
    if (!this.shown) return;
    byId("domain").textContent = this.op ? `Takes ${toldDomain(this.op)}` : "";
    if (isOwn && !this.problems.a) this.drawEditor();
    this.drawVerdict();
    this.drawColours();
    this.drawCoordinates();
    this.drawElement();
    this.drawCode();
    clearTimeout(this.naming);
    this.naming = setTimeout(() => this.drawNames()); // what was asked for is seen first
  }

  drawProblems() {
    const { a, shape, b } = this.problems;
    const isOwn = this.state.a.entry === undefined;
    byId("pattern-error").textContent = isOwn ? a : "";
    byId("shape-error").textContent = isOwn ? shape : a || shape;
    byId("other-error").textContent = b;
    byId("shape").setAttribute("aria-invalid", String(Boolean(shape)));
    byId("pattern").setAttribute("aria-invalid", String(Boolean(isOwn && a)));
    byId("use-shape").hidden = !(shape && this.suggested);
    if (this.suggested) byId("use-shape").textContent = `Use ${toldShape(this.suggested)}`;
  }

  drawEditor() {
    const { op } = this.shown;
    if (op.steps.length > 1) {
      byId("editor").replaceChildren(
        element("p", { class: "muted small" }, "Several patterns after one another are written, not dragged."),
      );
      return;
    }
    this.editor.show(modelOf(op.steps[0], this.state.shape.slice(this.state.shape.length - op.rank)));
  }

  drawVerdict() {
    const { shown, other, verdict } = this;
    byId("verdict").textContent = other
      ? comparisonInWords(shown, other, verdict)
      : `${labelOf(shown.op)}: ${toldShape(shown.inShape)} becomes ${toldShape(shown.outShape)}`;
  }

  drawColours() {
    const { stages, inShape } = this.shown;
    const axes = stages[0].axes.map((name, axis) => [`axis:${axis}`, `axis ${name} of the input`]);
    const digits =
      stages.length > 1
        ? []
        : [...stages[0].digits]
            .sort((x, y) => x.source - y.source)
            .map((digit) => [`digit:${digit.name}`, `digit ${digit.name}`]);
    const options = [["place", "the place in the input"], ...axes.filter((_, axis) => inShape[axis] > 1), ...digits];
    if (!options.some(([value]) => value === this.state.colours)) this.state.colours = "place";
    byId("colours").replaceChildren(
      ...options.map(([value, told]) => element("option", { value, selected: value === this.state.colours }, told)),
    );
  }

  drawCoordinates() {
    const { outShape } = this.shown;
    const root = byId("coordinates");
    const key = outShape.join();
    if (root.dataset.key !== key) {
      root.dataset.key = key;
      root.replaceChildren(
        ...outShape.map((length, axis) =>
          element(
            "label",
            {},
            `axis ${axis}`,
            element("input", {
              type: "number",
              min: 0,
              max: length - 1,
              inputmode: "numeric",
              input: () => this.lookUp(),
            }),
          ),
        ),
      );
    }
  }

  lookUp() {
    const { outShape } = this.shown;
    const coordinates = [...byId("coordinates").querySelectorAll("input")].map((field) => Number(field.value));
    if (!coordinates.every((value, axis) => Number.isInteger(value) && value >= 0 && value < outShape[axis])) return;
    this.point(ravel(coordinates, outShape), true);
    say(byId("told").textContent);
  }

  drawElement() {
    const { shown, other, verdict, state } = this;
    const tone = toneBy(shown, state.colours);
    const position = readAt(shown, state.at);
    const isComparable = other && verdict.sameShape;
    const second = isComparable ? readAt(other, state.at) : null;
    const widest = String(shown.total - 1).length;
    const cell = (at, extra = {}) => ({ tone: tone(at), text: String(at), fades: false, differs: false, ...extra });
    const differsAt = (index) => isComparable && readAt(shown, index) !== readAt(other, index);
    this.outputs[1].root.hidden = !other;
    const inputRings = [
      { index: position },
      ...(second !== null && second !== position ? [{ index: second, dashed: true }] : []),
    ];
    this.input.draw({
      title: "Input",
      shape: shown.inShape,
      show: (at) => cell(at),
      rings: inputRings,
      around: position,
      widest,
    });
    const draw = (planes, bound, title) => {
      const show = (index) => {
        const differs = differsAt(index);
        return cell(readAt(bound, index), { differs, fades: isComparable && !verdict.equal && !differs });
      };
      planes.draw({ title, shape: bound.outShape, show, rings: [{ index: state.at }], around: state.at, widest });
    };
    draw(this.outputs[0], shown, other ? `Output of ${labelOf(shown.op)}` : "Output");
    if (other) draw(this.outputs[1], other, `Output of ${labelOf(other.op)}`);
    this.input.describe(`Elements of the input, ${toldShape(shown.inShape)}; marked is number ${position}`);
    this.outputs.forEach((planes) =>
      planes.describe(`Elements of the output; marked is ${toldShape(unravel(state.at, shown.outShape))}`),
    );
    byId("drawn").textContent = this.drawnTold(isComparable);
    const way = wayInWords(shown, state.at);
    byId("told").textContent =
      second === null || second === position
        ? way
        : `${way} In ${labelOf(other.op)} it holds input ${toldShape(unravel(second, other.inShape))} (dashed).`;
    unravel(state.at, shown.outShape).forEach((value, axis) => {
      const field = byId("coordinates").querySelectorAll("input")[axis];
      if (field !== document.activeElement) field.value = value;
    });
    drawLanes(byId("lanes"), shown, state.at);
  }

  drawnTold(isComparable) {
    const { total } = this.shown;
    const cells =
      this.input.hasNumbers && this.outputs[0].hasNumbers
        ? "Each cell shows the number of the input's element that it holds."
        : "Point at a cell to see the number of the input's element that it holds.";
    const start =
      total <= MOST_DRAWN
        ? cells
        : `Of ${total.toLocaleString("en")} elements, those around the marked one are drawn; look others up below.`;
    return isComparable && !this.verdict.equal
      ? `${start} Cells that hold the same in both are faded; those that differ have a corner.`
      : start;
  }

  drawCode() {
    const { op } = this.shown;
    const batch = this.state.batch ?? (op.hasBatch || this.state.shape.length > op.rank);
    byId("batch").checked = batch;
    byId("code-text").textContent = codeOf(op, this.state.code, batch);
    for (const tab of byId("frameworks").children) {
      const isSelected = tab.dataset.name === this.state.code;
      tab.setAttribute("aria-selected", String(isSelected));
      tab.tabIndex = isSelected ? 0 : -1;
    }
  }

  drawNames() {
    const { shown } = this;
    const names = namesOf(shown);
    const sides = shown.op.text.trim().split(/(->)/);
    byId("pattern-told").replaceChildren(
      ...sides.map((part) => (part === "->" ? element("span", { class: "whole" }, part) : part)),
    );
    byId("names").replaceChildren(...namesInWords(shown, names));
    const entry = CATALOGUE.entries.find((each) => each.name === this.state.a.entry);
    const facts = entry
      ? [
          ["What it does", entry.summary],
          ["Defined by", entry.provenance],
          ["Also known as", entry.also_known_as.join(", ")],
          ["Equals", entry.equals],
        ]
      : [];
    byId("about").replaceChildren(
      ...facts.filter(([, text]) => text).flatMap(([term, text]) => [element("dt", {}, term), element("dd", {}, text)]),
    );
  }
}

const CATALOGUE = JSON.parse(byId("catalogue").textContent, (_, value) =>
  value !== null && typeof value === "object" && !Array.isArray(value) ? plain(value) : value,
);

/** For programs: what an operation does at a shape, as the page computes it. */
function answer(side, shape) {
  const op = operationOf(side);
  const bound = boundAt(op, shape);
  return {
    label: labelOf(op),
    outShape: bound.outShape,
    table: [...tableAt(bound)],
    names: namesOf(bound),
  };
}

/** The same of code: the text for each framework. */
function codes(side, batch) {
  const op = operationOf(side);
  return Object.fromEntries(Object.keys(CODE_WRITERS).map((name) => [name, codeOf(op, name, batch)]));
}

window.layoutbridge = { answer, codes, explorer: new Explorer() };
