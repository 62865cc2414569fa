// What the page shows, as the part of a link behind the #, and back. A link is anybody's: each part of it is checked by
// what reads it, and what is none is left out and told.

const FIRST = { entry: "space_to_depth", values: {} };
const LONGEST_LINK = 20000;

/** The text behind the #. */
function linkOf(state) {
  const parts = new URLSearchParams();
  const side = (held, name, letter) => {
    if (!held) return;
    if (held.entry === undefined) parts.set(`${name === "op" ? "" : "with-"}pattern`, held.pattern);
    else parts.set(name, held.entry);
    for (const [key, value] of Object.entries(held.values ?? {}))
      parts.set(`${letter}.${key}`, [value].flat().join("x"));
  };
  side(state.a, "op", "p");
  side(state.b, "with", "q");
  parts.set("shape", state.shape.join());
  if (state.at) parts.set("at", String(state.at));
  if (state.colours !== "place") parts.set("colours", state.colours);
  if (state.code !== "einops") parts.set("code", state.code);
  if (state.batch !== null) parts.set("batch", state.batch ? "yes" : "no");
  return parts.toString();
}

/** A state, and in `ignored` what of the link could not be read. */
function stateOf(link) {
  const state = { a: FIRST, b: null, shape: null, at: 0, colours: "place", code: "einops", batch: null };
  const ignored = [];
  if (link.length > LONGEST_LINK) return { state, ignored: ["a link that is too long"] };
  const parts = new URLSearchParams(link);
  const attempt = (what, read) => {
    try {
      read();
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      ignored.push(`${what}: ${error.message}`);
    }
  };
  attempt("operation", () => {
    state.a = sideOf(parts, "op", "pattern", "p") ?? FIRST;
  });
  attempt("what it is compared with", () => {
    state.b = sideOf(parts, "with", "with-pattern", "q");
  });
  if (parts.has("shape"))
    attempt("shape", () => {
      state.shape = readShape(parts.get("shape"));
    });
  if (/^[0-9]{1,15}$/.test(parts.get("at") ?? "")) state.at = Number(parts.get("at"));
  if (/^[\p{L}\p{N}_:]{1,80}$/u.test(parts.get("colours") ?? "")) state.colours = parts.get("colours");
  if (Object.hasOwn(CODE_WRITERS, parts.get("code") ?? "")) state.code = parts.get("code");
  if (parts.has("batch")) state.batch = parts.get("batch") === "yes";
  const known = /^(op|pattern|with|with-pattern|shape|at|colours|code|batch|[pq]\..*)$/;
  const others = [...parts.keys()].filter((key) => !known.test(key));
  if (others.length)
    ignored.push(
      others
        .map((key) => key.slice(0, 40))
        .slice(0, 5)
        .join(", "),
    );
  return { state, ignored };
}

/** One side of a link; null where it has none. Raises PatternError for what cannot be. */
function sideOf(parts, name, pattern, letter) {
  if (parts.has(pattern)) {
    const side = { pattern: parts.get(pattern) };
    operationOf(side);
    return side;
  }
  if (!parts.has(name)) return null;
  const entry = CATALOGUE.entries.find((each) => each.name === parts.get(name));
  if (!entry) throw new PatternError(`no operation is called ${parts.get(name).slice(0, 80)}`);
  const values = plain();
  for (const [key, text] of parts) {
    if (!key.startsWith(`${letter}.`)) continue;
    const parameter = key.slice(2);
    if (!Object.hasOwn(entry.takes, parameter))
      throw new PatternError(`${entry.name} takes no ${parameter.slice(0, 40)}`);
    values[parameter] = readValue(entry, parameter, text);
  }
  const side = { entry: entry.name, values };
  operationOf(side);
  return side;
}
