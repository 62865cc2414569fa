// Making parts of the page. Text is always set as text: what a name or a link says is never read as HTML.

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

function drawing(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const byId = (id) => document.getElementById(id);

/** What a reader of the screen is to hear now. */
function say(text) {
  byId("said").textContent = text;
}

const toneOf = (place) => `var(--digit-${place % 8})`;

async function copyText(text, button) {
  const usual = (button.dataset.usual ??= button.textContent);
  let copied = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copied = copiedBySelection(text);
  }
  button.textContent = copied ? "Copied" : "Select and copy by hand";
  say(button.textContent);
  setTimeout(() => {
    button.textContent = usual;
  }, 1600);
}

/** Where a page may not use the clipboard, such as a file on a phone. */
function copiedBySelection(text) {
  const holder = element("textarea", { class: "visually-hidden", "aria-hidden": "true" });
  holder.value = text;
  const focused = document.activeElement;
  document.body.append(holder);
  holder.select();
  const copied = document.execCommand("copy");
  holder.remove();
  focused?.focus();
  return copied;
}
