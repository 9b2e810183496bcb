// A text field with a list to choose from, and a form that asks for a text: both for header and composer.

/** How many entries of a list are drawn; typing finds the others. */
const MAX_LISTED = 100;

let lastListed = 0;

/**
 * Make a combobox of a field and an empty list: typing filters, arrows walk, Enter or a click picks.
 * @param {HTMLInputElement} input
 * @param {HTMLElement} list
 * @param {object} options
 * @param {() => T[]} options.items All there is to choose from.
 * @param {(item: T) => string} options.key What is typed to find it.
 * @param {(item: T) => Node[]} options.draw
 * @param {(item: T) => void} options.pick
 * @param {(text: string) => void} [options.free] Takes a text that is in no list; without it such a text is not taken.
 * @param {(isOpen: boolean) => void} options.toggle
 * @template T
 */
const combobox = (input, list, { items, key, draw, pick, free, toggle }) => {
  const id = `lmp-list-${++lastListed}`;
  let active = -1;
  let found = [];
  let isTyped = false;
  list.id = id;
  list.setAttribute("role", "listbox");
  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-controls", id);
  input.setAttribute("aria-expanded", "false");
  input.autocomplete = "off";
  input.spellcheck = false;

  const mark = (index) => {
    list.children[active]?.setAttribute("aria-selected", "false");
    active = index;
    const option = list.children[active];
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
    if (option) input.setAttribute("aria-activedescendant", option.id);
    else input.removeAttribute("aria-activedescendant");
  };
  const show = (isOpen) => {
    input.setAttribute("aria-expanded", String(isOpen));
    toggle(isOpen);
  };
  const refresh = () => {
    const typed = isTyped ? input.value.trim().toLowerCase() : "";
    const rank = (item) => key(item).toLowerCase().indexOf(typed);
    found = items().filter((item) => rank(item) >= 0);
    // What begins with the text comes first; sorting keeps the order otherwise.
    if (typed) found.sort((a, b) => Number(rank(a) > 0) - Number(rank(b) > 0));
    found = found.slice(0, MAX_LISTED);
    const option = (item, index) =>
      make("li", { id: `${id}-${index}`, role: "option", className: "lmp-item", "aria-selected": "false" }, ...draw(item));
    list.replaceChildren(...found.map(option));
    mark(typed && found.length && !free ? 0 : -1);
    show(found.length > 0 || !free);
  };
  const close = () => {
    isTyped = false;
    show(false);
    mark(-1);
  };
  const take = (index) => {
    const item = found[index];
    const text = input.value.trim();
    if (item === undefined && (!free || !text)) return;
    close();
    if (item === undefined) free(text);
    else pick(item);
  };

  input.addEventListener("input", () => {
    isTyped = true;
    refresh();
  });
  input.addEventListener("keydown", (event) => {
    if (composes(event)) return;
    const isOpen = input.getAttribute("aria-expanded") === "true";
    if (event.key === "Enter") {
      handled(event);
      take(isOpen ? active : -1);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      handled(event);
      if (!isOpen) refresh();
      if (found.length) mark(nextIndex(event.key, active < 0 && event.key === "ArrowUp" ? 0 : active, found.length));
    }
  });
  // The field keeps the focus while the list is clicked.
  list.addEventListener("mousedown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const option = /** @type {Element} */ (event.target).closest('[role="option"]');
    if (option) take([...list.children].indexOf(option));
  });
  return { refresh, close };
};

/**
 * Ask for a text in a row of the panel; null where the user thinks better of it.
 * @param {HTMLElement} place Where the form is shown; another form in it is given up.
 * @param {object} options
 * @param {string} options.label
 * @param {string} [options.value]
 * @param {string} options.done What the button says.
 * @param {boolean} [options.isLong] Several lines.
 * @param {boolean} [options.isOptional] Nothing is an answer too.
 * @returns {Promise<string | null>}
 */
const askFor = (place, { label, value = "", done, isLong = false, isOptional = false }) =>
  new Promise((resolve) => {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    const field = make(isLong ? "textarea" : "input", { className: "lmp-field", value, rows: isLong ? 4 : null });
    const end = (text) => {
      const hasFocus = form.contains(document.activeElement);
      form.remove();
      if (hasFocus && before?.isConnected) before.focus();
      resolve(text);
    };
    const submit = () => {
      const text = field.value.trim();
      if (text || isOptional) end(text);
      else field.focus();
    };
    const form = make(
      "form",
      {
        className: "lmp-form",
        onsubmit: (event) => {
          handled(event);
          submit();
        },
        onkeydown: (event) => {
          if (composes(event)) return;
          if (event.key === "Escape") {
            handled(event);
            end(null);
          } else if (event.key === "Enter" && !event.shiftKey && event.target === field) {
            handled(event);
            submit();
          }
        },
      },
      make("label", { className: "lmp-label" }, label, field),
      make(
        "div",
        { className: "lmp-row lmp-end" },
        make("button", { type: "button", className: "lmp-text-button", onclick: () => end(null) }, "Cancel"),
        make("button", { type: "submit", className: "lmp-text-button lmp-main" }, done),
      ),
    );
    for (const other of place.querySelectorAll("form")) other.dispatchEvent(new Event("lmp-leave"));
    form.addEventListener("lmp-leave", () => end(null));
    place.append(form);
    field.focus();
    field.select();
  });
