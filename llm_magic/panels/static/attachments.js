// What goes with a question: pictures and files by button, paste and drop, and variables of the notebook.

// A message to the kernel larger than 10 MiB would end the server's connection to the page.
const MAX_BYTES = 9_000_000;
const PICTURES = /^image\/(png|jpeg|gif|webp|bmp|tiff|avif)$/;
const OTHERS = /^(text\/|application\/(pdf|json|xml|sql|toml|yaml|x-yaml|x-ndjson|x-sh|javascript|x-ipynb\+json)|audio\/(wav|x-wav|wave|vnd\.wave|mpeg|mp3))/;
// Files whose type browsers do not know; the kernel looks into them anyway.
const TEXTUAL =
  /\.(c|cfg|cpp|csv|go|h|hpp|html?|ini|ipynb|java|jl|js|json|jsonl|log|md|ndjson|py|r|rmd|rs|rst|sh|sql|svg|tex|toml|ts|tsv|txt|xml|ya?ml)$/i;
const ACCEPT = "image/*,application/pdf,audio/wav,audio/mpeg,text/*,.ipynb,.json,.jsonl,.md,.py,.r,.sql,.toml,.yaml,.yml";

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/**
 * The row of attachments above the text.
 * @param {(text: string) => void} complain
 */
const createAttachments = (complain) => {
  /** @type {{file?: File, variable?: string, url?: string, node: HTMLElement}[]} */
  let held = [];
  const node = make("ul", { className: "lmp-chips", "aria-label": "Attachments", hidden: true });

  const drop = (entry) => {
    if (entry.url) URL.revokeObjectURL(entry.url);
    entry.node.remove();
    held = held.filter((other) => other !== entry);
    node.hidden = held.length === 0;
  };
  const add = (entry, picture, name, hint) => {
    const remove = toolButton("cross", `Remove ${name}`, () => {
      const next = entry.node.nextElementSibling ?? entry.node.previousElementSibling;
      drop(entry);
      (next?.querySelector("button") ?? node.parentElement.querySelector("textarea"))?.focus();
    });
    entry.node = make("li", { className: "lmp-chip", title: hint }, picture, make("span", { className: "lmp-name" }, name), remove);
    held.push(entry);
    node.append(entry.node);
    node.hidden = false;
  };
  const problem = (file) => {
    const total = held.reduce((sum, { file: other }) => sum + (other?.size ?? 0), 0);
    if (file.size === 0) return `${file.name} is empty, or a folder.`;
    if (file.size > MAX_BYTES) return `${file.name} is too large: ${megabytes(file.size)}, at most ${megabytes(MAX_BYTES)}.`;
    if (total + file.size > MAX_BYTES) return `${file.name} does not fit: one question takes at most ${megabytes(MAX_BYTES)}.`;
    const isKnown = file.type.startsWith("image/") ? PICTURES.test(file.type) : OTHERS.test(file.type);
    if (isKnown || TEXTUAL.test(file.name)) return null;
    return `${file.name} cannot be sent: neither picture, PDF, WAV, MP3 nor text.`;
  };

  return {
    node,

    /** @param {Iterable<File>} files */
    addFiles: (files) => {
      for (const file of files) {
        const line = problem(file);
        if (line) {
          complain(line);
          continue;
        }
        const isPicture = PICTURES.test(file.type);
        const url = isPicture ? URL.createObjectURL(file) : null;
        const picture = url ? make("img", { src: url, alt: "" }) : icon("clip");
        add({ file, url }, picture, file.name, `${file.name}, ${megabytes(file.size)}`);
      }
    },

    /** @param {string} name */
    addVariable: (name) => {
      if (held.every((entry) => entry.variable !== name)) add({ variable: name }, icon("variable"), name, `variable ${name}`);
    },

    /** All that is held, taken away. */
    take: () => {
      const taken = held.map(({ file, variable }) => ({ file, variable }));
      for (const entry of [...held]) drop(entry);
      return taken;
    },

    isEmpty: () => held.length === 0,
  };
};

/** Put back what was taken. */
const giveBack = (attachments, taken) => {
  for (const { file, variable } of taken) {
    if (file) attachments.addFiles([file]);
    else attachments.addVariable(variable);
  }
};

/** What was taken, as the kernel wants it: a list of what it is, and the files' bytes. */
const packed = async (taken) => {
  const files = taken.filter(({ file }) => file).map(({ file }) => file);
  const description = taken.map(({ file, variable }) =>
    file ? { file: files.indexOf(file), name: file.name, type: file.type } : { variable },
  );
  return { with: description, buffers: await Promise.all(files.map((file) => file.arrayBuffer())) };
};

/**
 * The list of the notebook's variables, at a button.
 * @param {HTMLElement} button
 * @param {ReturnType<typeof createPanel>} panel
 * @param {(name: string) => void} pick
 */
const createVariables = (button, panel, pick) => {
  let names = [];
  const input = make("input", { className: "lmp-field", "aria-label": "Variable", placeholder: "Variable of the notebook" });
  const list = make("ul", { className: "lmp-options", "aria-label": "Variables" });
  const line = make("p", { className: "lmp-dim lmp-line", role: "status" });
  const box = make("div", { className: "lmp-popup", role: "dialog", "aria-label": "Add a variable" }, input, list, line);
  button.setAttribute("aria-haspopup", "dialog");
  const { close } = popup(button, box, async () => {
    input.value = "";
    names = [];
    list.hidden = true;
    input.focus();
    setText(line, "Looking …");
    const late = setTimeout(() => setText(line, panel.waitingFor()), LATE_MS);
    const { ok, line: told, data } = await panel.desk.request("names");
    clearTimeout(late);
    names = ok ? (data ?? []) : [];
    setText(line, ok ? "" : (told ?? "The variables cannot be listed."));
    if (!box.hidden && ok) choices.refresh();
  });
  const choices = combobox(input, list, {
    items: () => names,
    key: ({ name }) => name,
    draw: ({ name, type, shape }) => [
      make("code", {}, name),
      make("span", { className: "lmp-dim" }, [type, shape].filter(Boolean).join(" · ")),
    ],
    pick: ({ name }) => {
      close(true);
      pick(name);
    },
    toggle: (isOpen) => {
      list.hidden = !isOpen || list.children.length === 0;
      if (!isOpen) return;
      setText(line, list.children.length ? "" : names.length ? "No variable is called that." : "No variables yet.");
    },
  });
  return box;
};
