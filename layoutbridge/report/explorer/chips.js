// Digits as chips that are dragged, or lifted with the space bar and moved with the arrow keys.

class Editor {
  /** `onChange(pattern, shape)` is told of every edit. */
  constructor(root, onChange) {
    this.root = root;
    this.onChange = onChange;
    this.chosen = null;
    this.lifted = null; // {name, before}: what is moved by keys, and the model to go back to
    this.dragged = null;
    this.focusOn = null;
  }

  show(model) {
    this.model = model;
    if (!model.digits.has(this.chosen)) this.chosen = null;
    if (this.lifted && !model.digits.has(this.lifted.name)) this.lifted = null;
    const tones = new Map([...model.digits.keys()].map((name) => [name, model.order.indexOf(name)]));
    this.tone = (name) => toneOf(tones.get(name) < 0 ? [...model.digits.keys()].indexOf(name) : tones.get(name));
    const focused =
      this.focusOn ?? (this.root.contains(document.activeElement) ? document.activeElement.dataset.key : null);
    this.root.replaceChildren(this.sourceRow(), this.writtenRow(), this.inspector());
    this.focusOn = null;
    const again = focused && [...this.root.querySelectorAll("[data-key]")].find((each) => each.dataset.key === focused);
    again?.focus({ preventScroll: true });
  }

  change(model, key = null) {
    if (key) this.focusOn = key;
    this.onChange(patternOf(model), shapeOf(model));
  }

  // -------------------------------------------------------------------- rows

  sourceRow() {
    const groups = this.model.groups ?? [this.model.order];
    const boxes = groups.map((group, axis) =>
      element(
        "div",
        { class: "axis-box" },
        element(
          "span",
          { class: "muted small" },
          this.model.groups ? this.axisTold(group, this.model.axes[axis]) : `all of ${this.model.axes.join(" ")}, flat`,
        ),
        element(
          "div",
          { class: "chips" },
          group.map((name) => this.chip(name, "read")),
        ),
      ),
    );
    return element(
      "div",
      { role: "group", "aria-label": "Input: digits as they are read" },
      element("h3", { class: "small" }, "Input, as it is read"),
      element("div", { class: "tokens" }, boxes),
    );
  }

  axisTold(group, name) {
    return `${name} = ${totalOf(group.map((each) => this.model.digits.get(each).value))}`;
  }

  writtenRow() {
    const { written, label } = this.model;
    const boxes = written.map((group, axis) => {
      const told = label === null ? this.axisTold(group, `axis ${axis}`) : `as ${label}`;
      const parts = group.flatMap((name, place) => [
        place && label === null
          ? this.gap(`cut ${name}`, "¦", `Start a new axis before ${name}`, () => cutBefore(this.model, name))
          : null,
        this.chip(name, "written"),
      ]);
      return element(
        "div",
        { class: "axis-box", "data-group": axis },
        element("span", { class: "muted small" }, told),
        element("div", { class: "chips" }, parts),
      );
    });
    const row = boxes.flatMap((box, axis) => [
      axis
        ? this.gap(`join ${axis}`, "+", `Join axes ${axis - 1} and ${axis} into one`, () =>
            joinedGroups(this.model, axis - 1),
          )
        : null,
      box,
    ]);
    const drop =
      label === null
        ? element(
            "div",
            { class: "axis-box", "data-group": written.length, hidden: this.dragged === null },
            element("span", { class: "muted small" }, "new axis"),
          )
        : element(
            "button",
            { type: "button", click: () => this.change(labelDropped(this.model)) },
            "Make an axis of each digit",
          );
    return element(
      "div",
      { role: "group", "aria-label": "Output: digits as they are written" },
      element("h3", { class: "small" }, "Output, as it is written: drag, or press space and then arrow keys"),
      element("div", { class: "tokens" }, row, drop),
    );
  }

  gap(key, sign, told, change) {
    return element("button", {
      type: "button",
      class: "gap",
      title: told,
      "aria-label": told,
      "data-key": key,
      "data-sign": sign,
      click: () => {
        this.change(change());
        say(told);
      },
    });
  }

  chip(name, row) {
    const { value, reading } = this.model.digits.get(name);
    const sign = reading === null ? null : reading === BACKWARDS ? "↶" : "⤮";
    const [isLifted, isWritten] = [this.lifted?.name === name, row === "written"];
    const classes = ["chip", isWritten && "draggable", this.chosen === name && "chosen"];
    if (isWritten && this.dragged === name) classes.push("dragged");
    const words = `${name} ${value}${reading === BACKWARDS ? ", backwards" : reading ? ", in another order" : ""}`;
    const chip = element(
      "button",
      {
        type: "button",
        class: classes.filter(Boolean).join(" "),
        "data-key": `${row} ${name}`,
        "data-name": name,
        "data-sign": sign,
        "aria-label": isWritten ? `${words}. Space lifts it.` : words,
        "aria-pressed": isWritten ? String(isLifted) : null,
        "aria-current": isWritten || this.chosen !== name ? null : "true",
        click: () => {
          if (!isWritten) this.choose(name, `read ${name}`);
        },
        focus: () => {
          if (isWritten && this.chosen !== name && !this.dragged) this.choose(name, `written ${name}`);
        },
      },
      `${name} `,
      element("span", {}, String(value)),
    );
    chip.style.setProperty("--tone", this.tone(name));
    if (isWritten) {
      chip.addEventListener("keydown", (event) => this.key(event, name));
      chip.addEventListener("pointerdown", (event) => this.startDrag(event, name));
    }
    return chip;
  }

  choose(name, key) {
    this.chosen = name;
    this.focusOn = key;
    this.show(this.model);
  }

  // -------------------------------------------------------------------- keys

  key(event, name) {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      const wasLifted = this.lifted?.name === name;
      this.lifted = wasLifted ? null : { name, before: this.model };
      this.focusOn = `written ${name}`;
      this.show(this.model);
      say(
        wasLifted
          ? `${name} is put down, ${this.placeTold(name)}`
          : `${name} is lifted, ${this.placeTold(name)}. Arrow keys move it, space puts it down, escape puts it back.`,
      );
    } else if (event.key === "Escape" && this.lifted) {
      event.preventDefault();
      const { before } = this.lifted;
      this.lifted = null;
      this.change(before, `written ${name}`);
      say(`${name} is back, ${this.placeTold(name)}`);
    } else if (by) {
      event.preventDefault();
      if (this.lifted?.name !== name) {
        this.focusNext(name, by);
        return;
      }
      const next = stepped(this.model, name, by);
      if (next === null) {
        say(`${name} is at the end`);
        return;
      }
      this.change(next, `written ${name}`);
      say(`${name}: ${this.placeTold(name)}`);
    }
  }

  placeTold(name) {
    const [group, place] = placeIn(this.model, name);
    return `place ${place + 1} of ${this.model.written[group].length} in axis ${group}`;
  }

  focusNext(name, by) {
    const names = this.model.written.flat();
    const next = names[names.indexOf(name) + by];
    if (next !== undefined) this.choose(next, `written ${next}`);
  }

  // -------------------------------------------------------------------- pointers

  startDrag(event, name) {
    if (event.button !== 0) return;
    const start = [event.clientX, event.clientY];
    let isDrag = false;
    const move = (moving) => {
      if (moving.pointerId !== event.pointerId) return;
      if (!isDrag && Math.hypot(moving.clientX - start[0], moving.clientY - start[1]) < 6) return;
      moving.preventDefault();
      if (!isDrag) {
        isDrag = true;
        Object.assign(this, { dragged: name, chosen: name, lifted: null });
        this.show(this.model);
      }
      this.dragTo(moving.clientX, moving.clientY, name);
    };
    const end = (ending) => {
      if (ending.pointerId !== event.pointerId) return;
      for (const [type, listener] of listeners) window.removeEventListener(type, listener);
      if (isDrag) {
        this.dragged = null;
        this.focusOn = `written ${name}`;
        this.show(this.model);
        say(`${name}: ${this.placeTold(name)}`);
      }
    };
    const listeners = [
      ["pointermove", move],
      ["pointerup", end],
      ["pointercancel", end],
    ];
    for (const [type, listener] of listeners) window.addEventListener(type, listener, { passive: false });
  }

  /** The dragged digit where the pointer is: in the nearest axis, before the first chip whose middle lies behind. */
  dragTo(x, y, name) {
    const boxes = [...this.root.querySelectorAll("[data-group]")].filter((box) => !box.hidden);
    const apart = (box) => {
      const { left, right, top, bottom } = box.getBoundingClientRect();
      return Math.hypot(Math.max(left - x, 0, x - right), Math.max(top - y, 0, y - bottom));
    };
    const nearest = boxes.reduce((best, box) => (apart(box) < apart(best) ? box : best));
    const chips = [...nearest.querySelectorAll(".chip")].filter((chip) => chip.dataset.name !== name);
    const before = chips.findIndex((chip) => {
      const { left, width, top, bottom } = chip.getBoundingClientRect();
      return y < top || (y <= bottom && x < left + width / 2);
    });
    const [group, place] = [Number(nearest.dataset.group), before < 0 ? chips.length : before];
    const [ownGroup, ownPlace] = placeIn(this.model, name);
    const isAlone = this.model.written[ownGroup].length === 1 && group === this.model.written.length;
    if ((group === ownGroup && place === ownPlace) || isAlone) return;
    this.change(moved(this.model, name, group, place));
  }

  // -------------------------------------------------------------------- the chosen digit

  inspector() {
    const { model, chosen: name } = this;
    if (name === null)
      return element(
        "p",
        { class: "muted small" },
        "Choose a digit to change its size, to split it or to read it backwards.",
      );
    const digit = model.digits.get(name);
    const parts = [];
    if (model.groups !== null) {
      parts.push(
        this.input("name", "Name", name, (text) => this.rename(text.trim())),
        this.input("size", "Size", digit.value, (text) => resized(model, name, readShape(text)[0]), "numeric"),
        this.button("split", "Split", factorOf(digit.value) === null || Array.isArray(digit.reading), () =>
          split(model, name, factorOf(digit.value)),
        ),
        this.button(
          "merge",
          mergesWith(model, name) ? `Merge with ${mergesWith(model, name)}` : "Merge",
          mergesWith(model, name) === null,
          () => merged(model, name),
        ),
        element(
          "label",
          { class: "inline small" },
          element("input", {
            type: "checkbox",
            checked: digit.isOpen,
            "data-key": "open",
            change: (event) => this.change(opened(model, name, event.target.checked)),
          }),
          "grows with its axis",
        ),
      );
    }
    parts.push(
      this.button("turn", digit.reading === null ? "Read backwards" : "Read forwards", false, () =>
        turned(model, name),
      ),
    );
    return element(
      "div",
      { class: "inspector", role: "group", "aria-label": `Digit ${name}` },
      element("strong", {}, `Digit ${name}`),
      element("div", { class: "row" }, parts),
      (this.problem = element("p", { class: "error", role: "alert" })),
    );
  }

  rename(wanted) {
    const next = renamed(this.model, this.chosen, wanted);
    this.chosen = wanted;
    return next;
  }

  input(key, label, value, change, mode = "text") {
    const id = `digit-${key}`;
    const field = element("input", {
      id,
      value: String(value),
      inputmode: mode,
      autocomplete: "off",
      autocapitalize: "none",
      spellcheck: "false",
      "data-key": key,
      change: (event) => {
        try {
          this.change(change(event.target.value));
        } catch (error) {
          if (!(error instanceof PatternError)) throw error;
          this.problem.textContent = error.message;
        }
      },
    });
    return element("div", { class: "field" }, element("label", { for: id }, label), field);
  }

  button(key, label, disabled, change) {
    return element("button", { type: "button", disabled, "data-key": key, click: () => this.change(change()) }, label);
  }
}
