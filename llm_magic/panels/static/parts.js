// Parts the panel is made of: elements, icons, buttons, menus that open at a button. Nothing here knows of chats.

/** Icons on a grid of 16 by 16, drawn as lines. */
const SHAPES = {
  cell: "M2.5 3.5h11v9h-11zM8 6v4M6 8h4",
  check: "M3 8.5 6.5 12 13 4.5",
  clip: "m13.2 7.6-5.4 5.3a3.2 3.2 0 0 1-4.6-4.5L8.7 3a2.1 2.1 0 0 1 3 3l-5.4 5.3a1 1 0 0 1-1.5-1.5l4.7-4.6",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  cross: "m4 4 8 8m0-8-8 8",
  down: "m4 6 4 4 4-4",
  edit: "m3 13 .6-2.7L11 2.9l2.1 2.1-7.4 7.4zM9.6 4.3l2.1 2.1",
  eye: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8M8 6.2a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6",
  eyeless: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8M3 13.5l10-11",
  fork: "M5 5.5v5M5 2.5a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3M5 10.5a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3M11.5 3a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3M11.5 6c0 2.5-6 1.5-6.5 4.5",
  left: "M10 4 6 8l4 4",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  play: "m5 3.5 7 4.5-7 4.5z",
  redo: "M13 6H6.5a3.5 3.5 0 0 0 0 7H10M10.5 3.5 13 6l-2.5 2.5",
  retry: "M13 3v3.5H9.5M12.8 6.3A5.2 5.2 0 1 0 13.2 9",
  right: "m6 4 4 4-4 4",
  send: "M8 13V3.5M3.8 7.5 8 3.3l4.2 4.2",
  stop: "M4.5 4.5h7v7h-7z",
  undo: "M3 6h6.5a3.5 3.5 0 0 1 0 7H6M5.5 3.5 3 6l2.5 2.5",
  variable: "M5.5 2.5C3 2.5 5 8 2.5 8 5 8 3 13.5 5.5 13.5M10.5 2.5C13 2.5 11 8 13.5 8 11 8 13 13.5 10.5 13.5",
};

/**
 * An element: properties by their name, `on…` as listeners, the rest as attributes; null and undefined are left out.
 * @param {string} tag
 * @param {Record<string, unknown>} [fields]
 * @param {...(Node | string)} children
 */
const make = (tag, fields = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(fields)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (name in node) node[name] = value;
    else node.setAttribute(name, String(value));
  }
  node.append(...children);
  return node;
};

/** An icon that says nothing by itself. @param {keyof typeof SHAPES} name */
const icon = (name) => iconButton("", SHAPES[name]).firstElementChild;

/** A quiet button that shows an icon; its label is read out, and seen when pointed at. */
const toolButton = (name, label, onclick, className = "") => {
  const button = iconButton(label, SHAPES[name], `lmp-tool ${className}`);
  button.addEventListener("click", onclick);
  return button;
};

/** Another label, and another icon where there is a name, for a button. */
const relabel = (button, label, name = null) => {
  if (button.title !== label) {
    button.title = label;
    button.setAttribute("aria-label", label);
  }
  if (name !== null) button.querySelector("path").setAttribute("d", SHAPES[name]);
};

/** Not to be used now, but still there for who stands on it with the keyboard. */
const disable = (button, isDisabled) => button.setAttribute("aria-disabled", String(isDisabled));

/** Run what a button does unless it is disabled. */
const unless = (action) => (event) => {
  if (event.currentTarget.getAttribute("aria-disabled") !== "true") action(event);
};

/** Set text where it has changed: what is the same is not read out again. */
const setText = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

/** An input method composes with this key; Safari tells so of its last one by the old code alone. */
const composes = (event) => event.isComposing || event.keyCode === 229;

/** Handled here: neither the browser nor the notebook acts on it again. */
const handled = (event) => {
  event.preventDefault();
  event.stopPropagation();
};

/** Step through a row of elements with the arrow keys, Home and End. */
const nextIndex = (key, index, count) => {
  if (key === "ArrowDown") return (index + 1) % count;
  if (key === "ArrowUp") return (index - 1 + count) % count;
  if (key === "Home") return 0;
  if (key === "End") return count - 1;
  return null;
};

/**
 * A box that opens at a button: closed by Escape, by a click or focus elsewhere, or by the button again.
 * @param {HTMLElement} button
 * @param {HTMLElement} box
 * @param {() => void} onopen Fills the box and moves the focus into it.
 */
const popup = (button, box, onopen) => {
  box.hidden = true;
  const close = (hasFocus = false) => {
    if (box.hidden) return;
    box.hidden = true;
    button.setAttribute("aria-expanded", "false");
    if (hasFocus) button.focus();
  };
  const open = () => {
    box.hidden = false;
    button.setAttribute("aria-expanded", "true");
    onopen();
  };
  button.setAttribute("aria-expanded", "false");
  // Focus leaves the button while it is pressed: closing then would let the click open the box again.
  button.addEventListener("mousedown", (event) => box.hidden || event.preventDefault());
  button.addEventListener("click", () => (box.hidden ? open() : close(true)));
  box.addEventListener("focusout", (event) => {
    const to = /** @type {Node | null} */ (event.relatedTarget);
    if (to !== button && !box.contains(to)) close();
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    handled(event);
    close(true);
  });
  return { open, close };
};

/**
 * A menu that opens at a button.
 * @param {HTMLElement} button
 * @param {string} label
 * @param {() => ({label: string, hint?: string, checked?: boolean, apart?: boolean, action: () => void})[]} entries
 */
const menu = (button, label, entries) => {
  const box = make("div", { className: "lmp-popup lmp-menu", role: "menu", "aria-label": label, tabIndex: -1 });
  button.setAttribute("aria-haspopup", "menu");
  const choose = (entry) => {
    close(true);
    entry.action();
  };
  const item = (entry) =>
    make(
      "button",
      {
        type: "button",
        className: `lmp-item${entry.apart ? " lmp-apart" : ""}`,
        role: "checked" in entry ? "menuitemradio" : "menuitem",
        "aria-checked": "checked" in entry ? String(entry.checked) : null,
        tabIndex: -1,
        onclick: () => choose(entry),
      },
      make("span", { className: "lmp-tick" }, ...(entry.checked ? [icon("check")] : [])),
      make("span", { className: "lmp-grow" }, entry.label),
      ...(entry.hint ? [make("span", { className: "lmp-dim" }, entry.hint)] : []),
    );
  const { open, close } = popup(button, box, () => {
    box.replaceChildren(...entries().map(item));
    (box.querySelector('[aria-checked="true"]') ?? box.firstElementChild)?.focus();
  });
  button.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" || !box.hidden) return;
    handled(event);
    open();
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Tab") return close();
    const items = [...box.children];
    const to = nextIndex(event.key, items.indexOf(document.activeElement), items.length);
    if (to === null) return;
    handled(event);
    items[to].focus();
  });
  return box;
};
