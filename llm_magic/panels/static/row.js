// One turn of the conversation: what was asked, the answer, and what can be done with both.

/** Prompts higher than this are folded, in pixels. */
const MAX_PROMPT_PX = 200;
const STOPPED = new Set(["interrupted", "truncated"]);

/** @param {ReturnType<typeof createPanel>} panel @returns {CodeAction} */
const insertAction = (panel) => ({
  label: "Insert as cell",
  icon: SHAPES.cell,
  run: async (code, button) => {
    const place = insertCell(panel.model, button, code.replace(/\n$/, ""));
    if (place !== null) return panel.say("info", `Inserted as cell ${place} of the notebook.`);
    await copyText(code, button);
    panel.say("info", "This front end takes no cells from here: the code is in the clipboard.");
  },
});

/**
 * The versions of a turn: which is shown, and the ones beside it.
 * @param {(version: number) => void} pick
 */
const createVersions = (pick) => {
  let shown = 1;
  const earlier = toolButton("left", "Earlier version", unless(() => pick(shown - 1)));
  const later = toolButton("right", "Later version", unless(() => pick(shown + 1)));
  const text = element("span", "lmp-version");
  const node = make("span", { className: "lmp-versions", role: "group", "aria-label": "Versions" }, earlier, text, later);
  return {
    node,
    /** @param {number} version @param {number} count */
    draw: (version, count) => {
      shown = version;
      node.hidden = count < 2;
      setText(text, `${version}/${count}`);
      disable(earlier, version <= 1);
      disable(later, version >= count);
    },
  };
};

/**
 * The editor that takes a prompt's place until the new version is asked for or the change is given up.
 * @param {string} text
 * @param {(text: string) => Promise<boolean>} send
 * @param {() => void} end
 */
const createEditor = (text, send, end) => {
  const field = make("textarea", { className: "lmp-field lmp-text", value: text, "aria-label": "Edit the message" });
  const done = make("button", { type: "button", className: "lmp-text-button lmp-main" }, "Send");
  const node = make(
    "div",
    { className: "lmp-editor" },
    field,
    make(
      "div",
      { className: "lmp-row lmp-end" },
      element("span", "lmp-hint lmp-grow", text.includes("⟦") ? "⟦…⟧ stands for what is attached" : "Asks again, as a new version"),
      make("button", { type: "button", className: "lmp-text-button", onclick: () => end() }, "Cancel"),
      done,
    ),
  );
  const submit = async () => {
    if (!field.value.trim() || done.disabled) return;
    done.disabled = field.readOnly = true;
    if (await send(field.value.trim())) return end();
    done.disabled = field.readOnly = false;
    field.focus();
  };
  done.addEventListener("click", submit);
  field.addEventListener("input", () => fitHeight(field));
  field.addEventListener("keydown", (event) => {
    if (composes(event)) return;
    if (event.key === "Escape") {
      handled(event);
      end();
    } else if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      handled(event);
      submit();
    }
  });
  return {
    node,
    focus: () => {
      field.focus();
      field.setSelectionRange(field.value.length, field.value.length);
      fitHeight(field);
    },
  };
};

/**
 * The prompt of a turn: safe HTML from Python, folded where it is long.
 */
const createPrompt = () => {
  const text = element("div", "lmp-asked jp-RenderedHTMLCommon llm-magic");
  const unfold = make("button", { type: "button", className: "lmp-text-button lmp-unfold", hidden: true }, "Show all");
  const node = make("div", { className: "lmp-prompt" }, text, unfold);
  let html = null;
  let isFolded = true;
  const fold = () => {
    node.classList.toggle("lmp-folded", isFolded);
    setText(unfold, isFolded ? "Show all" : "Show less");
    unfold.setAttribute("aria-expanded", String(!isFolded));
  };
  unfold.addEventListener("click", () => {
    isFolded = !isFolded;
    fold();
  });
  return {
    node,
    text,
    /** @param {string} said */
    draw: (said) => {
      if (said === html) return;
      html = said;
      text.innerHTML = said;
      fold();
    },
    /** Whether it is long shows only in the page. */
    measure: () => (unfold.hidden = text.scrollHeight <= MAX_PROMPT_PX),
  };
};

/**
 * @param {ReturnType<typeof createPanel>} panel
 * @param {string} slot
 */
const createRow = (panel, slot) => {
  const { store, desk } = panel;
  const turn = () => store.state.turns[slot];
  const does = (name, fields = {}) => panel.do(name, { slot, ...fields });
  const prompt = createPrompt();
  const answer = createTurn(panel.model, store, slot, [{ ...COPY_CODE, icon: SHAPES.copy }, insertAction(panel)]);
  const versions = createVersions((v) => does("pick", { v }));
  const number = element("span", "lmp-number");
  const marks = element("span", "lmp-marks");
  let editor = null;

  const copy = toolButton("copy", "Copy the answer", async () => {
    const text = await desk.source(slot);
    if (text === null) panel.say("error", desk.hasEnded() ? ENDED : "There is no answer to copy.");
    else await copyText(text, copy);
  });
  const retry = toolButton("retry", "Ask again", () => does("retry"));
  const edit = toolButton("edit", "Edit and ask again", () => openEditor());
  const goOn = toolButton("play", "Continue the answer", () => panel.do("continue"));
  const hide = toolButton("eyeless", "Hide from the model", () => does(turn().hidden ? "unhide" : "hide"));
  const fork = toolButton("fork", "Fork from here", () => panel.fork(turn().n));
  const tools = make(
    "div",
    { className: "lmp-tools", role: "group" },
    versions.node,
    copy,
    retry,
    edit,
    goOn,
    hide,
    fork,
  );
  prompt.node.append(marks);
  const node = make("article", { className: "lmp-turn" }, number, prompt.node, answer.root, tools);

  const closeEditor = () => {
    const hasFocus = editor.node.contains(document.activeElement);
    editor.node.remove();
    editor = null;
    prompt.node.hidden = false;
    if (hasFocus) edit.focus();
  };
  const openEditor = () => {
    if (editor) return editor.focus();
    const send = async (text) => (await does("edit", { text })).ok;
    editor = createEditor(turn().e, send, closeEditor);
    prompt.node.hidden = true;
    prompt.node.before(editor.node);
    editor.focus();
  };

  const drawTools = (state, isLast) => {
    const isOpen = OPEN.has(state.s);
    versions.draw(state.v ?? 1, state.vs ?? 1);
    copy.hidden = isOpen || state.a.length === 0;
    retry.hidden = isOpen || Boolean(state.hidden);
    edit.hidden = isOpen || Boolean(state.hidden) || typeof state.e !== "string";
    goOn.hidden = !isLast || !STOPPED.has(state.s);
    hide.hidden = isOpen;
    relabel(hide, state.hidden ? "Show to the model again" : "Hide from the model", state.hidden ? "eye" : "eyeless");
    fork.hidden = isOpen;
    tools.hidden = isOpen && versions.node.hidden;
  };

  let isDrawn = false;
  /** @param {{a: number, r: number} | undefined} lows From where on the answer changed; where nothing is said, it did not. */
  const draw = (lows, isLast) => {
    const state = turn();
    if (!state) return;
    const name = `Turn ${state.n ?? ""}`.trim();
    node.setAttribute("aria-label", name);
    tools.setAttribute("aria-label", `Actions for turn ${state.n ?? ""}`);
    setText(number, String(state.n ?? ""));
    node.classList.toggle("lmp-hidden", Boolean(state.hidden));
    node.classList.toggle("lmp-last", isLast);
    prompt.draw(state.p ?? "");
    prompt.text.title = state.hidden ? "Hidden: not sent to the model" : "";
    const said = (state.marks ?? []).join("\n");
    if (said !== marks.dataset.text) {
      marks.dataset.text = said;
      marks.replaceChildren(...(state.marks ?? []).map((mark) => element("span", "lmp-mark", mark)));
    }
    // What changed before there was a row to draw it in is drawn now.
    answer.draw(isDrawn ? (lows ?? { a: Infinity, r: Infinity }) : { a: 0, r: 0 });
    isDrawn = true;
    drawTools(state, isLast);
  };

  /** Look at how large things have become; what scrolls sideways is reached by keyboard. */
  const measure = () => {
    prompt.measure();
    for (const block of answer.root.querySelectorAll("pre:not(.llm-magic-tool *, .llm-magic-question *), table")) {
      if (block.scrollWidth > block.clientWidth) block.tabIndex = 0;
      else block.removeAttribute("tabindex");
    }
  };
  const remove = () => {
    answer.remove();
    node.remove();
  };
  return { node, draw, measure, remove };
};
